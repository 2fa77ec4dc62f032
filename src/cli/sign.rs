//! `sign`: the three headers of Standard Webhooks for a body.

use serde_json::json;
use std::io::Read;
use std::path::Path;

use super::arguments::Sign;
use super::failure::{Exit, Failure};
use super::{Context, random};
use crate::auth::Secret;
use crate::setup;
use crate::sorted::collected;
use crate::time::Wall;

/// A body that is signed or judged offline, in bytes: what no operator is likely to allow.
pub(super) const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What proves a body's sender.
#[derive(Debug)]
pub(super) struct Headers {
    pub(super) id: String,
    pub(super) timestamp_s: i64,
    pub(super) signature: String,
}

impl Headers {
    /// Signs `body` with an id of its own.
    pub(super) fn new(secret: &Secret, body: &[u8]) -> Result<Self, Failure> {
        Ok(Self::of(&new_id()?, secret, body))
    }

    /// Signs `body` now, with this id.
    pub(super) fn of(id: &str, secret: &Secret, body: &[u8]) -> Self {
        let timestamp_s = crate::server::now().as_seconds();
        Self { id: id.to_owned(), timestamp_s, signature: secret.sign(id, timestamp_s, body) }
    }

    /// Names and values, as they are sent.
    pub(super) fn fields(&self) -> [(&'static str, String); 3] {
        [
            ("webhook-id", self.id.clone()),
            ("webhook-timestamp", self.timestamp_s.to_string()),
            ("webhook-signature", self.signature.clone()),
        ]
    }
}

/// An id that no other heartbeat has.
pub(super) fn new_id() -> Result<String, Failure> {
    Ok(format!("msg_{:032x}", random::number()?))
}

/// Prints the headers.
pub(super) fn run(context: &Context, sign: &Sign) -> Result<(), Failure> {
    let body = match &sign.body {
        Some(path) => read_input(path, BODY_BYTES_MAX)?,
        None => Vec::new(),
    };
    let secret = secret(context, sign.secret_file.as_deref())?;
    let headers = Headers::new(&secret, &body)?;
    if context.output.json {
        let object: serde_json::Map<_, _> =
            collected(headers.fields().into_iter().map(|(name, value)| (name.to_owned(), json!(value))));
        return context.output.value(&object);
    }
    headers.fields().into_iter().try_for_each(|(name, value)| context.output.line(format!("{name}: {value}")))
}

/// The secret to sign with: that of the file, else one of the configuration's.
pub(super) fn secret(context: &Context, file: Option<&Path>) -> Result<Secret, Failure> {
    let secrets = match file {
        Some(file) => setup::secrets_of_file(file)?,
        None => {
            let loaded = context.load()?;
            setup::signing_secrets(&loaded.config, &context.environment)?
        }
    };
    if secrets.is_empty() {
        let help = "name one with --secret-file FILE; `heartbeatd init` makes one";
        return Err(Failure::new(Exit::Configuration, "there is no signing secret", help));
    }
    lasting(secrets, crate::server::now()).ok_or_else(|| {
        let help = "add the new one to the secret file, a secret a line";
        Failure::new(Exit::Configuration, "every signing secret has ended", help)
    })
}

/// Of the secrets in force, the one that lasts longest; of those, the last in the file, which is the newest.
pub(super) fn lasting(secrets: Vec<Secret>, now: Wall) -> Option<Secret> {
    let end = |secret: &Secret| secret.until().unwrap_or(Wall::from_millis(i64::MAX));
    secrets.into_iter().filter(|secret| secret.is_in_force(now)).max_by_key(end)
}

/// Reads a file, `-` for standard input, of at most `bytes_max`.
pub(super) fn read_input(path: &Path, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let take = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(take).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(take).read_to_end(&mut bytes))
    };
    read.map_err(|error| Failure::io("read", path, &error))?;
    if bytes.len() > bytes_max {
        let error = format!("{} is larger than {}", path.display(), crate::config::format_size(bytes_max));
        return Err(Failure::new(Exit::Data, error, "is it the right file?"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits;

    #[test]
    fn the_newest_secret_that_does_not_end_is_signed_with() {
        let line = |byte: u8, rest: &str| {
            let (text, _) = Secret::generate(&[byte; limits::SECRET_BYTES_NEW]);
            Secret::parse_line(&format!("{}{rest}", *text)).unwrap().unwrap()
        };
        let now = Wall::parse_rfc3339("2026-11-23T10:30:00Z").unwrap();
        let secrets = vec![
            line(1, " until=2026-01-01T00:00:00Z"),
            line(2, ""),
            line(3, ""),
            line(4, " until=2027-01-01T00:00:00Z"),
        ];
        let chosen = lasting(secrets, now).unwrap();
        assert!(chosen.has_key_of(&line(3, "")));
        assert!(lasting(vec![line(1, " until=2026-01-01T00:00:00Z")], now).is_none());
    }
}
