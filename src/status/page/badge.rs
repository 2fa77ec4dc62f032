//! `/badge/NAME.svg` and `.json`: where a flow stands, or how often it succeeded, as a picture for other sites' pages and as
//! shields.io asks for it (its endpoint badge, schema 1).

use super::html::{Html, put};
use super::standing::State;
use super::strip::{Span, Strip};
use super::{Look, figures, query};
use crate::http::Status;
use crate::limits;
use crate::store::{Result, Standing};

/// Of runs that succeeded, in percent: what is still well, and what is still not bad.
const WELL_PERCENT: u64 = 95;
const POOR_PERCENT: u64 = 80;

// White on each of them has a contrast of 4.5 to 1 and more, as on the pages in the light.
const FINE: &str = "#2c7a52";
const BAD: &str = "#b3261e";
const WARN: &str = "#875700";
const RUN: &str = "#1d5ca6";
const OFF: &str = "#5b636b";
const LABEL: &str = "#3a4046";

/// From a text to the edge of its field, in pixels.
const PADDING: u32 = 6;
/// Widths of a to z in Verdana at 11 pixels, in tenths of a pixel. Where another font stands in, `textLength` makes it fit.
const WIDTHS: [u8; 26] =
    [66, 69, 57, 69, 66, 39, 69, 70, 30, 38, 65, 30, 107, 70, 67, 69, 69, 47, 57, 43, 70, 65, 90, 65, 65, 58];

/// A badge that somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Badge {
    flow: String,
    is_picture: bool,
    /// How often it succeeded within it; none: where it stands now.
    span: Option<Span>,
}

/// What a badge says.
#[derive(Debug)]
struct Message {
    text: String,
    colour: &'static str,
    /// Whether it asks for somebody: shields.io lets nobody paint it over.
    is_error: bool,
}

impl Badge {
    /// The badge of this file name.
    pub(in crate::status) fn read(file: &str, query: Option<&str>) -> Option<Self> {
        let (flow, kind) = file.rsplit_once('.')?;
        let is_picture = match kind {
            "svg" => true,
            "json" => false,
            _ => return None,
        };
        let flow = flow.chars().take(limits::FLOW_NAME_BYTES_MAX).collect();
        Some(Self { flow, is_picture, span: query::span(query) })
    }

    /// The badge, with its type. One that cannot be told says so itself, as nobody reads a problem document in a picture.
    pub(super) fn draw(&self, look: &Look<'_>) -> (Html, Status, &'static str) {
        let told = if look.runtime.is_closed() { None } else { self.message(look).ok() };
        let (status, message) = match told {
            Some(Some(message)) => (Status::OK, message),
            Some(None) => (Status::NOT_FOUND, Message::of_none("no such flow")),
            None => (Status::SERVICE_UNAVAILABLE, Message::of_none("not readable")),
        };
        if self.is_picture {
            return (picture(&self.flow, &message), status, "image/svg+xml");
        }
        let Message { text, colour, is_error } = message;
        let document = serde_json::json!({
            "schemaVersion": 1, "label": self.flow, "message": text, "color": colour, "isError": is_error
        });
        (Html::of_json(&document), status, "application/json")
    }

    fn message(&self, look: &Look<'_>) -> Result<Option<Message>> {
        let Some(flow) = look.runtime.store().standing(&self.flow)? else { return Ok(None) };
        match self.span {
            Some(span) => Message::of_rate(&flow, span, look).map(Some),
            None => Ok(Some(Message::of_state(&flow, look))),
        }
    }
}

impl Message {
    fn of_none(text: &str) -> Self {
        Self { text: text.to_owned(), colour: OFF, is_error: true }
    }

    fn of_state(flow: &Standing, look: &Look<'_>) -> Self {
        let state = State::of(flow, look.runtime, look.now);
        let text = match (state, flow.consecutive_failures) {
            (State::Failing, times @ 2..) => format!("{} {times}\u{d7}", state.words()),
            _ => state.words().to_owned(),
        };
        let colour = match state {
            State::Failing => BAD,
            State::Overdue | State::CutShort => WARN,
            State::Running => RUN,
            State::Fine => FINE,
            State::Waiting | State::New | State::Held | State::Disabled => OFF,
        };
        Self { text, colour, is_error: state.is_problem() }
    }

