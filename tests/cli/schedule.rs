//! Rooms announced ahead: found while their host is away, changed, called off, waited for and opened.

use std::path::{Path, PathBuf};

use majlis::clock::unix_seconds;
use serde_json::Value;

use super::program::{Running, community, fails, id_of, join, majlis, run, succeeds};
use crate::support::clock::{Shows, WrongClock};

/// A time this many seconds from now, as people type it.
fn from_now(seconds: u64) -> String {
    let time = jiff::Timestamp::from_second(i64::try_from(unix_seconds() + seconds).unwrap());
    time.unwrap().to_string()
}

fn event<'a>(events: &'a [Value], name: &str) -> &'a Value {
    let found = events.iter().find(|event| event["event"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {events:?}"))
}

fn text<'a>(event: &'a Value, name: &str) -> &'a str {
    event[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name}: {event}"))
}

/// Announces a room an hour ahead; what was said of it once its host has gone.
fn schedule(home: &Path, meeting: &str, more: &[&str]) -> Vec<Value> {
    let start = from_now(3_600);
    let words = ["schedule", "Poems", "--start", &start, "--bootstrap", meeting];
    succeeds(home, &[&words[..], more].concat())
}

struct Homes(tempfile::TempDir);

impl Homes {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

#[test]
fn a_room_is_listed_after_its_host_has_gone_and_opens_under_the_same_id_and_link() {
    let homes = Homes::new();
    let (_node, meeting) = community(&homes.at("node"));
    let more = ["--tag", "poetry", "--description", "by heart", "--language", "ar"];
    let said = schedule(&homes.at("host"), &meeting, &more);
    let kept = event(&said, "kept");
    assert_eq!((&kept["kept"], text(kept, "address")), (&true.into(), &*meeting));
    let planned = event(&said, "scheduled");
    let (id, link) = (text(planned, "id"), text(planned, "link"));
    assert_eq!(id_of(link), id);
    assert_eq!(planned["state"], "planned");

    // Whoever comes now has never met the host.
    let listed = succeeds(
        &homes.at("stranger"),
        &["rooms", "--bootstrap", &meeting, "--wait", "3"],
    );
    let listing = event(&listed, "listing");
    assert_eq!((&listing["id"], &listing["live"]), (&id.into(), &false.into()));
    assert_eq!(listing["starts"], planned["starts"]);
    assert_eq!(
        (
            text(listing, "title"),
            text(listing, "description"),
            text(listing, "language")
        ),
        ("Poems", "by heart", "ar")
    );
    assert_eq!(listing["tags"], serde_json::json!(["poetry"]));

    let silent = ["--input", "none", "--output", "none"];
    let mut early = Running::start(&homes.at("early"), &[&["join", link], &silent[..]].concat());
    let waiting = early.until("waiting");
    assert_eq!(
        (&waiting["id"], &waiting["starts"]),
        (&planned["id"], &planned["starts"])
    );

    let words = ["host", "--room", id, "--output", "none", "--bootstrap", &meeting];
    let mut host = Running::start(
        &homes.at("host"),
        &[&words[..], &["--input", "tone:440"]].concat(),
    );
    let room = host.until("room");
    assert_eq!((&room["id"], &room["title"]), (&planned["id"], &"Poems".into()));
    assert_eq!(early.until("joined")["room"], planned["id"]);
    early.until("first_audio");

    let (mut late, joined) = join(&homes.at("late"), link, &[]);
    assert_eq!(joined["room"], planned["id"]);
    late.until("first_audio");
    let open = succeeds(
        &homes.at("stranger"),
        &["rooms", "--bootstrap", &meeting, "--wait", "3"],
    );
    assert_eq!(event(&open, "listing")["live"], true);

    succeeds(&homes.at("host"), &["ctl", "end"]);
    assert_eq!(early.until("left")["reason"], "ended");
    early.finish();
    let list = succeeds(&homes.at("early"), &["schedule", "list"]);
    assert!(list.is_empty(), "it was another's: {list:?}");
    host.finish();
    let list = succeeds(&homes.at("host"), &["schedule", "list"]);
    assert_eq!(event(&list, "scheduled")["state"], "ended");
}

#[test]
fn a_change_and_a_cancellation_reach_those_who_watch_and_whoever_comes_later() {
    let homes = Homes::new();
    let (_node, meeting) = community(&homes.at("node"));
    let said = schedule(&homes.at("host"), &meeting, &[]);
    let planned = event(&said, "scheduled").clone();
    let id = text(&planned, "id");
    let way = ["--bootstrap", &meeting];
    let mut watch = Running::start(&homes.at("watch"), &[&["rooms", "--watch"], &way[..]].concat());
    assert_eq!(watch.until("listing")["id"], planned["id"]);
    let mut early = Running::start(
        &homes.at("early"),
        &[
            "join",
            text(&planned, "link"),
            "--input",
            "none",
            "--output",
            "none",
        ],
    );
    early.until("waiting");

    let later = from_now(7_200);
    let words = [
        "schedule",
        "change",
        id,
        "--start",
        &later,
        "--title",
        "More poems",
    ];
    let changed = succeeds(&homes.at("host"), &[&words[..], &way].concat());
    let changed = event(&changed, "scheduled");
    assert!(changed["starts"].as_u64() > planned["starts"].as_u64());
    assert_eq!(changed["id"], planned["id"]);
    let news = watch.until_that("listing", |listing| listing["title"] == "More poems");
    assert_eq!(news["starts"], changed["starts"]);
    let waiting = early.until_that("waiting", |waiting| waiting["title"] == "More poems");
    assert_eq!(waiting["starts"], changed["starts"]);

    let words = ["schedule", "cancel", id, "--reason", "I am ill"];
    succeeds(&homes.at("host"), &[&words[..], &way].concat());
    assert_eq!(watch.until("unlisted")["id"], planned["id"]);
    let cancelled = watch.until("cancelled");
    assert_eq!(
        (&cancelled["id"], text(&cancelled, "reason")),
        (&planned["id"], "I am ill")
    );
    assert_eq!(early.until("left")["reason"], "ended");
    let (code, _, said) = early.finish();
    assert!(
        code == Some(1) && said.contains("More poems was cancelled: I am ill"),
        "{code:?}: {said}"
    );

    let listed = succeeds(
        &homes.at("stranger"),
        &[&["rooms", "--wait", "3"], &way[..]].concat(),
    );
    assert!(
        listed.iter().all(|event| event["event"] != "listing"),
        "{listed:?}"
    );
    assert_eq!(text(event(&listed, "cancelled"), "reason"), "I am ill");
    let asked = succeeds(&homes.at("node"), &["rooms", "--wait", "0.1"]);
    assert_eq!(text(event(&asked, "cancelled"), "reason"), "I am ill");

    let again = fails(&homes.at("host"), &["schedule", "change", id, "--title", "Again"]);
    assert!(again.contains("was cancelled"), "{again}");
    let open = fails(
        &homes.at("host"),
        &["host", "--room", id, "--input", "none", "--output", "none"],
    );
    assert!(open.contains("ended"), "{open}");
    let log = homes.at("host").join("rooms").join(id).join("log");
    let shown = run(&homes.at("host"), &["log", "show", log.to_str().unwrap()]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("cancel: I am ill"), "{shown}");
}

#[test]
fn a_host_that_stays_opens_its_room_when_it_is_time() {
    let homes = Homes::new();
    let (_node, meeting) = community(&homes.at("node"));
    let at = from_now(10);
    let words = ["host", "Poems", "--at", &at, "--bootstrap", &meeting];
    let silent = ["--input", "none", "--output", "none"];
    let mut host = Running::start(&homes.at("host"), &[&words[..], &silent].concat());
    let planned = host.until("scheduled");
    let room = host.until("room");
    assert_eq!(room["id"], planned["id"]);
    assert!(room["at_ms"].as_u64().unwrap() / 1_000 >= planned["starts"].as_u64().unwrap());
    let (_guest, joined) = join(&homes.at("guest"), text(&room, "link"), &[]);
    assert_eq!(joined["room"], planned["id"]);
    succeeds(&homes.at("host"), &["ctl", "end"]);
}

#[test]
fn where_no_community_node_is_the_host_is_told_and_may_announce_it_later() {
    let homes = Homes::new();
    let start = from_now(3_600);
    let words = ["schedule", "Poems", "--start", &start, "--wait", "0.2"];
    let said = fails(&homes.at("host"), &words);
    assert!(
        said.contains("no community node keeps the record") && said.contains("--bootstrap"),
        "{said}"
    );
    let list = succeeds(&homes.at("host"), &["schedule", "list"]);
    let id = text(event(&list, "scheduled"), "id").to_owned();
    assert!(said.contains(&format!("majlis schedule announce {id}")), "{said}");

    let (mut node, meeting) = community(&homes.at("node"));
    let announce = ["schedule", "announce", &id, "--bootstrap", &meeting];
    let said = succeeds(&homes.at("host"), &announce);
    assert_eq!(event(&said, "kept")["kept"], true);
    assert_eq!(node.until("listing")["id"], *id);
}

#[test]
fn a_community_node_that_is_started_anew_still_keeps_what_it_was_given() {
    let homes = Homes::new();
    let (mut node, meeting) = community(&homes.at("node"));
    let said = schedule(&homes.at("host"), &meeting, &[]);
    node.signal("TERM");
    assert_eq!(node.finish().0, Some(0));
    let (_again, meeting) = community(&homes.at("node"));
    let listed = succeeds(
        &homes.at("stranger"),
        &["rooms", "--bootstrap", &meeting, "--wait", "3"],
    );
    assert_eq!(event(&listed, "listing")["id"], event(&said, "scheduled")["id"]);
}

#[test]
fn a_calendar_entry_is_written_of_ones_own_room_and_of_anothers() {
    let homes = Homes::new();
    let (_node, meeting) = community(&homes.at("node"));
    let said = schedule(&homes.at("host"), &meeting, &["--tag", "poetry"]);
    let id = text(event(&said, "scheduled"), "id");
    let file = homes.at("poems.ics");
    let words = ["schedule", "ics", id, "--output", file.to_str().unwrap()];
    succeeds(&homes.at("host"), &words);
    let own = std::fs::read_to_string(&file).unwrap();
    let other = run(
        &homes.at("stranger"),
        &["schedule", "ics", id, "--bootstrap", &meeting],
    );
    let other = String::from_utf8(other.stdout).unwrap();
    for entry in [own, other] {
        assert!(entry.starts_with("BEGIN:VCALENDAR\r\n"), "{entry}");
        let lines = entry.replace("\r\n ", "");
        for line in [&format!("UID:{id}@majlis"), "SUMMARY:Poems", "CATEGORIES:poetry"] {
            assert!(lines.contains(line), "{line}: {entry}");
        }
    }
    let unknown = fails(&homes.at("other"), &["schedule", "ics", id]);
    assert!(unknown.contains("nobody here knows"), "{unknown}");
}

#[test]
fn times_that_cannot_be_are_refused_with_what_to_do() {
    let homes = Homes::new();
    for (start, wanted) in [
        (from_now(40 * 86_400), "at most 30 days ahead"),
        ("2001-01-01T00:00:00Z".to_owned(), "is past"),
    ] {
        let said = fails(&homes.at("host"), &["schedule", "Poems", "--start", &start]);
        assert!(said.contains(wanted), "{said}");
    }
    for words in [
        &["schedule", "Poems"][..],
        &["schedule", "Poems", "--start", "tomorrow"],
        &["host", "Poems", "--at", "2026-12-01"],
    ] {
        assert_eq!(run(&homes.at("host"), words).status.code(), Some(2), "{words:?}");
    }
    assert!(succeeds(&homes.at("host"), &["schedule", "list"]).is_empty());
}

#[test]
fn a_machine_without_a_date_sees_what_is_to_come_and_announces_nothing() {
    let Some(clock) = WrongClock::at_hand() else {
        return;
    };
    let homes = Homes::new();
    let start = from_now(3_600);
    let in_1970 = |home: &Path, args: &[&str]| {
        let mut command = majlis(home, args);
        clock.set(&mut command, Shows::Year1970);
        command
    };
    let (_node, meeting) = {
        let mut node = Running::of(in_1970(&homes.at("node"), &["node", "--json"]));
        let address = node.until("listening")["addresses"][0]
            .as_str()
            .unwrap()
            .to_owned();
        (node, address)
    };
    let words = ["schedule", "Poems", "--start", &start, "--bootstrap", &meeting];
    let said = succeeds(&homes.at("host"), &words);
    let id = &event(&said, "scheduled")["id"];
    let watch = ["rooms", "--watch", "--bootstrap", &meeting, "--json"];
    let mut watch = Running::of(in_1970(&homes.at("watch"), &watch));
    assert_eq!(&watch.until("listing")["id"], id);

    let output = in_1970(&homes.at("late"), &words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && said.contains("set it first"),
        "{said}"
    );
}
