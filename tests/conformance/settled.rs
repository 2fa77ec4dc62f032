//! Where another reader refuses what ours accepts, or frames it differently: settled in writing, case by case.

use std::collections::BTreeSet;

/// The name of a case, in which `…` stands for anything, and why ours is right.
pub(crate) type Settled = (&'static str, &'static str);

/// Against hyper.
pub(crate) const HYPER: &[Settled] = &[
    (
        "target: OPTIONS without a path asks for the server",
        "its type for a URI has no empty path and says `/`; RFC 9112 section 3.2.4 has it mean the asterisk",
    ),
    (
        "limit: the largest trailer section",
        "it takes somewhat less than 16 KiB of trailers, ours as much as of a head; neither makes anything of them",
    ),
];

/// Against Node's llhttp.
pub(crate) const NODE: &[Settled] = &[
    ("method: … in a method", NODE_METHODS),
    ("method: a method that nobody knows", NODE_METHODS),
    ("method: a known name in … case is another one", NODE_METHODS),
    ("method: a name that starts like a known one", NODE_METHODS),
    ("method: a method of one letter", NODE_METHODS),
    ("method: a long method", NODE_METHODS),
    ("method: an unknown method with content", NODE_METHODS),
    ("length: white space around it", NODE_WHITE_SPACE),
    ("coding: white space around it", NODE_WHITE_SPACE),
    (
        "chunks: a chunk extension: white space …, which is bad and allowed",
        "RFC 9112 section 7.1.1 has a recipient remove it; behind the size's semicolon nobody takes it for an end",
    ),
    (
        "chunks: trailers: …, which is passed over",
        "it merges trailers with what it knows of the message; ours looks at none (RFC 9110 section 6.5.1)",
    ),
    (
        "smuggling: an upgrade that is not taken up: what follows is HTTP/1.1",
        "it answers the first and reads no more; RFC 9110 section 7.8 lets a server ignore the field, and then nothing changed",
    ),
];

const NODE_METHODS: &str =
    "it knows a list of methods; RFC 9110 section 9.1 has any token be one, answered with 501";
const NODE_WHITE_SPACE: &str =
    "RFC 9112 section 5 allows spaces and tabs before and behind a value, none of which is part of it";

/// Why a case may differ.
pub(crate) fn reason(list: &[Settled], name: &str) -> Option<&'static str> {
    list.iter().find(|(pattern, _)| fits(pattern, name)).map(|(_, reason)| *reason)
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('…') {
        Some((start, end)) => name.strip_prefix(start).is_some_and(|rest| rest.ends_with(end)),
        None => pattern == name,
    }
}

/// Fails over what is settled though nothing differs any more.
pub(crate) fn assert_all_needed(list: &[Settled], differed: &BTreeSet<String>) {
    let idle: Vec<_> =
        list.iter().filter(|(pattern, _)| !differed.iter().any(|name| fits(pattern, name))).collect();
    assert!(idle.is_empty(), "settled, but the same for both: {idle:?}");
}
