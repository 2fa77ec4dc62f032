//! `Link` fields (RFC 8288 section 3, read by the steps of its appendix B).

const WHITE: [char; 2] = [' ', '\t'];

/// The target of the first link in this field's value that leads to the next page.
pub(super) fn next(field: &str) -> Option<&str> {
    let mut rest = field;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (target, behind) = rest.strip_prefix('<')?.split_once('>')?;
        let (is_next, behind) = leads_on(behind);
        if is_next {
            return Some(target);
        }
        rest = behind;
    }
}

/// Whether these parameters are those of a link to the next page, and what is behind them.
///
/// The first `rel` counts, and may name several relations. A link with an `anchor` is about another page than this.
fn leads_on(parameters: &str) -> (bool, &str) {
    let (mut relations, mut is_anchored) = (None, false);
    let mut rest = parameters.trim_start_matches(WHITE);
    while let Some(parameter) = rest.strip_prefix(';') {
        let parameter = parameter.trim_start_matches(WHITE);
        let end = parameter.find([' ', '\t', '=', ';', ',']).unwrap_or(parameter.len());
        let (name, behind) = parameter.split_at(end);
        let behind = behind.trim_start_matches(WHITE);
        let (value, behind) = match behind.strip_prefix('=') {
            Some(behind) => value(behind.trim_start_matches(WHITE)),
            None => (String::new(), behind),
        };
        if name.eq_ignore_ascii_case("rel") {
            relations.get_or_insert(value);
        }
        is_anchored |= name.eq_ignore_ascii_case("anchor");
        rest = behind.trim_start_matches(WHITE);
    }
    let is_next = |relations: String| {
        relations.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"))
    };
    (!is_anchored && relations.is_some_and(is_next), rest)
}

/// A parameter's value, quoted or not, and what is behind it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, behind) = text.split_at(text.find([';', ',']).unwrap_or(text.len()));
        return (value.trim_end_matches(WHITE).to_owned(), behind);
    };
    let mut value = String::new();
    let mut letters = quoted.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => break,
            '\\' => value.extend(letters.next()),
            _ => value.push(letter),
        }
    }
    (value, letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn the_next_page_is_found_however_it_is_written() {
        for field in [
            "</2>; rel=next",
            "</2>;rel=\"next\"",
            "</2> ; REL = \"NEXT\"",
            "</2>; title=\"a, b; rel=prev\"; rel=next",
            "</2>; rel=\"prefetch next\"; title=x",
            "</2>; rel=\"ne\\xt\"",
            "</2>; a; rel=next; rel=prev",
            "</1>; rel=prev, </2>; rel=next",
            " , ,</1>; rel=prev,,</2>; rel=next",
            "</1>; title=\"say \\\"</0>; rel=next\\\"\"; rel=prev, </2>; rel=next",
            "</1>, </2>; rel=next, </3>; rel=next",
            "</1>; rel=next; anchor=\"/0\", </2>; rel=next",
        ] {
            assert_eq!(next(field), Some("/2"), "{field}");
        }
        assert_eq!(next("<http://a/?x=1,2;3>; rel=next"), Some("http://a/?x=1,2;3"));
        assert_eq!(next("<>; rel=next"), Some(""));
    }

    #[test]
    fn what_does_not_lead_on_is_no_next_page() {
        for field in [
            "",
            ",",
            "/2; rel=next",
            "</2",
            "</2>",
            "</2>; rel",
            "</2>; rel=",
            "</2>; rel=nextpage",
            "</2>; rel=prev; rel=next",
            "</2>; rev=next",
            "</2>; title=\"; rel=next",
            "</2>; rel=next; anchor=\"#a\"",
            "</1>; rel=prev junk </2>; rel=next",
        ] {
            assert_eq!(next(field), None, "{field}");
        }
    }
}
