//! One host and five listeners, each a process of its own and each on another way: what is said is what is heard,
//! sample for sample.
//!
//! Two of them have no link. They know one peer each, made from libp2p alone, of which the one speaks Kademlia and the
//! other gossip: the room can come to them by no other way. Two join while the host speaks, and are judged from their
//! first frame on.

use std::path::{Path, PathBuf};

use libp2p::{Multiaddr, PeerId, gossipsub, kad, multiaddr::Protocol, swarm::SwarmEvent};
use majlis_protocol::link::RoomLink;
use serde_json::Value;
use tokio::task::JoinSet;

use super::program::{Running, community, host, id_of, succeeds};
use crate::support::{
    ear,
    nodes::{Run, in_real_time},
    stock::{self, StockEvent},
};

/// Seconds of speech: enough that who comes while the host speaks hears most of it.
const SECONDS: usize = 8;

const QUIC4: &str = "/ip4/127.0.0.1/udp/0/quic-v1";
const QUIC6: &str = "/ip6/::1/udp/0/quic-v1";
const TCP4: &str = "/ip4/127.0.0.1/tcp/0";

/// A process that listens, and what it hears.
struct Listener {
    way: &'static str,
    process: Running,
    wav: PathBuf,
    /// Whether it came while the host spoke.
    late: bool,
    /// The sequence of the first frame that it played.
    first: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn whichever_way_they_came_all_hear_every_sample() {
    in_real_time(one_run).await;
}

async fn one_run() -> Run {
    let homes = tempfile::tempdir().expect("a directory");
    let homes = homes.path();
    let said = homes.join("said.wav");
    let samples = ear::clip(&ear::speech()[0], SECONDS, &said);

    let mut strangers = JoinSet::new();
    let (_node, meeting) = community(&homes.join("node"));
    let mut list = list_through_gossip(&homes.join("list"), &meeting, &mut strangers).await;
    let input = format!("file:{}", said.display());
    let mut words = vec![
        "--input",
        &input,
        "--wait-listeners",
        "3",
        "--bootstrap",
        &meeting,
    ];
    for address in [QUIC4, TCP4, QUIC6] {
        words.extend(["--listen", address]);
    }
    let (mut host, link) = host(&homes.join("host"), &words);
    let listed = list.until_that("listing", |event| event["id"] == id_of(&link));
    drop(list);
    let listed = listed["link"].as_str().expect("a link");
    let by_id = [
        id_of(&link),
        "--bootstrap",
        &through_the_dht(&link, &meeting, &mut strangers).await,
    ];

    let way = |beginning| only(&link, beginning);
    let (quic4, quic6, tcp4) = (
        way("/ip4/127.0.0.1/udp/"),
        way("/ip6/::1/udp/"),
        way("/ip4/127.0.0.1/tcp/"),
    );
    let mut listeners = vec![
        Listener::start(homes, "by-link", &[&quic4, "--listen", QUIC4]),
        Listener::start(homes, "by-id", &[&by_id[..], &["--listen", QUIC4]].concat()),
        Listener::start(homes, "from-the-list", &[listed, "--listen", QUIC4]),
    ];
    listeners.iter_mut().for_each(Listener::hears);
    listeners.extend([
        Listener::start(homes, "over-ipv6", &[&quic6, "--listen", QUIC6]),
        Listener::start(
            homes,
            "over-tcp",
            &[&tcp4, "--transport", "tcp", "--listen", TCP4],
        ),
    ]);
    for late in &mut listeners[3..] {
        late.late = true;
        late.hears();
    }
    #[cfg(target_os = "linux")]
    assert_eq!(udp_sockets(listeners[4].process.pid()), 0, "TCP alone");

    let packets = ear::encode(&samples);
    host.until("input_ended");
    for listener in &mut listeners {
        listener.process.settle((packets.len() - listener.first) as u64);
    }
    // The end of the room plays out what has arrived.
    succeeds(&homes.join("host"), &["ctl", "end"]);
    verdict(host, listeners, &packets)
}

impl Listener {
    /// Starts to join as `how` says.
    fn start(homes: &Path, way: &'static str, how: &[&str]) -> Self {
        let home = homes.join(way);
        let wav = home.with_extension("wav");
        let output = format!("file:{}", wav.display());
        // Levelled it would be another sound than the one that was said.
        let seat = ["--input", "none", "--output", &output, "--leveling", "off"];
        let process = Running::start(&home, &[&["join"], how, &seat].concat());
        Self {
            way,
            process,
            wav,
            late: false,
            first: 0,
        }
    }

    /// Waits for the first sound.
    fn hears(&mut self) {
        self.process.until("joined");
        let first = self.process.until("first_audio");
        self.first = usize::try_from(first["seq"].as_u64().expect("a number")).expect("small");
    }

