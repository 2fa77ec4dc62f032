//! The request target in its forms (RFC 9112 section 3.2).

use super::error::{ErrorCode, Refusal};
use super::host;
use super::method::Method;
use super::span::Span;
use crate::limits::TARGET_BYTES_MAX;

/// Where the parts of a target are. Spans count from the start of the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    /// In absolute-form: the authority, which then counts instead of `Host`.
    pub(super) authority: Option<Span>,
    /// Empty in absolute-form without a path, which means `/`, or `*` where `asterisk` is set.
    pub(super) path: Span,
    /// What follows the question mark.
    pub(super) query: Option<Span>,
    /// `OPTIONS *`, or what a proxy makes of it (RFC 9112 section 3.2.4).
    pub(super) asterisk: bool,
}

/// Takes a target apart.
///
/// Nothing is percent-decoded: every path here is plain ASCII, and a server that decodes lets a path be
/// spelt in ways that the rules of a proxy in front of it do not see. An encoded path is simply not found.
pub(super) fn parse(method: Method, target: &[u8]) -> Result<Target, Refusal> {
    if target.len() > TARGET_BYTES_MAX {
        return Err(too_long());
    }
    // Before the method is judged: what is no target goes with none.
    if !target.iter().all(|&byte| is_query_byte(byte)) {
        return Err(bad_byte());
    }
    if method == Method::Connect {
        return Err(Refusal::new(ErrorCode::NotImplemented, "this is not a proxy"));
    }
    match target {
        [b'/', ..] => split_query(target, 0, None),
        b"*" if method == Method::Options => {
            Ok(Target { path: Span { start: 0, end: 1 }, asterisk: true, ..Target::default() })
        }
        b"*" => Err(Refusal::bad("the target * goes with OPTIONS alone")),
        _ => absolute(method, target),
    }
}

/// 414, for a target that is too long by itself or fills the whole head.
pub(super) fn too_long() -> Refusal {
    Refusal::new(ErrorCode::UriTooLong, "the request target is longer than is accepted")
}

/// `http://host[:port][/path][?query]`; servers have to accept it (RFC 9112 section 3.2.2).
fn absolute(method: Method, target: &[u8]) -> Result<Target, Refusal> {
    let scheme_bytes = [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))
        .map(<[u8]>::len)
        .ok_or_else(|| Refusal::bad("the request target is neither a path nor an http URL"))?;
    let rest = target.get(scheme_bytes..).unwrap_or_default();
    let authority_bytes = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    if !host::is_valid(rest.get(..authority_bytes).unwrap_or_default()) {
        return Err(Refusal::bad("the request target's host is not valid"));
    }
    let authority_end = scheme_bytes + authority_bytes;
    let authority = Span { start: scheme_bytes, end: authority_end };
    let mut parts = split_query(target, authority_end, Some(authority))?;
    parts.asterisk = method == Method::Options && authority_end == target.len();
    Ok(parts)
}

fn split_query(target: &[u8], path_start: usize, authority: Option<Span>) -> Result<Target, Refusal> {
    let rest = target.get(path_start..).unwrap_or_default();
    let question_mark = memchr::memchr(b'?', rest).map(|offset| path_start + offset);
    let path = Span { start: path_start, end: question_mark.unwrap_or(target.len()) };
    let query = question_mark.map(|at| Span { start: at + 1, end: target.len() });
    if !path.bytes(target).iter().all(|&byte| is_path_byte(byte)) {
        return Err(bad_byte());
    }
    Ok(Target { authority, path, query, asterisk: false })
}

fn bad_byte() -> Refusal {
    Refusal::bad("the request target has a byte that no target may have there: write it as %XX")
}

/// By byte, as each of a target's is asked about.
const PATH_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = u8::MIN;
    while byte < u8::MAX {
        table[byte as usize] = may_be_in_path(byte);
        byte += 1;
    }
    table
};

