//! Who is there and whose microphone is open, as everyone sees it, by processes that only their hosts' relays join.

use std::path::Path;

use serde_json::Value;

use super::program::{Running, host, join, succeeds};

fn mic(process: &mut Running, of: &str, on: bool) {
    process.until_that("mic", |event| event["key"] == of && event["on"] == on);
}

/// What a node shows of a person.
fn shown(home: &Path, key: &str) -> Value {
    let people = &succeeds(home, &["ctl", "people"])[0]["people"];
    let mut people = people.as_array().unwrap().iter();
    let person = people.find(|person| person["key"] == key);
    person.expect("on the stage").clone()
}

#[test]
fn a_microphone_that_is_opened_and_closed_is_seen_so_by_all() {
    let homes = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let [a, b, c, d] = homes.each_ref().map(tempfile::TempDir::path);
    // The host has one place, so that the others hang below the relay.
    let (mut host, link) = host(a, &["--max-children", "1"]);
    let (mut relay, _) = join(b, &link, &["--max-children", "4"]);
    let (mut speaker, hers) = join(c, &link, &["--max-children", "0", "--input", "tone:440"]);
    let (mut other, _) = join(d, &link, &["--max-children", "0"]);
    let hers = hers["key"].as_str().unwrap();
    succeeds(a, &["ctl", "invite", hers]);
    speaker.until_that("log", |event| event["action"] == "invite");
    succeeds(c, &["ctl", "accept"]);
    for process in [&mut host, &mut relay, &mut speaker, &mut other] {
        mic(process, hers, true);
    }
    assert_eq!(shown(d, hers)["mic"], true);
    succeeds(c, &["ctl", "mic", "off"]);
    for process in [&mut host, &mut relay, &mut speaker, &mut other] {
        mic(process, hers, false);
    }
    for home in [a, b, c, d] {
        let person = shown(home, hers);
        assert_eq!(
            (&person["on_stage"], &person["mic"], &person["muted"]),
            (&true.into(), &false.into(), &false.into())
        );
    }
    // Who comes later sees who is open, and who is not.
    succeeds(c, &["ctl", "mic", "on"]);
    mic(&mut other, hers, true);
    let late = tempfile::tempdir().unwrap();
    let (mut newcomer, joined) = join(late.path(), &link, &["--max-children", "0"]);
    mic(&mut newcomer, hers, true);
    assert_eq!(shown(late.path(), hers)["mic"], true);
    assert_eq!(
        shown(late.path(), joined["key"].as_str().unwrap())["mic"],
        Value::Null
    );
    // Everyone who is heard is shown on the stage, as open.
    newcomer.until_that("level", |event| event["key"] == hers);
    succeeds(a, &["ctl", "mute", hers]);
    mic(&mut newcomer, hers, false);
    assert_eq!(shown(late.path(), hers)["muted"], true);
}

#[test]
fn anyone_sees_who_listens_in_the_whole_room() {
    let homes = [(); 4].map(|()| tempfile::tempdir().unwrap());
    let [a, b, c, d] = homes.each_ref().map(tempfile::TempDir::path);
    let (_host, link) = host(a, &["--nick", "amir", "--max-children", "1"]);
    let (_relay, _) = join(b, &link, &["--nick", "salma", "--max-children", "4"]);
    let (_leaf, _) = join(c, &link, &["--nick", "noor", "--max-children", "0"]);
    let (mut other, last) = join(d, &link, &["--nick", "omar", "--max-children", "0"]);
    assert_eq!(last["depth"], 2);
    // The root counts on the reports of those below it.
    other.until_that("listeners", |event| event["listeners"] == 3);
    for home in [a, c] {
        let page = &succeeds(home, &["ctl", "people", "--audience"])[0];
        assert_eq!((&page["event"], &page["page"]), (&"audience".into(), &1.into()));
        let people = page["people"].as_array().unwrap();
        let mut nicks: Vec<&str> = people.iter().filter_map(|one| one["nick"].as_str()).collect();
        nicks.sort_unstable();
        assert_eq!(nicks, ["noor", "omar", "salma"]);
        assert!(people.iter().any(|one| one["key"] == last["key"]));
    }
    let page = &succeeds(c, &["ctl", "people", "--audience", "--page", "2"])[0];
    assert_eq!(
        (&page["people"], &page["more"]),
        (&Value::Array(vec![]), &false.into())
    );
}
