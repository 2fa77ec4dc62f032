//! `host[:port]`, as the `Host` field and an absolute-form target have it.

use std::net::Ipv6Addr;

/// The parts of a host with an optional port (RFC 9110 section 7.2, RFC 3986 section 3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Authority<'a> {
    /// A name or an IPv4 address, or what stands in the brackets of an IPv6 address.
    pub(super) host: &'a str,
    pub(super) is_ipv6: bool,
    pub(super) port: Option<u16>,
}

/// Whether this is a host with an optional port.
pub(super) fn is_valid(authority: &[u8]) -> bool {
    parse(authority).is_some()
}

/// Reads a host with an optional port.
///
/// Narrower than the grammar, because a name that is spelt oddly is one that two readers understand
/// differently: no user information, no percent-encoding, no sub-delimiters, no `IPvFuture` and no zone.
/// An empty host is refused as well: RFC 9112 section 3.2 has it for targets without an authority, and the
/// `http` scheme has none such (RFC 9110 section 4.2.1).
pub(super) fn parse(authority: &[u8]) -> Option<Authority<'_>> {
    let authority = std::str::from_utf8(authority).ok()?;
    let (host, is_ipv6, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (literal, port) = rest.split_once(']')?;
            literal.parse::<Ipv6Addr>().ok()?;
            (literal, true, port)
        }
        None => {
            let (name, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            if name.is_empty() || !name.bytes().all(is_unreserved) {
                return None;
            }
            (name, false, port)
        }
    };
    Some(Authority { host, is_ipv6, port: parse_port(port)? })
}

/// RFC 3986 section 2.3.
pub(super) const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Nothing, or a colon and a number that a port can have; the grammar allows the colon alone.
fn parse_port(port: &str) -> Option<Option<u16>> {
    match port.strip_prefix(':') {
        None => port.is_empty().then_some(None),
        Some("") => Some(None),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok().map(Some),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Authority, is_valid, parse};

    #[test]
    fn names_addresses_and_ports_are_hosts() {
        for good in ["a", "box-1.example", "127.0.0.1:8787", "[::1]", "[fe80::1]:80", "a:", "a_b:65535"] {
            assert!(is_valid(good.as_bytes()), "{good}");
        }
    }

    #[test]
    fn a_host_comes_without_its_brackets_and_its_port() {
        assert_eq!(parse(b"[::1]:80"), Some(Authority { host: "::1", is_ipv6: true, port: Some(80) }),);
        assert_eq!(parse(b"box:"), Some(Authority { host: "box", is_ipv6: false, port: None }));
    }

    #[test]
    fn what_two_readers_could_understand_differently_is_no_host() {
        for bad in [
            "",
            ":80",
            "a b",
            "a,b",
            "a:b",
            "a:65536",
            "a:-1",
            "a:+1",
            "user@a",
            "a/b",
            "[::1",
            "[::1]x",
            "[]",
            "[a]",
            "::1",
            "a%41",
            "[fe80::1%25eth0]",
            "é",
            "a?b",
            "a#b",
            "[v1.x]",
            "a:80:80",
        ] {
            assert!(!is_valid(bad.as_bytes()), "{bad}");
        }
    }
}
