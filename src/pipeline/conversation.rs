//! A request until it is answered for good: over redirects where they are allowed, and over pauses where trying again may
//! help.

use std::time::Duration;

use super::files::Files;
use super::outside::{Exchange, Happened, Need, Unanswered};
use super::{Failure, Result};
use crate::flow::HttpTarget;
use crate::http::client::{Answer, Method, Scheme, Url};
use crate::limits;
use crate::time::{Wall, format_duration};

/// Where a request goes and what it is, before anything is known of its answer.
#[derive(Debug)]
pub(super) struct Conversation {
    exchange: Exchange,
    follow_redirects: bool,
    may_content_leave: bool,
    redirects: usize,
    attempts: u32,
    answered: Option<std::result::Result<Answer, Unanswered>>,
}

/// What comes next.
#[derive(Debug)]
pub(super) enum Turn {
    /// Something is to be done first.
    Needs(Need),
    /// The answer, which no redirect or repetition makes better.
    Answered(Answer),
    /// There is none, however often it is tried: why.
    GivenUp(String),
}

impl Conversation {
    /// A request to this target, without content.
    pub(super) fn new(target: &HttpTarget, url: Url, body_bytes_max: usize) -> Self {
        let fields = target.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let exchange = Exchange {
            url,
            method: Method::Get,
            fields,
            field_files: target.header_files.clone(),
            body: None,
            signature: None,
            timeout: Duration::from_millis(target.timeout_ms),
            body_bytes_max,
            needs_content: true,
        };
        Self {
            exchange,
            follow_redirects: target.follow_redirects,
            may_content_leave: false,
            redirects: 0,
            attempts: 0,
            answered: None,
        }
    }

    /// The same, whose content may go to another origin with a redirect.
    pub(super) fn whose_content_may_leave(self) -> Self {
        Self { may_content_leave: true, ..self }
    }

    /// The request, to be completed before the first turn.
    pub(super) fn exchange(&mut self) -> &mut Exchange {
        &mut self.exchange
    }

    pub(super) fn happened(&mut self, happened: Happened) {
        if let Happened::Answered(answered) = happened {
            self.answered = Some(answered.map(|answer| *answer));
        }
    }

    /// What is to be done now. After a pause it is asked again.
    pub(super) fn turn(&mut self, files: &dyn Files) -> Turn {
        match self.answered.take() {
            None => {
                self.attempts += 1;
                Turn::Needs(Need::Exchange(Box::new(self.exchange.clone())))
            }
            Some(Err(Unanswered { message, may_succeed_later: false })) => Turn::GivenUp(message),
            Some(Err(Unanswered { message, .. })) => self.again(message, None),
            Some(Ok(answer)) => match answer.status {
                301 | 302 | 303 | 307 | 308 => self.redirected(answer),
                408 | 425 | 429 | 500 | 502..=504 => {
                    let message = told(&self.exchange.url, &answer);
                    self.not_now(message, &answer, files)
                }
                _ => Turn::Answered(answer),
            },
        }
    }

    /// What follows an answer that says no more than that, to whoever asked: a pause, or the end.
    pub(super) fn not_now(&mut self, message: String, answer: &Answer, files: &dyn Files) -> Turn {
        self.again(message, answer.retry_after(Wall::from_millis(files.wall_ms())))
    }

    /// Tries once more after a while, at most so often.
    fn again(&mut self, message: String, wait: Option<Duration>) -> Turn {
        if let Some(wait) = wait.filter(|wait| *wait > limits::EXCHANGE_RETRY_AFTER_MAX) {
            let wait = format_duration(wait.min(Duration::from_secs(366 * 24 * 3600)));
            return Turn::GivenUp(format!("{message}, and asks to wait for {wait}: a later run tries again"));
        }
        if self.attempts >= limits::EXCHANGE_ATTEMPTS {
            return Turn::GivenUp(format!("{message}; tried {} times", self.attempts));
        }
        let doubled = limits::EXCHANGE_BACKOFF.saturating_mul(1 << (self.attempts - 1).min(16));
        Turn::Needs(Need::Pause(wait.unwrap_or(doubled)))
    }

    /// Goes where the answer points. Only what says nothing else than before may be sent there: the same request, and to
    /// another origin none of our fields, which may hold secrets; nor content, unless whoever asks says so, and sees to
    /// the fields that belong to it.
    fn redirected(&mut self, answer: Answer) -> Turn {
        let url = &self.exchange.url;
        let refused = |why: &str| Turn::GivenUp(format!("{}: {why}", described(url, &answer)));
        let Some(location) = answer.location() else { return refused("it does not say where to (Location)") };
        let next = match url.join(location) {
            Ok(next) if next.scheme() == Scheme::Https => {
                return refused("it leads to https, which needs a build with TLS, which there is not yet");
            }
            Ok(next) => next,
            Err(why) => return refused(&format!("it leads to what is no URL here: {why}")),
        };
        if !self.follow_redirects {
            let place = next.without_query();
            return refused(&format!(
                "it leads to {place}, and redirects are not followed; give that URL, or follow_redirects = true"
            ));
        }
        if self.exchange.method != Method::Get && !matches!(answer.status, 307 | 308) {
            return refused(
                "a redirect of this kind turns what is sent into a question; 307 or 308 would be right",
            );
        }
        if self.redirects >= limits::REDIRECTS_MAX {
            return refused("it is one redirect too many");
        }
        if !next.same_origin(url) {
            if self.exchange.body.is_some() && !self.may_content_leave {
                let place = next.without_query();
                return refused(&format!(
                    "it leads to another server, {place}, which is not sent what this one was; give that URL"
                ));
            }
            self.exchange.fields.clear();
            self.exchange.field_files.clear();
        }
        self.redirects += 1;
        self.exchange.url = next;
        Turn::Needs(Need::Exchange(Box::new(self.exchange.clone())))
    }
}

/// Who answered what, in words: `http://host/path answered 404`, without the query, which may hold a secret.
pub(super) fn described(url: &Url, answer: &Answer) -> String {
    format!("{} answered {}", url.without_query(), answer.status)
}

/// The same, and what the answer itself says, where that is text.
pub(super) fn told(url: &Url, answer: &Answer) -> String {
    let described = described(url, answer);
    match excerpt(answer) {
        Some(excerpt) => format!("{described}: {excerpt}"),
        None => described,
    }
}

/// The first characters of an answer that is text or JSON, on one line and made printable.
pub(super) fn excerpt(answer: &Answer) -> Option<String> {
    let content = answer.content_type()?;
    if !content.starts_with("text/") && !content.ends_with("/json") && !content.ends_with("+json") {
        return None;
    }
    let begin = answer.body.get(..limits::EXCERPT_CHARACTERS_MAX * 8).unwrap_or(&answer.body);
    let text = String::from_utf8_lossy(begin);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut printable = String::new();
    for letter in words.chars().take(limits::EXCERPT_CHARACTERS_MAX) {
        match letter {
            '"' | '\'' | '\\' => printable.push(letter),
            _ => printable.extend(letter.escape_debug()),
        }
    }
    Some(printable).filter(|text| !text.is_empty())
}

/// A URL of a definition that was checked when it was loaded.
pub(super) fn parsed(url: &str, failure: fn(String) -> Failure) -> Result<Url> {
    Url::parse(url).map_err(|why| failure(format!("url: {why}")))
}

#[cfg(test)]
mod tests;
