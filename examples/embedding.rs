//! A daemon with a flow kind of its own: `cargo run --example embedding -- box/heartbeatd.toml`. docs/embedding.md explains it.

use heartbeat_runtime::flow::{FlowKind, KindFault, Launch, RunContext, Work};
use heartbeat_runtime::{daemon, pipeline, setup};
use std::error::Error;
use std::path::Path;

/// `[copy] from = "…"` and `to = "…"`: copies a file.
pub(crate) struct Copy;

impl FlowKind for Copy {
    fn name(&self) -> &'static str {
        "copy"
    }

    fn check(&self, settings: &serde_json::Value) -> Result<(), KindFault> {
        for key in ["from", "to"] {
            let path = settings[key].as_str().unwrap_or_default();
            if !Path::new(path).is_absolute() {
                return Err(KindFault {
                    key: Some(key.to_owned()),
                    message: "is not an absolute path".to_owned(),
                    help: Some(format!("give one, such as {key} = \"/srv/readings.csv\"")),
                });
            }
        }
        Ok(())
    }

    fn reruns_interrupted(&self) -> bool {
        true
    }

    fn launch(&self, settings: &serde_json::Value, _: &RunContext<'_>) -> Result<Work, String> {
        let path = |key: &str| settings[key].as_str().ok_or(format!("there is no {key}"));
        let argv = ["cp", "--verbose", "--", path("from")?, path("to")?];
        Ok(Work::Process(Box::new(Launch {
            argv: argv.map(str::to_owned).to_vec(),
            environment: vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
            working_directory: "/".into(),
            ..Launch::default()
        })))
    }
}

/// Serves a box until SIGTERM. The addresses for heartbeats are told once it listens.
pub(crate) fn serve(config: &Path, tell: impl FnOnce(&[std::net::SocketAddr])) -> Result<(), Box<dyn Error>> {
    let environment = setup::environment()?;
    let loaded = setup::read_config(config, &environment)?;
    let mut kinds = pipeline::kinds();
    kinds.register(Box::new(Copy));
    let mut daemon = daemon::start(&loaded, &environment, kinds, None)?;
    tell(daemon.addresses());
    daemon.run()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    env_logger::builder().filter_level(log::LevelFilter::Info).init();
    let config = std::env::args_os().nth(1).ok_or("usage: embedding CONFIGURATION")?;
    serve(Path::new(&config), |addresses| log::info!("listening on {addresses:?}"))
}
