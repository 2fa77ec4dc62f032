//! The least that the machine needs for what the daemon does: loops that check nothing and keep no promise. Each is a
//! process of its own, this program started anew, so that it has a core, memory and CPU time of its own.

mod heartbeat;
mod pipeline;
mod runs;

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::Outcome;
use crate::process::{Core, free_port, on, wait_for};

/// The word that makes this program a bare loop.
pub(crate) const WORD: &str = "bare-loop";

/// What this program does when it is started with [`WORD`].
pub(crate) fn be(arguments: &[String]) -> Outcome<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["heartbeat", address] => heartbeat::serve(address.parse()?),
        ["runs", database, count, at_a_time] => {
            tell(runs::per_second(Path::new(database), count.parse()?, at_a_time.parse()?)?)
        }
        ["pipeline", way, from, to] => tell(pipeline::per_second(way, Path::new(from), Path::new(to))?),
        ["commits", database, count] => tell(runs::ms_per_commit(Path::new(database), count.parse()?)?),
        _ => Err("there is no such bare loop".into()),
    }
}

fn tell(figure: f64) -> Outcome<()> {
    println!("{figure}");
    Ok(())
}

fn command(words: &[&str]) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(WORD).args(words);
    Ok(command)
}

/// Runs one to its end: the figure that it tells.
pub(crate) fn run(core: Core, words: &[&str]) -> Outcome<f64> {
    let mut command = command(words)?;
    let output = on(core, || command.stderr(Stdio::inherit()).output())??;
    if !output.status.success() {
        return Err(format!("the bare loop `{}` failed", words.join(" ")).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
}

/// The loop that answers heartbeats, until it is dropped.
pub(crate) struct Answering {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Answering {
    pub(crate) fn start() -> Outcome<Self> {
        let address = free_port()?;
        let mut command = command(&["heartbeat", &address.to_string()])?;
        let process = on(Core::Measured, || command.spawn())??;
        let answering = Self { process, address };
        wait_for(address, "the bare loop")?;
        Ok(answering)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let _gone_already = self.process.kill();
        let _status = self.process.wait();
    }
}
