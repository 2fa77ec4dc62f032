//! Operators' requests: from the control socket to the runtime, and the replies back.

use super::Server;
use super::act::RETRY_AFTER_S;
use super::connection::State;
use super::serve::Step;
use crate::control::{Rendered, Routed, render};
use crate::http::{Response, Status};
use crate::runtime::{Event, Order, Reply};
use crate::time::Now;

impl Server {
    /// Carries out what an operator's request has become.
    pub(super) fn operate(&mut self, index: usize, uid: u32, routed: Routed, now: Now) -> Step {
        let Some(connection) = self.connections[index].as_mut() else { return Step::Stuck };
        let id = connection.id;
        connection.state = State::Awaiting;
        match routed {
            Routed::Answer(rendered) => {
                self.tell(index, &rendered, &[], now);
                return Step::Done;
            }
            Routed::Order(mut order, wait) => {
                if let Order::Remove { flow, file } = &mut order {
                    *file = self.files.flow_file(flow);
                }
                self.runtime.handle(Event::Order { connection: id, uid, order, wait }, now);
            }
            Routed::Ask(question) => self.runtime.handle(Event::Ask { connection: id, question }, now),
            Routed::Reload => {
                log::info!(uid; "told to read configuration and flow files anew");
                self.reload.ask(Some(id));
            }
            Routed::Backup(file) => {
                if let Err(refused) = self.begin_backup(id, uid, file) {
                    self.tell(index, &refused, &[], now);
                    return Step::Done;
                }
            }
        }
        Step::Stuck
    }

    pub(super) fn reply_to_operator(&mut self, index: usize, reply: Reply, waited_s: Option<u64>, now: Now) {
        match reply {
            Reply::Following(run) => self.begin_to_follow(index, run, now),
            Reply::Followed(_) => self.end_to_follow(index, now),
            reply => {
                let rendered = render(reply, &self.facts);
                let applied = waited_s.map(|seconds| format!("wait={seconds}"));
                let field = applied.as_deref().map(|applied| ("Preference-Applied", applied));
                self.tell(index, &rendered, field.as_slice(), now);
            }
        }
    }

    /// Answers on a control connection; with 503, when to try again.
    pub(super) fn tell(&mut self, index: usize, rendered: &Rendered, fields: &[(&str, &str)], now: Now) {
        let Some(connection) = self.connections[index].as_mut() else { return };
        let retry_after = RETRY_AFTER_S.to_string();
        let mut all = fields.to_vec();
        if rendered.status == Status::SERVICE_UNAVAILABLE {
            all.push(("Retry-After", &retry_after));
        }
        all.extend(rendered.allow.as_deref().map(|allow| ("Allow", allow)));
        let Rendered { status, content_type, body, .. } = rendered;
        let response = Response { status: *status, content_type, fields: &all, body };
        connection.respond(&response, self.clock.date(now.wall), now.monotonic);
        self.flush(index, now);
    }
}
