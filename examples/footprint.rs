//! What a node costs on Linux: CPU time and resident memory of a host, a listener and a node that is in no room.
//!
//! `cargo build --release --bins --examples && target/release/examples/footprint 60` runs the `majlis` program beside it
//! three times on loopback, and prints each process's share of one core over so many seconds and its memory at the end.
//! The listener decodes one speaker into a WAV file. `/proc` is read, so it is for Linux alone.

#![expect(clippy::print_stdout, reason = "printing is what an example is for")]

mod measured;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use measured::Running;
use serde_json::Value;

/// Starting, joining and filling buffers are over by then.
const SETTLED_AFTER: Duration = Duration::from_secs(5);

fn main() -> anyhow::Result<()> {
    let seconds: u64 = std::env::args().nth(1).map_or(Ok(60), |count| count.parse())?;
    let dir = tempfile::tempdir()?;
    let heard = format!("file:{}", dir.path().join("heard.wav").display());
    let (host, room) = start(
        &dir.path().join("host"),
        &["host", "Footprint", "--input", "tone:440", "--output", "none"],
        "room",
    )?;
    let link = room["link"].as_str().context("a room has a link")?;
    let (listener, _) = start(
        &dir.path().join("listener"),
        &["join", link, "--input", "none", "--output", &heard],
        "joined",
    )?;
    let (idle, _) = start(&dir.path().join("idle"), &["node"], "listening")?;

    std::thread::sleep(SETTLED_AFTER);
    let nodes = [("host", &host), ("listener", &listener), ("idle node", &idle)];
    let started = Instant::now();
    let before = nodes.map(|(_, node)| node.cpu_seconds());
    std::thread::sleep(Duration::from_secs(seconds));
    let elapsed = started.elapsed().as_secs_f64();
    for ((name, node), before) in nodes.into_iter().zip(before) {
        let share = (node.cpu_seconds()? - before?) / elapsed * 100.0;
        println!(
            "{name}: {share:.2} % of a core over {elapsed:.0} s, {:.1} MB resident",
            node.resident_mb()?
        );
    }
    Ok(())
}

/// Starts the program, and waits for an event of this name.
fn start(home: &Path, args: &[&str], name: &str) -> anyhow::Result<(Running, Value)> {
    let mut running = Running::start(home, args)?;
    let event = running.event(name)?;
    running.read_on();
    Ok((running, event))
}
