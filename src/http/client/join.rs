//! Where a reference leads from a URL (RFC 3986 section 5.2, strictly).

/// What a reference brings of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Everything: it begins with a scheme.
    Absolute,
    /// All but the scheme.
    Authority,
    /// A path, a query, or nothing.
    Target,
}

/// Which kind a reference is of.
pub(super) fn kind(reference: &str) -> Kind {
    // A colon before any slash ends a scheme: `a:b` is no path (section 4.2).
    if reference.bytes().find(|byte| matches!(byte, b':' | b'/' | b'?')) == Some(b':') {
        Kind::Absolute
    } else if reference.starts_with("//") {
        Kind::Authority
    } else {
        Kind::Target
    }
}

/// The target that a reference without an authority leads to from this one.
pub(super) fn resolve(base: &str, reference: &str) -> String {
    let base_path = base.split('?').next().unwrap_or_default();
    if reference.is_empty() {
        base.to_owned()
    } else if reference.starts_with('?') {
        format!("{base_path}{reference}")
    } else if reference.starts_with('/') {
        without_dots(reference)
    } else {
        let folder = base_path.rsplit_once('/').map_or("", |(folder, _)| folder);
        without_dots(&format!("{folder}/{reference}"))
    }
}

/// A target that begins with a slash, its path without `.` and `..` (section 5.2.4).
pub(super) fn without_dots(target: &str) -> String {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_dots = matches!(segment, "." | "..");
        if segment == ".." {
            kept.pop();
        }
        if !is_dots {
            kept.push(segment);
        } else if segments.peek().is_none() {
            // What ended in dots names a folder.
            kept.push("");
        }
    }
    format!("/{}{query}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use crate::http::client::Url;

    /// Where each leads from `base`; none is where it is no URL here.
    #[track_caller]
    fn lead(base: &str, table: &[(&str, Option<&str>)]) {
        let base = Url::parse(base).unwrap();
        for (reference, expected) in table {
            let joined = base.join(reference).ok().map(|url| url.to_string());
            assert_eq!(joined.as_deref(), *expected, "{reference}");
        }
    }

    #[test]
    fn references_lead_where_rfc_3986_section_5_4_says() {
        lead(
            "http://a/b/c/d;p?q",
            &[
                ("g:h", None),
                ("g", Some("http://a/b/c/g")),
                ("./g", Some("http://a/b/c/g")),
                ("g/", Some("http://a/b/c/g/")),
                ("/g", Some("http://a/g")),
                ("//g", Some("http://g/")),
                ("?y", Some("http://a/b/c/d;p?y")),
                ("g?y", Some("http://a/b/c/g?y")),
                ("#s", Some("http://a/b/c/d;p?q")),
                ("g#s", Some("http://a/b/c/g")),
                ("g?y#s", Some("http://a/b/c/g?y")),
                (";x", Some("http://a/b/c/;x")),
                ("g;x", Some("http://a/b/c/g;x")),
                ("g;x?y#s", Some("http://a/b/c/g;x?y")),
                ("", Some("http://a/b/c/d;p?q")),
                (".", Some("http://a/b/c/")),
                ("./", Some("http://a/b/c/")),
                ("..", Some("http://a/b/")),
                ("../", Some("http://a/b/")),
                ("../g", Some("http://a/b/g")),
                ("../..", Some("http://a/")),
                ("../../", Some("http://a/")),
                ("../../g", Some("http://a/g")),
                ("../../../g", Some("http://a/g")),
                ("../../../../g", Some("http://a/g")),
                ("/./g", Some("http://a/g")),
                ("/../g", Some("http://a/g")),
                ("g.", Some("http://a/b/c/g.")),
                (".g", Some("http://a/b/c/.g")),
                ("g..", Some("http://a/b/c/g..")),
                ("..g", Some("http://a/b/c/..g")),
                ("./../g", Some("http://a/b/g")),
                ("./g/.", Some("http://a/b/c/g/")),
                ("g/./h", Some("http://a/b/c/g/h")),
                ("g/../h", Some("http://a/b/c/h")),
                ("g;x=1/./y", Some("http://a/b/c/g;x=1/y")),
                ("g;x=1/../y", Some("http://a/b/c/y")),
                ("g?y/./x", Some("http://a/b/c/g?y/./x")),
                ("g?y/../x", Some("http://a/b/c/g?y/../x")),
                ("g#s/./x", Some("http://a/b/c/g")),
                ("g#s/../x", Some("http://a/b/c/g")),
                // Strictly: a scheme without an authority is not ours.
                ("http:g", None),
            ],
        );
    }

    #[test]
    fn references_lead_elsewhere_only_by_http() {
        lead(
            "https://a:8443/b?c=/d/e",
            &[
                ("f", Some("https://a:8443/f")),
                ("https://g/h/../i#j", Some("https://g/i")),
                ("HTTP://g", Some("http://g/")),
                ("//g:443/./h", Some("https://g/h")),
                ("//g?h", Some("https://g/?h")),
                ("?http://x:1", Some("https://a:8443/b?http://x:1")),
                ("./x:1", Some("https://a:8443/x:1")),
                ("x:1", None),
                ("javascript:alert(1)", None),
                ("file:///etc/passwd", None),
                ("http://user@g/", None),
                ("//user@g/", None),
                ("///h", None),
                ("a b", None),
                ("caf\u{e9}", None),
            ],
        );
    }

    #[test]
    fn an_empty_segment_is_one() {
        lead("http://a/b/", &[("/c//../d", Some("http://a/c/d")), (".//c", Some("http://a/b//c"))]);
    }
}
