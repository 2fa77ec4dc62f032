//! Signatures of others' schemes, made by the book: HMAC (RFC 2104) over the parts of a message, in hexadecimal.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::heartbeat::{Heartbeat, now_s};

pub(crate) fn hmac_hex(secret: &str, parts: &[&str]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    parts.iter().for_each(|part| mac.update(part.as_bytes()));
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A delivery of GitHub's.
pub(crate) fn github(secret: &str, delivery: &str, body: &str) -> Vec<u8> {
    let signature = hmac_hex(secret, &[body]);
    let proof = format!("X-Hub-Signature-256: sha256={signature}\r\nX-GitHub-Delivery: {delivery}\r\n");
    with(&proof, body)
}

/// A notification of Grafana's, signed so many seconds from now.
pub(crate) fn grafana(secret: &str, in_s: i64, body: &str) -> Vec<u8> {
    let timestamp = (now_s() + in_s).to_string();
    let signature = hmac_hex(secret, &[&timestamp, ":", body]);
    let proof =
        format!("X-Grafana-Alerting-Timestamp: {timestamp}\r\nX-Grafana-Alerting-Signature: {signature}\r\n");
    with(&proof, body)
}

/// A request that carries a token.
pub(crate) fn bearer(token: &str) -> Vec<u8> {
    with(&format!("Authorization: Bearer {token}\r\n"), "{}")
}

/// A heartbeat with these fields and this body.
pub(crate) fn with(fields: &str, body: &str) -> Vec<u8> {
    Heartbeat { body: body.to_owned(), ..Heartbeat::new() }.wait(20).with_proof(fields)
}
