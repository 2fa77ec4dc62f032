//! What a cursor was written under: a short hash of the settings that say which records are read, and where.

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::flow::{HttpSource, NextPage};
use crate::http::client::Url;
use crate::pipeline::render;

/// Bytes of the hash: enough to tell one definition from the next.
const HASH_BYTES: usize = 8;

/// The hash of these settings, in hexadecimal digits.
pub(super) fn digest(settings: &HttpSource) -> String {
    let HttpSource { target, format, pointer, next, json_rpc } = settings;
    // A server may answer to a field with other content of the same name; pages that were begun are the same by any.
    let headers = next.is_none().then_some(&target.headers);
    let parts = json!([place(settings), format, pointer, next, json_rpc, headers]);
    render::short_hash(&Sha256::digest(parts.to_string()), HASH_BYTES)
}

/// The URL. A parameter that names the page says only where reading begins.
fn place(settings: &HttpSource) -> String {
    let url = &settings.target.url;
    match (&settings.next, &settings.json_rpc) {
        (Some(NextPage::Value { parameter: Some(name), .. }), None) => Url::parse(url)
            .and_then(|url| url.with_query_parameter(name, ""))
            .map_or_else(|_| url.clone(), |url| url.to_string()),
        _ => url.clone(),
    }
}
