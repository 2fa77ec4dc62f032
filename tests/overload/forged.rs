//! Floods of heartbeats with wrong signatures.

#![expect(clippy::expect_used, reason = "the helpers of a test may fail it")]

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use heartbeat_runtime::auth::Secret;
use rustix::process::geteuid;

use crate::crowd::{address, caller, keep_on, push};
use crate::siege::Siege;
use crate::support::heartbeat::Heartbeat;
use crate::support::tools::{can_run, run_through, tell_skipped};

/// How long a flood lasts, and how much is sent at once on a connection.
const FLOOD: Duration = Duration::from_secs(4);
const PIPELINED: usize = 20;
/// Lines of a minute that each address may have, by default.
const LINES_PER_ADDRESS: usize = 30;

/// Wrong heartbeats, one after the other, with as large a content as is taken.
fn forged(content_bytes: usize) -> Vec<u8> {
    let (_, other) = Secret::generate(&[1; 32]);
    let heartbeat = || Heartbeat { body: "x".repeat(content_bytes), ..Heartbeat::new() };
    (0..PIPELINED).flat_map(|_| heartbeat().to_bytes(&other)).collect()
}

/// Sends them over and over on each connection, reading what comes, and connects again where it was closed.
fn flood(siege: &Siege, connections: usize, per_address: usize, content_bytes: usize) {
    let bytes = forged(content_bytes);
    let connect = |number: usize| caller(address(1 + number / per_address), siege.daemon.port).ok();
    let mut open: Vec<Option<TcpStream>> = (0..connections).map(connect).collect();
    let mut buffer = vec![0; 64 * 1024];
    keep_on(FLOOD, || {
        for (number, place) in open.iter_mut().enumerate() {
            let goes_on = place.as_mut().is_some_and(|stream| {
                // Whole requests or none: a part is not what this is about.
                let ends = stream.read(&mut buffer).is_ok_and(|count| count == 0);
                !ends && push(stream, &bytes)
            });
            if !goes_on {
                *place = connect(number);
            }
        }
    });
}

fn has_few_lines(siege: &Siege, addresses: usize) {
    let lines = siege.daemon.log().lines().filter(|line| line.contains("refused: ")).count();
    assert!(lines <= addresses * LINES_PER_ADDRESS, "{lines} lines of {addresses} addresses");
}

#[test]
fn a_flood_of_forged_signatures_from_one_address_harms_nobody_else() {
    let siege = Siege::lay("");
    let told = siege.under(|siege| flood(siege, 64, 64, 2));
    siege.has_held(&told);
    has_few_lines(&siege, 1);
}

#[test]
fn a_flood_of_forged_signatures_with_large_contents_harms_nobody_else() {
    let siege = Siege::lay("");
    let told = siege.under(|siege| flood(siege, 200, 50, 60_000));
    siege.has_held(&told);
}

#[test]
fn a_flood_of_forged_signatures_from_many_addresses_harms_nobody_and_does_not_fill_the_log() {
    let siege = Siege::lay("");
    let bytes = forged(2);
    // Each address comes once, as somebody would who has a whole network of them.
    let told = siege.under(|siege| {
        let mut number = 0;
        let mut open = Vec::new();
        keep_on(FLOOD, || {
            number = number % 60_000 + 1;
            if let Ok(mut stream) = caller(address(number), siege.daemon.port) {
                push(&mut stream, &bytes[..bytes.len() / PIPELINED]);
                open.push(stream);
            }
            if open.len() > 100 {
                open.remove(0);
            }
        });
        number
    });
    siege.has_held(&told);
    has_few_lines(&siege, heartbeat_runtime::limits::ADDRESSES_LOGGED_MAX as usize);
}

/// Real packets over a pair of interfaces rather than loopback: the flood has another network namespace, and comes from one
/// address of it, and then from many.
#[test]
fn a_flood_from_another_network_namespace_harms_nobody_here() {
    let name = format!("hb{}", std::process::id() % 100_000);
    if !geteuid().is_root() {
        return tell_skipped("only root makes network namespaces");
    }
    if !can_run("ip", &["netns", "add", &name]) {
        return;
    }
    let namespace = Namespace(name);
    let Namespace(name) = &namespace;
    let (inside, outside) = (format!("{name}i"), format!("{name}o"));
    let pair = ["link", "add", &outside, "type", "veth", "peer", "name", &inside, "netns", name];
    let is_made = can_run("ip", &pair)
        && can_run("ip", &["address", "add", "198.18.77.1/24", "dev", &outside])
        && can_run("ip", &["link", "set", &outside, "up"])
        && can_run("ip", &["-n", name, "address", "add", "198.18.77.2/24", "dev", &inside])
        && can_run("ip", &["-n", name, "link", "set", &inside, "up"])
        && can_run("ip", &["-n", name, "route", "add", "local", "198.18.77.128/25", "dev", &inside]);
    if is_made {
        under_flood_from(name, 1);
        under_flood_from(name, 100);
    }
}

struct Namespace(String);

impl Drop for Namespace {
    fn drop(&mut self) {
        can_run("ip", &["netns", "delete", &self.0]);
    }
}

fn under_flood_from(namespace: &str, addresses: u32) {
    let siege = Siege::lay_at("198.18.77.1:0", "whitelisted_ips = [\"127.0.0.0/8\", \"198.18.77.0/24\"]\n");
    let told = siege.under(|siege| {
        let [port, time_s, addresses] =
            [siege.daemon.port.to_string(), FLOOD.as_secs().to_string(), addresses.to_string()];
        let mut flood = std::process::Command::new("python3");
        flood.args(["-c", FLOOD_OF_PYTHON, "198.18.77.1", &port, &time_s, &addresses]);
        run_through(&mut flood, "ip", &["netns", "exec", namespace]);
        let flooded = flood.env("PATH", "/usr/local/bin:/usr/bin:/bin").output().expect("run the flood");
        let answers = String::from_utf8_lossy(&flooded.stdout).trim().parse::<u64>();
        assert!(answers.is_ok_and(|answers| answers > 0), "it was answered: {flooded:?}");
    });
    siege.has_held(&told);
}

const FLOOD_OF_PYTHON: &str = "\
import itertools, select, socket, sys, time
sources = itertools.cycle('198.18.77.%d' % (128 + number) for number in range(int(sys.argv[4])))
request = (b'POST /data_flows/heartbeat HTTP/1.1\\r\\nHost: box\\r\\nwebhook-id: x\\r\\nwebhook-timestamp: %d\\r\\n'
           b'webhook-signature: v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\\r\\nContent-Length: 2\\r\\n\\r\\n{}') % time.time()
def connect():
    caller = socket.create_connection((sys.argv[1], int(sys.argv[2])), source_address=(next(sources), 0))
    caller.setblocking(False)
    return caller
callers, end, answers = [connect() for _ in range(60)], time.time() + float(sys.argv[3]), 0
while time.time() < end:
    for number, caller in enumerate(callers):
        try:
            caller.send(request * 20)
        except BlockingIOError:
            pass
        except OSError:
            callers[number] = connect()
    for caller in select.select(callers, [], [], 0)[0]:
        try:
            answers += caller.recv(1 << 20).count(b'HTTP/1.1 4')
        except OSError:
            pass
print(answers)
";
