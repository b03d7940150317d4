//! One process of the program, followed by its events; it is killed with its handle.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
};

use super::cast::Teller;

/// A running process.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: u32,
    child: Child,
}

/// The `majlis` program beside this example.
pub(crate) fn binary() -> anyhow::Result<PathBuf> {
    let example = std::env::current_exe()?;
    let name = format!("majlis{}", std::env::consts::EXE_SUFFIX);
    let beside = example.parent().and_then(Path::parent).map(|dir| dir.join(name));
    beside.filter(|path| path.exists()).ok_or_else(|| {
        anyhow::anyhow!("the program is not beside this example; build both: cargo build --features testlink --bins --examples")
    })
}

impl Process {
    /// Starts the program with a home of its own, on loopback alone. `network` is the bad network it plays.
    pub(crate) fn start(
        home: &Path,
        args: &[&str],
        network: Option<&str>,
    ) -> anyhow::Result<(Self, ChildStdout)> {
        let mut command = Command::new(binary()?);
        command
            .args(args)
            .arg("--home")
            .arg(home)
            .args(["--json", "--mdns", "off", "--transport", "quic"])
            .args(["--listen", "/ip4/127.0.0.1/udp/0/quic-v1", "--output", "none"])
            .env_remove("MAJLIS_HOME")
            .env_remove("MAJLIS_TESTLINK")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        if let Some(network) = network {
            command.env("MAJLIS_TESTLINK", network);
        }
        let mut child = command.spawn()?;
        let pid = child.id().unwrap_or_default();
        let stdout = child.stdout.take().expect("it was asked to be piped");
        Ok((Self { pid, child }, stdout))
    }

    /// Ends it without a word, as a crash does.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.start_kill()?)
    }

    /// Asks it to leave, as Ctrl-C does.
    pub(crate) async fn interrupt(&self) -> anyhow::Result<()> {
        let pid = self.pid.to_string();
        let status = Command::new("kill").args(["-s", "INT", &pid]).status().await?;
        anyhow::ensure!(status.success(), "process {pid} takes no signal");
        Ok(())
    }

    /// Waits until it has ended.
    pub(crate) async fn ended(&mut self) {
        // It is our own child: there is an end to wait for.
        let _ = self.child.wait().await;
    }
}

/// Reads events until the process says no more.
pub(crate) async fn follow(stdout: ChildStdout, teller: Teller) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(event) = serde_json::from_str::<Value>(&line)
            && !teller.tell(event).await
        {
            return;
        }
    }
    teller.fall_silent().await;
}
