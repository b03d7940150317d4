//! A relay whose process stands still for longer than its links last, as on a laptop whose lid was closed.

use majlis_protocol::link::RoomLink;
use serde_json::Value;

use crate::{
    cli::program::{Running, host, id_of, join, succeeds},
    support::nodes::{Run, in_real_time},
};

/// Over TCP a link to a process that stands still lasts for minutes.
const QUIC: [&str; 4] = ["--transport", "quic", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"];

/// Frames that are heard before it stands still, and again after.
const FRAMES: u64 = 50;

fn received(event: &Value) -> u64 {
    event["streams"][0]["received"].as_u64().unwrap_or(0)
}

/// A host that speaks, a relay that stands still for a while, and a listener below it.
fn sleep() -> Run {
    let homes: Vec<_> = (0..3)
        .map(|_| tempfile::tempdir().expect("a directory"))
        .collect();
    let (mut root, link) = host(homes[0].path(), &["--input", "tone:440"]);
    let words = ["join", &link, "--input", "none", "--output", "none"];
    let mut relay = Running::start(homes[1].path(), &[&words[..], &QUIC].concat());
    let address = relay.until("listening")["addresses"][0].clone();
    let me = relay.until("joined")["key"].clone();
    let by_the_relay = RoomLink {
        room: id_of(&link).parse().expect("a room"),
        via: vec![address.as_str().expect("text").parse().expect("an address")],
    };
    let (mut below, joined) = join(homes[2].path(), &by_the_relay.to_string(), &QUIC);
    assert_eq!(joined["depth"], 2, "{joined}");
    let key = me.as_str().expect("text");
    succeeds(homes[0].path(), &["ctl", "grant", key, "moderator"]);
    relay.until_that("stats", |stats| received(stats) >= FRAMES);
    below.until_that("stats", |stats| {
        received(stats) >= FRAMES && !stats["standby"].is_null()
    });

    relay.signal("STOP");
    let found = below.until_that("parent", |parent| !parent["peer"].is_null());
    assert_eq!(found["reason"], "failover", "{found}");
    root.until_that("child", |child| {
        child["added"] == false && child["peer"] == joined["parent"]
    });
    relay.signal("CONT");
    let back = relay.until_that("parent", |parent| !parent["peer"].is_null());
    println!("back at {back}");
    let before = received(&relay.until("stats"));
    relay.until_that("stats", |stats| received(stats) >= before + FRAMES);
    let info = succeeds(homes[1].path(), &["ctl", "info"])[0].clone();
    assert_eq!(info["role"], "moderator", "{info}");

    let stats = succeeds(homes[2].path(), &["ctl", "info"])[0]["stats"].clone();
    let stream = &stats["streams"][0];
    if (&stream["lost"], &stream["concealed"]) == (&0.into(), &0.into()) {
        return Run::Good;
    }
    Run::Bad {
        why: format!("the listener below lost sound: {stats}"),
        stalls: stats["stalls"].as_u64().unwrap_or(0),
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_relay_that_stood_still_is_back_in_its_role_and_who_was_below_it_lost_nothing() {
    in_real_time(async || sleep()).await;
}
