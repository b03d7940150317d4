//! Everyone in the room: starts them, takes them away, and keeps the [`Scene`] as their events come in.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use majlis::api::{Act, Client, Mic};
use majlis_protocol::link::RoomLink;
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};

use super::{
    node::Listener,
    process::{self, Process},
    scene::{Part, Scene},
};

/// Events of all members that wait to be taken in, which takes microseconds each.
const EVENTS: usize = 1_024;

/// Longest wait for what takes a second on a machine that has nothing else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// No room has so many listeners: an input that waits for them starts when its owner says so.
const NEVER: &str = "1000000";

/// Everyone in the room; they end with this.
#[derive(Debug)]
pub(crate) struct Cast {
    homes: TempDir,
    fan_out: u32,
    /// The bad network that each plays, without its seed.
    network: Option<String>,
    seed: u64,
    started: u64,
    processes: BTreeMap<String, Process>,
    nodes: BTreeMap<String, Listener>,
    news: mpsc::Sender<News>,
    scene: watch::Receiver<Scene>,
}

/// What a member tells.
#[derive(Debug)]
enum News {
    Started {
        name: String,
        part: Part,
        pid: Option<u32>,
    },
    Event {
        name: String,
        event: Value,
    },
    Struck {
        name: String,
        at_ms: u64,
    },
    Silent {
        name: String,
    },
}

/// Where one member's events go.
#[derive(Debug, Clone)]
pub(crate) struct Teller {
    name: String,
    news: mpsc::Sender<News>,
}

impl Teller {
    /// Tells an event; whether anybody still listens.
    pub(crate) async fn tell(&self, event: Value) -> bool {
        let name = self.name.clone();
        self.news.send(News::Event { name, event }).await.is_ok()
    }

    /// Tells that there will be no more.
    pub(crate) async fn fall_silent(&self) {
        let name = self.name.clone();
        // Nobody may listen any more.
        let _ = self.news.send(News::Silent { name }).await;
    }
}

impl Cast {
    /// Nobody yet. Each will take `fan_out` children, on the network that `network` describes.
    pub(crate) fn new(fan_out: u32, network: Option<String>, seed: u64) -> anyhow::Result<Self> {
        let (news, mut arriving) = mpsc::channel(EVENTS);
        let (shown, scene) = watch::channel(Scene::default());
        tokio::spawn(async move {
            while let Some(news) = arriving.recv().await {
                shown.send_modify(|scene| match news {
                    News::Started { name, part, pid } => scene.add(&name, part, pid),
                    News::Event { name, event } => scene.learn(&name, &event),
                    News::Struck { name, at_ms } => scene.strike(&name, at_ms),
                    News::Silent { name } => scene.gone(&name),
                });
            }
        });
        Ok(Self {
            homes: tempfile::Builder::new().prefix("majlis-live-").tempdir()?,
            fan_out,
            network,
            seed,
            started: 0,
            processes: BTreeMap::new(),
            nodes: BTreeMap::new(),
            news,
            scene,
        })
    }

