//! Two machines on one cable and nothing else: network namespaces joined by a pair of virtual cards.
//!
//! Each end is this test binary again, run inside its namespace as an ignored test that does one end's part.
//! Needs root and iproute2 on Linux; elsewhere it says that it was skipped.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use super::{
    rooms::{Room, until_listed},
    *,
};

/// What an end is told: `host` or `guest`.
const PART: &str = "MAJLIS_TEST_LAN";

/// Two namespaces and the cable between them; taken away when dropped.
struct Cable {
    names: [String; 2],
}

impl Cable {
    /// Lays a cable whose ends have these addresses.
    fn laid(tag: &str, addresses: [&str; 2]) -> Self {
        let cable = Self {
            names: ["a", "b"].map(|end| format!("majlis-{tag}-{}-{end}", std::process::id())),
        };
        let [a, b] = &cable.names;
        for name in [a, b] {
            ip(&["netns", "add", name]);
        }
        // The cards are made inside, so that their names collide with nobody's.
        ip(&[
            "-n", a, "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", b,
        ]);
        for (name, address) in [(a, addresses[0]), (b, addresses[1])] {
            ip(&["-n", name, "link", "set", "lo", "up"]);
            // Without waiting for duplicate address detection, a second in which IPv6 cannot be bound.
            ip(&["-n", name, "address", "add", address, "dev", "cable", "nodad"]);
            ip(&["-n", name, "link", "set", "cable", "up"]);
            ip(&["-n", name, "route", "add", "default", "dev", "cable"]);
        }
        cable
    }

    /// Runs one end's part inside its namespace.
    fn run(&self, end: usize, part: &str) -> Child {
        let this = std::env::current_exe().expect("a test binary");
        Command::new("ip")
            .args(["netns", "exec", &self.names[end]])
            .arg(this)
            .args(["net::lan::one_end", "--exact", "--ignored", "--nocapture"])
            .env(PART, part)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("ip runs")
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("ip runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments:?}: {error}");
}

/// Whether this machine can have namespaces; as root on Linux it must.
fn can_have_namespaces() -> bool {
    let is_root = Command::new("id").arg("-u").output();
    let is_root = is_root.is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    if cfg!(target_os = "linux") && is_root {
        return true;
    }
    println!("skipped: namespaces need root on Linux");
    false
}

/// Waits for a line of an end's output. What is returned keeps the end's output open.
fn wait_for(end: &mut Child, wanted: &str) -> impl Sized + use<> {
    let output = end.stdout.take().expect("piped");
    let mut lines = BufReader::new(output).lines();
    let mut read = lines.by_ref().map_while(Result::ok);
    let found = read.find(|line| line.contains(wanted));
    println!("{}", found.expect("the other end says what is waited for"));
    lines
}

fn find_each_other(tag: &str, addresses: [&str; 2]) {
    if !can_have_namespaces() {
        return;
    }
    let cable = Cable::laid(tag, addresses);
    let mut host = cable.run(0, "host");
    let mut guest = cable.run(1, "guest");
    let _output = wait_for(&mut guest, "listed after");
    // The host waits for its input to end.
    drop(host.stdin.take());
    for end in [&mut host, &mut guest] {
        let status = end.wait().expect("it ran");
        assert!(status.success(), "{status}");
    }
}

#[test]
fn two_machines_on_one_cable_find_each_others_rooms() {
    find_each_other("4", ["10.77.0.1/24", "10.77.0.2/24"]);
}

#[test]
fn two_machines_with_ipv6_alone_find_each_others_rooms() {
    find_each_other("6", ["fd77::1/64", "fd77::2/64"]);
}

/// One end's part; run by the tests above inside a namespace.
#[tokio::test]
#[ignore = "a part of the tests above"]
async fn one_end() {
    let Ok(part) = std::env::var(PART) else {
        return;
    };
    let mut config = Config::new(Keypair::generate_ed25519());
    config.listen = ["/ip4/0.0.0.0/udp/0/quic-v1", "/ip6/::/udp/0/quic-v1"]
        .map(|text| text.parse().expect("an address"))
        .to_vec();
    let (network, events) = net::start(config).await.expect("it listens");
    let node = Node { network, events };
    let room = Room::new(1);
    if part == "host" {
        let announcement = room.announced_by(&node, |_| ());
        node.network.announce(announcement).await.expect("valid");
        let end_of_input = || std::io::stdin().lock().lines().for_each(drop);
        let ended = tokio::task::spawn_blocking(end_of_input);
        ended.await.expect("it ends");
    } else {
        let begin = std::time::Instant::now();
        until_listed(&node, room.id()).await;
        println!("listed after {} ms", begin.elapsed().as_millis());
    }
}
