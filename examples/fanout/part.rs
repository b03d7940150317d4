//! The other processes: starting one, talking to it in lines, and what it has used.

use std::{fs, io::BufRead as _, process::Stdio, thread, time::Duration};

use anyhow::Context as _;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::mpsc,
    time::timeout,
};

/// How long a process may take for an answer. Five hundred handshakes are the longest.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process of this program. It ends when this is dropped.
pub(crate) struct Part {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Part {
    /// Starts this program again, with these arguments.
    pub(crate) fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdin = child.stdin.take().context("a pipe to it")?;
        let stdout = child.stdout.take().context("a pipe from it")?;
        Ok(Self {
            child,
            stdin,
            lines: BufReader::new(stdout).lines(),
        })
    }

    /// Says a line.
    pub(crate) async fn say(&mut self, line: &str) -> anyhow::Result<()> {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await?;
        Ok(self.stdin.flush().await?)
    }

    /// Hears a line.
    pub(crate) async fn hear(&mut self) -> anyhow::Result<String> {
        let line = timeout(PATIENCE, self.lines.next_line()).await;
        line.context("no answer in time")??.context("it has ended")
    }

    /// Processor time that its threads have used so far, in the program and in the kernel.
    pub(crate) fn processor(&self) -> anyhow::Result<Duration> {
        let mut nanos = 0;
        for task in fs::read_dir(self.proc("task")?)? {
            // A thread may end while this is read.
            if let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) {
                let first = text.split_whitespace().next().context("an empty schedstat")?;
                nanos += first.parse::<u64>()?;
            }
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// Memory that it occupies, in KiB.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(self.proc("status")?)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let words = line.context("no VmRSS")?.split_whitespace().next();
        Ok(words.context("an empty VmRSS")?.parse()?)
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        Ok(format!(
            "/proc/{}/{file}",
            self.child.id().context("it has ended")?
        ))
    }
}

/// The lines that this process hears. A thread reads them, so that waiting for one costs nothing.
pub(crate) fn heard() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                break;
            }
        }
    });
    lines
}
