//! A network that falls into two halves with people who keep order in both, and grows together again.

use std::{
    collections::BTreeSet,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::network::Lan;
use crate::cli::program::{Running, id_of, succeeds_as};

/// How long the halves do not hear of each other: longer than any connection lives in silence.
const APART: Duration = Duration::from_secs(20);

/// Members of the room: the first two in the host's half.
const NAMES: [&str; 5] = ["host", "near", "second", "far", "noisy"];
const HOST: usize = 0;
const NEAR: usize = 1;
const SECOND: usize = 2;
const FAR: usize = 3;
const NOISY: usize = 4;

/// What an entry did: the action, its author, to whom.
type Deed = (String, String, Option<String>);

fn deed(event: &Value) -> Deed {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    (
        text(&event["action"]).expect("a name"),
        text(&event["author"]).expect("a key"),
        text(&event["subject"]),
    )
}

#[test]
fn two_halves_that_kept_order_apart_have_one_log_again_and_nothing_of_either_is_lost_in_silence() {
    let Some(lan) = Lan::in_halves("halves", [2, 3]) else {
        return;
    };
    let homes = tempfile::tempdir().expect("a directory");
    let home = |member: usize| homes.path().join(NAMES[member]);
    let start = |member: usize, words: &[&str]| {
        let silent = ["--input", "none", "--output", "none", "--json"];
        let words = [words, &silent, &["--nick", NAMES[member]]].concat();
        Running::of(lan.on(member, &home(member), &words))
    };
    let mut members = vec![start(HOST, &["host", "One room"])];
    let link = members[HOST].until("room")["link"]
        .as_str()
        .expect("a link")
        .to_owned();
    let mut keys = vec![members[HOST].until("joined")["key"].clone()];
    for member in NEAR..NAMES.len() {
        members.push(start(member, &["join", &link]));
        keys.push(members[member].until("joined")["key"].clone());
    }
    let keys: Vec<&str> = keys.iter().map(|key| key.as_str().expect("text")).collect();
    let says = |member: usize, words: &[&str]| {
        succeeds_as(lan.on(member, &home(member), &[words, &["--json"]].concat()))
    };
    let does = |member: usize, words: &[&str]| says(member, &[&["ctl"], words].concat());
    does(HOST, &["grant", keys[SECOND], "co-host"]);
    for member in [NEAR, FAR] {
        does(HOST, &["invite", keys[member]]);
        members[member].until_that("log", |event| {
            event["action"] == "invite" && event["subject"] == keys[member]
        });
        does(member, &["accept"]);
        for witness in &mut members {
            witness.until_that("log", |event| {
                event["action"] == "accept" && event["author"] == keys[member]
            });
        }
    }

    lan.part();
    let parted = Instant::now();
    for member in [SECOND, FAR, NOISY] {
        let chair = members[member].until_that("chair", |event| event["term"] == 1);
        assert_eq!(chair["key"], keys[SECOND], "{}", NAMES[member]);
    }
    does(HOST, &["title", "With the host"]);
    does(HOST, &["mute", keys[FAR], "--reason", "it was loud"]);
    does(SECOND, &["title", "Without the host"]);
    does(SECOND, &["mute", keys[NEAR]]);
    does(SECOND, &["ban", keys[NOISY], "--reason", "noise"]);
    assert_eq!(members[NOISY].until("left")["reason"], "banned");
    members[FAR].until_that("log", |event| event["action"] == "ban");
    members[NEAR].until_that("log", |event| event["action"] == "mute");
    // The time apart is what is tried, not something that is waited for.
    thread::sleep(APART.saturating_sub(parted.elapsed()));
    lan.heal();

    let healed = Instant::now();
    let stayed = [HOST, NEAR, SECOND, FAR];
    for member in [SECOND, FAR] {
        members[member].until_that("log", |event| {
            event["action"] == "mute" && event["subject"] == keys[FAR]
        });
    }
    for member in [HOST, NEAR] {
        members[member].until_that("log", |event| {
            event["action"] == "ban" && event["carried"] == true
        });
    }
    println!("one log again after {:?}", healed.elapsed());
    // What else the second did is sent again by its author.
    members[SECOND].until_that("title", |event| event["title"] == "Without the host");
    does(HOST, &["title", "Together"]);
    for member in stayed {
        members[member].until_that("title", |event| event["title"] == "Together");
    }
    does(HOST, &["end"]);
    let log = |member: usize| {
        let log = home(member).join("rooms").join(id_of(&link)).join("log");
        says(member, &["log", "show", log.to_str().expect("UTF-8")])
    };
    for member in stayed {
        assert_eq!(members[member].until("left")["reason"], "ended");
        members[member].finish();
    }
    let entries = log(HOST);
    let done: BTreeSet<Deed> = entries
        .iter()
        .filter(|line| line["event"] == "log")
        .map(deed)
        .collect();
    for (author, action, subject) in [
        (HOST, "title", None),
        (HOST, "mute", Some(FAR)),
        (SECOND, "title", None),
        (SECOND, "mute", Some(NEAR)),
        (SECOND, "ban", Some(NOISY)),
    ] {
        let deed = (
            action.to_owned(),
            keys[author].to_owned(),
            subject.map(|subject| keys[subject].to_owned()),
        );
        assert!(done.contains(&deed), "{deed:?} in {done:?}");
    }
    let told = |lines: &[Value]| -> Vec<Value> { lines.iter().map(without_time).collect() };
    for member in stayed {
        assert_eq!(told(&log(member)), told(&entries), "{}", NAMES[member]);
    }
}

/// A line as it is whenever it is read.
fn without_time(line: &Value) -> Value {
    let mut line = line.clone();
    let fields = line.as_object_mut().expect("an object");
    fields.remove("at_ms");
    line
}
