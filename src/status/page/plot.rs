//! How long a flow's last runs took and waited, over time, as an inline SVG. What succeeded is a dot, what failed a cross,
//! what was cut short a dash, so that shape tells without colour.
//!
//! The drawing is stretched to the width that there is; what is written in it, and crosses, are not: they stand in an SVG
//! without a `viewBox`, at percentages. So it is as legible at 360 px as at 1280.

use std::fmt;
use std::time::Duration;

use super::Look;
use super::html::{Html, put};
use super::waits::wait_ms;
use crate::flow::Status;
use crate::store::RunMark;
use crate::time::{Wall, format_duration};
use crate::words;

/// Steps between durations that are told, in milliseconds.
const STEPS_MS: [u64; 26] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 30_000, 60_000, 120_000, 300_000,
    600_000, 1_200_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 43_200_000, 86_400_000,
];
/// Durations that are told where they lie far apart, in milliseconds: each about ten times the one before.
const LADDER_MS: [u64; 12] = [
    1,
    10,
    100,
    1000,
    10_000,
    60_000,
    600_000,
    3_600_000,
    36_000_000,
    345_600_000,
    3_456_000_000,
    34_560_000_000,
];
/// The longest is so many times the median: then a linear scale shows the longest alone.
const FAR_APART: u64 = 8;
/// Lines across the plot above its base.
const LINES_MAX: u64 = 4;
/// Steps between times that are told, in seconds.
const TIME_STEPS_S: [i64; 17] = [
    60, 300, 600, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 432_000, 864_000, 1_728_000,
    4_320_000, 8_640_000, 31_536_000,
];
/// Times along the plot: on a phone there is room for as many.
const TIMES_MAX: i64 = 5;

/// A place along an axis, in percent.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
struct Percent(f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}", self.0)
    }
}

/// What of a run is drawn.
#[derive(Clone, Copy, Debug)]
struct Point {
    at: Wall,
    took_ms: u64,
    waited_ms: Option<u64>,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Success,
    Failure,
    CutShort,
}

/// How durations lie between the base and the top.
#[derive(Clone, Debug, PartialEq)]
enum Scale {
    /// Evenly, from 0 on.
    Linear { ticks: Vec<u64> },
    /// By their logarithm.
    Logarithmic { ticks: Vec<u64> },
}

impl Scale {
    /// For these durations, of which there is at least one.
    fn of(durations_ms: &mut [u64]) -> Self {
        let middle = super::figures::median(durations_ms).unwrap_or(0).max(1);
        let longest = durations_ms.iter().copied().max().unwrap_or(0).max(1);
        if longest / middle >= FAR_APART {
            let shortest = durations_ms.iter().copied().min().unwrap_or(0).max(1);
            let first = LADDER_MS.iter().rposition(|rung| *rung <= shortest).unwrap_or(0);
            let last = LADDER_MS
                .iter()
                .position(|rung| *rung >= longest)
                .unwrap_or(LADDER_MS.len() - 1)
                .max(first + 1);
            let ticks = LADDER_MS.get(first..=last).unwrap_or(&LADDER_MS).to_vec();
            return Self::Logarithmic { ticks };
        }
        let fits = |step: &u64| longest.div_ceil(*step) <= LINES_MAX;
        let whole_days = longest.div_ceil(LINES_MAX).div_ceil(86_400_000).saturating_mul(86_400_000);
        let step = STEPS_MS.into_iter().find(fits).unwrap_or(whole_days);
        let ticks = (0..=longest.div_ceil(step)).map(|line| line.saturating_mul(step)).collect();
        Self::Linear { ticks }
    }

    fn ticks(&self) -> &[u64] {
        let (Self::Linear { ticks } | Self::Logarithmic { ticks }) = self;
        ticks
    }

    fn top_ms(&self) -> u64 {
        self.ticks().last().copied().unwrap_or(1)
    }

