//! One process of the program on loopback, its events, and what it costs by `/proc`, so on Linux alone.

use std::{
    fs,
    io::{BufRead, BufReader, Lines},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use anyhow::Context as _;
use serde_json::Value;

/// The unit of `/proc/PID/stat` for programs: Linux shows hundredths of a second on every architecture.
const TICKS_A_SECOND: f64 = 100.0;

/// A process of the program; it is killed with its handle.
pub(crate) struct Running {
    child: Child,
    lines: Option<Lines<BufReader<ChildStdout>>>,
}

impl Running {
    /// Starts the program beside this example, on loopback alone.
    pub(crate) fn start(home: &Path, args: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(binary()?)
            .args(args)
            .arg("--home")
            .arg(home)
            .args([
                "--json",
                "--mdns",
                "off",
                "--listen",
                "/ip4/127.0.0.1/udp/0/quic-v1",
                "--listen",
                "/ip4/127.0.0.1/tcp/0",
            ])
            .env_remove("MAJLIS_HOME")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        Ok(Self { child, lines })
    }

    /// Waits for an event of this name.
    pub(crate) fn event(&mut self, name: &str) -> anyhow::Result<Value> {
        self.one_of(&[name])
    }

    /// Waits for an event of one of these names.
    pub(crate) fn one_of(&mut self, names: &[&str]) -> anyhow::Result<Value> {
        let lines = self.lines.as_mut().context("it is read elsewhere")?;
        for line in lines {
            let event: Value = serde_json::from_str(&line?)?;
            if names.iter().any(|name| event["event"] == *name) {
                return Ok(event);
            }
        }
        anyhow::bail!("the program ended before `{}`", names.join("` or `"))
    }

    /// Reads on, or the program would wait for somebody who does.
    pub(crate) fn read_on(&mut self) {
        let lines = self.lines.take();
        std::thread::spawn(move || lines.into_iter().flatten().for_each(drop));
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).with_context(|| path)
    }

    /// User and system time since its start.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let stat = self.proc("stat")?;
        // The second field is a name in parentheses; user and system time are the 14th and 15th.
        let (_, fields) = stat.rsplit_once(')').context("a name in parentheses")?;
        let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
        Ok(ticks.sum::<Result<f64, _>>()? / TICKS_A_SECOND)
    }

    /// Resident memory, in megabytes of 10^6 bytes.
    pub(crate) fn resident_mb(&self) -> anyhow::Result<f64> {
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
        let _ = self.child.kill();
        let _ = self.child.wait();
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
