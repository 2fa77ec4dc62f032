//! A secret that is shared with an agent, with an optional end date: of Standard Webhooks, a text that a sender signs
//! with as it is, or a token.
//!
//! Kept is the state of HMAC-SHA256 after the key, computed once: a verification clones it, so it costs no
//! key schedule and no allocation. That state is as secret as the key; it is zeroed on drop (the `zeroize` feature of
//! `hmac` and `sha2`). Beside it stands a code of the secret as it is written, by which two are compared, and tokens
//! are: neither where a guess differs nor how long the secret is shows in the time taken.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::{FixedOutput as _, Update as _};
use hmac::{Hmac, KeyInit as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Clock;
use crate::limits;
use crate::time::Wall;

/// Bytes of a message's code.
pub(super) const TAG_BYTES: usize = 32;
/// A message's code as computed: comparing two of them takes the same time wherever they differ.
pub(super) type Tag = hmac::digest::CtOutput<Hmac<Sha256>>;

const PREFIX: &str = "whsec_";
const UNTIL: &str = "until=";
const WANTED: &str = "a secret is written `whsec_` and 24 to 64 bytes in base64, optionally followed by `until=` \
                      and an RFC 3339 time";

const WANTED_TEXT: &str = "a secret is a line of 16 to 512 visible ASCII characters and spaces, as the sender has it, \
                           optionally followed by `until=` and an RFC 3339 time; a line that starts with # is a note";
const WANTED_TOKEN: &str = "a token is one line of visible ASCII characters without spaces";

/// How a secret is written, and what it is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `whsec_` and 24 to 64 bytes in base64.
    StandardWebhooks,
    /// 16 to 512 visible ASCII characters and spaces, which are the key as they are.
    Text,
    /// 16 to 512 visible ASCII characters, which are sent as they are.
    Token,
}

impl Form {
    const fn wanted(self) -> &'static str {
        match self {
            Self::StandardWebhooks => WANTED,
            Self::Text => WANTED_TEXT,
            Self::Token => WANTED_TOKEN,
        }
    }

    const fn noun(self) -> &'static str {
        if matches!(self, Self::Token) { "token" } else { "secret" }
    }
}

/// A secret shared with an agent, in force for good or until a time.
pub struct Secret {
    after_key: Hmac<Sha256>,
    /// Of the secret as it is written.
    code: Tag,
    until: Option<Wall>,
}

impl Secret {
    /// Reads one line of a secret file: `whsec_<base64>`, optionally followed by `until=RFC3339`. An empty line or one
    /// that starts with `#` is `None`.
    ///
    /// # Errors
    /// A sentence that says what would be right; it never holds any of the line.
    pub fn parse_line(line: &str) -> Result<Option<Self>, String> {
        Self::parse_line_of(line, Form::StandardWebhooks)
    }

    /// The same of any form. In a text, the last word is the end date if it starts with `until=`.
    ///
    /// # Errors
    /// As above.
    pub fn parse_line_of(line: &str, form: Form) -> Result<Option<Self>, String> {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with('#') {
            return Ok(None);
        }
        let is_space = |letter: char| letter.is_ascii_whitespace();
        let (word, end) = match form {
            Form::Text => line.rsplit_once(is_space).filter(|(_, last)| last.starts_with(UNTIL)),
            Form::StandardWebhooks | Form::Token => line.split_once(is_space),
        }
        .map_or((line, None), |(word, end)| (word.trim_ascii_end(), Some(end.trim_ascii_start())));
        let secret = match form {
            Form::StandardWebhooks => Self::from_base64(word)?,
            Form::Text | Form::Token => Self::from_text(word, form)?,
        };
        let until = match end {
            Some(end) if end.contains(is_space) => return Err(form.wanted().to_owned()),
            end => end.map(parse_until).transpose()?,
        };
        Ok(Some(Self { until, ..secret }))
    }

    /// Reads a secret file or variable, a secret a line.
    ///
    /// # Errors
    /// Every fault, with its line number from 1; nothing in it is taken from the text. A text without any secret, the
    /// same key twice and more than [`limits::SECRETS_MAX`] are faults as well.
    pub fn parse_file(text: &str) -> Result<Vec<Self>, Vec<(usize, String)>> {
        Self::parse_file_of(text, Form::StandardWebhooks)
    }

