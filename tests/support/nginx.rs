//! The real nginx in front of a box, with a server's text out of a document.

use std::fs::File;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use super::EdgeBox;
use super::tools::can_run;

/// Debian keeps it where users who are not root do not look.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// nginx as one process in the box's folder; killed when dropped.
pub(crate) struct Nginx {
    process: Child,
}

impl Nginx {
    /// Whether it is here, with what asks it and makes its certificates.
    pub(crate) fn is_here() -> bool {
        can_run("env", &[&format!("PATH={PATH}"), "nginx", "-v"])
            && can_run("curl", &["--version"])
            && can_run("openssl", &["version"])
    }

    /// Starts it with this server, in which `/etc/nginx/` stands for the box's folder.
    pub(crate) fn start(edge_box: &EdgeBox, server: &str) -> Self {
        let folder = edge_box.path("");
        let folder = folder.to_str().expect("a path in UTF-8");
        let server = server.replace("/etc/nginx/", folder);
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {folder}{name};"))
            .concat();
        // One process, so that none is left behind when it is killed.
        let around = "user root; daemon off; master_process off; error_log stderr; events {}";
        let text =
            format!("{around} pid {folder}nginx.pid; http {{ access_log off; {temporary}\n{server}\n}}\n");
        edge_box.write("nginx.conf", text);
        let configuration = format!("{folder}nginx.conf");
        let process = Command::new("nginx")
            .args(["-p", folder, "-c", &configuration, "-e", "stderr"])
            .env("PATH", PATH)
            .stdout(Stdio::null())
            .stderr(File::create(edge_box.path("nginx.log")).expect("make its log"))
            .spawn()
            .expect("start nginx");
        Self { process }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _gone_already = self.process.kill();
        let _gone_already = self.process.wait();
    }
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").expect("take a free port");
    free.local_addr().expect("it has a port").port()
}
