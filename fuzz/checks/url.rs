//! URLs and the references that lead on from them: what is read is one thing, written in one way; references lead where
//! RFC 3986 section 5.2 says, read as that section's own steps; a `Link` field yields the page that a naive reading finds.
//!
//! The input: lines of a base, a reference, a name and a value of a query's parameter, and a `Link` field.

use heartbeat_runtime::http::client::{Answer, Url};
use heartbeat_runtime::limits::URL_BYTES_MAX;

/// The target.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    let (base, reference, name, value, link) = (next(), next(), next(), next(), next());
    linked(link);
    let Ok(base) = Url::parse(base) else { return };
    judge(&base);
    parameter(&base, name, value);
    let joined = base.join(reference);
    if let Ok(joined) = &joined {
        judge(joined);
        let path = joined.target().split('?').next().unwrap_or_default();
        let by_reference = !reference.split('#').next().unwrap_or_default().is_empty();
        let dots = path.split('/').any(|segment| segment == "." || segment == "..");
        assert!(!dots || !by_reference || reference.starts_with('?'), "{joined}");
    }
    if let Some(target) = naive_target(base.target(), reference) {
        assert_eq!(joined.ok().map(|url| url.target().to_owned()), Some(target), "{base} {reference}");
    }
}

fn judge(url: &Url) {
    let text = url.to_string();
    assert!(text.len() <= URL_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
    assert_eq!(Url::parse(&text).as_ref(), Ok(url), "what is written is read again");
    assert!(url.port() != 0 && !url.host().is_empty() && url.target().starts_with('/'));
    assert!(!url.host().contains(|letter: char| letter.is_ascii_uppercase() || "@/[]%?".contains(letter)));
    assert!(url.same_origin(url));
    let shown = format!("{url:?} {}", url.without_query());
    assert!(!shown.contains('?'), "a query may hold a token: {shown}");
    // Every address has one text: who compares hosts compares addresses.
    if let Ok(address) = url.host().parse::<std::net::IpAddr>() {
        assert_eq!(address.to_string(), url.host());
    }
}

/// The parameter is there once, with this value, and all others are as they were.
fn parameter(url: &Url, name: &str, value: &str) {
    let Ok(with) = url.with_query_parameter(name, value) else {
        assert!(url.to_string().len() + 3 * (name.len() + value.len()) + 2 > URL_BYTES_MAX);
        return;
    };
    judge(&with);
    assert!(with.same_origin(url));
    let pairs = |url: &Url| -> Vec<(Vec<u8>, Vec<u8>)> {
        let query = url.target().split_once('?').map_or("", |(_, query)| query);
        query.split('&').filter(|_| !query.is_empty()).map(pair).collect()
    };
    let named = |(other, _): &(Vec<u8>, Vec<u8>)| other == name.as_bytes();
    let (before, now) = (pairs(url), pairs(&with));
    let set: Vec<_> = now.iter().filter(|pair| named(pair)).collect();
    assert_eq!(set, [&(name.as_bytes().to_vec(), value.as_bytes().to_vec())], "{with}");
    let others =
        |pairs: Vec<(Vec<u8>, Vec<u8>)>| pairs.into_iter().filter(|pair| !named(pair)).collect::<Vec<_>>();
    assert_eq!(others(before), others(now), "{with}");
}

fn pair(text: &str) -> (Vec<u8>, Vec<u8>) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (naive_decoded(name), naive_decoded(value))
}

fn naive_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        match digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    out
}