    /// The same of any form.
    ///
    /// # Errors
    /// As above.
    pub fn parse_file_of(text: &str, form: Form) -> Result<Vec<Self>, Vec<(usize, String)>> {
        let mut secrets: Vec<Self> = Vec::new();
        let mut faults = Vec::new();
        for (index, line) in text.lines().enumerate() {
            match Self::parse_line_of(line, form) {
                Ok(None) => {}
                Ok(Some(_)) if secrets.len() == limits::SECRETS_MAX => {
                    faults.push((index + 1, too_many()));
                    break;
                }
                Ok(Some(secret)) if secrets.iter().any(|other| other.has_key_of(&secret)) => {
                    faults.push((
                        index + 1,
                        "this key stands here twice; keep the line that is meant".to_owned(),
                    ));
                }
                Ok(Some(secret)) => secrets.push(secret),
                Err(message) => faults.push((index + 1, message)),
            }
        }
        if secrets.is_empty() && faults.is_empty() {
            faults.push((1, format!("there is no {} here; {}", form.noun(), form.wanted())));
        }
        if faults.is_empty() { Ok(secrets) } else { Err(faults) }
    }

    /// A new secret from random bytes, and its text for the secret file and the agent. The caller wipes the bytes.
    pub fn generate(random: &[u8; limits::SECRET_BYTES_NEW]) -> (Zeroizing<String>, Self) {
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + random.len().div_ceil(3) * 4));
        text.push_str(PREFIX);
        STANDARD.encode_string(random, &mut text);
        let code = code(text.as_bytes());
        (text, Self { after_key: keyed(random), code, until: None })
    }

    /// The `webhook-signature` of a message: `v1,<base64>` of HMAC-SHA256 over `id.timestamp.body`. `timestamp_s` is in
    /// seconds since 1970 UTC. Source: the Standard Webhooks specification, "Signature scheme".
    pub fn sign(&self, id: &str, timestamp_s: i64, body: &[u8]) -> String {
        let timestamp = timestamp_s.to_string();
        let tag = self.tag(&[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
        format!("v1,{}", STANDARD.encode(tag.as_bytes()))
    }

    /// When the secret ends, if it does.
    pub fn until(&self) -> Option<Wall> {
        self.until
    }

    /// Whether the secret is accepted when `latest` is the latest time known to have come. At its end it no longer is.
    pub fn is_in_force(&self, latest: Wall) -> bool {
        self.until.is_none_or(|until| latest < until)
    }

    /// Whether both are written alike, whatever their forms and end dates: such a pair is a mistake in the configuration.
    pub fn has_key_of(&self, other: &Self) -> bool {
        self.code == other.code
    }

    /// Whether this is what a caller gave.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        self.code == code(given)
    }

    /// The code of a message under this secret; the message is its parts, one after the other.
    pub(super) fn tag(&self, message: &[&[u8]]) -> Tag {
        let mut mac = self.after_key.clone();
        for part in message {
            mac.update(part);
        }
        Tag::new(mac.finalize_fixed())
    }

    /// A text or token, without an end date. No message holds any of it.
    pub(super) fn from_text(text: &str, form: Form) -> Result<Self, String> {
        let fits = |byte: u8| byte.is_ascii_graphic() || (byte == b' ' && form == Form::Text);
        if !text.bytes().all(fits) {
            return Err(form.wanted().to_owned());
        }
        if !(limits::TOKEN_BYTES_MIN..=limits::TOKEN_BYTES_MAX).contains(&text.len()) {
            let (least, most, noun) = (limits::TOKEN_BYTES_MIN, limits::TOKEN_BYTES_MAX, form.noun());
            return Err(format!("the {noun} has {} characters; {least} to {most} are right", text.len()));
        }
        Ok(Self { after_key: keyed(text.as_bytes()), code: code(text.as_bytes()), until: None })
    }

    fn from_base64(word: &str) -> Result<Self, String> {
        let Some(encoded) = word.strip_prefix(PREFIX) else { return Err(WANTED.to_owned()) };
        let mut key = Zeroizing::new([0; limits::SECRET_BYTES_MAX + 3]);
        let too_long = || "the secret has more than 64 bytes; 24 to 64 are right".to_owned();
        let length = STANDARD.decode_slice(encoded, key.as_mut_slice()).map_err(|error| match error {
            base64::DecodeSliceError::OutputSliceTooSmall => too_long(),
            base64::DecodeSliceError::DecodeError(_) => {
                "what follows `whsec_` is not base64 (A-Z a-z 0-9 + /, filled up with =)".to_owned()
            }
        })?;
        match key.get(..length) {
            Some(key) if key.len() < limits::SECRET_BYTES_MIN => {
                Err(format!("the secret has {length} bytes, which is too few to be safe; 24 to 64 are right"))
            }
            Some(key) if key.len() <= limits::SECRET_BYTES_MAX => {
                Ok(Self { after_key: keyed(key), code: code(word.as_bytes()), until: None })
            }
            _ => Err(too_long()),
        }
    }
}

