//! The library as another program uses it: its own flow kind, its own server, on a kernel without pidfds.

use heartbeat_runtime::auth::{Allowlist, Keyring, Secret};
use heartbeat_runtime::config::{Config, Durability, FlowContext, parse_flow};
use heartbeat_runtime::flow::{FlowKind, KindFault, Kinds, Launch, RunContext, Work};
use heartbeat_runtime::gate::Gate;
use heartbeat_runtime::runtime::{HistorySettings, Runtime, Settings};
use heartbeat_runtime::server::{self, Listeners, Options, Server};
use heartbeat_runtime::store::{RunId, Store};
use heartbeat_runtime::time::{Monotonic, Now, Zones};
use heartbeat_runtime::{cli, pipeline};
use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

/// `[greeting] to = "…"`: what it prints is up to the embedding program.
struct Greeting;

impl FlowKind for Greeting {
    fn name(&self) -> &'static str {
        "greeting"
    }

    fn check(&self, settings: &serde_json::Value) -> Result<(), KindFault> {
        settings["to"]
            .as_str()
            .map(drop)
            .ok_or_else(|| "[greeting] to names somebody: to = \"world\"".to_owned().into())
    }

    fn launch(&self, settings: &serde_json::Value, run: &RunContext<'_>) -> Result<Work, String> {
        let to = settings["to"].as_str().unwrap_or_default();
        Ok(Work::Process(Box::new(Launch {
            argv: vec!["/bin/echo".to_owned(), format!("hello {to}, run {}", run.run_id)],
            working_directory: "/".into(),
            ..Launch::default()
        })))
    }
}

fn kinds() -> Kinds {
    let mut kinds = Kinds::default();
    kinds.register(Box::new(Greeting));
    kinds
}

fn serve(folder: &Path, secret: Secret, flow: &str) -> Result<(SocketAddr, Server), Box<dyn Error>> {
    let config = Config::defaults(folder);
    let now = Now { wall: server::now(), monotonic: Monotonic::since_start(Duration::ZERO) };
    let store = Store::open(&folder.join("heartbeat.db"), Durability::Full, 1, now.wall)?;
    let settings = Settings {
        max_concurrent_runs: 2,
        max_claims_per_heartbeat: 10,
        kill_grace: Duration::from_secs(1),
        shutdown_timeout: Duration::from_secs(1),
        wait_max: Duration::from_secs(10),
        waiters_max: 8,
        internal_heartbeat: None,
        history: HistorySettings::default(),
    };
    let (zones, hasher) = (Zones::utc_only(), std::hash::RandomState::new());
    let mut runtime = Runtime::open(store, settings, kinds(), zones, hasher, &|_| false, now)?;
    let kinds = kinds();
    let zones = Zones::utc_only();
    let context = FlowContext { kinds: &kinds, zones: &zones, working_directory: folder };
    let definition = parse_flow(flow, &folder.join("hello.toml"), &context)?;
    runtime.follow_flow_files(&[definition], &[], now)?;
    let keyring = Keyring::of_default_agent(vec![secret], None, Duration::from_secs(300))?;
    let gate = Gate::new("/beat".to_owned(), keyring, None, Allowlist::default(), 30);
    let listeners = Listeners::bind(&["127.0.0.1:0".parse()?])?;
    let address = listeners.addresses()[0];
    let options = Options {
        limits: config.limits,
        output_bytes: 1024,
        kill_grace: Duration::from_secs(1),
        use_pidfd: false,
    };
    Ok((address, Server::new(listeners, runtime, gate, options)?))
}

fn beat(address: SocketAddr, secret: &Secret) -> Result<String, Box<dyn Error>> {
    let timestamp_s = server::now().as_seconds();
    let signature = secret.sign("msg_1", timestamp_s, b"");
    let mut stream = TcpStream::connect(address)?;
    write!(
        stream,
        "POST /beat HTTP/1.1\r\nHost: box\r\nContent-Length: 0\r\nConnection: close\r\nPrefer: wait=10\r\n\
         webhook-id: msg_1\r\nwebhook-timestamp: {timestamp_s}\r\nwebhook-signature: {signature}\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn a_program_runs_flows_of_its_own_kind_also_where_exits_come_by_sigchld() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("heartbeat-embedding-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let flow = "run_interval = \"1h\"\n[greeting]\nto = \"world\"\n";
    let (key, _) = Secret::generate(&[7; 32]);
    let secret = || Secret::parse_line(&key).map(|secret| secret.ok_or("a line with a secret"));
    let (address, mut server) = serve(&folder, secret()??, flow)?;
    let secret = secret()??;
    let caller = std::thread::spawn(move || {
        let answer = beat(address, &secret).map_err(|error| error.to_string());
        // The server runs in this process: what ends it is what ends a daemon.
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).ok();
        answer
    });
    server.run()?;
    let answer = caller.join().map_err(|_| "the caller's thread panicked")??;
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.contains(r#""status":"success""#), "{answer}");
    drop(server);
    let run =
        Store::open_to_read(&folder.join("heartbeat.db"))?.run(RunId(1))?.ok_or("the run is on record")?;
    assert_eq!(run.output.as_deref(), Some("hello world, run 1\n"));
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

#[test]
fn a_flow_file_of_its_own_kind_is_judged_by_the_kind() {
    let kinds = kinds();
    let zones = Zones::utc_only();
    let context = FlowContext { kinds: &kinds, zones: &zones, working_directory: Path::new("/") };
    let faults = parse_flow("run_interval = \"1h\"\n[greeting]\n", Path::new("/flows/hello.toml"), &context);
    let text = faults.map(|_| String::new()).unwrap_or_else(|faults| faults.to_string());
    assert!(text.contains("hello.toml:2") && text.contains("to names somebody"), "{text}");
}

#[test]
fn the_commands_of_such_a_program_know_its_kind() {
    let file = std::env::temp_dir().join(format!("heartbeat-embedding-{}.toml", std::process::id()));
    std::fs::write(&file, "run_interval = \"1h\"\n[greeting]\nto = \"world\"\n").expect("write the flow");
    let check = |kinds| cli::run(["it".into(), "check".into(), file.clone().into_os_string()], kinds);
    assert_eq!((check(kinds()), check(pipeline::kinds())), (0, 78));
    std::fs::remove_file(&file).expect("remove the flow");
}