    /// The room as it is now.
    pub(crate) fn scene(&self) -> watch::Ref<'_, Scene> {
        self.scene.borrow()
    }

    /// Waits until the room is as it should be; whether that came to be in time.
    pub(crate) async fn until(&mut self, limit: Duration, enough: impl Fn(&Scene) -> bool) -> bool {
        let waiting = self.scene.wait_for(|scene| enough(scene));
        tokio::time::timeout(limit, waiting)
            .await
            .is_ok_and(|seen| seen.is_ok())
    }

    /// The same for what must come, or there is no point in going on.
    pub(crate) async fn must(&mut self, what: &str, enough: impl Fn(&Scene) -> bool) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.until(PATIENCE, enough).await,
            "{what}: not within {PATIENCE:?}"
        );
        Ok(())
    }

    /// Starts the host with something to say once [`Cast::speak`] is called; the room's link.
    pub(crate) async fn open(&mut self, input: &str) -> anyhow::Result<RoomLink> {
        let args = [
            "host",
            "Failover",
            "--visibility",
            "unlisted",
            "--wait-listeners",
            NEVER,
        ];
        self.process("host", Part::Host, &[&args[..], &speaking(input)].concat())
            .await?;
        let opened = |scene: &Scene| scene.member("host").is_some_and(|host| host.room.is_some());
        self.must("the room is open", opened).await?;
        let room = self.scene().member("host").and_then(|host| host.room.clone());
        let (_, link) = room.unwrap_or_default();
        Ok(link.parse()?)
    }

    /// Starts a process that joins, and waits until it has a place.
    pub(crate) async fn relay(&mut self, name: &str, link: &RoomLink) -> anyhow::Result<()> {
        let link = link.to_string();
        self.process(name, Part::Relay, &["join", &link, "--input", "none"])
            .await?;
        self.joined(name).await
    }

    /// Starts a process that joins, and gives it the stage; it says something once [`Cast::speak`] is called.
    pub(crate) async fn speaker(&mut self, name: &str, link: &RoomLink, input: &str) -> anyhow::Result<()> {
        let link = link.to_string();
        // Whoever is not the root starts to speak with the stage; here the owner says when.
        self.process(
            name,
            Part::Speaker,
            &[&["join", &link][..], &speaking(input)].concat(),
        )
        .await?;
        self.joined(name).await?;
        let key = self.scene().member(name).and_then(|member| member.key.clone());
        self.act(
            "host",
            &Act::Invite {
                key: key.unwrap_or_default(),
            },
        )
        .await?;
        let invited = |scene: &Scene| {
            let log = scene.member(name).map(|member| &member.log);
            log.is_some_and(|log| log.iter().any(|action| action == "invite"))
        };
        self.must("the invitation has come", invited).await?;
        self.act(name, &Act::Accept).await?;
        self.speak(name, false).await
    }

    /// Starts a node inside this process, and waits until it has a place.
    pub(crate) async fn node(&mut self, name: &str, link: &RoomLink) -> anyhow::Result<()> {
        let (home, network) = (self.home(name)?, self.next_network());
        let teller = self.introduce(name, Part::Node, None).await;
        let listener = Listener::join(&home, link, self.fan_out, network.as_deref(), teller).await?;
        self.nodes.insert(name.to_owned(), listener);
        self.joined(name).await
    }

    /// Opens or closes what a process says.
    pub(crate) async fn speak(&self, name: &str, on: bool) -> anyhow::Result<()> {
        self.post(name, "mic", &Mic { on }).await
    }

    /// Takes a process away: without a word, or so that it can say goodbye. When that was, in Unix milliseconds.
    pub(crate) async fn strike(&mut self, name: &str, gracefully: bool) -> anyhow::Result<u64> {
        let process = self.processes.get_mut(name);
        let process = process.ok_or_else(|| anyhow::anyhow!("{name} is no process"))?;
        let at_ms = now_ms();
        if gracefully {
            process.interrupt().await?;
        } else {
            process.kill()?;
        }
        let name = name.to_owned();
        self.news.send(News::Struck { name, at_ms }).await?;
        Ok(at_ms)
    }

    /// Ends everyone, the nodes with goodbyes.
    pub(crate) async fn close(mut self) {
        for process in self.processes.values_mut() {
            // It may have ended before.
            let _ = process.kill();
            process.ended().await;
        }
        let nodes = std::mem::take(&mut self.nodes);
        let closing = nodes
            .into_values()
            .map(|listener| async move { listener.node.shutdown().await });
        futures::future::join_all(closing).await;
    }

    async fn process(&mut self, name: &str, part: Part, args: &[&str]) -> anyhow::Result<()> {
        let (home, network) = (self.home(name)?, self.next_network());
        let places = self.fan_out.to_string();
        let args = [args, &["--max-children", &places, "--nick", name]].concat();
        let (process, stdout) = Process::start(&home, &args, network.as_deref())?;
        let teller = self.introduce(name, part, Some(process.pid)).await;
        tokio::spawn(process::follow(stdout, teller));
        self.processes.insert(name.to_owned(), process);
        Ok(())
    }

    async fn introduce(&self, name: &str, part: Part, pid: Option<u32>) -> Teller {
        let name = name.to_owned();
        let started = News::Started {
            name: name.clone(),
            part,
            pid,
        };
        // The other end lives as long as this.
        let _ = self.news.send(started).await;
        Teller {
            name,
            news: self.news.clone(),
        }
    }

    async fn joined(&mut self, name: &str) -> anyhow::Result<()> {
        let is_over = |scene: &Scene| {
            let member = scene.member(name);
            member.is_some_and(|member| member.key.is_some() || member.left.is_some())
        };
        self.must(&format!("{name} has a place"), is_over).await?;
        let here = self.scene().member(name).is_some_and(|member| member.is_here());
        anyhow::ensure!(here, "{name} was not let in");
        Ok(())
    }

    async fn act(&self, name: &str, act: &Act) -> anyhow::Result<()> {
        self.post(name, "act", act).await
    }

    async fn post(&self, name: &str, what: &str, body: &impl Serialize) -> anyhow::Result<()> {
        let room = self.scene().member("host").and_then(|host| host.room.clone());
        let (id, _) = room.unwrap_or_default();
        let client = Client::of(&self.homes.path().join(name))?;
        client.post(&format!("/v1/room/{id}/{what}"), body).await?;
        Ok(())
    }

    fn home(&self, name: &str) -> anyhow::Result<PathBuf> {
        let home = self.homes.path().join(name);
        std::fs::create_dir_all(&home)?;
        Ok(home)
    }

    /// The bad network of the next member: the same for all but for the pattern.
    fn next_network(&mut self) -> Option<String> {
        self.started += 1;
        let seed = self.seed.wrapping_mul(10_000).wrapping_add(self.started);
        self.network
            .as_ref()
            .map(|network| format!("{network},seed={seed}"))
    }
}

/// Unix milliseconds by this machine's clock, as events have them.
pub(crate) fn now_ms() -> u64 {
    majlis::clock::unix_millis()
}

/// The options of who speaks: a file over and over.
fn speaking(input: &str) -> Vec<&str> {
    let mut options = vec!["--input", input];
    if input.starts_with("file:") {
        options.push("--loop");
    }
    options
}
