//! Addresses that may connect: IPv4 and IPv6, single or as CIDR ranges.
//!
//! An IPv4-mapped IPv6 address counts as IPv4, in rules and in peers, so that it does not matter whether the socket
//! was bound for both. So `::/0` holds every IPv6 address and no IPv4 one. A zone (`%eth0`) is no part of an address.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

/// Addresses and ranges; a peer is allowed if any holds it. Empty allows nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowlist {
    rules: Vec<IpNet>,
}

impl Allowlist {
    /// These ranges; bits beyond a range's prefix are ignored.
    pub fn new(rules: Vec<IpNet>) -> Self {
        Self { rules: rules.into_iter().map(canonical).collect() }
    }

    /// Whether the address is in any range.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.rules.iter().any(|rule| rule.contains(&address))
    }

    /// Whether there is no range, and so nobody is allowed.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

/// Prefix of the range of IPv4-mapped addresses (`::ffff:0:0/96`, RFC 4291 section 2.5.5.2).
const MAPPED_PREFIX: u8 = 96;

/// Reads an address or a CIDR range: `192.0.2.1`, `10.0.0.0/8`, `::1`, `2001:db8::/32`.
///
/// # Errors
/// A sentence that says what would be right.
pub fn parse_rule(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let single = || text.parse::<IpAddr>().map(IpNet::from);
    let rule = text.parse::<IpNet>().or_else(|_| single()).map_err(|_| {
        let shown: String = text.chars().take(60).collect();
        let shown = shown.escape_debug();
        format!(
            "`{shown}` is not an address or CIDR range such as 192.0.2.1, 10.0.0.0/8, ::1 or 2001:db8::/32"
        )
    })?;
    match mapped(rule) {
        // Whoever writes it means IPv4, and it would hold none.
        Some((address, None)) => {
            let prefix = rule.prefix_len();
            let right = if prefix <= 32 { format!("{address}/{prefix}") } else { address.to_string() };
            Err(format!(
                "`{text}` is a CIDR range of IPv6 that holds no IPv4 address; {right} would be right"
            ))
        }
        _ => Ok(rule),
    }
}

/// The IPv4 address that a rule of IPv6 is written with, and the prefix of the IPv4 range that it means; none if it is wider than
/// all of IPv4.
fn mapped(rule: IpNet) -> Option<(Ipv4Addr, Option<u8>)> {
    let IpNet::V6(rule) = rule else { return None };
    Some((rule.addr().to_ipv4_mapped()?, rule.prefix_len().checked_sub(MAPPED_PREFIX)))
}

