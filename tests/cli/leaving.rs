//! Whatever ends a stay, it ends in good order.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use serde_json::Value;

use super::program::{Running, host, join, majlis, succeeds};
use crate::support::ear;

/// The last two events of a stay, and its exit.
fn assert_left(running: &mut Running, reason: &str) {
    let (code, rest, said) = running.finish();
    assert_eq!(code, Some(0), "{said}");
    let names: Vec<&Value> = rest.iter().map(|event| &event["event"]).collect();
    assert!(names.ends_with(&[&"left".into(), &"summary".into()]), "{names:?}");
    assert_eq!(rest[rest.len() - 2]["reason"], reason);
}

#[cfg(unix)]
#[test]
fn a_signal_leaves_a_summary_and_a_whole_file() {
    for name in ["TERM", "INT", "HUP"] {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (mut host, link) = host(a.path(), &["--input", "tone:440"]);
        let wav = b.path().join("heard.wav");
        let (mut member, _) = join(b.path(), &link, &["--output", &format!("file:{}", wav.display())]);
        let heard = |event: &Value| event["streams"][0]["received"].as_u64() > Some(40);
        member.until_that("stats", heard);
        member.signal(name);
        assert_left(&mut member, "interrupted");
        let samples = ear::read(&wav);
        let loud = samples
            .iter()
            .filter(|sample| sample.unsigned_abs() > 1_000)
            .count();
        assert!(loud > 20_000, "{name}: {loud} loud of {} samples", samples.len());
        host.signal(name);
        assert_left(&mut host, "interrupted");
    }
}

#[test]
fn the_end_of_a_room_is_the_end_for_all() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut host, link) = host(a.path(), &[]);
    let (mut member, _) = join(b.path(), &link, &[]);
    succeeds(a.path(), &["ctl", "end"]);
    assert_left(&mut member, "ended");
    assert_left(&mut host, "ended");
}

#[test]
fn a_stay_can_be_timed() {
    let home = tempfile::tempdir().unwrap();
    let (mut host, _) = host(home.path(), &["--duration", "1.5"]);
    assert_left(&mut host, "duration");
}

#[test]
fn a_reader_that_goes_ends_the_stay() {
    let home = tempfile::tempdir().unwrap();
    let mut child = majlis(
        home.path(),
        &["host", "T", "--input", "none", "--output", "none", "--json"],
    )
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("listening"));
    drop(lines);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_node_ends_on_a_signal() {
    let home = tempfile::tempdir().unwrap();
    let mut node = Running::start(home.path(), &["node"]);
    node.until("listening");
    node.signal("TERM");
    assert_eq!(node.finish().0, Some(0));
    assert!(!home.path().join("api.token").exists());
}

#[test]
fn a_home_is_free_again_after_a_kill() {
    let home = tempfile::tempdir().unwrap();
    let (host_process, _) = host(home.path(), &[]);
    drop(host_process);
    host(home.path(), &[]);
}
