//! The events of `--json` have the names and fields of the contract, whatever is added to them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::program::{host, join, succeeds};

/// What a field holds.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Number,
    Flag,
    List,
    TextOrNull,
}
use Kind::{Flag, List, Number, Text, TextOrNull};

/// Each event that these stays bring about, with its fields.
const SHAPES: &[(&str, &[(&str, Kind)])] = &[
    ("listening", &[("peer", Text), ("key", Text), ("addresses", List)]),
    ("room", &[("id", Text), ("link", Text), ("title", Text)]),
    (
        "joined",
        &[
            ("room", Text),
            ("key", Text),
            ("role", Text),
            ("parent", TextOrNull),
            ("depth", Number),
            ("join_ms", Number),
            ("confirmed", Flag),
        ],
    ),
    (
        "first_audio",
        &[
            ("ms", Number),
            ("speaker", Text),
            ("epoch", Number),
            ("seq", Number),
        ],
    ),
    (
        "parent",
        &[("peer", TextOrNull), ("depth", Number), ("reason", Text)],
    ),
    ("child", &[("peer", Text), ("added", Flag)]),
    ("role", &[("key", Text), ("role", Text)]),
    (
        "log",
        &[
            ("seq", Number),
            ("term", Number),
            ("action", Text),
            ("author", Text),
            ("subject", TextOrNull),
        ],
    ),
    ("chair", &[("key", Text), ("term", Number)]),
    ("root", &[("peer", Text)]),
    ("stats", STATS),
    ("left", &[("reason", Text)]),
    ("summary", STATS),
];

const STATS: &[(&str, Kind)] = &[
    ("depth", Number),
    ("parent", TextOrNull),
    ("standby", TextOrNull),
    ("children", Number),
    ("listeners", Number),
    ("streams", List),
    ("sent_packets", Number),
    ("pulled_packets", Number),
    ("forged_dropped", Number),
    ("refused_dropped", Number),
    ("stale_dropped", Number),
    ("duplicate_dropped", Number),
    ("overflow_dropped", Number),
    ("copies", Number),
    ("stalls", Number),
];

const STREAM: &[(&str, Kind)] = &[
    ("speaker", Text),
    ("received", Number),
    ("expected", Number),
    ("lost", Number),
    ("repaired", Number),
    ("fec", Number),
    ("concealed", Number),
    ("late", Number),
    ("longest_gap_ms", Number),
    ("delay_ms", Number),
];

fn assert_shape(value: &Value, fields: &[(&str, Kind)]) {
    for (name, kind) in fields {
        let field = value.get(*name).unwrap_or_else(|| panic!("no `{name}`: {value}"));
        let fits = match kind {
            Text => field.is_string(),
            Number => field.is_u64(),
            Flag => field.is_boolean(),
            List => field.is_array(),
            TextOrNull => field.is_string() || field.is_null(),
        };
        assert!(fits, "`{name}` is no {kind:?}: {value}");
    }
}

#[test]
fn events_have_the_fields_of_the_contract() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut host, link) = host(a.path(), &["--input", "tone:440", "--tag", "tests"]);
    let (mut member, joined) = join(b.path(), &link, &["--input", "tone:880"]);
    let key = joined["key"].as_str().unwrap();
    let mut told = vec![joined.clone()];
    told.push(member.until_that("stats", |event| {
        event["streams"][0]["received"].as_u64() > Some(10)
    }));
    succeeds(a.path(), &["ctl", "invite", key]);
    member.until_that("log", |event| event["action"] == "invite");
    succeeds(b.path(), &["ctl", "accept"]);
    told.push(host.until_that("stats", |event| {
        event["streams"][0]["received"].as_u64() > Some(10)
    }));
    succeeds(a.path(), &["ctl", "end"]);
    told.extend(host.finish().1);
    told.extend(member.finish().1);

    // Once more, from the first word to the last.
    let (c, d) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut host = super::program::Running::start(
        c.path(),
        &["host", "T", "--input", "tone:440", "--output", "none"],
    );
    let mut opening = Vec::new();
    while opening
        .last()
        .is_none_or(|event: &Value| event["event"] != "stats")
    {
        opening.push(host.next().expect("it runs"));
    }
    let link = opening
        .iter()
        .find(|event| event["event"] == "room")
        .expect("a room")["link"]
        .clone();
    let mut member = super::program::Running::start(
        d.path(),
        &[
            "join",
            link.as_str().unwrap(),
            "--input",
            "none",
            "--output",
            "none",
            "--duration",
            "3",
        ],
    );
    let (code, events, _) = member.finish();
    assert_eq!(code, Some(0));
    assert_eq!(events[0]["event"], "listening", "{events:?}");
    told.extend(opening);
    told.extend(events);
    host.until("child");
    succeeds(c.path(), &["ctl", "end"]);
    told.extend(host.finish().1);

    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for event in &told {
        assert_shape(event, &[("event", Text), ("at_ms", Number)]);
        let name = event["event"].as_str().unwrap();
        *seen.entry(name.to_owned()).or_default() += 1;
        if let Some((_, fields)) = SHAPES.iter().find(|(shape, _)| *shape == name) {
            assert_shape(event, fields);
        }
        for stream in event["streams"].as_array().into_iter().flatten() {
            assert_shape(stream, STREAM);
            let count = |name: &str| stream[name].as_u64().unwrap();
            assert_eq!(count("expected"), count("received") + count("lost"), "{stream}");
        }
    }
    // `parent` tells of a change, and nobody's parent changed here; `joined` names the first one.
    let missing: Vec<_> = SHAPES
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| *name != "parent" && !seen.contains_key(*name))
        .collect();
    assert!(missing.is_empty(), "never seen: {missing:?} among {seen:?}");
}

#[test]
fn an_address_works_for_bootstrap_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    let mut host =
        super::program::Running::start(home.path(), &["host", "T", "--input", "none", "--output", "none"]);
    let listening = host.until("listening");
    let peer = listening["peer"].as_str().unwrap();
    let addresses = listening["addresses"].as_array().unwrap();
    assert!(!addresses.is_empty());
    for address in addresses {
        assert!(
            address.as_str().unwrap().ends_with(&format!("/p2p/{peer}")),
            "{address}"
        );
    }
}
