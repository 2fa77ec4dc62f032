//! HTTP/1.1 as RFC 9110 and RFC 9112 have it, as one table: bytes in, what must come of them, and the section that says so.
//! Each file of cases is a subject; reading one is reading that part of the standards. Where they let a server choose,
//! ours refuses what another reader on the way could understand differently.
//!
//! Every case is held against our reader (whole, split at every byte, and byte by byte), against the daemon on a socket, and
//! against hyper and Node, whose differences are settled in `settled.rs`, in writing. A generator makes requests from the
//! grammar, and mutations of them that have to be refused.
#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

#[path = "../support/mod.rs"]
mod support;

mod case;
mod chunks;
mod connection;
mod content_length;
mod daemon;
mod expect;
mod fields;
mod generator;
mod host;
mod limits;
mod methods;
mod mutations;
mod node;
mod ours;
mod reference;
mod request_line;
mod settled;
mod smuggling;
mod targets;
mod transfer_encoding;

use std::collections::BTreeSet;
use std::io::Write as _;

use case::{Case, End};
use generator::Random;
use reference::Then;

/// The whole table; each case under the name of its subject.
fn table() -> Vec<Case> {
    let subjects = [
        ("request line", request_line::cases()),
        ("method", methods::cases()),
        ("target", targets::cases()),
        ("field", fields::cases()),
        ("Host", host::cases()),
        ("length", content_length::cases()),
        ("coding", transfer_encoding::cases()),
        ("chunks", chunks::cases()),
        ("connection", connection::cases()),
        ("expectation", expect::cases()),
        ("limit", limits::cases()),
        ("smuggling", smuggling::cases()),
    ];
    let named = |subject: &str, case: Case| Case { name: format!("{subject}: {}", case.name), ..case };
    let of =
        |(subject, cases): (&'static str, Vec<Case>)| cases.into_iter().map(move |case| named(subject, case));
    subjects.into_iter().flat_map(of).collect()
}

/// Tells a figure, also of a test that passes: not by a macro, whose text is shown only of tests that fail.
fn tell(text: &str) {
    let _nobody_reads_it = writeln!(std::io::stderr(), "{text}");
}

/// Where our reader makes something else of a case than the table says.
fn complaint(case: &Case, reading: &ours::Reading) -> Option<String> {
    let contents: Vec<&[u8]> = reading.messages.iter().map(|message| &message.body[..]).collect();
    let as_expected = reading.messages.len() == case.served.len()
        && reading.end == case.end
        && case.contents.as_ref().is_none_or(|expected| contents == *expected);
    let wanted = (case.served.len(), case.end);
    (!as_expected).then(|| format!("{}\n    wanted {wanted:?}, got {reading:?}", case.title()))
}

fn none_of(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} of them:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn the_table_is_large_and_names_each_case_once() {
    let table = table();
    let sections: BTreeSet<_> = table.iter().map(|case| case.section).collect();
    let inputs: BTreeSet<_> = table.iter().map(|case| &case.bytes).collect();
    let understood = table.iter().filter(|case| matches!(case.end, End::Kept | End::Closed)).count();
    tell(&format!(
        "conformance: {} cases ({} inputs that differ) of {} sections; {understood} are understood to the end",
        table.len(),
        inputs.len(),
        sections.len(),
    ));
    assert!(table.len() >= 400 && inputs.len() >= 400, "{} cases", table.len());
    let mut named = BTreeSet::new();
    for case in &table {
        assert!(named.insert(&case.name), "twice: {}", case.title());
    }
}

#[test]
fn every_case_comes_out_as_the_standard_says() {
    let complaints: Vec<_> =
        table().iter().filter_map(|case| complaint(case, &ours::read(&case.bytes))).collect();
    none_of(&complaints);
}

#[test]
fn every_case_comes_out_the_same_however_it_is_split() {
    let mut splits = 0;
    for case in table() {
        let whole = ours::read(&case.bytes);
        // Long ones are long because of one filler byte: their edges are looked at, and one place in 997.
        let length = case.bytes.len();
        let is_looked_at =
            |at: &usize| length < 2000 || *at < 200 || *at + 200 > length || at.is_multiple_of(997);
        for at in (0..=length).filter(is_looked_at) {
            assert_eq!(ours::read_split(&case.bytes, at), whole, "split at {at}: {}", case.title());
            splits += 1;
        }
        assert_eq!(ours::read_in(&case.bytes, |_| 1), whole, "byte by byte: {}", case.title());
    }
    tell(&format!("conformance: {splits} splits came out as the whole"));
}

#[test]
fn the_daemon_answers_every_case_as_the_table_says_and_never_what_is_hidden_in_it() {
    daemon::hold(&table());
}

#[test]
fn what_ours_accepts_hyper_accepts_and_frames_the_same() {
    let (mut otherwise, mut complaints, mut settled) = (0, Vec::new(), BTreeSet::new());
    for case in table() {
        let (ours, theirs) = (ours::read(&case.bytes), reference::read(&case.bytes));
        let refused = matches!(ours.end, End::Refused(_));
        let agree = ours.messages.len() == theirs.messages.len() && refused == (theirs.then == Then::Refused);
        otherwise += usize::from(!agree);
        let accepted = ours.messages.iter().enumerate();
        let differs = accepted
            .filter(|(at, message)| theirs.messages.get(*at).is_none_or(|other| !message.is_same(other)));
        if differs.count() > 0 {
            match settled::reason(settled::HYPER, &case.name) {
                Some(_) => drop(settled.insert(case.name)),
                None => complaints.push(format!("{}\n    hyper: {theirs:?}", case.title())),
            }
        }
    }
    tell(&format!("conformance: hyper gets {otherwise} of {} cases otherwise", table().len()));
    none_of(&complaints);
    settled::assert_all_needed(settled::HYPER, &settled);
}

/// How many seeds the generator is tried with; a long run sets another number.
fn seeds() -> u64 {
    let set = std::env::var("HEARTBEAT_CONFORMANCE_SEEDS").ok();
    set.map_or(2000, |seeds| seeds.parse().expect("HEARTBEAT_CONFORMANCE_SEEDS is a number"))
}

#[test]
fn every_request_that_the_grammar_makes_is_understood_by_ours_and_by_hyper() {
    let mut compared = 0;
    for seed in 0..seeds() {
        let mut random = Random(seed);
        let parts = generator::request(&mut random);
        let bytes = parts.bytes();
        let shown = String::from_utf8_lossy(&bytes);
        let reading = ours::read(&bytes);
        let end = if parts.keeps { End::Kept } else { End::Closed };
        let expected = ours::Reading { messages: vec![parts.message.clone()], end, detail: String::new() };
        assert_eq!(reading, expected, "seed {seed}: {shown:?}");
        assert_eq!(ours::read_in(&bytes, |_| 1), expected, "seed {seed}, byte by byte: {shown:?}");
        let pieces = ours::read_in(&bytes, |left| 1 + random.below(left.min(50)));
        assert_eq!(pieces, expected, "seed {seed}, in pieces: {shown:?}");
        let followed = [&bytes, case::SECOND.as_bytes()].concat();
        let count = 1 + usize::from(parts.keeps);
        assert_eq!(ours::read(&followed).messages.len(), count, "seed {seed}, followed: {shown:?}");
        let theirs = reference::read(&bytes);
        let same = theirs.messages.len() == 1 && parts.message.is_same(&theirs.messages[0]);
        assert!(same, "seed {seed}: {shown:?}\n    hyper: {theirs:?}");
        compared += 1;
    }
    tell(&format!("conformance: {compared} requests of the grammar, the same for hyper"));
}

#[test]
fn every_known_ambiguity_in_a_request_of_the_grammar_is_refused_and_what_follows_is_never_answered() {
    let (mut tried, mut hidden) = (0, 0);
    for seed in 0..seeds() {
        let mut random = Random(seed);
        let parts = generator::request(&mut random);
        for (name, spoilt) in mutations::of(&parts, &mut random) {
            let bytes = [&spoilt, case::SECOND.as_bytes()].concat();
            let reading = ours::read(&bytes);
            let is_refused = matches!(reading.end, End::Refused(_)) && reading.messages.is_empty();
            let shown = String::from_utf8_lossy(&bytes);
            assert!(is_refused, "seed {seed}, {name}: {shown:?}\n    {reading:?}");
            let in_pieces = ours::read_in(&bytes, |left| 1 + random.below(left.min(50)));
            assert_eq!(in_pieces, reading, "seed {seed}, {name}, in pieces: {shown:?}");
            tried += 1;
            hidden += usize::from(!reference::read(&bytes).messages.is_empty());
        }
    }
    tell(&format!(
        "conformance: {tried} ambiguous requests refused; hyper answers something of {hidden} of them"
    ));
}
