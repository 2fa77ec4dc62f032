//! A page of the status page, read as a browser's tokenizer would, far enough to tell what is markup in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::wire::Answer;

/// Elements that a page may have. Those that load, frame or run something are not among them, but its one style and script.
const ELEMENTS: &[&str] = &[
    "html",
    "head",
    "meta",
    "link",
    "title",
    "style",
    "body",
    "a",
    "svg",
    "symbol",
    "circle",
    "path",
    "use",
    "g",
    "rect",
    "line",
    "polyline",
    "text",
    "header",
    "nav",
    "main",
    "footer",
    "section",
    "article",
    "aside",
    "p",
    "span",
    "div",
    "h1",
    "h2",
    "h3",
    "h4",
    "b",
    "i",
    "em",
    "strong",
    "small",
    "abbr",
    "code",
    "pre",
    "time",
    "ol",
    "ul",
    "li",
    "dl",
    "dt",
    "dd",
    "table",
    "caption",
    "thead",
    "tbody",
    "tfoot",
    "tr",
    "th",
    "td",
    "form",
    "label",
    "input",
    "select",
    "option",
    "button",
    "details",
    "summary",
    "script",
    "br",
    "hr",
    "figure",
    "figcaption",
    "desc",
    "fieldset",
    "legend",
    "meter",
    "progress",
    "output",
    "template",
    "colgroup",
    "col",
    "polygon",
    "defs",
    "clippath",
    "pattern",
];
/// Attributes that say where something is.
const PLACES: &[&str] = &["href", "action"];

/// A begin of an element.
#[derive(Debug)]
pub(crate) struct Tag {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
}

/// The markup of a page.
#[derive(Debug, Default)]
pub(crate) struct Markup {
    pub(crate) tags: Vec<Tag>,
    /// What stands in style and script elements.
    pub(crate) raw: Vec<(String, String)>,
}

impl Markup {
    pub(crate) fn of(page: &str) -> Self {
        let mut markup = Self::default();
        let mut rest = page;
        while let Some(at) = rest.find('<') {
            rest = &rest[at + 1..];
            if rest.starts_with('/') || rest.to_ascii_lowercase().starts_with("!doctype html>") {
                continue;
            }
            let tag;
            (tag, rest) = read_tag(rest);
            if ["style", "script"].contains(&tag.name.as_str()) {
                let end = rest.find(&format!("</{}", tag.name)).expect("it ends");
                markup.raw.push((tag.name.clone(), rest[..end].to_owned()));
                rest = &rest[end..];
            }
            markup.tags.push(tag);
        }
        markup
    }
}

/// A tag from its name on, and what is behind it.
fn read_tag(text: &str) -> (Tag, &str) {
    let is_end = |letter: char| letter.is_whitespace() || matches!(letter, '>' | '/' | '=');
    let end = text.find(is_end).expect("a name ends");
    let mut tag = Tag { name: text[..end].to_ascii_lowercase(), attributes: Vec::new() };
    let mut rest = &text[end..];
    loop {
        rest = rest.trim_start_matches(|letter: char| letter.is_whitespace() || letter == '/');
        if let Some(behind) = rest.strip_prefix('>') {
            return (tag, behind);
        }
        let end = rest.find(is_end).expect("an attribute's name ends");
        assert!(end > 0, "an attribute has a name: {rest:.80}");
        let name = rest[..end].to_ascii_lowercase();
        rest = &rest[end..];
        let mut value = "";
        if let Some(behind) = rest.strip_prefix("=\"") {
            let end = behind.find('"').expect("a value ends");
            value = &behind[..end];
            rest = &behind[end + 1..];
        } else {
            assert!(!rest.starts_with('='), "every value is quoted: {name}{rest:.80}");
        }
        tag.attributes.push((name, value.to_owned()));
    }
}

/// Fails if anything in a page is not of the page's own, or its head lets anything in.
pub(crate) fn stands_alone(answer: &Answer, what: &str) {
    assert_eq!(answer.field("Content-Type"), Some("text/html; charset=utf-8"), "{what}");
    let page = std::str::from_utf8(&answer.body).unwrap_or_else(|error| panic!("{what}: {error}"));
    let is_odd = |letter: &char| {
        letter.is_control() && !matches!(letter, '\n' | '\t') || matches!(letter, '\u{202a}'..='\u{202e}')
    };
    assert_eq!(page.chars().find(is_odd), None, "{what}");
    let markup = Markup::of(page);
    for Tag { name, attributes } in &markup.tags {
        assert!(ELEMENTS.contains(&name.as_str()), "{what}: <{name} {attributes:?}>");
        for (attribute, value) in attributes {
            let is_plain =
                attribute.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | ':'));
            assert!(is_plain, "{what}: <{name} {attribute}>");
            assert!(!attribute.starts_with("on") && attribute != "style", "{what}: <{name} {attribute}>");
            let loads = ["src", "srcset", "srcdoc", "data", "formaction", "background", "poster", "ping"];
            assert!(!loads.contains(&attribute.as_str()), "{what}: <{name} {attribute}>");
            assert!(!attribute.ends_with(":href") && attribute != "http-equiv", "{what}: {attribute}");
            let is_here = value.starts_with('#')
                || value.starts_with('?')
                || value.starts_with('/') && !value.starts_with("//") && !value.starts_with("/\\")
                || name == "link" && value.starts_with("data:image/svg+xml,");
            assert!(!PLACES.contains(&attribute.as_str()) || is_here, "{what}: <{name} {attribute}={value}>");
        }
    }
    let [(style_tag, style), (script_tag, script)] = &markup.raw[..] else {
        panic!("{what}: one style and one script: {:?}", markup.raw.len());
    };
    assert_eq!((style_tag.as_str(), script_tag.as_str()), ("style", "script"), "{what}");
    for (word, text) in [("@import", style), ("url(", style), ("http:", style), ("https:", style)] {
        assert!(!text.contains(word), "{what}: {word} in its style");
    }
    for word in ["http:", "https:", "eval(", "innerHTML=", "document.write"] {
        assert!(!script.contains(word), "{what}: {word} in its script");
    }
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        hash(style),
        hash(script)
    );
    assert_eq!(answer.field("Content-Security-Policy"), Some(policy.as_str()), "{what}");
    for (name, value) in [
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
    ] {
        assert_eq!(answer.field(name), Some(value), "{what}: {name}");
    }
    for name in ["Access-Control-Allow-Origin", "Set-Cookie", "Server"] {
        assert_eq!(answer.field(name), None, "{what}: {name}");
    }
}
