//! Wrong wall clocks keep nobody out.

use super::program::majlis;
use crate::support::{
    clock::{Shows, WrongClock},
    nodes::in_real_time,
    talk::{By, Talk},
};

async fn they_talk(host: Shows, guest: Shows, transport: &str) {
    let Some(clock) = WrongClock::at_hand() else {
        return;
    };
    let listen = match transport {
        "quic" => "/ip4/127.0.0.1/udp/0/quic-v1",
        _ => "/ip4/127.0.0.1/tcp/0",
    };
    let talk = Talk {
        name: &format!("{transport}, clocks {host:?} and {guest:?}"),
        program: &|_, home, words| majlis(home, words),
        words: &["--transport", transport, "--listen", listen],
        is_introduced: true,
        by: By::Link,
        clocks: Some((&clock, host, guest)),
    };
    in_real_time(async || talk.hold()).await;
}

#[tokio::test]
async fn a_room_whose_host_is_in_1970_is_listed_and_heard_by_someone_who_is_in_tomorrow() {
    they_talk(Shows::Year1970, Shows::Tomorrow, "quic").await;
}

#[tokio::test]
async fn a_room_whose_host_is_in_tomorrow_is_listed_and_heard_by_someone_who_is_in_1970() {
    they_talk(Shows::Tomorrow, Shows::Year1970, "quic").await;
}

#[tokio::test]
async fn one_in_1970_and_one_whose_clock_is_right_talk_over_tcp() {
    they_talk(Shows::Now, Shows::Year1970, "tcp").await;
}
