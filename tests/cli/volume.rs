//! A listener makes a speaker louder, softer or silent, for itself alone, and finds it so in the next stay.

use super::program::{fails, host, join, run, succeeds};
use crate::support::ear;

#[test]
fn who_was_muted_here_is_not_heard_and_is_still_muted_in_the_next_stay() {
    let homes = [(); 3].map(|()| tempfile::tempdir().expect("a directory"));
    let [a, b, c] = homes.each_ref().map(tempfile::TempDir::path);
    let (_host, link) = host(a, &["--input", "tone:440", "--nick", "salma"]);
    let (mut other, _) = join(c, &link, &[]);
    let (mut guest, _) = join(b, &link, &[]);
    guest.until("first_audio");
    let info = &succeeds(b, &["ctl", "info"])[0];
    let key = info["host"].as_str().expect("a key");
    assert_eq!(succeeds(b, &["ctl", "volume", key])[0]["percent"], 100);

    let muted = &succeeds(b, &["ctl", "volume", key, "0"])[0];
    assert_eq!((&muted["key"], &muted["percent"]), (&key.into(), &0.into()));
    guest.signal("INT");
    assert_eq!(guest.finish().0, Some(0));

    let wav = b.join("heard.wav");
    let (mut guest, _) = join(b, &link, &["--output", &format!("file:{}", wav.display())]);
    let received = |event: &serde_json::Value| event["streams"][0]["received"].as_u64();
    guest.until_that("stats", |event| received(event) > Some(50));
    let people = &succeeds(b, &["ctl", "people"])[0]["people"];
    let host = people
        .as_array()
        .expect("a list")
        .iter()
        .find(|person| person["key"] == key);
    assert_eq!(host.expect("the host is there")["volume"], 0);
    let shown = String::from_utf8(run(b, &["ctl", "people"]).stdout).expect("UTF-8");
    assert!(shown.contains("muted here"), "{shown}");
    // Nobody else hears a difference.
    other.until("first_audio");

    succeeds(b, &["ctl", "volume", key, "50%"]);
    guest.until("first_audio");
    guest.until("stats");
    guest.signal("INT");
    assert_eq!(guest.finish().0, Some(0));
    let heard = ear::read(&wav);
    let silent = heard
        .iter()
        .position(|sample| *sample != 0)
        .expect("the tone is heard in the end");
    assert!(
        silent > 50 * ear::FRAME,
        "silence for as long as the host was muted here: {silent}"
    );
}

#[test]
fn a_volume_beyond_the_bounds_or_for_nobody_is_refused() {
    let home = tempfile::tempdir().expect("a directory");
    let (_host, _) = host(home.path(), &[]);
    let said = fails(home.path(), &["ctl", "volume", "nobody#abcdefgh", "50%"]);
    assert!(said.contains("nobody in the room"), "{said}");
    let output = run(home.path(), &["ctl", "volume", "1", "500%"]);
    assert_eq!(output.status.code(), Some(2));
}