    /// From the top.
    fn place(&self, ms: u64) -> Percent {
        let top = self.top_ms() as f64;
        let part = match self {
            Self::Linear { .. } => ms as f64 / top,
            Self::Logarithmic { ticks } => {
                let base = ticks.first().copied().unwrap_or(1) as f64;
                (ms.max(1) as f64 / base).ln() / (top / base).ln()
            }
        };
        Percent(100.0 - 100.0 * part.clamp(0.0, 1.0))
    }
}

/// The time that the plot shows.
#[derive(Clone, Copy, Debug)]
struct Reach {
    from_ms: i64,
    until_ms: i64,
}

impl Reach {
    fn place(self, at: Wall) -> Percent {
        let length = (self.until_ms - self.from_ms).max(1) as f64;
        Percent((100.0 * (at.as_millis() - self.from_ms) as f64 / length).clamp(0.0, 100.0))
    }

    /// Round times within, and how each is told.
    fn ticks(self) -> Vec<(Wall, String)> {
        let length_s = (self.until_ms - self.from_ms) / 1000;
        let longest = length_s / TIMES_MAX + 1;
        let step = TIME_STEPS_S.into_iter().find(|step| *step >= longest).unwrap_or(longest);
        let first = (self.from_ms / 1000 + step).div_euclid(step).saturating_mul(step);
        let times = (0..=TIMES_MAX).map(|number| Wall::from_seconds(first.saturating_add(number * step)));
        // At the edges a label would reach beyond the plot.
        let within =
            times.filter(|at| (4.0..=96.0).contains(&self.place(*at).0) && at.as_millis() < self.until_ms);
        within.map(|at| (at, told(at, step))).collect()
    }
}

/// `07:45`, or `11-26` where a day begins.
fn told(at: Wall, step_s: i64) -> String {
    let text = at.rfc3339();
    let is_day = step_s >= 86_400 || at.as_seconds().rem_euclid(86_400) == 0;
    let part = if is_day { text.get(5..10) } else { text.get(11..16) };
    part.unwrap_or(&text).to_owned()
}