/// Secrets that go together.
///
/// # Errors
/// A sentence that says what would be right: there is no secret, there are too many, or one key stands twice (in
/// several files; [`Secret::parse_file_of`] finds it in one).
pub(super) fn of_one_agent(secrets: Vec<Secret>) -> Result<Vec<Secret>, String> {
    if secrets.is_empty() {
        return Err("there is no secret; `heartbeatd init` makes one".to_owned());
    }
    if secrets.len() > limits::SECRETS_MAX {
        return Err(too_many());
    }
    let twice = |(index, secret): (usize, &Secret)| secrets.iter().take(index).any(|s| s.has_key_of(secret));
    if secrets.iter().enumerate().any(twice) {
        return Err("the same key is configured twice; keep the one that is meant".to_owned());
    }
    Ok(secrets)
}

/// Whether any of these codes is the message's. Every secret in force and every code is tried, so that the time taken
/// does not tell which one fitted.
pub(super) fn any_fits(
    secrets: &[Secret],
    clock: &Clock,
    message: &[&[u8]],
    codes: &[[u8; TAG_BYTES]],
) -> bool {
    let latest = clock.latest();
    let mut fits = false;
    for secret in secrets.iter().filter(|secret| secret.is_in_force(latest)) {
        let tag = secret.tag(message);
        for code in codes {
            fits |= tag == Tag::new((*code).into());
        }
    }
    fits
}

/// A code of something secret, 32 bytes whatever its length, which does not tell what it is of.
pub(super) fn code(secret: &[u8]) -> Tag {
    // Fixed and no secret: it only turns texts of any length into codes of one length.
    let mut mac = keyed(b"heartbeatd");
    mac.update(secret);
    Tag::new(mac.finalize_fixed())
}

/// More secrets than one agent may have.
fn too_many() -> String {
    format!("there are more than {} secrets; take out the ones that ended", limits::SECRETS_MAX)
}

fn parse_until(word: &str) -> Result<Wall, String> {
    // The parser's own message quotes the word, which could be a secret in the wrong place.
    word.strip_prefix(UNTIL).and_then(|time| Wall::parse_rfc3339(time).ok()).ok_or_else(|| {
        "only `until=` and an RFC 3339 time such as until=2027-01-31T00:00:00Z may follow a secret".to_owned()
    })
}

