//! Machines on one local network and nothing else: network namespaces on a bridge.
//!
//! Needs root and iproute2 on Linux; elsewhere it says that it was skipped.

use std::{path::Path, process::Command};

use crate::support::{is_root_on_linux, talk::End};

/// A switch with two machines; taken away when dropped.
pub(super) struct Lan {
    switch: String,
    machines: [String; 2],
}

impl Lan {
    /// A network whose machines have these addresses and no others, nor a route to anywhere else. None where there
    /// cannot be one; as root on Linux there must.
    pub(super) fn of(tag: &str, addresses: [&[&str]; 2]) -> Option<Self> {
        if !is_root_on_linux() {
            return None;
        }
        let name = |part: &str| format!("majlis-{tag}-{}-{part}", std::process::id());
        let lan = Self {
            switch: name("switch"),
            machines: ["host", "guest"].map(name),
        };
        let switch = lan.switch.as_str();
        ip(&["netns", "add", switch]);
        // What is made inside a namespace has a name that collides with nobody's.
        ip(&["-n", switch, "link", "add", "switch", "type", "bridge"]);
        ip(&["-n", switch, "link", "set", "switch", "up"]);
        for ((machine, addresses), port) in lan.machines.iter().zip(addresses).zip(["port0", "port1"]) {
            ip(&["netns", "add", machine]);
            ip(&["-n", machine, "link", "set", "lo", "up"]);
            ip(&[
                "-n", switch, "link", "add", port, "type", "veth", "peer", "name", "card", "netns", machine,
            ]);
            ip(&["-n", switch, "link", "set", port, "master", "switch", "up"]);
            // No addresses but those that are asked for.
            ip(&["-n", machine, "link", "set", "card", "addrgenmode", "none"]);
            ip(&["-n", machine, "link", "set", "card", "up"]);
            for address in addresses {
                // Without waiting for duplicate address detection, a second in which IPv6 cannot be bound.
                ip(&["-n", machine, "address", "add", address, "dev", "card", "nodad"]);
            }
        }
        Some(lan)
    }

    /// The program on one of the machines, as people start it: on every interface, with mDNS.
    pub(super) fn program(&self, end: End, home: &Path, words: &[&str]) -> Command {
        let machine = &self.machines[usize::from(end == End::Guest)];
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
        for name in self.machines.iter().chain([&self.switch]) {
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}

fn ip(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).output().expect("ip runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments:?}: {error}");
}
