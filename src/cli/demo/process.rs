//! One process of the demo: this same program, followed by its events.

use std::{collections::BTreeMap, path::Path, process::Stdio, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    sync::watch,
};

use crate::cli::options::NodeFlags;

/// Longest wait for anything. The speech takes seven seconds; the rest is for machines that are busy.
const LIMIT: Duration = Duration::from_secs(60);

/// A process that ends with this handle.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    /// Its number, to look at it or to kill it.
    pub(super) pid: u32,
    child: Child,
    seen: watch::Receiver<Seen>,
}

/// What a process has told so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Where it listens.
    pub(super) address: Option<String>,
    /// The id and link of the room that it opened.
    pub(super) room: Option<(String, String)>,
    /// The links of the rooms that it listed, by id.
    pub(super) listings: BTreeMap<String, String>,
    /// How long joining took.
    pub(super) join_ms: Option<u64>,
    /// How long it took to the first sound.
    pub(super) first_audio_ms: Option<u64>,
    /// How many `stats` events there were.
    pub(super) stats: u32,
    /// Whether all was spoken.
    pub(super) input_ended: bool,
    /// Frames received, expected and lost over all speakers.
    pub(super) summary: Option<[u64; 3]>,
    /// Whether it says no more.
    pub(super) gone: bool,
}

impl Process {
    /// Starts this program anew with a home of its own, without a word to anything but loopback.
    pub(super) fn start(
        name: &'static str,
        home: &Path,
        flags: &NodeFlags,
        args: &[&str],
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(args)
            .arg("--home")
            .arg(home)
            .args(["--json", "--mdns", "off", "--nick", name]);
        command.args([
            "--listen",
            "/ip4/127.0.0.1/udp/0/quic-v1",
            "--listen",
            "/ip4/127.0.0.1/tcp/0",
        ]);
        if let Some(transport) = flags.transport {
            command.args(["--transport", transport.word()]);
        }
        command.args((0..flags.verbose).map(|_| "-v"));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id().unwrap_or_default();
        let stdout = child.stdout.take();
        let (sender, seen) = watch::channel(Seen::default());
        tokio::spawn(async move {
            if let Some(stdout) = stdout {
                follow(stdout, &sender).await;
            }
            sender.send_modify(|seen| seen.gone = true);
        });
        Ok(Self {
            name,
            pid,
            child,
            seen,
        })
    }

    /// What it has told so far.
    pub(super) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until what it told makes `enough` true.
    pub(super) async fn until(&mut self, what: &str, enough: impl Fn(&Seen) -> bool) -> anyhow::Result<Seen> {
        let waited = tokio::time::timeout(LIMIT, self.seen.wait_for(|seen| enough(seen) || seen.gone)).await;
        let (name, pid) = (self.name, self.pid);
        match waited {
            Ok(Ok(seen)) if enough(&seen) => Ok(seen.clone()),
            Ok(_) => {
                anyhow::bail!("{name} (process {pid}) ended before it was {what}; its own error stands above")
            }
            Err(_) => anyhow::bail!(
                "{name} (process {pid}) was not {what} within {} s",
                LIMIT.as_secs()
            ),
        }
    }

    /// Waits until the process has ended, and ends it where it does not.
    pub(super) async fn ended(&mut self) -> Seen {
        if tokio::time::timeout(LIMIT, self.child.wait()).await.is_err() {
            // It ends with the handle; what it did not say is not heard.
            tracing::warn!(
                name = self.name,
                pid = self.pid,
                "a process of the demo does not end"
            );
        }
        // Its last words may still be in the pipe.
        let _ = self.until("gone", |seen| seen.gone).await;
        self.seen()
    }
}

/// Reads events until the process says no more.
async fn follow(stdout: ChildStdout, seen: &watch::Sender<Seen>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(event) => seen.send_modify(|seen| seen.learn(&event)),
            Err(error) => tracing::warn!(%error, "a process of the demo printed what is no event"),
        }
    }
}

impl Seen {
    /// Takes what an event says.
    fn learn(&mut self, event: &Value) {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        match event["event"].as_str().unwrap_or_default() {
            "listening" => self.address = event["addresses"][0].as_str().map(str::to_owned),
            "room" => self.room = Some((text("id"), text("link"))),
            "listing" => {
                self.listings.insert(text("id"), text("link"));
            }
            "joined" => self.join_ms = event["join_ms"].as_u64(),
            "first_audio" => self.first_audio_ms = event["ms"].as_u64(),
            "stats" => self.stats += 1,
            "input_ended" => self.input_ended = true,
            "summary" => self.summary = Some(totals(event)),
            _ => {}
        }
    }
}

/// Frames received, expected and lost over all streams of a summary.
fn totals(summary: &Value) -> [u64; 3] {
    let streams = || summary["streams"].as_array().into_iter().flatten();
    ["received", "expected", "lost"].map(|name| streams().filter_map(|stream| stream[name].as_u64()).sum())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_process_tells_is_remembered() {
        let mut seen = Seen::default();
        for event in [
            json!({ "event": "listening", "addresses": ["/ip4/127.0.0.1/tcp/1/p2p/x", "/other"] }),
            json!({ "event": "room", "id": "an id", "link": "a link" }),
            json!({ "event": "listing", "id": "other", "link": "its link" }),
            json!({ "event": "joined", "join_ms": 80 }),
            json!({ "event": "stats" }),
            json!({ "event": "summary", "streams": [
                { "received": 99, "expected": 100, "lost": 1 },
                { "received": 50, "expected": 50, "lost": 0 },
            ] }),
            json!({ "event": "something newer" }),
        ] {
            seen.learn(&event);
        }
        assert_eq!(seen.address.as_deref(), Some("/ip4/127.0.0.1/tcp/1/p2p/x"));
        assert_eq!(seen.listings["other"], "its link");
        assert_eq!(seen.room, Some(("an id".into(), "a link".into())));
        assert_eq!(
            (seen.join_ms, seen.stats, seen.summary),
            (Some(80), 1, Some([149, 150, 1]))
        );
        assert!(!seen.input_ended && !seen.gone);
    }
}
