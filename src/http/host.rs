//! `host[:port]`, as the `Host` field and an absolute-form target have it.

use std::net::Ipv6Addr;

/// Whether this is a host with an optional port (RFC 9110 section 7.2, RFC 3986 section 3.2.2).
///
/// Narrower than the grammar, because a name that is spelt oddly is one that two readers understand
/// differently: no user information, no percent-encoding, no sub-delimiters, no `IPvFuture` and no zone.
/// An empty host is refused as well: RFC 9112 section 3.2 has it for targets without an authority, and the
/// `http` scheme has none such (RFC 9110 section 4.2.1).
pub(super) fn is_valid(authority: &[u8]) -> bool {
    let (host_fits, port) = match authority {
        [b'[', rest @ ..] => {
            let Some(end) = memchr::memchr(b']', rest) else { return false };
            let (literal, after) = rest.split_at(end);
            (is_ipv6(literal), after.get(1..).unwrap_or_default())
        }
        _ => {
            let end = memchr::memchr(b':', authority).unwrap_or(authority.len());
            let (name, after) = authority.split_at(end);
            (!name.is_empty() && name.iter().all(|&byte| is_unreserved(byte)), after)
        }
    };
    host_fits && is_port(port)
}

/// RFC 3986 section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn is_ipv6(literal: &[u8]) -> bool {
    std::str::from_utf8(literal).is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

/// Nothing, or a colon and a number that a port can have; the grammar allows the colon alone.
fn is_port(port: &[u8]) -> bool {
    match port {
        [] | [b':'] => true,
        [b':', digits @ ..] => {
            digits.iter().all(u8::is_ascii_digit)
                && std::str::from_utf8(digits).is_ok_and(|text| text.parse::<u16>().is_ok())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn names_addresses_and_ports_are_hosts() {
        for good in ["a", "box-1.example", "127.0.0.1:8787", "[::1]", "[fe80::1]:80", "a:", "a_b:65535"] {
            assert!(is_valid(good.as_bytes()), "{good}");
        }
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
