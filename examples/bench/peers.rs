//! Other people's programs that answer requests: nginx with a fixed answer, and webhook, which verifies and starts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::Outcome;
use crate::daemon::folder;
use crate::load::{BODY, Requests, fresh_id};
use crate::process::{Core, child_of, free_port, installed, on, terminate, wait_for};

/// As long as an idle heartbeat's answer.
const ANSWER: &str = r#"{"flows_due":0,"flows_triggered":0,"flows_skipped":0,"flows_deferred":0,"duplicate":false,"timestamp":"2026-11-23T10:30:00.000Z","heartbeat_id":"msg_load_000000000000","runs":[]}"#;
/// What senders to webhook sign with.
const KEY: &str = "a secret that guards nothing";

/// A process in a folder of its own, both of which go with it.
pub(crate) struct Peer {
    process: Child,
    folder: PathBuf,
    pub(crate) address: SocketAddr,
}

impl Peer {
    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Of several processes the one that answers.
    pub(crate) fn worker(&self) -> Outcome<u32> {
        child_of(self.process.id())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        terminate(self.process.id());
        let _status = self.process.wait();
        let _left = std::fs::remove_dir_all(&self.folder);
    }
}

/// nginx with one worker, if it is installed.
pub(crate) fn nginx() -> Outcome<Option<Peer>> {
    let Some(program) = installed("nginx") else { return Ok(None) };
    let (folder, address) = (folder(), free_port()?);
    std::fs::create_dir_all(&folder)?;
    let config = format!(
        "worker_processes 1; daemon off; pid {0}/pid; error_log {0}/error;\nevents {{ worker_connections 1024; }}\n\
         http {{ access_log off; keepalive_requests 1000000000; client_body_temp_path {0}/body;\n\
         server {{ listen {address} backlog=1024; location / {{ default_type application/json; return 200 '{ANSWER}'; }} }} }}\n",
        folder.display(),
    );
    std::fs::write(folder.join("nginx.conf"), config)?;
    let mut command = Command::new(program);
    command.arg("-c").arg(folder.join("nginx.conf")).stderr(Stdio::null());
    let process = on(Core::Measured, || command.spawn())??;
    let peer = Peer { process, folder, address };
    wait_for(address, "nginx")?;
    Ok(Some(peer))
}

/// webhook, if it is installed: it checks a signature, starts `/bin/true`, and answers when that has ended. It is told
/// to run wherever the kernel likes, as its runs are.
pub(crate) fn webhook() -> Outcome<Option<Peer>> {
    let Some(program) = installed("webhook") else { return Ok(None) };
    let (folder, address) = (folder(), free_port()?);
    std::fs::create_dir_all(&folder)?;
    let hooks = serde_json::json!([{
        "id": "run", "execute-command": "/bin/true", "include-command-output-in-response": true,
        "trigger-rule": { "match": { "type": "payload-hmac-sha256", "secret": KEY,
            "parameter": { "source": "header", "name": "X-Hub-Signature-256" } } },
    }]);
    std::fs::write(folder.join("hooks.json"), hooks.to_string())?;
    let mut command = Command::new(program);
    command.arg("-hooks").arg(folder.join("hooks.json"));
    command.args(["-ip", "127.0.0.1", "-port", &address.port().to_string()]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let process = on(Core::Any, || command.spawn())??;
    let peer = Peer { process, folder, address };
    wait_for(address, "webhook")?;
    Ok(Some(peer))
}

/// Requests that webhook takes, each with a body of its own.
pub(crate) fn webhook_requests(count: usize) -> Outcome<Requests> {
    use hmac::{KeyInit, Mac};
    let key = hmac::Hmac::<sha2::Sha256>::new_from_slice(KEY.as_bytes())?;
    let agent = String::from_utf8_lossy(BODY);
    Ok(Requests::made_by(count, |out| {
        let body = agent.replace('}', &format!(",\"id\":\"{}\"}}", fresh_id()));
        let mut mac = key.clone();
        mac.update(body.as_bytes());
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let head = format!(
            "POST /hooks/run HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             X-Hub-Signature-256: sha256={hex}\r\n\r\n",
            body.len()
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(body.as_bytes());
    }))
}
