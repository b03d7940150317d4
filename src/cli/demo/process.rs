//! One process of the demo: this same program, followed by its events.

use std::{collections::BTreeMap, path::Path, process::Stdio, time::Duration};

use serde::Serialize;
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
    /// Its end of every link.
    pub(super) peer: Option<String>,
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
    /// Hops from the root.
    pub(super) depth: u64,
    /// The peer that it takes sound from.
    pub(super) parent: Option<String>,
    /// The peer that would step in.
    pub(super) standby: Option<String>,
    /// Each parent that it turned to since it joined.
    pub(super) moves: Vec<String>,
    /// How many `stats` events there were.
    pub(super) stats: u32,
    /// What it counted last.
    pub(super) counts: Counts,
    /// How often it was held up, as it counted last.
    pub(super) stalls: u64,
    /// Whether all was spoken.
    pub(super) input_ended: bool,
    /// What it counted over all speakers, told at its end.
    pub(super) summary: Option<Counts>,
    /// Whether it says no more.
    pub(super) gone: bool,
}

/// 20 ms frames of all speakers together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    /// Arrived in time.
    pub(super) received: u64,
    /// Sent to it.
    pub(super) expected: u64,
    /// Did not arrive in time.
    pub(super) lost: u64,
    /// Played without data.
    pub(super) concealed: u64,
    /// The longest time without the sound of one speaker, that has ended.
    pub(super) longest_gap_ms: u64,
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

    /// Ends it without a word, as a crash does.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        Ok(self.child.start_kill()?)
    }

    /// What it is called.
    pub(super) fn name(&self) -> &'static str {
        self.name
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
        let named = |name: &str| event[name].as_str().map(str::to_owned);
        let text = |name: &str| named(name).unwrap_or_default();
        match event["event"].as_str().unwrap_or_default() {
            "listening" => {
                self.peer = named("peer");
                self.address = event["addresses"][0].as_str().map(str::to_owned);
            }
            "room" => self.room = Some((text("id"), text("link"))),
            "listing" => {
                self.listings.insert(text("id"), text("link"));
            }
            "joined" => {
                self.join_ms = event["join_ms"].as_u64();
                self.parent = named("parent");
                self.depth = event["depth"].as_u64().unwrap_or_default();
            }
            "parent" => {
                self.parent = named("peer");
                self.depth = event["depth"].as_u64().unwrap_or_default();
                self.moves.extend(self.parent.clone());
            }
            "standby" => self.standby = named("peer"),
            "first_audio" => self.first_audio_ms = event["ms"].as_u64(),
            "stats" => {
                self.stats += 1;
                self.count(event);
            }
            "input_ended" => self.input_ended = true,
            "summary" => {
                self.count(event);
                self.summary = Some(self.counts);
            }
            _ => {}
        }
    }

    fn count(&mut self, stats: &Value) {
        self.counts = Counts::of(stats);
        self.stalls = stats["stalls"].as_u64().unwrap_or_default();
    }
}

impl Counts {
    /// What a `stats` or `summary` event counts.
    fn of(stats: &Value) -> Self {
        let streams = stats["streams"].as_array().into_iter().flatten();
        let mut counts = Self::default();
        for stream in streams {
            let count = |name: &str| stream[name].as_u64().unwrap_or_default();
            counts.received += count("received");
            counts.expected += count("expected");
            counts.lost += count("lost");
            counts.concealed += count("concealed");
            counts.longest_gap_ms = counts.longest_gap_ms.max(count("longest_gap_ms"));
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_process_tells_is_remembered() {
        let mut seen = Seen::default();
        for event in [
            json!({ "event": "listening", "peer": "me", "addresses": ["/ip4/127.0.0.1/tcp/1/p2p/x", "/other"] }),
            json!({ "event": "room", "id": "an id", "link": "a link" }),
            json!({ "event": "listing", "id": "other", "link": "its link" }),
            json!({ "event": "joined", "join_ms": 80, "parent": "host", "depth": 1 }),
            json!({ "event": "standby", "peer": "other" }),
            json!({ "event": "parent", "peer": null, "depth": 0 }),
            json!({ "event": "parent", "peer": "other", "depth": 2 }),
            json!({ "event": "stats", "stalls": 3 }),
            json!({ "event": "summary", "stalls": 4, "streams": [
                { "received": 99, "expected": 100, "lost": 1, "concealed": 2, "longest_gap_ms": 60 },
                { "received": 50, "expected": 50, "lost": 0, "concealed": 0, "longest_gap_ms": 20 },
            ] }),
            json!({ "event": "something newer" }),
        ] {
            seen.learn(&event);
        }
        assert_eq!(seen.address.as_deref(), Some("/ip4/127.0.0.1/tcp/1/p2p/x"));
        assert_eq!(seen.listings["other"], "its link");
        assert_eq!(seen.room, Some(("an id".into(), "a link".into())));
        let counts = Counts {
            received: 149,
            expected: 150,
            lost: 1,
            concealed: 2,
            longest_gap_ms: 60,
        };
        assert_eq!(
            (seen.join_ms, seen.stats, seen.stalls, seen.summary),
            (Some(80), 1, 4, Some(counts))
        );
        assert_eq!(seen.peer.as_deref(), Some("me"));
        assert_eq!((seen.parent.as_deref(), seen.depth), (Some("other"), 2));
        assert_eq!(
            (seen.standby.as_deref(), seen.moves),
            (Some("other"), vec!["other".to_owned()])
        );
        assert!(!seen.input_ended && !seen.gone);
    }
}
