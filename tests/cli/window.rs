//! What people read: the lines of a room's window, where there is no `--json`.

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Instant,
};

use super::program::{PATIENCE, Running, host, join, majlis, run, succeeds};

const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

/// A running process whose lines are read as they come. It is killed when dropped.
struct Window {
    child: Child,
    lines: Receiver<String>,
    read: Vec<String>,
}

impl Window {
    fn open(home: &Path, args: &[&str]) -> Self {
        let mut command = majlis(home, args);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program was built");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            lines,
            read: Vec::new(),
        }
    }

    /// Waits for a line that holds all of these words.
    fn until(&mut self, words: &[&str]) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no line with {words:?} after {:#?}", self.read);
            };
            self.read.push(line.clone());
            if words.iter().all(|word| line.contains(word)) {
                return line;
            }
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_guest_reads_which_room_it_is_in_and_what_to_do_when_invited() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut host, link) = host(a.path(), &["--nick", "hana"]);
    let words = ["join", &link, "--nick", "sara", "--input", "tone:440"];
    let mut guest = Window::open(b.path(), &[&words[..], &["--output", "none"]].concat());
    guest.until(&["you are in \"A room\", as listener", "1 on the stage"]);
    succeeds(a.path(), &["ctl", "title", "Another name"]);
    guest.until(&["hana#", "calls the room \"Another name\""]);
    let people = &succeeds(a.path(), &["ctl", "people"])[0]["people"];
    let sara = people
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["nick"] == "sara");
    let key = sara.expect("she is there")["key"].as_str().unwrap();
    succeeds(a.path(), &["ctl", "invite", key]);
    guest.until(&["hana#", "invites you to the stage: `majlis ctl accept`"]);
    succeeds(b.path(), &["ctl", "accept"]);
    guest.until(&["you are on the stage", "by itself"]);
    guest.until(&["you are live"]);
    succeeds(b.path(), &["ctl", "leave-stage"]);
    guest.until(&["you go back to the audience"]);
    // Nobody else is on the stage or may take the chair.
    host.signal("TERM");
    guest.until(&["the host is gone", "until its host opens it again"]);
    host.finish();
}

#[test]
fn a_host_reads_the_names_that_people_have() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let words = ["host", "Poems", "--input", "none", "--output", "none"];
    let mut window = Window::open(a.path(), &words);
    let line = window.until(&["majlis:"]);
    let (mut guest, joined) = join(b.path(), line.trim(), &["--nick", "sara"]);
    let key = joined["key"].as_str().unwrap();
    succeeds(a.path(), &["ctl", "invite", key]);
    window.until(&["you invite sara#", " to the stage"]);
    guest.until_that("log", |event| event["action"] == "invite");
    succeeds(b.path(), &["ctl", "accept"]);
    window.until(&["sara#", "accepts the invitation"]);
    succeeds(a.path(), &["ctl", "ban", key, "--for", "2h", "--reason", "noise"]);
    window.until(&["you ban sara#", " for 2 h (noise)"]);
    assert_eq!(guest.until("left")["reason"], "banned");
    let kept_out = &succeeds(a.path(), &["ctl", "people"])[0]["kept_out"][0];
    assert_eq!(kept_out["nick"], "sara");
    succeeds(a.path(), &["ctl", "end"]);
    window.until(&["the host has ended the room"]);
    let put_out = window.read.iter().filter(|line| line.contains("listener now"));
    assert_eq!(put_out.count(), 0, "{:#?}", window.read);
}

/// A link to a room at a port where nothing listens.
fn to_nobody() -> String {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    format!(
        "majlis:ae{}?via=/ip4/127.0.0.1/tcp/{port}/p2p/{PEER}",
        "a".repeat(51)
    )
}

#[test]
fn whoever_waits_for_a_room_reads_that_it_is_looked_for_and_who_does_not_answer() {
    let home = tempfile::tempdir().unwrap();
    let words = ["join", &to_nobody(), "--input", "none", "--output", "none"];
    let mut window = Window::open(home.path(), &words);
    // Which comes first is nobody's promise.
    window.until(&["looking for the room"]);
    let refused = ["no answer at /ip4/127.0.0.1/tcp/", "nothing listens"];
    let is_told = |line: &String| refused.iter().all(|word| line.contains(word));
    if !window.read.iter().any(is_told) {
        window.until(&refused);
    }
}

#[test]
fn the_time_that_is_over_does_not_hide_why_the_room_was_not_reached() {
    let home = tempfile::tempdir().unwrap();
    let link = to_nobody();
    let output = run(
        home.path(),
        &[
            "join",
            &link,
            "--input",
            "none",
            "--output",
            "none",
            "--duration",
            "3",
        ],
    );
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("--duration") && said.contains("nothing listens"),
        "{said}"
    );
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("the room was not reached"), "{shown}");
}

#[test]
fn a_room_that_nobody_has_heard_of_is_said_to_be_so_while_it_is_looked_for() {
    let home = tempfile::tempdir().unwrap();
    let id = format!("ae{}", "a".repeat(51));
    let mut process = Running::start(home.path(), &["join", &id, "--input", "none", "--output", "none"]);
    process.until("seeking");
    process.until("nobody_known");
}

#[test]
fn a_host_without_a_place_for_anyone_is_warned() {
    let home = tempfile::tempdir().unwrap();
    for (flag, value) in [("--uplink", "1kbit"), ("--max-children", "0")] {
        let words = ["host", "T", "--input", "none", "--output", "none", flag, value];
        let mut process = Running::start(home.path(), &words);
        let warning = process.until("warning");
        assert!(
            warning["text"].as_str().unwrap().contains("--max-children"),
            "{warning}"
        );
    }
}
