//! Who a request comes from when it came through a proxy: `X-Forwarded-For`, believed only from trusted proxies.
//!
//! Each proxy adds the address it was called from at the right-hand end. What stands left of the last untrusted address
//! may be invented by the sender, so that address is the one that counts.

use std::net::{IpAddr, SocketAddr};

use super::Allowlist;
use crate::limits::FORWARDED_HOPS_MAX;

/// The address that a request counts as coming from. `forwarded_for` are the values of all `X-Forwarded-For` fields in
/// the order of the head; they count only if `peer` is a trusted proxy. Without them, with one that does not parse before
/// an untrusted address is found, or with more than 32 entries, it is the peer itself.
/// If all are trusted, it is the left-most. Always canonical: an IPv4-mapped address is IPv4.
pub fn client_address<'a>(
    peer: IpAddr,
    trusted: &Allowlist,
    forwarded_for: impl DoubleEndedIterator<Item = &'a [u8]>,
) -> IpAddr {
    let peer = peer.to_canonical();
    if !trusted.contains(peer) {
        return peer;
    }
    let mut client = peer;
    let entries = forwarded_for.rev().flat_map(|field| field.rsplit(|byte| *byte == b','));
    for (hop, entry) in entries.enumerate() {
        let entry = entry.trim_ascii();
        // RFC 9110 section 5.6.1.2: a recipient passes over empty list elements.
        if entry.is_empty() && hop < FORWARDED_HOPS_MAX {
            continue;
        }
        match parse(entry) {
            Some(address) if hop < FORWARDED_HOPS_MAX => client = address,
            _ => return peer,
        }
        if !trusted.contains(client) {
            return client;
        }
    }
    client
}

/// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:80`.
fn parse(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let address = text.parse::<IpAddr>().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.or_else(bracketed).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::parse_rule;

    fn client(peer: &str, fields: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "::1", "2001:db8:ffff::/48"].map(|rule| parse_rule(rule).unwrap());
        let trusted = Allowlist::new(trusted.to_vec());
        client_address(peer.parse().unwrap(), &trusted, fields.iter().map(|field| field.as_bytes()))
            .to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(client("192.0.2.9", &["203.0.113.1"]), "192.0.2.9");
        assert_eq!(client("10.0.0.1", &["203.0.113.1"]), "203.0.113.1");
        assert_eq!(client("::ffff:10.0.0.1", &["203.0.113.1"]), "203.0.113.1", "mapped is IPv4");
    }

    #[test]
    fn the_right_most_untrusted_address_counts() {
        assert_eq!(client("10.0.0.1", &["127.0.0.1, 203.0.113.1, 10.0.0.2"]), "203.0.113.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.7", "203.0.113.1, 10.0.0.2", "10.0.0.3"]), "203.0.113.1");
        assert_eq!(
            client("10.0.0.1", &["garbage, 203.0.113.1"]),
            "203.0.113.1",
            "what is left of it is not read"
        );
    }

    #[test]
    fn none_or_one_that_does_not_parse_means_the_peer() {
        for fields in [
            &[][..],
            &[""],
            &[" , ,"],
            &["unknown"],
            &["203.0.113.1, unknown"],
            &["203.0.113.1, unknown, 10.0.0.2"],
            &["203.0.113.1:port"],
            &["203.0.113.256"],
            &["\u{e4}"],
            &["[203.0.113.1]"],
            &["fe80::1%eth0"],
        ] {
            assert_eq!(client("10.0.0.1", fields), "10.0.0.1", "{fields:?}");
        }
    }

    #[test]
    fn ports_and_brackets_are_read() {
        for (entry, address) in [
            ("203.0.113.1:8080", "203.0.113.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("::ffff:203.0.113.1", "203.0.113.1"),
            ("\t203.0.113.1 ", "203.0.113.1"),
            ("203.0.113.1,,", "203.0.113.1"),
        ] {
            assert_eq!(client("10.0.0.1", &[entry]), address, "{entry}");
        }
    }

    #[test]
    fn if_all_are_trusted_the_left_most_counts() {
        assert_eq!(client("10.0.0.1", &["10.0.0.9, 10.0.0.8"]), "10.0.0.9");
        assert_eq!(client("::1", &["2001:db8:ffff::5"]), "2001:db8:ffff::5");
    }

    #[test]
    fn too_many_hops_mean_the_peer() {
        let hops = |count: usize| format!("203.0.113.1{}", ", 10.0.0.2".repeat(count));
        assert_eq!(client("10.0.0.1", &[&hops(31)]), "203.0.113.1");
        assert_eq!(client("10.0.0.1", &[&hops(32)]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[&format!("203.0.113.1{}", ",".repeat(32))]), "10.0.0.1");
    }
}
