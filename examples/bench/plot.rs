//! Plots as SVG that are read by light and by dark, with both axes logarithmic: how a cost grows is its slope.

use std::fmt::Write as _;

use crate::row::number;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 50.0;
/// Colours that there are for curves.
const COLOURS: usize = 4;
const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-weight:600;font-size:14px}\
    .paper{fill:#fff}.grid{stroke:#d0d7de;stroke-width:.6}polyline{fill:none;stroke:var(--c);stroke-width:2}\
    circle,.key{fill:var(--c)}.c0{--c:#0969da}.c1{--c:#bc4c00}.c2{--c:#1a7f37}.c3{--c:#8250df}\
    @media(prefers-color-scheme:dark){text{fill:#e6edf3}.paper{fill:#0d1117}.grid{stroke:#3d444d}\
    .c0{--c:#58a6ff}.c1{--c:#f0883e}.c2{--c:#3fb950}.c3{--c:#bc8cff}}";

/// One line of a plot.
#[derive(Clone, Debug)]
pub(crate) struct Curve {
    pub(crate) name: String,
    /// Both greater than zero, or left out.
    pub(crate) points: Vec<(f64, f64)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Plot {
    /// Of its file, without the ending.
    pub(crate) name: &'static str,
    pub(crate) title: String,
    pub(crate) across: &'static str,
    pub(crate) up: &'static str,
    pub(crate) curves: Vec<Curve>,
}

/// Powers of ten around values.
fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values.filter(|value| *value > 0.0) {
        low = low.min(value.log10().floor());
        high = high.max(value.log10().ceil());
    }
    if low.is_finite() { (low, high.max(low + 1.0)) } else { (0.0, 1.0) }
}

impl Plot {
    pub(crate) fn svg(&self) -> String {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let (x_low, x_high) = decades(points().map(|point| point.0));
        let (y_low, y_high) = decades(points().map(|point| point.1));
        let x = |value: f64| LEFT + (value.log10() - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| {
            HEIGHT - BOTTOM - (value.log10() - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)
        };
        let mut svg = self.head();
        let mut line = |from: (f64, f64), to: (f64, f64)| {
            let _infallible = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
                from.0, from.1, to.0, to.1
            );
        };
        let across: Vec<f64> = powers(x_low, x_high);
        let up: Vec<f64> = powers(y_low, y_high);
        for power in &across {
            line((x(*power), TOP), (x(*power), HEIGHT - BOTTOM));
        }
        for power in &up {
            line((LEFT, y(*power)), (WIDTH - RIGHT, y(*power)));
        }
        for power in &across {
            text(&mut svg, (x(*power), HEIGHT - BOTTOM + 16.0), "middle", "", &short(*power));
        }
        for power in &up {
            text(&mut svg, (LEFT - 6.0, y(*power) + 4.0), "end", "", &short(*power));
        }
        for (index, curve) in self.curves.iter().enumerate() {
            draw(&mut svg, index, curve, x, y);
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn head(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n\
             <style>{STYLE}</style>\n<rect class=\"paper\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n",
            escaped(&self.title)
        );
        text(&mut svg, (8.0, 18.0), "start", "title", &self.title);
        text(&mut svg, ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 10.0), "middle", "", self.across);
        text(&mut svg, (8.0, TOP - 8.0), "start", "", self.up);
        svg
    }
}

fn powers(low: f64, high: f64) -> Vec<f64> {
    let count = (high - low).round();
    std::iter::successors(Some(0.0), |step| Some(step + 1.0))
        .take_while(|step| *step <= count)
        .map(|step| 10_f64.powf(low + step))
        .collect()
}

fn draw(svg: &mut String, index: usize, curve: &Curve, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) {
    let class = index % COLOURS;
    let places: Vec<(f64, f64)> = curve
        .points
        .iter()
        .filter(|point| point.0 > 0.0 && point.1 > 0.0)
        .map(|point| (x(point.0), y(point.1)))
        .collect();
    let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _infallible = writeln!(svg, "<g class=\"c{class}\"><polyline points=\"{}\"/>", path.join(" "));
    for (x, y) in places {
        let _infallible = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\"/>");
    }
    let at = TOP + 14.0 + 16.0 * index as f64;
    let _infallible = writeln!(
        svg,
        "<rect class=\"key\" x=\"{:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\"/></g>",
        LEFT + 10.0,
        at - 9.0
    );
    text(svg, (LEFT + 26.0, at), "start", "", &curve.name);
}

fn text(svg: &mut String, at: (f64, f64), anchor: &str, class: &str, words: &str) {
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let _infallible = writeln!(
        svg,
        "<text{class} x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
        at.0,
        at.1,
        escaped(words)
    );
}

/// As it stands at an axis: 10 k, 1 M.
fn short(value: f64) -> String {
    match value {
        _ if value >= 1e9 => format!("{} G", number(value / 1e9)),
        _ if value >= 1e6 => format!("{} M", number(value / 1e6)),
        _ if value >= 1e4 => format!("{} k", number(value / 1e3)),
        _ => number(value),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
