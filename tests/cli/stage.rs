//! From a raised hand to being heard, by processes that only their hosts' relays join.

use serde_json::Value;

use super::program::{Running, fails, host, join, succeeds};
use crate::support::ear;

/// On a busy machine TCP may win the race, and datagrams are what is to be relayed.
const QUIC: [&str; 4] = ["--transport", "quic", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"];

/// The pitch of what the listener has to say, and one that nobody says.
const SAID: &str = "tone:440";
const HERTZ: f64 = 440.0;
const NOBODY: f64 = 1_000.0;

/// How far a tone that was said stands above one that was not, in dB.
const CLEAR: f64 = 40.0;

fn key(joined: &Value) -> &str {
    joined["key"].as_str().expect("a key")
}

fn hand(process: &mut Running, of: &str, raised: bool) {
    process.until_that("hand", |event| event["key"] == of && event["raised"] == raised);
}

#[test]
fn a_listener_two_hops_away_raises_a_hand_is_invited_accepts_and_is_heard_by_all() {
    let homes: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let [a, b, c, d] = [0, 1, 2, 3].map(|n| homes[n].path());
    let wavs = [a, b, d].map(|home| home.join("heard.wav"));
    let outputs = wavs.each_ref().map(|wav| format!("file:{}", wav.display()));
    let words = |nick: &'static str, places: &'static str, output: &str| -> Vec<String> {
        let words = ["--nick", nick, "--max-children", places, "--output", output];
        words.iter().chain(&QUIC).map(|word| (*word).to_owned()).collect()
    };
    let start = |home, link: &str, words: &[String], more: &[&str]| {
        let words: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .chain(more.iter().copied())
            .collect();
        join(home, link, &words)
    };
    // The host has one place, so that the others hang below the relay.
    let places = ["--nick", "amir", "--max-children", "1", "--output", &outputs[0]];
    let (mut host, link) = host(a, &places);
    let (mut relay, its) = start(b, &link, &words("salma", "4", &outputs[1]), &[]);
    let (mut asks, hers) = start(c, &link, &words("noor", "0", "none"), &["--input", SAID]);
    let (mut other, theirs) = start(d, &link, &words("omar", "0", &outputs[2]), &[]);
    assert_eq!((&hers["depth"], &theirs["depth"]), (&2.into(), &2.into()));
    let (its, hers, theirs) = (key(&its), key(&hers), key(&theirs));

    let up = &succeeds(c, &["ctl", "hand"])[0];
    assert_eq!((&up["action"], &up["place"]), (&"hand".into(), &1.into()));
    hand(&mut host, hers, true);
    assert_eq!(succeeds(d, &["ctl", "hand", "up"])[0]["place"], 2);
    for process in [&mut host, &mut relay, &mut asks, &mut other] {
        hand(process, theirs, true);
    }
    for home in [a, b, c, d] {
        let hands = &succeeds(home, &["ctl", "hands"])[0]["hands"];
        let order = [0, 1].map(|at| (&hands[at]["key"], &hands[at]["nick"]));
        let expected = [(&hers.into(), &"noor".into()), (&theirs.into(), &"omar".into())];
        assert_eq!(order, expected);
    }
    assert!(fails(c, &["ctl", "hand"]).contains("up already"));
    assert!(fails(d, &["ctl", "invite", "1"]).contains("may not"));
    assert!(fails(a, &["ctl", "invite", "7"]).contains("ctl hands"));

    succeeds(a, &["ctl", "invite", "1"]);
    asks.until_that("log", |event| event["action"] == "invite");
    succeeds(c, &["ctl", "accept"]);
    asks.until_that("microphone", |event| event["on"] == true);
    for process in [&mut host, &mut relay, &mut other] {
        hand(process, hers, false);
        // A second of it, as far as the listener knows.
        process.until_that("stats", |event| {
            let streams = event["streams"].as_array().into_iter().flatten();
            let mut hers = streams.filter(|stream| stream["speaker"] == hers);
            hers.any(|stream| stream["received"].as_u64() >= Some(50))
        });
    }
    assert_eq!(succeeds(b, &["ctl", "hands"])[0]["hands"][0]["key"], theirs);
    succeeds(d, &["ctl", "hand", "down"]);
    hand(&mut host, theirs, false);

    // Those who keep order lower the hand of another, and nobody else does.
    succeeds(b, &["ctl", "hand"]);
    for process in [&mut host, &mut relay, &mut asks, &mut other] {
        hand(process, its, true);
    }
    for whose in ["1", its] {
        let said = fails(d, &["ctl", "hand", "down", whose]);
        assert!(said.contains("only hosts, co-hosts and moderators may"), "{said}");
    }
    assert!(fails(a, &["ctl", "hand", "down", "2"]).contains("ctl hands"));
    assert!(fails(a, &["ctl", "hand", "up", its]).contains("ctl invite"));
    assert!(fails(a, &["ctl", "hand", "down", theirs]).contains("not up"));
    let down = &succeeds(a, &["ctl", "hand", "down", "1"])[0];
    assert_eq!(down["action"], "lower-hand");
    for process in [&mut host, &mut relay, &mut asks, &mut other] {
        hand(process, its, false);
    }

    succeeds(a, &["ctl", "policy", "hands", "nobody"]);
    other.until_that("log", |event| event["action"] == "hands");
    assert!(fails(d, &["ctl", "hand"]).contains("no hands"));
    succeeds(a, &["ctl", "end"]);
    for process in [&mut host, &mut relay, &mut other] {
        assert_eq!(process.until("left")["reason"], "ended");
        process.finish();
    }
    for wav in &wavs {
        let heard = ear::read(wav);
        let (said, nobody) = (ear::tone_level(&heard, HERTZ), ear::tone_level(&heard, NOBODY));
        assert!(said > nobody + CLEAR, "{}: {said} and {nobody} dB", wav.display());
    }
}

#[test]
fn a_locked_room_takes_no_new_key_at_any_member_and_takes_back_who_was_inside() {
    let homes: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let [a, b, c, d] = [0, 1, 2, 3].map(|n| homes[n].path());
    let (mut host, link) = host(a, &QUIC);
    let silent = ["join", &link, "--input", "none", "--output", "none"];
    let mut relay = Running::start(b, &[&silent[..], &QUIC].concat());
    let relays = relay.until("listening")["addresses"][0]
        .as_str()
        .unwrap()
        .to_owned();
    let hers = relay.until("joined");
    let (mut inside, _) = join(c, &link, &QUIC);
    let room = super::program::id_of(&link);
    let kept = c.join("rooms").join(room).join("pass");
    let started = std::time::Instant::now();
    while !kept.exists() {
        assert!(started.elapsed() < super::program::PATIENCE, "no pass");
        std::thread::yield_now();
    }
    assert!(fails(c, &["ctl", "lock"]).contains("may not"));
    succeeds(a, &["ctl", "lock"]);
    for process in [&mut host, &mut relay, &mut inside] {
        process.until_that("log", |event| event["action"] == "lock");
    }
    let at_relay = format!("majlis:{room}?via={relays}");
    for link in [&link, &at_relay] {
        let mut new = Running::start(d, &["join", link, "--input", "none", "--output", "none"]);
        assert_eq!(new.until("left")["reason"], "refused");
        let (code, _, said) = new.finish();
        assert!(code == Some(1) && said.contains("locked"), "{code:?}: {said}");
    }
    inside.signal("TERM");
    inside.finish();
    let (_back, joined) = join(c, &link, &QUIC);
    assert_eq!(joined["role"], "listener");

    succeeds(a, &["ctl", "unlock"]);
    succeeds(a, &["ctl", "guests", "enter"]);
    succeeds(a, &["ctl", "guests", "add", key(&hers)]);
    let list = &succeeds(a, &["ctl", "guests"])[0];
    assert_eq!(
        (&list["list"], &list["guests"][0]),
        (&"enter".into(), &hers["key"])
    );
    let mut new = Running::start(d, &["join", &link, "--input", "none", "--output", "none"]);
    assert_eq!(new.until("left")["reason"], "refused");
    let (_, _, said) = new.finish();
    assert!(said.contains("guest list"), "{said}");
}
