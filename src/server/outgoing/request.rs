//! The bytes of a request, with what is read from files that only we can read.

use zeroize::Zeroizing;

use crate::http::client::{Request, Scheme, check_field};
use crate::runtime::Exchange;
use crate::setup;
use crate::time::Wall;

/// What is to be sent. It may hold secrets, and is wiped when it is dropped.
///
/// # Errors
/// A sentence that says what is missing or wrong; it holds no secret.
pub(super) fn bytes(exchange: &Exchange, now: Wall) -> Result<Zeroizing<Vec<u8>>, String> {
    if exchange.url.scheme() != Scheme::Http {
        return Err("https needs TLS, which this build has not; http would be right".to_owned());
    }
    let mut fields = exchange.fields.clone();
    for (name, path) in &exchange.field_files {
        let text = setup::read_private_file(path).map_err(|fault| format!("header_files.{name}: {fault}"))?;
        let value = text.trim();
        // What is wrong with it might show some of it.
        check_field(name, value)
            .map_err(|_| format!("header_files.{name}: {} does not hold one line of text", path.display()))?;
        fields.push((name.clone(), value.to_owned()));
    }
    if let Some(signature) = &exchange.signature {
        let secrets = setup::secrets_of_file(&signature.secret_file)
            .map_err(|faults| format!("secret_file: {}", faults.to_string().trim_end()))?;
        let Some(secret) = secrets.iter().find(|secret| secret.is_in_force(now)) else {
            return Err(format!("secret_file: each secret of {} has ended", signature.secret_file.display()));
        };
        let timestamp_s = now.as_seconds();
        let body = exchange.body.as_deref().unwrap_or_default();
        fields.extend([
            ("webhook-id".to_owned(), signature.id.clone()),
            ("webhook-timestamp".to_owned(), timestamp_s.to_string()),
            ("webhook-signature".to_owned(), secret.sign(&signature.id, timestamp_s, body)),
        ]);
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(1024 + exchange.body.as_ref().map_or(0, Vec::len)));
    let Exchange { method, url, body, .. } = exchange;
    Request { method: *method, url, fields: &fields, body: body.as_deref() }.append(&mut bytes);
    fields.into_iter().for_each(|(_, value)| drop(Zeroizing::new(value)));
    Ok(bytes)
}