/// Milliseconds as a scale tells them: `500ms`, `2s`.
fn round(ms: u64) -> String {
    if ms == 0 {
        return "0".to_owned();
    }
    if ms >= 1000 && ms.is_multiple_of(1000) {
        return format_duration(Duration::from_millis(ms));
    }
    words::duration_ms(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// Draws the plot of these runs, newest first; nothing where none has a duration. `table` is the id of what tells the same.
pub(super) fn draw(
    html: &mut Html,
    marks: &[RunMark],
    interval_ms: u64,
    table: &'static str,
    look: &Look<'_>,
) {
    let points: Vec<Point> = marks.iter().filter_map(point).collect();
    let (Some(oldest), Some(newest)) = (points.iter().map(|p| p.at).min(), points.iter().map(|p| p.at).max())
    else {
        put!(html, "<p class=\"none\">No run has been measured yet.</p>");
        return;
    };
    let mut durations: Vec<u64> =
        points.iter().flat_map(|point| [Some(point.took_ms), point.waited_ms]).flatten().collect();
    let scale = Scale::of(&mut durations);
    let reach = Reach { from_ms: oldest.as_millis(), until_ms: look.now.wall.max(newest).as_millis() };
    put!(html, "<figure class=\"plot\"><svg class=\"ys\" aria-hidden=\"true\">");
    for tick in scale.ticks() {
        put!(html, "<text x=\"100%\" y=\"" (scale.place(*tick)) "%\" dy=\".32em\">" (round(*tick)) "</text>");
    }
    put!(html, "</svg><svg class=\"xy\" role=\"img\" aria-labelledby=\"plot-t\" aria-describedby=\"plot-d " (table)
        "\"><title id=\"plot-t\">How long runs took, over time</title><desc id=\"plot-d\">Runs measured since "
        (Wall::from_seconds(oldest.as_seconds())) ": " (points.len()) ", failed: " (count(&points, End::Failure))
        ". The longest took " (words::duration_ms(longest(&points)))
        ". The same is told in the table:</desc><defs><path id=\"p-x\" d=\"M-3.5-3.5l7 7m0-7l-7 7\"/></defs>");
    put!(html, "<svg viewBox=\"0 0 100 100\" preserveAspectRatio=\"none\" width=\"100%\" height=\"100%\">");
    lines(html, &scale, &points, reach, interval_ms);
    put!(html, "</svg>");
    for point in points.iter().filter(|point| point.end == End::Failure) {
        put!(html, "<use href=\"#p-x\" x=\"" (reach.place(point.at)) "%\" y=\"" (scale.place(point.took_ms)) "%\"/>");
    }
    if interval_ms <= scale.top_ms() {
        put!(html, "<text class=\"iv\" x=\"100%\" y=\"" (scale.place(interval_ms)) "%\" dy=\"-.35em\">interval " (round(interval_ms)) "</text>");
    }
    for (at, text) in reach.ticks() {
        put!(html, "<text class=\"x\" x=\"" (reach.place(at)) "%\" y=\"100%\" dy=\"1.4em\">" (text) "</text>");
    }
    put!(html, "</svg>");
    legend(html, &scale, &points);
    put!(html, "</figure>");
}

fn point(mark: &RunMark) -> Option<Point> {
    let end = match (mark.status, mark.error_kind) {
        (Status::Success, _) => End::Success,
        (_, Some(kind)) if !kind.counts_as_failure() => End::CutShort,
        (Status::Failed, _) => End::Failure,
        (Status::Pending | Status::InProgress, _) => return None,
    };
    let (at, took_ms) = (mark.started_at?, mark.duration_ms?);
    (!mark.clock_unset).then(|| Point { at, took_ms, waited_ms: wait_ms(mark), end })
}

fn count(points: &[Point], end: End) -> usize {
    points.iter().filter(|point| point.end == end).count()
}

fn longest(points: &[Point]) -> i64 {
    let longest = points.iter().map(|point| point.took_ms).max().unwrap_or(0);
    i64::try_from(longest).unwrap_or(i64::MAX)
}

/// What may be stretched: the lines of the scale, waits, dots and dashes, each kind as one path.
fn lines(html: &mut Html, scale: &Scale, points: &[Point], reach: Reach, interval_ms: u64) {
    put!(html, "<path class=\"g\" d=\"");
    for tick in scale.ticks() {
        put!(html, "M0 " (scale.place(*tick)) "h100");
    }
    for (at, _) in reach.ticks() {
        put!(html, "M" (reach.place(at)) " 100v2");
    }
    put!(html, "\"/>");
    if interval_ms <= scale.top_ms() {
        put!(html, "<path class=\"v\" d=\"M0 " (scale.place(interval_ms)) "h100\"/>");
    }
    put!(html, "<path class=\"w\" d=\"");
    for (point, waited_ms) in points.iter().filter_map(|point| Some((point, point.waited_ms?))) {
        put!(html, "M" (reach.place(point.at)) " 100V" (scale.place(waited_ms)));
    }
    // A line without a length under a round pen is a dot, which no stretching makes an oval.
    for (begin, end, shape) in [
        ("\"/><path class=\"k\" d=\"", End::Success, "h0"),
        ("\"/><path class=\"i\" d=\"", End::CutShort, "h1"),
    ] {
        html.markup(begin);
        for point in points.iter().filter(|point| point.end == end) {
            put!(html, "M" (reach.place(point.at)) " " (scale.place(point.took_ms)));
            html.markup(shape);
        }
    }
    put!(html, "\"/>");
}

/// What the shapes are: of those that there are.
fn legend(html: &mut Html, scale: &Scale, points: &[Point]) {
    put!(html, "<figcaption>");
    let shapes = [
        (
            count(points, End::Success) > 0,
            "<span><svg class=\"lg\" aria-hidden=\"true\"><path class=\"k\" d=\"M7 7h0\"/></svg>succeeded</span>",
        ),
        (
            count(points, End::Failure) > 0,
            "<span><svg class=\"lg\" aria-hidden=\"true\"><use href=\"#p-x\" x=\"7\" y=\"7\"/></svg>failed</span>",
        ),
        (
            count(points, End::CutShort) > 0,
            "<span><svg class=\"lg\" aria-hidden=\"true\"><path class=\"i\" d=\"M3 7h8\"/></svg>cut short</span>",
        ),
        (
            points.iter().any(|point| point.waited_ms.is_some()),
            "<span><svg class=\"lg\" aria-hidden=\"true\"><path class=\"w\" d=\"M7 1v12\"/></svg>waited to start</span>",
        ),
        (matches!(scale, Scale::Logarithmic { .. }), "<span>each line about ten times the one below</span>"),
    ];
    for (is_there, shape) in shapes {
        if is_there {
            html.markup(shape);
        }
    }
    put!(html, "<span>times along it are in UTC</span></figcaption>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told_by(scale: &Scale) -> Vec<String> {
        scale.ticks().iter().map(|tick| round(*tick)).collect()
    }

    #[test]
    fn durations_stand_between_round_ones() {
        let cases: [(&[u64], &[&str]); 6] = [
            (&[0], &["0", "1ms"]),
            (&[340, 210], &["0", "100ms", "200ms", "300ms", "400ms"]),
            (&[1300, 1400], &["0", "500ms", "1s", "1.5s"]),
            (&[61_000], &["0", "20s", "40s", "1m", "1m20s"]),
            (&[3_600_000, 3_500_000], &["0", "20m", "40m", "1h"]),
            (&[86_400_000 * 30], &["0", "8d", "16d", "24d", "32d"]),
        ];
        for (durations, ticks) in cases {
            let scale = Scale::of(&mut durations.to_vec());
            assert_eq!(told_by(&scale), ticks, "{durations:?}");
            assert_eq!((scale.place(0), scale.place(scale.top_ms())), (Percent(100.0), Percent(0.0)));
            assert_eq!(scale.place(u64::MAX), Percent(0.0), "what is longer stands at the top");
        }
    }

    #[test]
    fn one_long_run_leaves_the_others_apart() {
        let scale = Scale::of(&mut [240, 300, 260, 3_000_000]);
        assert_eq!(told_by(&scale), ["100ms", "1s", "10s", "1m", "10m", "1h"]);
        assert_eq!((scale.place(50), scale.place(100)), (Percent(100.0), Percent(100.0)));
        assert!(scale.place(240) < scale.place(120) && scale.place(3_600_000) == Percent(0.0));
        for longest in [1, 20, u64::MAX] {
            let scale = Scale::of(&mut [0, 0, longest]);
            assert!(scale.ticks().len() >= 2 && scale.place(longest).0.is_finite(), "{longest}: {scale:?}");
        }
    }

    #[test]
    fn times_are_round_within_and_few() {
        let now = 1_795_000_000_000;
        for length_ms in
            [0, 59_000, 3_600_000, 86_400_000, 90 * 86_400_000, 4000 * 86_400_000_i64, i64::MAX / 4]
        {
            let reach = Reach { from_ms: now - length_ms, until_ms: now };
            let ticks = reach.ticks();
            assert!(ticks.len() <= 6, "{length_ms}: {ticks:?}");
            assert!(ticks.iter().all(|(at, _)| at.as_millis() > reach.from_ms && at.as_millis() < now));
        }
        let day = Reach { from_ms: now - 86_400_000, until_ms: now };
        let told: Vec<_> = day.ticks().into_iter().map(|(_, text)| text).collect();
        assert_eq!(told, ["18:00", "11-18", "06:00"], "12:00 would stand at the edge");
        assert_eq!(
            (day.place(Wall::from_millis(now)), day.place(Wall::from_millis(0))),
            (Percent(100.0), Percent(0.0))
        );
    }
}
