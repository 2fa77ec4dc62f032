//! What there is to measure: one file a theme, one line each in the registry.

mod due;
mod growth;
mod heartbeats;
mod idle;
mod pages;
mod pipelines;
mod refusals;
mod runs;
mod size;
mod slow_disk;
mod small_machine;
mod tick;
mod wear;

use crate::Outcome;
use crate::row::Found;

/// How much is measured.
pub(crate) struct Plan {
    pub(crate) is_short: bool,
}

impl Plan {
    /// The one for a measurement that counts, or the one that only shows that it can be measured.
    pub(crate) fn pick<T>(&self, full: T, short: T) -> T {
        if self.is_short { short } else { full }
    }

    /// Rounds in turns.
    pub(crate) fn rounds(&self) -> usize {
        self.pick(7, 1)
    }

    /// The same where each is a fraction of a second: it may fall into a moment in which a neighbour has the machine.
    pub(crate) fn short_rounds(&self) -> usize {
        self.pick(25, 1)
    }
}

/// A theme.
pub(crate) struct Bench {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Whether `all` means it; else `growth` does.
    pub(crate) is_of_table: bool,
    pub(crate) run: fn(&Plan) -> Outcome<Found>,
}

const fn of_table(name: &'static str, about: &'static str, run: fn(&Plan) -> Outcome<Found>) -> Bench {
    Bench { name, about, is_of_table: true, run }
}

const fn of_growth(name: &'static str, about: &'static str, run: fn(&Plan) -> Outcome<Found>) -> Bench {
    Bench { name, about, is_of_table: false, run }
}

/// In the order of the page.
pub(crate) const BENCHES: &[Bench] = &[
    of_table(
        "heartbeats",
        "Signed heartbeats with nothing due, beside nginx's fixed answer and a bare loop",
        heartbeats::run,
    ),
    of_table("runs", "Durable runs of /bin/true, beside a bare loop and webhook", runs::run),
    of_table("size", "The binary, memory, and the start", size::run),
    of_table("due", "Heartbeats that start runs, among many flows and with much history", due::run),
    of_table("refusals", "What is refused", refusals::run),
    of_table("pipelines", "Pipelines, beside bare loops and other programs", pipelines::run),
    of_table("wear", "What is written to the disk", wear::run),
    of_table("idle", "A daemon that nobody calls", idle::run),
    of_table("tick", "Whether the loop stays awake while much goes on", tick::run),
    of_table("pages", "The status page", pages::run),
    of_table("slow-disk", "A disk whose syncs take 20 ms", slow_disk::run),
    of_table("small-machine", "32 MiB of memory and a fifth of a core", small_machine::run),
    of_growth("growth-flows", "How costs grow with flows", growth::flows),
    of_growth("growth-due", "How costs grow with what is due", growth::due),
    of_growth("growth-history", "How costs grow with history", growth::history),
    of_growth("growth-connections", "How costs grow with connections", growth::connections),
    of_growth("growth-output", "How costs grow with output", growth::output),
];