    fn of_rate(flow: &Standing, span: Span, look: &Look<'_>) -> Result<Self> {
        let (store, now) = (look.runtime.store(), look.now.wall);
        let days = store.flow_days(flow.id, figures::first_day(now))?;
        let strip = match span {
            Span::Day => {
                let marks = store.run_marks(flow.id, limits::MARKS_MAX)?;
                figures::last_day(flow.created_at, flow.consecutive_failures, &marks, &days, now)
            }
            Span::Week | Span::Quarter => Strip::of_days(span, &days, flow.created_at, now),
        };
        let rate @ (success, all) = strip.rate();
        let Some(percent) = success.saturating_mul(100).checked_div(all) else {
            return Ok(Self { text: format!("no run in {}", span.words()), colour: OFF, is_error: false });
        };
        let colour = match percent {
            WELL_PERCENT.. => FINE,
            POOR_PERCENT.. => WARN,
            _ => BAD,
        };
        let text =
            format!("{} in {}", figures::percent(rate), strip.recorded().as_deref().unwrap_or(span.words()));
        Ok(Self { text, colour, is_error: colour == BAD })
    }
}

/// Two fields beside each other: whose it is, and what is told of it.
fn picture(label: &str, message: &Message) -> Html {
    let (left, right) = (width(label) + 2 * PADDING, width(&message.text) + 2 * PADDING);
    let all = left + right;
    let mut svg = Html::default();
    put!(svg, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" (all) "\" height=\"20\" role=\"img\" aria-label=\""
        (label) ": " (message.text) "\"><title>" (label) ": " (message.text) "</title>"
        "<linearGradient id=\"s\" x2=\"0\" y2=\"100%\"><stop stop-opacity=\"0\"/><stop offset=\"1\" stop-opacity=\".15\"/></linearGradient>"
        "<clipPath id=\"r\"><rect width=\"" (all) "\" height=\"20\" rx=\"3\"/></clipPath>"
        "<g clip-path=\"url(#r)\"><path fill=\"" (LABEL) "\" d=\"M0 0h" (left) "v20H0z\"/><path fill=\"" (message.colour)
        "\" d=\"M" (left) " 0h" (right) "v20h-" (right) "z\"/><path fill=\"url(#s)\" d=\"M0 0h" (all) "v20H0z\"/></g>"
        "<g fill=\"#fff\" font-family=\"Verdana,Geneva,DejaVu Sans,sans-serif\" font-size=\"11\" text-rendering=\"geometricPrecision\">");
    for (text, x) in [(label, PADDING), (&message.text, left + PADDING)] {
        put!(svg, "<text x=\"" (x) "\" y=\"14\" textLength=\"" (width(text)) "\">" (text) "</text>");
    }
    put!(svg, "</g></svg>");
    svg
}

/// How wide a text is, in pixels.
fn width(text: &str) -> u32 {
    let tenths = |letter: char| match letter {
        'a'..='z' => u32::from(WIDTHS.get(letter as usize - 'a' as usize).copied().unwrap_or(70)),
        '.' | ' ' | '\u{a0}' => 40,
        '-' => 50,
        '0'..='9' | '_' => 70,
        '%' => 118,
        _ => 90,
    };
    text.chars().map(tenths).sum::<u32>().div_ceil(10).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// WCAG 2.2, "relative luminance".
    fn luminance(colour: &str) -> f64 {
        let part = |at: usize| f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
        let linear =
            |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
        0.2126 * linear(part(1)) + 0.7152 * linear(part(3)) + 0.0722 * linear(part(5))
    }

    #[test]
    fn white_is_legible_on_every_colour() {
        for colour in [FINE, BAD, WARN, RUN, OFF, LABEL] {
            let contrast = 1.05 / (luminance(colour) + 0.05);
            assert!(contrast >= 4.5, "{colour} has {contrast}");
        }
    }

    #[test]
    fn a_badge_is_called_by_its_files_name() {
        let read = |file, query| Badge::read(file, query);
        let badge = |is_picture, span| Some(Badge { flow: "upload-readings".to_owned(), is_picture, span });
        assert_eq!(read("upload-readings.svg", None), badge(true, None));
        assert_eq!(read("upload-readings.json", Some("x=1&span=7d")), badge(false, Some(Span::Week)));
        assert_eq!(read("upload-readings.svg", Some("span=1y")), badge(true, None), "no such span");
        assert_eq!(read("upload-readings.png", None), None);
        assert_eq!(read("upload-readings", None), None);
    }

    #[test]
    fn what_is_told_stays_within_its_field_and_is_escaped() {
        let message = Message { text: "failing 3\u{d7}".to_owned(), colour: BAD, is_error: true };
        let svg = picture("a<b>\"&", &message);
        let text = svg.as_str();
        assert!(text.contains("<title>a&lt;b&gt;&quot;&amp;: failing 3\u{d7}</title>"), "{text}");
        assert!(!text.contains("<b>"), "{text}");
        let widths: Vec<u32> = text
            .split("textLength=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap().parse().unwrap())
            .collect();
        let all = widths.iter().sum::<u32>() + 4 * PADDING;
        assert!(text.contains(&format!("width=\"{all}\" height=\"20\" role=\"img\"")), "{text}");
    }
}
