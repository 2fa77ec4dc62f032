//! Prometheus' text format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats): lines of families.

use std::fmt::{self, Display, Write as _};
use std::time::Duration;

use crate::runtime::Histogram;
use crate::time::Wall;

/// The labels of a sample.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// A page of metrics. A family is begun, and then its samples follow.
#[derive(Debug)]
pub(super) struct Exposition {
    text: String,
    family: &'static str,
}

impl Exposition {
    pub(super) fn new(capacity: usize) -> Self {
        Self { text: String::with_capacity(capacity), family: "" }
    }

    /// What only rises while the process lives; its name ends in `_total`.
    pub(super) fn counter(&mut self, name: &'static str, help: &str) {
        self.begin(name, "counter", help);
    }

    /// What rises and falls.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str) {
        self.begin(name, "gauge", help);
    }

    /// Durations, in seconds.
    pub(super) fn histogram(&mut self, name: &'static str, help: &str, histogram: &Histogram) {
        self.begin(name, "histogram", help);
        for (bound, count) in histogram.within() {
            self.line("_bucket", &[("le", bound)], &count);
        }
        self.line("_bucket", &[("le", "+Inf")], &histogram.count());
        self.line("_sum", &[], &seconds(histogram.sum()));
        self.line("_count", &[], &histogram.count());
    }

    /// A sample of the family that was begun last.
    pub(super) fn sample(&mut self, labels: Labels<'_>, value: &dyn Display) {
        self.line("", labels, value);
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.text.into_bytes()
    }

    fn begin(&mut self, name: &'static str, kind: &str, help: &str) {
        self.family = name;
        let _text_takes_all =
            writeln!(self.text, "# HELP {name} {}\n# TYPE {name} {kind}", Escaped(help, false));
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, value: &dyn Display) {
        self.text.push_str(self.family);
        self.text.push_str(suffix);
        for (index, (name, label)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            let _text_takes_all = write!(self.text, "{name}=\"{}\"", Escaped(label, true));
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _text_takes_all = writeln!(self.text, " {value}");
    }
}

/// A text in which backslashes and line feeds are escaped, and quotation marks where they end it.
struct Escaped<'a>(&'a str, bool);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text, quoted) = *self;
        let mut rest = text;
        while let Some(at) = rest.find(|letter| matches!(letter, '\\' | '\n') || quoted && letter == '"') {
            f.write_str(&rest[..at])?;
            f.write_str(match rest.as_bytes()[at] {
                b'\n' => "\\n",
                b'"' => "\\\"",
                _ => "\\\\",
            })?;
            rest = &rest[at + 1..];
        }
        f.write_str(rest)
    }
}

/// A time, in seconds since 1970.
pub(super) fn timestamp(time: Wall) -> impl Display {
    let millis = time.as_millis();
    let sign = if millis < 0 { "-" } else { "" };
    let millis = millis.unsigned_abs();
    fmt::from_fn(move |f| write!(f, "{sign}{}.{:03}", millis / 1000, millis % 1000))
}

/// A duration, in seconds.
fn seconds(duration: Duration) -> impl Display {
    fmt::from_fn(move |f| write!(f, "{}.{:06}", duration.as_secs(), duration.subsec_micros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_gets_out_of_its_place() {
        let mut page = Exposition::new(0);
        page.gauge("x", "One \"line\"\nand \\ no more.");
        page.sample(&[("a", "\"}\n\\"), ("b", "ü")], &1);
        page.sample(&[], &2);
        let text = String::from_utf8(page.finish()).unwrap();
        let expected = "# HELP x One \"line\"\\nand \\\\ no more.\n# TYPE x gauge\nx{a=\"\\\"}\\n\\\\\",b=\"ü\"} 1\nx 2\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn times_are_seconds() {
        let of = |millis| timestamp(Wall::from_millis(millis)).to_string();
        assert_eq!([of(1_763_893_800_050), of(0), of(-1500)], ["1763893800.050", "0.000", "-1.500"]);
        assert_eq!(seconds(Duration::from_micros(1_000_500)).to_string(), "1.000500");
    }
}
