//! A row of the table: what was measured, beside whom, and what it was to be.

use serde_json::{Value, json};

use crate::measure::Figure;
use crate::plot::Plot;

/// What a figure, or its ratio to another one, is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    fn is_reached(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
        }
    }

    pub(crate) fn words(self) -> String {
        match self {
            Self::AtMost(bound) => format!("at most {}", number(bound)),
            Self::AtLeast(bound) => format!("at least {}", number(bound)),
        }
    }
}

/// What stands beside ours.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) figure: Figure,
    /// Ours over theirs.
    pub(crate) ratio: Figure,
    pub(crate) goal: Option<Goal>,
}

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) unit: &'static str,
    pub(crate) figure: Figure,
    pub(crate) goal: Option<Goal>,
    pub(crate) peers: Vec<Peer>,
    pub(crate) notes: Vec<String>,
}

impl Row {
    pub(crate) fn new(what: impl Into<String>, unit: &'static str, figure: Figure) -> Self {
        Self { what: what.into(), unit, figure, goal: None, peers: Vec::new(), notes: Vec::new() }
    }

    pub(crate) fn goal(mut self, goal: Goal) -> Self {
        self.goal = Some(goal);
        self
    }

    /// With a peer; without its figure it is said to be missing.
    pub(crate) fn beside(mut self, name: &str, figure: Option<&Figure>, goal: Option<Goal>) -> Self {
        match figure {
            Some(figure) => {
                let ratio = self.figure.over(figure);
                self.peers.push(Peer { name: name.to_owned(), figure: figure.clone(), ratio, goal });
            }
            None => self.notes.push(format!("{name}: not installed here, so not compared")),
        }
        self
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Whether all is as it was to be; nothing where there was no goal, or nobody to compare with.
    pub(crate) fn is_reached(&self) -> Option<bool> {
        let own = self.goal.map(|goal| goal.is_reached(self.figure.median()));
        let beside = self.peers.iter().filter_map(|peer| Some(peer.goal?.is_reached(peer.ratio.median())));
        own.into_iter().chain(beside).reduce(|left, right| left && right)
    }

    pub(crate) fn goals(&self) -> Vec<String> {
        let own = self.goal.map(|goal| format!("{} {}", goal.words(), self.unit));
        let beside =
            self.peers.iter().filter_map(|peer| Some(format!("{} times {}", peer.goal?.words(), peer.name)));
        own.into_iter().chain(beside).collect()
    }

    pub(crate) fn json(&self) -> Value {
        let peers: Vec<Value> = self
            .peers
            .iter()
            .map(
                |peer| json!({ "name": peer.name, "figure": peer.figure.json(), "ratio": peer.ratio.json() }),
            )
            .collect();
        json!({
            "what": self.what, "unit": self.unit, "figure": self.figure.json(), "peers": peers,
            "goals": self.goals(), "reached": self.is_reached(), "notes": self.notes,
        })
    }
}

/// What a bench found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) rows: Vec<Row>,
    pub(crate) plots: Vec<Plot>,
}

impl From<Vec<Row>> for Found {
    fn from(rows: Vec<Row>) -> Self {
        Self { rows, plots: Vec::new() }
    }
}

/// With three figures that count, and all before the point.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        _ if value.fract() == 0.0 && value.abs() < 1e15 => grouped(&format!("{value:.0}")),
        size if size >= 100.0 => grouped(&format!("{value:.0}")),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// Thousands apart.
fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let mut out = String::from(sign);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
