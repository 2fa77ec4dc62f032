//! What stands in every page: its style, its script, the shapes of states; and the policy that allows nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

pub(super) const STYLE: &str = include_str!("style.css");
pub(super) const SCRIPT: &str = include_str!("script.js");
/// One symbol for each state, by shape alone: they are used by `<use href="#s-fine">`.
pub(super) const SHAPES: &str = include_str!("shapes.svg");

/// `Content-Security-Policy` of every page (CSP Level 3): its own style and script by their hashes, the icon in it, its own
/// events, its own form. Nothing else is loaded, run, sent to or framed.
pub fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(Sha256::digest(text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn style_and_script_stay_small_and_within_their_elements() {
        assert!(SCRIPT.len() < 6 * 1024, "{} bytes go into each page", SCRIPT.len());
        assert!(!SCRIPT.contains("</") && !STYLE.contains("</"));
        // The policy forbids what would change the style of an element, or make code of text.
        assert!([".style", "eval(", "innerHTML", "http"].iter().all(|word| !SCRIPT.contains(word)));
    }
}
