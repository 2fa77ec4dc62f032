//! A heartbeat as an agent sends it.

use heartbeat_runtime::auth::Secret;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// Seconds since 1970.
pub(crate) fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is set");
    i64::try_from(since.as_secs()).expect("a time of this age")
}

/// A heartbeat to be signed.
#[derive(Clone, Debug)]
pub(crate) struct Heartbeat {
    pub(crate) id: String,
    pub(crate) signed_at_s: i64,
    pub(crate) body: String,
    /// Further header fields, each with its line break.
    pub(crate) fields: String,
}

impl Heartbeat {
    /// A heartbeat that was never sent before.
    pub(crate) fn new() -> Self {
        static HEARTBEATS: AtomicU64 = AtomicU64::new(0);
        let number = HEARTBEATS.fetch_add(1, Ordering::Relaxed);
        Self::with_id(&format!("msg_{}_{number}", std::process::id()))
    }

    pub(crate) fn with_id(id: &str) -> Self {
        Self { id: id.to_owned(), signed_at_s: now_s(), body: "{}".to_owned(), fields: String::new() }
    }

    /// With `Prefer: wait`.
    pub(crate) fn wait(self, seconds: u32) -> Self {
        self.field(&format!("Prefer: wait={seconds}"))
    }

    pub(crate) fn field(mut self, field: &str) -> Self {
        self.fields.push_str(field);
        self.fields.push_str("\r\n");
        self
    }

    /// Signed so many seconds from now.
    pub(crate) fn signed_in(mut self, seconds: i64) -> Self {
        self.signed_at_s = now_s() + seconds;
        self
    }

    /// The three fields that prove the sender.
    pub(crate) fn proof(&self, secret: &Secret) -> String {
        let signature = secret.sign(&self.id, self.signed_at_s, self.body.as_bytes());
        format!(
            "webhook-id: {}\r\nwebhook-timestamp: {}\r\nwebhook-signature: {signature}\r\n",
            self.id, self.signed_at_s
        )
    }

    pub(crate) fn to_bytes(&self, secret: &Secret) -> Vec<u8> {
        self.with_proof(&self.proof(secret))
    }

    /// With other fields in place of the proof.
    pub(crate) fn with_proof(&self, proof: &str) -> Vec<u8> {
        format!(
            "POST /data_flows/heartbeat HTTP/1.1\r\nHost: box\r\n{proof}{}Content-Length: {}\r\n\r\n{}",
            self.fields,
            self.body.len(),
            self.body
        )
        .into_bytes()
    }
}
