//! Who may call, and who called through a proxy: rules and addresses against a comparison bit by bit, and
//! `X-Forwarded-For` against a reading of the whole list at once.
//!
//! The input is decisions: rules first, then addresses that lie near a rule, in the ways of writing them that there are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use heartbeat_runtime::auth::{Allowlist, client_address, parse_rule};
use heartbeat_runtime::limits::FORWARDED_HOPS_MAX;

use super::bytes::Bytes;

/// A rule as the oracle sees it: 128 bits, of which so many count; IPv4 is what is mapped into IPv6.
#[derive(Clone, Copy, Debug)]
struct Rule {
    bits: u128,
    prefix: u32,
}

/// The target.
pub fn check(data: &[u8]) {
    texts(data);
    let mut input = Bytes(data);
    let (mut rules, mut texts) = (Vec::new(), Vec::new());
    for _ in 0..input.byte() % 5 {
        let (rule, text) = rule(&mut input);
        rules.push(rule);
        texts.push(text);
    }
    let parsed = texts.iter().map(|text| parse_rule(text).unwrap_or_else(|wrong| panic!("{text}: {wrong}")));
    let list = Allowlist::new(parsed.collect());
    assert_eq!(list.is_empty(), rules.is_empty());
    let peer = address(&mut input, &rules);
    assert_eq!(list.contains(peer), is_in(&rules, bits_of(peer)), "{texts:?} {peer}");

    let fields: Vec<String> = (0..input.byte() % 4).map(|_| field(&mut input, &rules)).collect();
    let client = client_address(peer, &list, fields.iter().map(String::as_bytes));
    let expected = address_of(naive_client(bits_of(peer), &rules, &fields));
    assert_eq!(client, expected, "{texts:?} {peer} {fields:?}");
}

/// What is no rule is refused in one sentence, and what is one holds its own address.
fn texts(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for word in text.split(['\n', ',']) {
        match parse_rule(word) {
            Ok(rule) => {
                assert_eq!(parse_rule(&rule.to_string()), Ok(rule), "{word}");
                assert!(Allowlist::new(vec![rule]).contains(rule.addr()), "{word}");
            }
            Err(wrong) => assert!(wrong.contains("CIDR") && !wrong.contains('\n')),
        }
        // Garbage between trusted proxies is not believed, and what it is alone decides.
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let trusted = Allowlist::new(vec![parse_rule("127.0.0.1").expect("a rule")]);
        let client = client_address(peer, &trusted, [word.as_bytes()].into_iter());
        let expected = naive_entry(word.trim_matches([' ', '\t', '\r', '\u{c}'])).map_or(peer, address_of);
        assert_eq!(client, expected, "{word:?}");
    }
}

const IPV4: u128 = 0xffff << 32;

fn is_ipv4(bits: u128) -> bool {
    bits & !0xffff_ffff == IPV4
}

fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => IPV4 | u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// As it is told: never mapped.
fn address_of(bits: u128) -> IpAddr {
    match u32::try_from(bits ^ IPV4) {
        Ok(bits) => Ipv4Addr::from_bits(bits).into(),
        Err(_) => Ipv6Addr::from_bits(bits).into(),
    }
}

/// Bit by bit, from the first on.
fn is_in(rules: &[Rule], address: u128) -> bool {
    rules.iter().any(|rule| {
        // A rule of IPv6 that is wider than all of IPv4 holds no IPv4 address.
        let is_of_ipv4 = is_ipv4(rule.bits) && rule.prefix >= 96;
        is_of_ipv4 == is_ipv4(address)
            && (0..rule.prefix).all(|bit| (rule.bits << bit) >> 127 == (address << bit) >> 127)
    })
}

/// A rule, and how it is written.
fn rule(input: &mut Bytes<'_>) -> (Rule, String) {
    let (form, prefix) = (input.byte(), u32::from(input.byte()));
    let space = ["", " ", "\t"][usize::from(form >> 4) % 3];
    match form % 5 {
        0 => {
            let (address, prefix) = (Ipv4Addr::from_bits(four(input)), prefix % 33);
            (
                Rule { bits: bits_of(address.into()), prefix: 96 + prefix },
                format!("{space}{address}/{prefix}"),
            )
        }
        1 => {
            let address = Ipv4Addr::from_bits(four(input));
            (Rule { bits: bits_of(address.into()), prefix: 128 }, format!("{address}{space}"))
        }
        2 => {
            let (address, prefix) = (Ipv6Addr::from_bits(input.number::<16>()), prefix % 129);
            // A mapped one that is wider than all of IPv4 is refused.
            let prefix = if is_ipv4(address.to_bits()) { prefix.max(96) } else { prefix };
            (Rule { bits: address.to_bits(), prefix }, format!("{address}/{prefix}{space}"))
        }
        3 => {
            let address = Ipv6Addr::from_bits(input.number::<16>());
            (Rule { bits: address.to_bits(), prefix: 128 }, address.to_string())
        }
        _ => {
            let (address, prefix) = (Ipv4Addr::from_bits(four(input)).to_ipv6_mapped(), 96 + prefix % 33);
            (Rule { bits: address.to_bits(), prefix }, format!("{address}/{prefix}"))
        }
    }
}

fn four(input: &mut Bytes<'_>) -> u32 {
    u32::try_from(input.number::<4>()).expect("4 bytes")
}

