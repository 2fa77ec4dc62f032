//! A flow's definition as those see it who look on: without what is secret, and within a bound.

use serde_json::{Value, json};

use super::Look;
use super::html::{Html, put};
use crate::flow::hide_secrets;
use crate::limits;
use crate::store::Flow;
use crate::words;

/// Shows it, folded.
pub(super) fn write(html: &mut Html, flow: &Flow, look: &Look<'_>) {
    let text = format!("{:#}", shown(flow, look.shows_output));
    let end = text.floor_char_boundary(limits::DEFINITION_SHOWN_BYTES);
    put!(
        html,
        "<section class=\"part\" aria-labelledby=\"definition\"><h2 id=\"definition\">Definition</h2><details><summary>As it is stored"
    );
    put!(html, ", " (words::bytes(text.len() as u64)) "</summary><p class=\"of\">What is secret by its name is hidden");
    if !look.shows_output {
        put!(html, ", and so are input and environment, as outputs are");
    }
    put!(html, ".</p><pre tabindex=\"0\">" (text.get(..end).unwrap_or_default()) "</pre>");
    if end < text.len() {
        put!(html, "<p class=\"of\">Cut after " (words::bytes(limits::DEFINITION_SHOWN_BYTES as u64))
            ": heartbeatd flow show " (flow.name) " tells all of it.</p>");
    }
    put!(html, "</details></section>");
}

fn shown(flow: &Flow, with_input: bool) -> Value {
    let mut configuration = json!(flow.configuration);
    if let Some(settings) = configuration.get_mut("settings") {
        hide_secrets(settings);
        hide_query(settings.pointer_mut("/source/url"));
        hide_query(settings.pointer_mut("/sink/url"));
        if !with_input {
            hide_input(settings);
        }
    }
    json!({
        "name": flow.name,
        "description": flow.description,
        "enabled": flow.enabled,
        "run_interval": flow.run_interval,
        "origin": flow.origin,
        "configuration": configuration,
    })
}

/// Some servers take a token there, so it is in no log either.
fn hide_query(url: Option<&mut Value>) {
    if let Some(Value::String(url)) = url
        && let Some(at) = url.find('?')
    {
        url.replace_range(at + 1.., "\u{2026}");
    }
}

/// What a program is given may tell what its output tells.
fn hide_input(settings: &mut Value) {
    for part in ["", "/source", "/sink"] {
        if let Some(stdin) = settings.pointer_mut(&format!("{part}/stdin")) {
            *stdin = "\u{2026}".into();
        }
        if let Some(Value::Object(variables)) = settings.pointer_mut(&format!("{part}/environment")) {
            variables.values_mut().for_each(|value| *value = "\u{2026}".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_outputs_may_tell_is_hidden_with_them() {
        let settings = json!({
            "stdin": "hunter2",
            "environment": { "PLAIN": "hunter2" },
            "source": { "environment": { "PLAIN": "hunter2" }, "url": "http://box/a?token=hunter2" },
            "sink": { "stdin": "hunter2" },
            "argv": ["stays"],
        });
        let mut hidden = settings.clone();
        hide_input(&mut hidden);
        hide_query(hidden.pointer_mut("/source/url"));
        assert!(!hidden.to_string().contains("hunter2"), "{hidden}");
        assert_eq!(
            (&hidden["argv"], &hidden["source"]["url"]),
            (&settings["argv"], &"http://box/a?\u{2026}".into())
        );
    }
}
