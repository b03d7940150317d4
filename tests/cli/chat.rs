//! The room's chat and its reactions, by processes that only their hosts' relays join.

use serde_json::Value;

use super::program::{Running, fails, host, join, succeeds};

fn reads(process: &mut Running, author: &str, text: &str) -> Value {
    process.until_that("chat", |event| event["key"] == author && event["text"] == text)
}

#[test]
fn a_line_from_two_hops_away_is_read_by_all_and_the_rules_of_the_chat_hold() {
    let homes = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let [a, b, c, d] = homes.each_ref().map(tempfile::TempDir::path);
    // The host has one place, so that the others hang below the relay.
    let (mut host, link) = host(a, &["--nick", "amir", "--max-children", "1"]);
    let (mut relay, _) = join(b, &link, &["--nick", "salma", "--max-children", "4"]);
    let (mut writer, hers) = join(c, &link, &["--nick", "noor", "--max-children", "0"]);
    let (mut reader, his) = join(d, &link, &["--nick", "omar", "--max-children", "0"]);
    assert_eq!((&hers["depth"], &his["depth"]), (&2.into(), &2.into()));
    let [hers, his] = [&hers, &his].map(|joined| joined["key"].as_str().unwrap());

    let done = &succeeds(c, &["ctl", "chat", "أهلا \u{202e}hello\u{1b}[31m"])[0];
    assert_eq!(
        (&done["event"], &done["action"]),
        (&"done".into(), &"chat".into())
    );
    for process in [&mut host, &mut relay, &mut writer, &mut reader] {
        let line = reads(process, hers, "أهلا hello");
        assert_eq!(line["nick"], "noor");
        assert!(line["tag"].as_str().is_some_and(|tag| tag.len() == 8));
    }
    assert!(fails(c, &["ctl", "chat", &"x".repeat(401)]).contains("400 bytes"));

    assert!(fails(c, &["ctl", "policy", "slow-mode", "1h"]).contains("may not"));
    succeeds(a, &["ctl", "policy", "slow-mode", "1h"]);
    for process in [&mut writer, &mut reader] {
        process.until_that("log", |event| event["action"] == "slow-mode");
    }
    assert_eq!(succeeds(d, &["ctl", "info"])[0]["rules"]["slow_mode_s"], 3_600);
    assert!(fails(c, &["ctl", "chat", "again"]).contains("slow mode"));
    succeeds(d, &["ctl", "say", "my first"]);
    succeeds(a, &["ctl", "chat", "I am not slowed down"]);
    reads(&mut writer, his, "my first");

    succeeds(a, &["ctl", "policy", "chat", "stage"]);
    reader.until_that("log", |event| event["action"] == "chat");
    assert!(fails(d, &["ctl", "chat", "hello"]).contains("does not let you"));
    assert_eq!(succeeds(d, &["ctl", "info"])[0]["rules"]["chat"], "stage");
}

#[test]
fn everyone_sees_how_many_reacted() {
    let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [a, b, c] = homes.each_ref().map(tempfile::TempDir::path);
    let (mut host, link) = host(a, &["--max-children", "1"]);
    let (mut relay, _) = join(b, &link, &["--max-children", "4"]);
    let (mut leaf, joined) = join(c, &link, &["--max-children", "0"]);
    assert_eq!(joined["depth"], 2);
    succeeds(a, &["ctl", "react", "clap"]);
    succeeds(c, &["ctl", "react", "👏"]);
    let done = &succeeds(c, &["ctl", "react", "❤️"])[0];
    assert_eq!(
        (&done["event"], &done["action"]),
        (&"done".into(), &"react".into())
    );
    for process in [&mut host, &mut relay, &mut leaf] {
        let (mut claps, mut hearts) = (0, 0);
        process.until_that("reactions", |event| {
            claps += event["counts"]["👏"].as_u64().unwrap_or(0);
            hearts += event["counts"]["❤️"].as_u64().unwrap_or(0);
            (claps, hearts) == (2, 1)
        });
    }
    for _ in 0..4 {
        if !super::program::run(c, &["ctl", "react", "fire"]).status.success() {
            return;
        }
    }
    let why = fails(c, &["ctl", "react", "fire"]);
    assert!(why.contains("slow down"), "{why}");
}