/// An address that differs from a rule in a bit or none, or any; IPv4 as itself or mapped.
fn address(input: &mut Bytes<'_>, rules: &[Rule]) -> IpAddr {
    let form = input.byte();
    let bits = match rules.get(usize::from(form) % 8) {
        Some(rule) => rule.bits ^ 1_u128.checked_shl(u32::from(input.byte() % 140)).unwrap_or(0),
        None if form.is_multiple_of(2) => IPV4 | input.number::<4>(),
        None => input.number::<16>(),
    };
    if form >= 128 { Ipv6Addr::from_bits(bits).into() } else { address_of(bits) }
}

/// One field of `X-Forwarded-For`, with entries in every way that is seen, and some that are none.
fn field(input: &mut Bytes<'_>, rules: &[Rule]) -> String {
    let mut entries = Vec::new();
    for _ in 0..input.byte() % 12 {
        let form = input.byte();
        let address = address(input, rules);
        entries.push(match (form % 12, address) {
            (0, IpAddr::V4(v4)) => format!("{v4}:8080"),
            (0, IpAddr::V6(v6)) => format!("[{v6}]:8080"),
            (1, IpAddr::V6(v6)) => format!("[{v6}]"),
            (1, IpAddr::V4(v4)) => format!("[{v4}]"),
            (2, _) => format!("{address}%eth0"),
            (3, _) => String::new(),
            (4, _) => format!("\t{address} "),
            (5, _) => ["unknown", "_hidden", "localhost", "1.2.3", "01.2.3.4", "::g"]
                [usize::from(form) / 12 % 6]
                .to_owned(),
            (6, IpAddr::V4(v4)) => format!("{v4}:65536"),
            (7, IpAddr::V6(v6)) => format!("[{v6}%1]:80"),
            (8, _) => ",".repeat(usize::from(form / 8)),
            _ => address.to_string(),
        });
    }
    entries.join(if input.byte().is_multiple_of(2) { ", " } else { "," })
}

/// Reads every entry of all fields, then looks for the last one that is not trusted.
fn naive_client(peer: u128, rules: &[Rule], fields: &[String]) -> u128 {
    if fields.is_empty() || !is_in(rules, peer) {
        return peer;
    }
    let whole = fields.join(",");
    let mut entries: Vec<&str> = whole.split(',').map(str::trim).collect();
    let too_many = entries.len() > FORWARDED_HOPS_MAX;
    entries.reverse();
    entries.truncate(FORWARDED_HOPS_MAX);
    let read: Vec<Option<u128>> =
        entries.iter().filter(|entry| !entry.is_empty()).map(|entry| naive_entry(entry)).collect();
    let trusted = read.iter().take_while(|bits| bits.is_some_and(|bits| is_in(rules, bits))).count();
    match read.get(trusted) {
        Some(Some(client)) => *client,
        Some(None) => peer,
        None if too_many => peer,
        None => read.last().copied().flatten().unwrap_or(peer),
    }
}

/// An address, `address:port` for IPv4, or one of IPv6 in brackets with a port or without.
fn naive_entry(entry: &str) -> Option<u128> {
    let is_port = |port: &str| {
        !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
    };
    if let Some(rest) = entry.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let zone_is_number = address.split_once('%').map(|(_, zone)| zone.parse::<u32>().is_ok());
        let port_is_right = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        // The system's notation of a socket address has a zone in it; one without a port is none.
        let has_right_zone = zone_is_number.is_none_or(|right| right && !port.is_empty());
        let address = address.split('%').next().unwrap_or_default();
        return naive_ipv6(address).filter(|_| port_is_right && has_right_zone);
    }
    match (entry.matches(':').count(), entry.split_once(':')) {
        (0, _) => naive_ipv4(entry).map(|bits| IPV4 | u128::from(bits)),
        (1, Some((address, port))) => {
            naive_ipv4(address).filter(|_| is_port(port)).map(|bits| IPV4 | u128::from(bits))
        }
        _ => naive_ipv6(entry),
    }
}

fn naive_ipv4(text: &str) -> Option<u32> {
    let parts: Vec<&str> = text.split('.').collect();
    let is_part = |part: &&str| {
        part.bytes().all(|byte| byte.is_ascii_digit())
            && part.parse::<u8>().is_ok()
            && (part.len() == 1 || !part.starts_with('0'))
    };
    (parts.len() == 4 && parts.iter().all(is_part))
        .then(|| parts.iter().fold(0, |bits, part| bits << 8 | part.parse::<u32>().unwrap_or(0)))
}

/// RFC 4291 section 2.2.
fn naive_ipv6(text: &str) -> Option<u128> {
    // The last part may be written as IPv4: as two groups it is the same.
    let text = match text.rsplit_once(':') {
        Some((head, v4)) if v4.contains('.') => {
            let bits = naive_ipv4(v4)?;
            format!("{head}:{:x}:{:x}", bits >> 16, bits & 0xffff)
        }
        _ => text.to_owned(),
    };
    let groups = |text: &str| -> Option<Vec<u128>> {
        let group = |group: &str| {
            let is_group =
                (1..=4).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_hexdigit());
            is_group.then(|| u128::from_str_radix(group, 16).unwrap_or(0))
        };
        if text.is_empty() { Some(Vec::new()) } else { text.split(':').map(group).collect() }
    };
    let all = match text.split_once("::") {
        None => groups(&text)?,
        Some((before, behind)) => {
            let (mut before, behind) = (groups(before)?, groups(behind)?);
            // Two colons stand for at least one group.
            let missing = 7_usize.checked_sub(before.len() + behind.len())? + 1;
            before.extend(std::iter::repeat_n(0, missing));
            before.extend(behind);
            before
        }
    };
    (all.len() == 8).then(|| all.iter().fold(0, |bits, group| bits << 16 | group))
}