/// A range of IPv4-mapped addresses as the IPv4 range that it means.
fn canonical(rule: IpNet) -> IpNet {
    match mapped(rule) {
        Some((address, Some(prefix))) => Ipv4Net::new(address, prefix).map_or(rule, IpNet::V4),
        _ => rule,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    fn list(rules: &[&str]) -> Allowlist {
        Allowlist::new(rules.iter().map(|rule| parse_rule(rule).unwrap()).collect())
    }

    #[test]
    fn addresses_and_ranges_of_both_families_are_allowed() {
        let list = list(&["127.0.0.0/8", "192.0.2.7", "::1", "2001:db8::/32"]);
        for (address, allowed) in [
            ("127.0.0.1", true),
            ("127.255.255.255", true),
            ("128.0.0.0", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("::1", true),
            ("::2", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
            ("::ffff:127.0.0.1", true),
            ("::ffff:128.0.0.1", false),
        ] {
            assert_eq!(list.contains(address.parse().unwrap()), allowed, "{address}");
        }
    }

    #[test]
    fn an_empty_list_allows_nobody() {
        assert!(!list(&[]).contains("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn a_mapped_range_means_ipv4_and_all_of_ipv6_holds_no_ipv4() {
        let mapped = list(&["::ffff:10.0.0.0/104", "::ffff:192.0.2.1"]);
        assert!(mapped.contains("10.255.0.1".parse().unwrap()));
        assert!(mapped.contains("192.0.2.1".parse().unwrap()));
        assert!(!mapped.contains("11.0.0.1".parse().unwrap()));
        assert!(!list(&["::/0"]).contains("10.0.0.1".parse().unwrap()));
        assert!(!list(&["::/0"]).contains("::ffff:10.0.0.1".parse().unwrap()));
        assert!(!list(&["0.0.0.0/0"]).contains("::1".parse().unwrap()));
    }

    #[test]
    fn a_rule_that_is_none_is_refused_with_what_would_be_right() {
        for wrong in ["", "localhost", "10.0.0.0/33", "10.0.0", "::1/129", "fe80::1%eth0", "1.2.3.4 5.6.7.8"]
        {
            let message = parse_rule(wrong).unwrap_err();
            assert!(message.contains("10.0.0.0/8"), "{wrong}: {message}");
        }
        assert_eq!(parse_rule(" 192.0.2.1 "), Ok("192.0.2.1/32".parse().unwrap()));
    }

    #[test]
    fn a_mapped_range_that_holds_no_ipv4_is_refused_with_the_ipv4_range() {
        for (wrong, right) in
            [("::ffff:10.0.0.0/8", "10.0.0.0/8"), ("::ffff:192.0.2.1/64", "192.0.2.1 would")]
        {
            let message = parse_rule(wrong).unwrap_err();
            assert!(message.contains(right), "{wrong}: {message}");
        }
        assert!(list(&["::ffff:10.0.0.0/104"]).contains("10.1.2.3".parse().unwrap()));
    }

    /// Compares bit by bit, knowing nothing of the library: both as 128 bits with IPv4 mapped, and one family only.
    fn naive(rule: (IpAddr, u8), address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(address) => (0xffff_u128 << 32) | u128::from(u32::from_be_bytes(address.octets())),
            IpAddr::V6(address) => u128::from_be_bytes(address.octets()),
        };
        let prefix = if rule.0.is_ipv4() { 96 + u32::from(rule.1) } else { u32::from(rule.1) };
        let (rule, address) = (bits(rule.0), bits(address));
        let is_v4 = |bits: u128| bits >> 32 == 0xffff;
        let same_family = is_v4(address) == (is_v4(rule) && prefix >= 96);
        same_family && (0..prefix).all(|bit| (rule ^ address) >> (127 - bit) & 1 == 0)
    }

    #[test]
    fn random_rules_and_addresses_agree_with_a_bitwise_comparison() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = || {
            // xorshift64: good enough to choose test cases, and the same each time.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let mut held = 0;
        for _ in 0..200_000 {
            let wide = u128::from(random()) << 64 | u128::from(random());
            let v4 = IpAddr::from(random().to_le_bytes().first_chunk::<4>().copied().unwrap());
            let mapped = IpAddr::V6(Ipv6Addr::from_bits(0xffff << 32 | (wide >> 96)));
            let base = [v4, IpAddr::V6(Ipv6Addr::from_bits(wide)), mapped][(random() % 3) as usize];
            let width = if base.is_ipv4() { 32 } else { 128 };
            let prefix = u8::try_from(random() % (width + 1)).unwrap();
            // Near the rule, so that both verdicts come up: one bit flipped, or none.
            let flipped = u32::try_from(random() % (width + 8)).unwrap();
            let address = match base {
                IpAddr::V4(ip) => IpAddr::V4((ip.to_bits() ^ 1_u32.checked_shl(flipped).unwrap_or(0)).into()),
                IpAddr::V6(ip) => {
                    IpAddr::V6((ip.to_bits() ^ 1_u128.checked_shl(flipped).unwrap_or(0)).into())
                }
            };
            let rule = IpNet::new(base, prefix).unwrap();
            let expected = naive((base, prefix), address);
            assert_eq!(Allowlist::new(vec![rule]).contains(address), expected, "{rule} {address}");
            held += u32::from(expected);
        }
        assert!((20_000..180_000).contains(&held), "both verdicts come up often: {held}");
    }
}
