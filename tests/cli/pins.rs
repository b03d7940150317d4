//! What those who keep order set for all: pinned links, and how long a speaker speaks.

use super::program::{fails, host, id_of, join, run, succeeds};

#[test]
fn links_are_pinned_for_everyone_and_a_speaker_has_their_time() {
    let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [a, b, c] = homes.each_ref().map(tempfile::TempDir::path);
    let (_host, link) = host(a, &["--nick", "amir", "--max-children", "1"]);
    let (_relay, _) = join(b, &link, &["--nick", "salma", "--max-children", "4"]);
    let (mut guest, joined) = join(c, &link, &["--nick", "noor", "--max-children", "0"]);
    let hers = joined["key"].as_str().unwrap();

    assert!(fails(c, &["ctl", "pin", "https://example.org/"]).contains("may not"));
    assert!(fails(a, &["ctl", "pin", "javascript:alert(1)"]).contains("https://"));
    succeeds(a, &["ctl", "pin", "https://example.org/poems"]);
    let pin = guest.until_that("log", |event| event["action"] == "pin");
    assert_eq!(pin["link"], "https://example.org/poems");
    let pins = &succeeds(c, &["ctl", "pin"])[0]["pins"];
    assert_eq!(*pins, serde_json::json!(["https://example.org/poems"]));
    succeeds(a, &["ctl", "unpin", "https://example.org/poems"]);
    guest.until_that("log", |event| event["action"] == "unpin");
    assert_eq!(succeeds(c, &["ctl", "info"])[0]["pins"], serde_json::json!([]));

    let log = c.join("rooms").join(id_of(&link));
    let shown = String::from_utf8(run(c, &["log", "show", log.to_str().unwrap()]).stdout).unwrap();
    for line in ["pin https://example.org/poems", "unpin https://example.org/poems"] {
        let mut lines = shown.lines();
        assert!(
            lines.any(|shown| shown.ends_with(&format!(") {line}"))),
            "{shown}"
        );
    }

    assert!(fails(c, &["ctl", "policy", "speaking-time", "10s"]).contains("may not"));
    succeeds(a, &["ctl", "policy", "speaking-time", "10s"]);
    succeeds(a, &["ctl", "invite", hers]);
    guest.until_that("log", |event| event["action"] == "invite");
    succeeds(c, &["ctl", "accept"]);
    guest.until_that("stage", |event| event["key"] == hers && event["on"] == true);
    let people = &succeeds(a, &["ctl", "people"])[0]["people"];
    let person = people.as_array().unwrap().iter().find(|one| one["key"] == hers);
    let left = person.expect("on the stage")["turn_left_ms"].as_u64();
    assert!(left.is_some_and(|left| left <= 10_000), "{left:?}");
    let moved = guest.until_that("log", |event| event["action"] == "move");
    assert_eq!(moved["subject"], hers);
    assert_ne!(moved["author"], hers);
    guest.until_that("stage", |event| event["key"] == hers && event["on"] == false);
}
