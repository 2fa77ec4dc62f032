//! Alerts: a receiver that takes some, refuses others and is often not there; and what must hold of what it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use heartbeat_runtime::http::client::Url;
use heartbeat_runtime::runtime::{AlertSettings, Event, Exchange, Job, Recipient, Unanswered};
use heartbeat_runtime::time::Monotonic;
use serde_json::Value;

use super::invariants::Book;
use super::server::answer;
use super::world::World;

const AFTER_FAILURES: u64 = 2;

/// Who is told.
#[derive(Debug, Default)]
pub(crate) struct Receiver {
    /// When the request that is under way is over, and what it is answered, if it is.
    pub(crate) under_way: Option<(Monotonic, Option<u16>)>,
    taken: BTreeSet<String>,
    /// Whether the box was off for so long that alerts are given up.
    pub(crate) may_be_told_too_late: bool,
    /// What is known to be wrong, by what it is about.
    wrong: BTreeMap<String, bool>,
}

pub(crate) fn settings() -> AlertSettings {
    let url = Url::parse("http://receiver.example/in").expect("a URL");
    AlertSettings {
        to: Some(Recipient::Url { url, secret_file: "/secret".into() }),
        after_failures: AFTER_FAILURES,
        run_longer_than: Some(Duration::from_secs(3)),
        no_heartbeat_for: Some(Duration::from_secs(20)),
        agents: vec!["default".to_owned()],
        ..AlertSettings::default()
    }
}

impl World {
    /// A request sets out: what its receiver makes of it is decided now.
    pub(crate) fn send_alert(&mut self, exchange: &Exchange) {
        assert!(self.receiver.under_way.is_none(), "one at a time");
        let id = exchange.signature.as_ref().expect("it is signed").id.clone();
        let attempts = self.book().attempts_of(&id);
        assert!(attempts.is_some_and(|attempts| attempts > 0), "on record as tried before it is");
        let body = exchange.body.as_deref().unwrap_or_default();
        let alert: Value = serde_json::from_slice(body).expect("an alert is JSON");
        let what = alert["type"].as_str().unwrap_or_default().to_owned();
        let (taken, status) = match self.random.below(if self.calm { 1 } else { 4 }) {
            0 => (true, Some(204)),
            1 => (true, None),
            2 => (false, Some(503)),
            _ => (false, None),
        };
        let takes = self.random.millis(if self.calm { 20 } else { 4_000 });
        self.note(format!("{what} sets out, taken: {taken}, answered: {status:?}"));
        self.receiver.under_way = Some((self.now().monotonic + takes, status));
        if taken && self.receiver.taken.insert(id) {
            self.learn(&what, &alert["data"]);
        }
    }

    /// What is told for the first time must be news.
    fn learn(&mut self, what: &str, data: &Value) {
        let is_steady = self.book().clock_is_steady;
        let (subject, is_wrong) = match what {
            "flow.failing" => (&data["flow"], true),
            "flow.recovered" => (&data["flow"], false),
            "agent.silent" => (&data["agent"], true),
            "agent.returned" => (&data["agent"], false),
            "run.long" | "storage.recovered" => return,
            other => panic!("nothing here leads to {other}"),
        };
        let subject = subject.as_str().expect("it is about something").to_owned();
        if self.operators.deleted.contains(&subject) {
            // With the flow goes what was told of it, and another one may have its name.
            return;
        }
        let before = self.receiver.wrong.insert(subject.clone(), is_wrong).unwrap_or(false);
        // A clock that jumped years ahead may give one up.
        assert!(
            before != is_wrong || !is_steady || self.receiver.may_be_told_too_late,
            "{subject} is told twice: {what}"
        );
    }

    /// The request is over.
    pub(crate) fn answer_alert(&mut self) {
        let Some((_, status)) = self.receiver.under_way.take() else { return };
        let answered = match status {
            None => Err(Unanswered { message: "no answer".to_owned(), may_succeed_later: true }),
            Some(status) => Ok(Box::new(answer(status))),
        };
        self.tell(Event::Answered { job: Job::Alert, answered });
    }

    /// In the end everything was told, and what is told to be wrong is.
    pub(crate) fn judge_what_was_told(&mut self) {
        assert_eq!(self.book().undelivered(), 0, "every alert is delivered");
        if self.book().clock_is_steady && !self.receiver.may_be_told_too_late {
            let is_known = |subject: &String| !self.operators.deleted.contains(subject);
            let wrong = self.receiver.wrong.iter().filter(|(_, wrong)| **wrong).map(|it| it.0.clone());
            let wrong: Vec<String> = wrong.filter(is_known).collect();
            let conditions = self.book.as_ref().expect("open").conditions();
            let conditions: Vec<String> = conditions.into_iter().filter(is_known).collect();
            assert_eq!(wrong, conditions, "what was told and is not over");
        }
    }
}

impl Book {
    /// A flow that has failed so often was told to, in the transaction that made it so often, and one that succeeded was
    /// told to have recovered.
    pub(crate) fn judge_alerts(&self) {
        let wrong = format!(
            "SELECT count(*) FROM data_flows AS flow
             WHERE (consecutive_failures >= {AFTER_FAILURES} AND NOT {IS_TOLD})
                OR (consecutive_failures = 0 AND {IS_TOLD})"
        );
        assert_eq!(self.number(&wrong), 0, "what is true of a flow is what is told of it");
    }

    fn attempts_of(&self, id: &str) -> Option<i64> {
        let sql = "SELECT max(attempts) FROM alerts WHERE 'alert_' || uid = ?1";
        self.reader.query_row(sql, [id], |row| row.get(0)).expect("readable")
    }

    fn undelivered(&self) -> i64 {
        self.number("SELECT count(*) FROM alerts")
    }

    fn number(&self, sql: &str) -> i64 {
        self.reader.query_row(sql, [], |row| row.get(0)).expect("readable")
    }

    fn conditions(&self) -> Vec<String> {
        let sql =
            "SELECT coalesce(flow.name, condition.subject) AS subject FROM alert_conditions AS condition
                   LEFT JOIN data_flows AS flow ON flow.id = condition.data_flow_id ORDER BY subject";
        let mut statement = self.reader.prepare(sql).expect("readable");
        let subjects = statement.query_map([], |row| row.get(0)).expect("readable");
        subjects.map(|subject| subject.expect("readable")).collect()
    }
}

const IS_TOLD: &str =
    "EXISTS (SELECT 1 FROM alert_conditions WHERE type = 'flow.failing' AND data_flow_id = flow.id)";
