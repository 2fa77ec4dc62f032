//! Tells of a simulation that fails: its seed, the round, and the end of its trace. From within the panic, as there may be
//! nothing after it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether all of a trace is shown as it comes, and not the end of one that fails alone.
pub(crate) static SHOWS_WHOLE_TRACE: AtomicBool = AtomicBool::new(false);
/// Lines of a trace that a failure shows.
const LINES: usize = 40;

#[derive(Default)]
struct UnderWay {
    seed: u64,
    round: u64,
    lines: VecDeque<String>,
}

thread_local! {
    static UNDER_WAY: RefCell<Option<UnderWay>> = const { RefCell::new(None) };
}

/// What has happened in a simulation, line by line.
#[derive(Debug)]
pub(crate) struct Trace {
    seed: u64,
    pub(crate) round: u64,
    pub(crate) lines: Vec<String>,
}

impl Trace {
    pub(crate) fn of(seed: u64) -> Self {
        Self { seed, round: 0, lines: Vec::new() }
    }

    pub(crate) fn push(&mut self, line: String) {
        note(self.seed, self.round, &line);
        self.lines.push(line);
    }
}

/// Something happens in the simulation of this thread.
fn note(seed: u64, round: u64, line: &str) {
    if SHOWS_WHOLE_TRACE.load(Ordering::Relaxed) {
        // Not by a macro: what those print is shown only of tests that fail.
        writeln!(std::io::stderr(), "{line}").expect("somebody reads it");
    }
    UNDER_WAY.with_borrow_mut(|under_way| {
        let under_way = under_way.get_or_insert_default();
        (under_way.seed, under_way.round) = (seed, round);
        if under_way.lines.len() >= LINES {
            under_way.lines.pop_front();
        }
        under_way.lines.push_back(line.to_owned());
    });
}

/// The simulation of this thread is over.
pub(crate) fn is_over() {
    UNDER_WAY.set(None);
}

/// From now on each panic within a simulation tells of it; then this is called with its seed.
pub(crate) fn tell_of_failures(and_then: fn(u64)) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            before(panic);
            let Some(UnderWay { seed, round, lines }) = UNDER_WAY.take() else { return };
            let lines: Vec<String> = lines.into();
            let shown =
                if SHOWS_WHOLE_TRACE.load(Ordering::Relaxed) { String::new() } else { lines.join("\n") };
            eprintln!("{shown}\nseed {seed} fails in round {round}");
            and_then(seed);
        }));
    });
}