/// Where a reference without scheme and authority leads (RFC 3986 sections 5.2.2 to 5.2.4); nothing for other ones.
fn naive_target(base: &str, reference: &str) -> Option<String> {
    let reference = reference.split('#').next().unwrap_or_default();
    let first = reference.find(['/', '?', ':']);
    let has_scheme = first.is_some_and(|at| reference[at..].starts_with(':'));
    if has_scheme || reference.starts_with("//") || !reference.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let (base_path, base_query) =
        base.split_once('?').map_or((base, None), |(path, query)| (path, Some(query)));
    let (path, query) =
        reference.split_once('?').map_or((reference, None), |(path, query)| (path, Some(query)));
    let (path, query) = match path {
        "" => (base_path.to_owned(), query.or(base_query)),
        path if path.starts_with('/') => (naive_without_dots(path), query),
        path => {
            let folder = &base_path[..=base_path.rfind('/').unwrap_or(0)];
            (naive_without_dots(&format!("{folder}{path}")), query)
        }
    };
    let written = |text: &str, not_sent: &str| -> String {
        let letter = |letter: char| match not_sent.contains(letter) {
            true => format!("%{:02X}", u32::from(letter)),
            false => letter.to_string(),
        };
        text.chars().map(letter).collect()
    };
    let path = written(&path, "\"<>\\^`{|}[]");
    let target = query.map_or(path.clone(), |query| format!("{path}?{}", written(query, "\"<>")));
    // Nearly as long as can be: whether it is refused is judged elsewhere.
    (target.len() + base.len() + reference.len() < URL_BYTES_MAX / 2).then_some(target)
}

/// The loop of section 5.2.4, letter for letter.
fn naive_without_dots(path: &str) -> String {
    let (mut input, mut output) = (path.to_owned(), String::new());
    while !input.is_empty() {
        if let Some(rest) = input.strip_prefix("../").or(input.strip_prefix("./")) {
            input = rest.to_owned();
        } else if input.starts_with("/./") || input == "/." {
            input = format!("/{}", input.get(3..).unwrap_or_default());
        } else if input.starts_with("/../") || input == "/.." {
            input = format!("/{}", input.get(4..).unwrap_or_default());
            output.truncate(output.rfind('/').unwrap_or(0));
        } else if input == "." || input == ".." {
            input.clear();
        } else {
            let end = input[1..].find('/').map_or(input.len(), |at| at + 1);
            output.push_str(&input[..end]);
            input = input[end..].to_owned();
        }
    }
    output
}

/// A field whose values are all plain has its links between commas.
fn linked(field: &str) {
    let answer = Answer { fields: vec![("Link".to_owned(), field.to_owned())], ..Answer::default() };
    let next = answer.next_link();
    assert!(next.is_none_or(|next| field.contains(&format!("<{next}>"))));
    if field.contains(['"', '\\']) || field.contains(|letter: char| letter.is_whitespace() && letter != ' ') {
        return;
    }
    let mut expected = None;
    for link in field.split(',') {
        let link = link.trim_matches(' ');
        // A comma may stand in a target: such fields are left to the check above.
        if link.matches('<').count() != link.matches('>').count() || link.matches('<').count() > 1 {
            return;
        }
        if link.is_empty() {
            continue;
        }
        let Some((target, parameters)) = link.strip_prefix('<').and_then(|link| link.split_once('>')) else {
            break;
        };
        let parameters = parameters.trim_matches(' ');
        if !parameters.is_empty() && !parameters.starts_with(';') {
            return;
        }
        let mut parameters = parameters.split(';').skip(1).map(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            (name.trim_matches(' ').to_ascii_lowercase(), value.trim_matches(' ').to_ascii_lowercase())
        });
        // White space within a name, or a second `=`: nobody's links.
        let odd = |(name, value): &(String, String)| name.contains(' ') || value.contains([' ', '=']);
        let all: Vec<_> = parameters.by_ref().collect();
        if all.iter().any(odd) {
            return;
        }
        let relation = all.iter().find(|(name, _)| name == "rel").map(|(_, value)| value.as_str());
        let is_anchored = all.iter().any(|(name, _)| name == "anchor");
        if relation == Some("next") && !is_anchored && expected.is_none() {
            expected = Some(target);
        }
    }
    assert_eq!(next, expected, "{field}");
}