    /// Whether nothing was missing, and all was heard as it was said.
    fn judge(&self, packets: &[Vec<u8>], summary: &Value) -> Result<(), String> {
        if self.late != (self.first > 0) {
            return Err(format!("its first frame was {}", self.first));
        }
        let due = (packets.len() - self.first) as u64;
        let stream = &summary["streams"][0];
        let counts = ["received", "expected", "lost", "fec", "concealed"].map(|name| stream[name].as_u64());
        if counts != [due, due, 0, 0, 0].map(Some) {
            return Err(format!("{due} frames were due from {} on: {stream}", self.first));
        }
        let reference = ear::decode(&packets[self.first..]);
        ear::judge(&reference, &ear::read(&self.wav))
    }
}

/// Ends all, and says how well each heard.
fn verdict(mut host: Running, listeners: Vec<Listener>, packets: &[Vec<u8>]) -> Run {
    let mut stalls = summary(&mut host)["stalls"].as_u64().expect("a number");
    let mut bad = Vec::new();
    for mut listener in listeners {
        let summary = summary(&mut listener.process);
        stalls += summary["stalls"].as_u64().expect("a number");
        match listener.judge(packets, &summary) {
            Ok(()) => println!("{}: all from frame {} on", listener.way, listener.first),
            Err(why) => bad.push(format!("{}: {why}", listener.way)),
        }
    }
    if bad.is_empty() {
        return Run::Good;
    }
    Run::Bad {
        why: bad.join("; "),
        stalls,
    }
}

/// The totals of a process that has come to its end.
fn summary(process: &mut Running) -> Value {
    let (code, rest, said) = process.finish();
    assert_eq!(code, Some(0), "{said}");
    rest.last().expect("a summary").clone()
}

/// Starts `majlis rooms` beside a peer that passes on gossip and answers no question about rooms. It knows nobody else,
/// and asks before there is a room.
async fn list_through_gossip(home: &Path, meeting: &str, strangers: &mut JoinSet<()>) -> Running {
    let mut stock = stock::quic();
    stock.behaviour_mut().follow_rooms();
    let address = stock::listen(&mut stock, QUIC4).await.to_string();
    let list = Running::start(home, &["rooms", "--watch", "--bootstrap", &address]);
    stock.dial(split(meeting).0).expect("an address");
    let mut neighbours = 0;
    stock::event(&mut stock, |_, event| {
        let subscribed = matches!(
            event,
            SwarmEvent::Behaviour(StockEvent::Gossip(gossipsub::Event::Subscribed { .. }))
        );
        neighbours += u32::from(subscribed);
        (neighbours == 2).then_some(())
    })
    .await;
    strangers.spawn(stock::run(stock));
    list
}

/// The address of a peer that speaks Kademlia and follows no gossip. It knows the community node, in whose DHT the
/// room's host is found.
async fn through_the_dht(link: &str, meeting: &str, strangers: &mut JoinSet<()>) -> String {
    let mut stock = stock::quic();
    let address = stock::listen(&mut stock, QUIC4).await.to_string();
    let (bare, node) = split(meeting);
    let kad = &mut stock.behaviour_mut().kad;
    kad.set_mode(Some(kad::Mode::Server));
    kad.add_address(&node, bare);
    let link: RoomLink = link.parse().expect("a link");
    let host = split(link.via[0].as_str()).1;
    while !stock::providers(&mut stock, link.room.key())
        .await
        .contains(&host)
    {}
    strangers.spawn(stock::run(stock));
    address
}

/// The link with those of its addresses alone that begin so.
fn only(link: &str, beginning: &str) -> String {
    let mut link: RoomLink = link.parse().expect("a link");
    link.via.retain(|via| via.as_str().starts_with(beginning));
    assert_eq!(link.via.len(), 1, "the host has told it");
    link.to_string()
}

/// An address and the peer that it ends in.
fn split(address: &str) -> (Multiaddr, PeerId) {
    let mut address: Multiaddr = address.parse().expect("an address");
    match address.pop() {
        Some(Protocol::P2p(peer)) => (address, peer),
        other => panic!("{address} ends in {other:?}"),
    }
}

/// How many UDP sockets a process holds.
#[cfg(target_os = "linux")]
fn udp_sockets(pid: u32) -> usize {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
    let files = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
    let held: Vec<String> = files.map(|file| file.display().to_string()).collect();
    let table = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/net/{name}")).expect("it runs");
    let tables = [table("udp"), table("udp6")].concat();
    let inodes = tables.lines().filter_map(|line| line.split_whitespace().nth(9));
    inodes
        .filter(|inode| held.contains(&format!("socket:[{inode}]")))
        .count()
}
