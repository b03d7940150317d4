//! Machines on one local network and nothing else: network namespaces on a bridge.
//!
//! Needs root and iproute2 on Linux; elsewhere it says that it was skipped.

use std::{path::Path, process::Command};

use crate::support::{is_root_on_linux, talk::End};

/// Machines on one switch, or on two that are joined by a cable; taken away when dropped.
pub(super) struct Lan {
    switches: String,
    machines: Vec<String>,
}

/// Which switch a machine is on, and its addresses.
type Place<'a> = (&'a str, &'a [&'a str]);

/// The switches in their namespace; the second is there only where a network may fall into two.
const SWITCHES: [&str; 2] = ["switch", "other"];

/// The cable between two switches, at either end.
const CABLE: [&str; 2] = ["cable", "elbac"];

impl Lan {
    /// A network whose two machines have these addresses and no others, nor a route to anywhere else. None where there
    /// cannot be one; as root on Linux there must.
    pub(super) fn of(tag: &str, addresses: [&[&str]; 2]) -> Option<Self> {
        let lan = Self::without_machines(tag)?;
        Some(lan.with_machines(&addresses.map(|addresses| (SWITCHES[0], addresses))))
    }

    /// A network in two halves, with so many machines in each, which a cable joins.
    pub(super) fn in_halves(tag: &str, machines: [u8; 2]) -> Option<Self> {
        let lan = Self::without_machines(tag)?;
        let switches = lan.switches.as_str();
        ip(&["-n", switches, "link", "add", SWITCHES[1], "type", "bridge"]);
        ip(&["-n", switches, "link", "set", SWITCHES[1], "up"]);
        let [end, other] = CABLE;
        ip(&[
            "-n", switches, "link", "add", end, "type", "veth", "peer", "name", other,
        ]);
        for (end, switch) in CABLE.into_iter().zip(SWITCHES) {
            ip(&["-n", switches, "link", "set", end, "master", switch, "up"]);
        }
        let in_half = |half: usize| (0..machines[half]).map(move |_| SWITCHES[half]);
        let addresses: Vec<(&str, String)> = in_half(0)
            .chain(in_half(1))
            .zip(1_u8..)
            .map(|(switch, number)| (switch, format!("10.77.0.{number}/24")))
            .collect();
        let addresses: Vec<(&str, [&str; 1])> = addresses
            .iter()
            .map(|(switch, address)| (*switch, [address.as_str()]))
            .collect();
        let places: Vec<Place<'_>> = addresses
            .iter()
            .map(|(switch, addresses)| (*switch, &addresses[..]))
            .collect();
        Some(lan.with_machines(&places))
    }

    fn without_machines(tag: &str) -> Option<Self> {
        if !is_root_on_linux() {
            return None;
        }
        let lan = Self {
            switches: format!("majlis-{tag}-{}-switch", std::process::id()),
            machines: Vec::new(),
        };
        let (switches, switch) = (lan.switches.as_str(), SWITCHES[0]);
        ip(&["netns", "add", switches]);
        // What is made inside a namespace has a name that collides with nobody's.
        ip(&["-n", switches, "link", "add", switch, "type", "bridge"]);
        ip(&["-n", switches, "link", "set", switch, "up"]);
        Some(lan)
    }

    fn with_machines(mut self, places: &[Place<'_>]) -> Self {
        for (number, (switch, addresses)) in places.iter().enumerate() {
            let switches = self.switches.as_str();
            let machine = format!("{switches}-{number}");
            let (machine, port) = (machine.as_str(), format!("port{number}"));
            ip(&["netns", "add", machine]);
            ip(&["-n", machine, "link", "set", "lo", "up"]);
            ip(&[
                "-n", switches, "link", "add", &port, "type", "veth", "peer", "name", "card", "netns",
                machine,
            ]);
            ip(&["-n", switches, "link", "set", &port, "master", switch, "up"]);
            // No addresses but those that are asked for.
            ip(&["-n", machine, "link", "set", "card", "addrgenmode", "none"]);
            ip(&["-n", machine, "link", "set", "card", "up"]);
            for address in *addresses {
                // Without waiting for duplicate address detection, a second in which IPv6 cannot be bound.
                ip(&["-n", machine, "address", "add", address, "dev", "card", "nodad"]);
            }
            self.machines.push(machine.to_owned());
        }
        self
    }

    /// Pulls the cable between the halves: what one sends to the other is gone, and nobody is told.
    pub(super) fn part(&self) {
        ip(&["-n", &self.switches, "link", "set", CABLE[0], "down"]);
    }

    /// Plugs it in again.
    pub(super) fn heal(&self) {
        ip(&["-n", &self.switches, "link", "set", CABLE[0], "up"]);
    }

    /// The program on one of two machines, as people start it: on every interface, with mDNS.
    pub(super) fn program(&self, end: End, home: &Path, words: &[&str]) -> Command {
        self.on(usize::from(end == End::Guest), home, words)
    }

    /// The program on one of the machines.
    pub(super) fn on(&self, machine: usize, home: &Path, words: &[&str]) -> Command {
        let machine = &self.machines[machine];
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", machine, env!("CARGO_BIN_EXE_majlis")])
            .env_remove("MAJLIS_HOME")
            .args(words)
            .arg("--home")
            .arg(home)
            .stdin(std::process::Stdio::null());
        command
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        for name in self.machines.iter().chain([&self.switches]) {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("ip runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments:?}: {error}");
}
