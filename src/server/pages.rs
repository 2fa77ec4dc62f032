//! Pages for people: made a part at a time, within a bound each round, and sent when they are whole.

use std::collections::VecDeque;

use super::Server;
use super::connection::State;
use crate::http::Response;
use crate::limits;
use crate::runtime::ConnectionId;
use crate::status::{Drawing, HTML, Look, Page, Sheet};
use crate::time::Now;

/// Pages in the making, in the order in which they were asked for.
pub(super) type Pages = VecDeque<(ConnectionId, Drawing)>;

impl Server {
    /// Begins a page for a viewer, who waits for it.
    pub(super) fn begin_page(&mut self, index: usize, page: Page) {
        let Some(connection) = &mut self.connections[index] else { return };
        connection.state = State::Awaiting;
        self.watch.pages.push_back((connection.id, Drawing::new(page)));
    }

    /// Goes on with the pages, as far as one round allows.
    pub(super) fn draw(&mut self, now: Now) {
        if self.watch.pages.is_empty() {
            return;
        }
        let until = self.clock.monotonic() + limits::PAGES_PER_ROUND;
        let mut pages = std::mem::take(&mut self.watch.pages);
        let mut whole = Vec::new();
        let look = self.look(now);
        while let Some((viewer, mut drawing)) = pages.pop_front() {
            if self.index_of(viewer).is_none() {
                continue;
            }
            if drawing.step(&look) {
                whole.push((viewer, drawing.finish()));
            } else {
                pages.push_front((viewer, drawing));
            }
            if self.clock.monotonic() >= until {
                break;
            }
        }
        self.watch.pages = pages;
        for (viewer, sheet) in whole {
            self.send_page(viewer, &sheet, now);
        }
    }

    fn send_page(&mut self, viewer: ConnectionId, sheet: &Sheet, now: Now) {
        // Others' pages show badges, and those need nothing.
        let is_page = sheet.content_type == HTML;
        let policy = if is_page { &self.watch.policy } else { "default-src 'none'" };
        let origin = if is_page { "same-origin" } else { "cross-origin" };
        let Some(index) = self.index_of(viewer) else { return };
        let Some(connection) = self.connections[index].as_mut() else { return };
        let fields = [
            ("Content-Security-Policy", policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cross-Origin-Resource-Policy", origin),
        ];
        let Sheet { status, content_type, body } = sheet;
        let response = Response { status: *status, content_type, fields: &fields, body };
        connection.respond(&response, self.clock.date(now.wall), now.monotonic);
        self.flush(index, now);
        self.look_again(index);
    }

    fn look(&self, now: Now) -> Look<'_> {
        Look {
            runtime: &self.runtime,
            counters: &self.counters,
            agents: self.gate.keyring().agents(),
            bad_flow_files: self.facts.bad_flow_files.iter().map(ToString::to_string).collect(),
            reload_error: self.facts.reload_error.as_deref(),
            failed_reloads: self.facts.failed_reloads,
            host: &self.watch.host,
            disk: self.disk(),
            change: self.watch.watchers.number(),
            written_bytes: self.watch.written_bytes(),
            shows_output: self.watch.viewers.shows_output(),
            now,
        }
    }

    /// Bytes that are free for us where the database lies, and all bytes there.
    fn disk(&self) -> Option<(u64, u64)> {
        let of = rustix::fs::statvfs(self.runtime.store().path()).ok()?;
        Some((of.f_bavail.saturating_mul(of.f_frsize), of.f_blocks.saturating_mul(of.f_frsize)))
    }
}
