//! A local network without the internet: the program on two machines that were told nothing of each other.

mod halves;
mod network;

use std::collections::BTreeSet;

use self::network::Lan;
use crate::{
    cli::program::Running,
    support::{
        clock::{Shows, WrongClock},
        nodes::in_real_time,
        talk::{By, End, Talk},
    },
};

const IPV4: [&[&str]; 2] = [&["10.77.0.1/24"], &["10.77.0.2/24"]];
const LINK_LOCAL: [&[&str]; 2] = [&["fe80::1/64"], &["fe80::2/64"]];
/// As a router gives them out that has no internet either.
const IPV6: [&[&str]; 2] = [&["fe80::1/64", "fd77::1/64"], &["fe80::2/64", "fd77::2/64"]];

#[test]
fn what_a_machine_tells_of_itself_leads_to_it_from_the_others() {
    let Some(lan) = Lan::of("told", IPV4) else { return };
    for (transport, expected) in [
        ("any", &["tcp", "udp"][..]),
        ("quic", &["udp"]),
        ("tcp", &["tcp"]),
    ] {
        let home = tempfile::tempdir().expect("a directory");
        let words = ["host", "A room", "--input", "none", "--output", "none", "--json"];
        let words = [&words[..], &["--transport", transport]].concat();
        let mut host = Running::of(lan.program(End::Host, home.path(), &words));
        let listening = host.until("listening");
        let addresses = listening["addresses"].as_array().expect("a list");
        let told: BTreeSet<&str> = addresses
            .iter()
            .map(|address| address.as_str().expect("text"))
            .map(|address| address.strip_prefix("/ip4/10.77.0.1/").expect("of the network"))
            .map(|rest| rest.split('/').next().expect("a protocol"))
            .collect();
        assert_eq!(told, BTreeSet::from_iter(expected.iter().copied()), "{transport}");
        let link = host.until("room")["link"].clone();
        for address in addresses {
            let is_there = link
                .as_str()
                .expect("text")
                .contains(address.as_str().expect("text"));
            assert!(is_there, "{address} in {link}");
        }
    }
}

async fn they_find_each_other_and_talk(name: &str, addresses: [&[&str]; 2], words: &[&str], by: By) {
    // The tag keeps the tests' networks apart.
    let tag = name.replace(' ', "");
    let Some(lan) = Lan::of(&tag, addresses) else {
        return;
    };
    let talk = Talk {
        name,
        program: &|end, home, words| lan.program(end, home, words),
        words,
        is_introduced: false,
        by,
        clocks: None,
    };
    in_real_time(async || talk.hold()).await;
}

#[tokio::test]
async fn two_machines_on_one_network_find_each_other_and_talk() {
    they_find_each_other_and_talk("ipv4", IPV4, &[], By::Id).await;
}

#[tokio::test]
async fn two_machines_with_ipv6_alone_find_each_other_and_talk() {
    they_find_each_other_and_talk("ipv6", IPV6, &[], By::Link).await;
}

#[tokio::test]
async fn two_machines_with_nothing_but_link_local_addresses_find_each_other_and_talk() {
    they_find_each_other_and_talk("local", LINK_LOCAL, &["--transport", "quic"], By::Link).await;
}

#[tokio::test]
async fn two_machines_with_link_local_addresses_and_tcp_find_each_other_and_talk() {
    they_find_each_other_and_talk("local tcp", LINK_LOCAL, &["--transport", "tcp"], By::Id).await;
}

#[tokio::test]
async fn two_machines_whose_clocks_are_wrong_find_each_other_and_talk() {
    let Some(clock) = WrongClock::at_hand() else {
        return;
    };
    let clocks = [
        (Shows::Year1970, Shows::Tomorrow),
        (Shows::Tomorrow, Shows::Year1970),
    ];
    for (number, (host, guest)) in clocks.into_iter().enumerate() {
        let Some(lan) = Lan::of(&format!("clock{number}"), IPV4) else {
            return;
        };
        let talk = Talk {
            name: &format!("clocks {host:?} and {guest:?}"),
            program: &|end, home, words| lan.program(end, home, words),
            words: &["--transport", "quic"],
            is_introduced: false,
            by: By::Id,
            clocks: Some((&clock, host, guest)),
        };
        in_real_time(async || talk.hold()).await;
    }
}