/// The state of HMAC-SHA256 after the key.
#[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104 section 2)")]
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("key", &"…").field("until", &self.until).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const OTHER: &str = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

    fn line_with(bytes: usize) -> String {
        format!("whsec_{}", STANDARD.encode(vec![0xa7; bytes]))
    }

    #[test]
    fn a_line_is_a_secret_with_an_optional_end() {
        let secret = Secret::parse_line(KEY).unwrap().unwrap();
        assert_eq!(secret.until(), None);
        let secret = Secret::parse_line(&format!(" {KEY}  until=2027-01-31T00:00:00Z\r")).unwrap().unwrap();
        assert_eq!(secret.until(), Some(Wall::parse_rfc3339("2027-01-31T00:00:00Z").unwrap()));
        for nothing in ["", "   ", "# whsec_note", "\t#"] {
            assert!(Secret::parse_line(nothing).unwrap().is_none(), "{nothing:?}");
        }
    }

    #[test]
    fn a_secret_has_24_to_64_bytes() {
        for (bytes, right) in
            [(0, false), (23, false), (24, true), (32, true), (64, true), (65, false), (999, false)]
        {
            assert_eq!(Secret::parse_line(&line_with(bytes)).is_ok(), right, "{bytes}");
        }
        let message = Secret::parse_line(&line_with(16)).unwrap_err();
        assert!(message.contains("16 bytes") && message.contains("24 to 64"), "{message}");
    }

    #[test]
    fn no_message_holds_any_of_the_secret() {
        let encoded = KEY.strip_prefix(PREFIX).unwrap();
        for line in [
            encoded.to_owned(),
            format!("WHSEC_{encoded}"),
            format!("{KEY} until=soon"),
            format!("{KEY} {OTHER}"),
            format!("{KEY} until={OTHER}"),
            format!("{KEY} until=2027-01-31T00:00:00Z {OTHER}"),
            format!("{KEY}*"),
            KEY.trim_end_matches('=').to_owned(),
            format!("whsec_{}", &encoded[..20]),
        ] {
            let message = Secret::parse_line(&line).unwrap_err();
            let leaked = line.as_bytes().windows(12).find(|part| {
                let part = str::from_utf8(part).unwrap();
                message.contains(part) && (encoded.contains(part) || OTHER.contains(part))
            });
            assert_eq!(leaked, None, "{message}");
        }
    }

    #[test]
    fn a_file_tells_all_its_faults_with_their_lines() {
        let file = format!(
            "# ours\n{KEY}\n\nnonsense\n{OTHER} until=2027-01-31T00:00:00Z\n{KEY} until=soon\n{KEY}\n"
        );
        let faults = Secret::parse_file(&file).unwrap_err();
        assert_eq!(faults.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [4, 6, 7]);
        assert!(faults[2].1.contains("twice"), "{faults:?}");
        assert_eq!(Secret::parse_file(&format!("{KEY}\n{OTHER}")).unwrap().len(), 2);
        for empty in ["", "\n\n", "# only a comment\n"] {
            assert!(Secret::parse_file(empty).unwrap_err()[0].1.contains("no secret"), "{empty:?}");
        }
    }

    #[test]
    fn at_most_as_many_secrets_as_the_limit_says() {
        let lines = |count: u8| {
            let line = |n: u8| format!("whsec_{}\n", STANDARD.encode([n; 32]));
            (0..count).map(line).collect::<String>()
        };
        let most = u8::try_from(limits::SECRETS_MAX).unwrap();
        assert_eq!(Secret::parse_file(&lines(most)).unwrap().len(), limits::SECRETS_MAX);
        let faults = Secret::parse_file(&lines(most + 2)).unwrap_err();
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].0, limits::SECRETS_MAX + 1);
    }

    #[test]
    fn a_generated_secret_reads_back() {
        let (text, secret) = Secret::generate(&[9; 32]);
        let read = Secret::parse_line(&text).unwrap().unwrap();
        assert!(read.has_key_of(&secret));
        assert_eq!(read.sign("id", 1, b"body"), secret.sign("id", 1, b"body"));
        assert!(!Secret::parse_line(KEY).unwrap().unwrap().has_key_of(&secret));
    }

    #[test]
    fn a_secret_ends_at_its_end() {
        let line = format!("{KEY} until=2027-01-31T00:00:00Z");
        let secret = Secret::parse_line(&line).unwrap().unwrap();
        let end = secret.until().unwrap();
        assert!(secret.is_in_force(Wall::from_millis(end.as_millis() - 1)));
        assert!(!secret.is_in_force(end));
    }

    #[test]
    fn a_text_may_have_spaces_and_ends_at_a_last_word_that_says_so() {
        let text = |line: &str| Secret::parse_line_of(line, Form::Text);
        let plain = text("It's a Secret to Everybody").unwrap().unwrap();
        let ending = text("  It's a Secret to Everybody   until=2027-01-31T00:00:00Z\r").unwrap().unwrap();
        assert!(ending.has_key_of(&plain) && plain.until().is_none());
        assert_eq!(ending.until(), Wall::parse_rfc3339("2027-01-31T00:00:00Z").ok());
        assert_eq!(plain.tag(&[b"a", b"b"]), ending.tag(&[b"ab"]));
        for wrong in
            ["fifteen letters", "It's a Secret to Everybody until=never", "It's a Secret t\u{f6} Everybody"]
        {
            let message = text(wrong).unwrap_err();
            assert!(!message.contains("Secret to") && !message.contains("never"), "{message}");
        }
        for nothing in ["", "# It's a Secret to Everybody"] {
            assert!(text(nothing).unwrap().is_none(), "{nothing}");
        }
    }

    #[test]
    fn debug_shows_no_key() {
        let secret = Secret::parse_line(KEY).unwrap().unwrap();
        assert_eq!(format!("{secret:?}"), "Secret { key: \"…\", until: None }");
    }
}
