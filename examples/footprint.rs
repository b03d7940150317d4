//! What a node costs on Linux: CPU time and resident memory of a host, a listener and a node that is in no room.
//!
//! `cargo build --release --bins --examples && target/release/examples/footprint 60` runs the `majlis` program beside it
//! three times on loopback, and prints each process's share of one core over so many seconds and its memory at the end.
//! The listener decodes one speaker into a WAV file. `/proc` is read, so it is for Linux alone.

#![expect(clippy::print_stdout, reason = "printing is what an example is for")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::Value;

/// The unit of `/proc/PID/stat` for programs: Linux shows hundredths of a second on every architecture.
const TICKS_A_SECOND: f64 = 100.0;

/// Starting, joining and filling buffers are over by then.
const SETTLED_AFTER: Duration = Duration::from_secs(5);

fn main() -> anyhow::Result<()> {
    let seconds: u64 = std::env::args().nth(1).map_or(Ok(60), |count| count.parse())?;
    let dir = tempfile::tempdir()?;
    let heard = format!("file:{}", dir.path().join("heard.wav").display());
    let (host, room) = Running::start(
        &dir.path().join("host"),
        &["host", "Footprint", "--input", "tone:440", "--output", "none"],
        "room",
    )?;
    let link = room["link"].as_str().context("a room has a link")?;
    let (listener, _) = Running::start(
        &dir.path().join("listener"),
        &["join", link, "--input", "none", "--output", &heard],
        "joined",
    )?;
    let (idle, _) = Running::start(&dir.path().join("idle"), &["node"], "listening")?;

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

/// A process of the program; it is killed with its handle.
struct Running(Child);

impl Running {
    /// Starts the program beside this example, on loopback alone, and waits for an event of this name.
    fn start(home: &Path, args: &[&str], name: &str) -> anyhow::Result<(Self, Value)> {
        let mut child = Command::new(binary()?)
            .args(args)
            .arg("--home")
            .arg(home)
            .args(["--json", "--mdns", "off"])
            .args([
                "--listen",
                "/ip4/127.0.0.1/udp/0/quic-v1",
                "--listen",
                "/ip4/127.0.0.1/tcp/0",
            ])
            .env_remove("MAJLIS_HOME")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("it was asked to be piped")?;
        let running = Self(child);
        let mut lines = BufReader::new(stdout).lines();
        for line in &mut lines {
            let event: Value = serde_json::from_str(&line?)?;
            if event["event"] == name {
                // Read on, or the program would wait for somebody who does.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok((running, event));
            }
        }
        anyhow::bail!("the program ended before `{name}`")
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.0.id());
        fs::read_to_string(&path).with_context(|| path)
    }

    /// User and system time since its start.
    fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = self.proc("stat")?;
        // The second field is a name in parentheses; user and system time are the 14th and 15th.
        let (_, fields) = stat.rsplit_once(')').context("a name in parentheses")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        Ok(ticks.sum::<Result<f64, _>>()? / TICKS_A_SECOND)
    }

    /// Resident memory, in megabytes of 10^6 bytes.
    fn resident_mb(&self) -> anyhow::Result<f64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line
            .and_then(|line| line.split_whitespace().next())
            .context("VmRSS in kB")?;
        Ok(kib.parse::<f64>()? * 1_024.0 / 1e6)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing left to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The `majlis` program beside this example.
fn binary() -> anyhow::Result<PathBuf> {
    let example = std::env::current_exe()?;
    let name = format!("majlis{}", std::env::consts::EXE_SUFFIX);
    let beside = example.parent().and_then(Path::parent).map(|dir| dir.join(name));
    beside.filter(|path| path.exists()).context(
        "the program is not beside this example; build both: cargo build --release --bins --examples",
    )
}