/// Whether a path may have this byte (RFC 3986 section 3.3): a backslash, for one, is a slash to some readers.
pub fn is_path_byte(byte: u8) -> bool {
    PATH_BYTES[usize::from(byte)]
}

const fn may_be_in_path(byte: u8) -> bool {
    host::is_unreserved(byte)
        || matches!(
            byte,
            b'%' | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b';'
                | b'='
                | b':'
                | b'@'
                | b'/'
        )
}

/// Whether a query may have this byte. Beside those of RFC 3986 section 3.4 what browsers send as it is typed (the URL
/// standard's query percent-encode set, of which this is the rest). A fragment is never sent (RFC 9110 section 7.1).
pub(super) fn is_query_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'#' | b'"' | b'<' | b'>')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Authority, path, query, and whether it is the asterisk.
    type Parts<'a> = (Option<&'a str>, &'a str, Option<&'a str>, bool);

    fn parts(method: Method, target: &str) -> Result<Parts<'_>, ErrorCode> {
        let parsed = parse(method, target.as_bytes()).map_err(|refusal| refusal.code)?;
        let text = |span: Span| &target[span.start..span.end];
        Ok((parsed.authority.map(text), text(parsed.path), parsed.query.map(text), parsed.asterisk))
    }

    #[test]
    fn a_path_may_have_a_query() {
        assert_eq!(parts(Method::Get, "/"), Ok((None, "/", None, false)));
        assert_eq!(parts(Method::Get, "/a?b?c"), Ok((None, "/a", Some("b?c"), false)));
        assert_eq!(parts(Method::Get, "/a?{[b]}"), Ok((None, "/a", Some("{[b]}"), false)));
        assert_eq!(parts(Method::Get, "/a?"), Ok((None, "/a", Some(""), false)));
        assert_eq!(parts(Method::Get, "//a/../%2e"), Ok((None, "//a/../%2e", None, false)));
    }

    #[test]
    fn an_absolute_target_gives_its_authority_and_path() {
        assert_eq!(parts(Method::Post, "http://a:1/b?c"), Ok((Some("a:1"), "/b", Some("c"), false)));
        assert_eq!(parts(Method::Post, "HTTPS://[::1]/"), Ok((Some("[::1]"), "/", None, false)));
        assert_eq!(parts(Method::Get, "http://a"), Ok((Some("a"), "", None, false)));
        assert_eq!(parts(Method::Get, "http://a?b"), Ok((Some("a"), "", Some("b"), false)));
    }

    #[test]
    fn an_asterisk_goes_with_options_alone() {
        assert_eq!(parts(Method::Options, "*"), Ok((None, "*", None, true)));
        assert_eq!(parts(Method::Options, "http://a"), Ok((Some("a"), "", None, true)));
        assert_eq!(parts(Method::Options, "/"), Ok((None, "/", None, false)));
        assert_eq!(parts(Method::Get, "*"), Err(ErrorCode::BadRequest));
        assert_eq!(parts(Method::Options, "*a"), Err(ErrorCode::BadRequest));
    }

    #[test]
    fn other_forms_are_refused() {
        for bad in [
            "a",
            "a:80",
            "ftp://a/",
            "http:/a",
            "http://",
            "http:///a",
            "http://u@a/",
            "/a#b",
            "/\u{e9}",
            "",
            "/a\\b",
        ] {
            assert_eq!(parts(Method::Get, bad), Err(ErrorCode::BadRequest), "{bad}");
        }
        assert_eq!(parts(Method::Connect, "a:80"), Err(ErrorCode::NotImplemented));
    }

    #[test]
    fn a_target_over_its_limit_is_refused() {
        let longest = format!("/{}", "a".repeat(TARGET_BYTES_MAX - 1));
        assert!(parts(Method::Get, &longest).is_ok());
        assert_eq!(parts(Method::Get, &format!("{longest}a")), Err(ErrorCode::UriTooLong));
    }
}
