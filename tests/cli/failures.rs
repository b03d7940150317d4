//! What can go wrong before and while a room is reached: each exits 1 with a word on what to do.

use std::{
    fs,
    io::Write,
    net::{TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use super::program::{PATIENCE, Running, fails, host, join, majlis, run, signal, succeeds};
use crate::support::ear;

fn silent_host(home: &Path, args: &[&str]) -> String {
    fails(
        home,
        &[&["host", "T", "--input", "none", "--output", "none"], args].concat(),
    )
}

#[test]
fn a_second_process_in_one_home_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let (_first, _) = host(home.path(), &[]);
    let said = silent_host(home.path(), &[]);
    assert!(
        said.contains("in use") && said.contains(home.path().to_str().unwrap()),
        "{said}"
    );
}

#[cfg(unix)]
#[test]
fn a_key_that_others_may_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    succeeds(home.path(), &["id"]);
    fs::set_permissions(home.path().join("key.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    let said = silent_host(home.path(), &[]);
    assert!(said.contains("chmod 600"), "{said}");
    assert!(fails(home.path(), &["id"]).contains("chmod 600"));
}

#[test]
fn a_corrupt_key_is_refused_and_kept() {
    let home = tempfile::tempdir().unwrap();
    let key = home.path().join("key.pem");
    succeeds(home.path(), &["id"]);
    fs::write(
        &key,
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    let before = fs::read(&key).unwrap();
    let said = silent_host(home.path(), &[]);
    assert!(said.contains("move it away"), "{said}");
    assert_eq!(fs::read(&key).unwrap(), before);
}

#[test]
fn a_key_that_cannot_be_read_is_named() {
    let home = tempfile::tempdir().unwrap();
    let key = home.path().join("key.pem");
    // Not even root can read it.
    fs::create_dir(&key).unwrap();
    let said = silent_host(home.path(), &[]);
    assert!(
        said.contains("cannot read") && said.contains(key.to_str().unwrap()),
        "{said}"
    );
}

#[test]
fn a_home_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let said = silent_host(&file.join("home"), &[]);
    assert!(said.contains(file.to_str().unwrap()), "{said}");
}

#[test]
fn a_port_in_use_is_named() {
    let home = tempfile::tempdir().unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = format!("/ip4/127.0.0.1/udp/{}/quic-v1", udp.local_addr().unwrap().port());
    let tcp = format!("/ip4/127.0.0.1/tcp/{}", tcp.local_addr().unwrap().port());
    for address in [udp, tcp] {
        let said = silent_host(home.path(), &["--listen", &address]);
        assert!(said.contains(&address) && said.contains("--listen"), "{said}");
    }
}

#[test]
fn a_device_that_is_not_there_is_answered_with_the_flag_to_use() {
    let home = tempfile::tempdir().unwrap();
    let said = fails(
        home.path(),
        &[
            "host",
            "T",
            "--input",
            "none",
            "--output",
            "speakers:no such device",
        ],
    );
    assert!(said.contains("--output"), "{said}");
    assert_no_room(home.path());
}

#[cfg(target_os = "linux")]
#[test]
fn the_doctor_asks_whether_the_devices_open() {
    let home = tempfile::tempdir().unwrap();
    let output = majlis(home.path(), &["doctor", "--json"])
        .env("PULSE_SERVER", "unix:/no/such/socket")
        .env("ALSA_CONFIG_PATH", "/dev/null")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "a remark is no failure");
    let said = String::from_utf8(output.stdout).unwrap();
    let sound = said.lines().find(|line| line.contains("\"sound\"")).unwrap();
    for word in ["\"note\"", "--output none", "--input none"] {
        assert!(sound.contains(word), "{word}: {sound}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn without_any_sound_device_the_flag_to_use_is_named() {
    let home = tempfile::tempdir().unwrap();
    let output = majlis(home.path(), &["host", "T"])
        .env("PULSE_SERVER", "unix:/no/such/socket")
        .env("ALSA_CONFIG_PATH", "/dev/null")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("--output none"), "{said}");
}

#[test]
fn a_microphone_that_is_not_there_is_named_once_it_is_opened_and_the_room_goes_on() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut host, link) = host(a.path(), &["--input", "mic:no such device"]);
    for _ in 0..2 {
        let said = fails(a.path(), &["ctl", "mic", "on"]);
        assert!(
            said.contains("no microphone") && said.contains("--input"),
            "{said}"
        );
        let warning = loop {
            let event = host.next().expect("it goes on");
            assert_ne!(event["event"], "microphone", "it was never on: {event}");
            if event["event"] == "warning" {
                break event;
            }
        };
        assert!(warning["text"].as_str().unwrap().contains("--input"), "{warning}");
    }
    assert_eq!(succeeds(a.path(), &["ctl", "info"])[0]["microphone"], false);
    join(b.path(), &link, &[]);
    host.until("child");
}

#[test]
fn a_file_that_has_ended_is_live_no_more_and_is_not_turned_on_again() {
    let home = tempfile::tempdir().unwrap();
    let wav = home.path().join("said.wav");
    ear::clip(&ear::speech()[0], 1, &wav);
    let input = format!("file:{}", wav.display());
    let (mut host, _) = host(home.path(), &["--input", &input]);
    host.until_that("microphone", |event| event["on"] == true);
    host.until("level");
    host.until("input_ended");
    host.until_that("microphone", |event| event["on"] == false);
    assert_eq!(succeeds(home.path(), &["ctl", "info"])[0]["microphone"], false);
    assert!(fails(home.path(), &["ctl", "mic", "on"]).contains("over"));
}

#[test]
fn an_input_that_cannot_be_played_is_named() {
    let home = tempfile::tempdir().unwrap();
    let text = home.path().join("text.wav");
    fs::write(&text, "no sound").unwrap();
    for path in [&home.path().join("missing.wav"), &text] {
        let input = format!("file:{}", path.display());
        let said = fails(home.path(), &["host", "T", "--input", &input, "--output", "none"]);
        assert!(said.contains(path.to_str().unwrap()), "{said}");
    }
    assert_no_room(home.path());
}

#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_a_file_is_named_and_not_waited_for() {
    let home = tempfile::tempdir().unwrap();
    succeeds(home.path(), &["id"]);
    let pipe = home.path().join("pipe");
    let key = home.path().join("key.pem");
    let input = format!("file:{}", pipe.display());
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let said = fails(home.path(), &["host", "T", "--input", &input, "--output", "none"]);
    assert!(said.contains("not a regular file"), "{said}");
    fs::rename(&pipe, &key).unwrap();
    let said = silent_host(home.path(), &[]);
    assert!(said.contains("not a regular file"), "{said}");
}

#[cfg(target_os = "linux")]
#[test]
fn whoever_does_not_read_keeps_nobody_in_the_room() {
    /// What a pipe holds on Linux.
    const PIPE: usize = 64 << 10;
    let home = tempfile::tempdir().unwrap();
    let words = ["host", "T", "--input", "tone:440", "--output", "none", "--json"];
    let (_reader, mut writer) = std::io::pipe().unwrap();
    // It is full already: nothing that is told is taken.
    writer.write_all(&[b'\n'; PIPE]).unwrap();
    let mut command = majlis(home.path(), &words);
    let mut child = command.stdout(writer).stderr(Stdio::null()).spawn().unwrap();
    drop(command);
    let started = Instant::now();
    while run(home.path(), &["ctl", "info"]).status.code() != Some(0) {
        assert!(started.elapsed() < PATIENCE, "its room was never open");
    }
    signal(child.id(), "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let home = tempfile::tempdir().unwrap();
    let output = format!("file:{}", home.path().join("no/such/place.wav").display());
    let said = fails(
        home.path(),
        &["host", "T", "--input", "none", "--output", &output],
    );
    assert!(
        said.contains("place.wav") && said.contains("no/such does not exist"),
        "{said}"
    );
    let output = format!("file:{}", home.path().display());
    let said = fails(
        home.path(),
        &["host", "T", "--input", "none", "--output", &output],
    );
    assert!(said.contains("is a folder"), "{said}");
    assert_no_room(home.path());
}

/// A room that was never open leaves nothing behind.
fn assert_no_room(home: &Path) {
    let rooms = fs::read_dir(home.join("rooms")).map_or(0, Iterator::count);
    assert_eq!(rooms, 0, "in {}", home.display());
}

#[test]
fn a_malformed_link_is_refused_before_anything_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    for link in [
        "",
        "majlis:",
        "https://example.org",
        "majlis:abc?via=/ip4/1.2.3.4",
        &"x".repeat(5_000),
    ] {
        let said = fails(&home, &["join", link]);
        assert!(said.contains("no link to a room"), "{link}: {said}");
    }
    let whole = format!(
        "majlis:ae{}?via=/ip4/127.0.0.1/udp/1/quic-v1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN",
        "a".repeat(51)
    );
    for link in [&whole[..whole.len() - 7], &whole.to_lowercase()] {
        let said = fails(&home, &["join", link]);
        assert!(
            said.contains("cut short") && said.contains("whole"),
            "{link}: {said}"
        );
    }
    assert!(!home.exists());
}

#[test]
fn a_host_that_is_gone_is_unreachable() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (host, link) = host(a.path(), &[]);
    drop(host);
    let said = fails(b.path(), &["join", &link, "--input", "none", "--output", "none"]);
    assert!(said.contains("reached"), "{said}");
}

#[test]
fn a_room_that_nobody_knows_is_unreachable() {
    let home = tempfile::tempdir().unwrap();
    let id = format!("ae{}", "a".repeat(51));
    let said = fails(home.path(), &["join", &id, "--input", "none", "--output", "none"]);
    assert!(said.contains("reached"), "{said}");
}

#[test]
fn another_room_of_a_peer_that_is_there_is_refused() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_host, link) = host(a.path(), &[]);
    let (_, via) = link.split_once('?').unwrap();
    let other = format!("majlis:ae{}?{via}", "a".repeat(51));
    let output = run(
        b.path(),
        &["join", &other, "--input", "none", "--output", "none", "--json"],
    );
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("not in that room") && said.contains("fresh link"),
        "{said}"
    );
    let events = String::from_utf8(output.stdout).unwrap();
    let last: serde_json::Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["event"], &last["reason"]),
        (&"left".into(), &"refused".into())
    );
}

/// A member that has left a room in which something has happened, and the log that it keeps.
fn with_a_log(a: &Path, b: &Path) -> (Running, String, PathBuf) {
    let (host, link) = host(a, &[]);
    let (mut member, joined) = join(b, &link, &[]);
    succeeds(a, &["ctl", "title", "Another name"]);
    member.until_that("log", |event| event["action"] == "title");
    member.signal("TERM");
    assert_eq!(member.finish().0, Some(0));
    let room = joined["room"].as_str().unwrap();
    (host, link, b.join("rooms").join(room).join("log"))
}

#[cfg(unix)]
#[test]
fn a_torn_log_is_mended_by_the_next_stay() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_host, link, log) = with_a_log(a.path(), b.path());
    let whole = fs::read(&log).unwrap();
    fs::write(&log, &whole[..whole.len() - 3]).unwrap();
    // Who has joined has what was missing.
    let (mut member, _) = join(b.path(), &link, &[]);
    member.signal("TERM");
    assert_eq!(member.finish().0, Some(0));
    assert_eq!(fs::read(&log).unwrap(), whole);
}

#[cfg(unix)]
#[test]
fn a_damaged_log_is_named_and_kept() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_host, link, log) = with_a_log(a.path(), b.path());
    let mut damaged = fs::read(&log).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&log, &damaged).unwrap();
    let said = fails(b.path(), &["join", &link, "--input", "none", "--output", "none"]);
    assert!(
        said.contains("damaged") && said.contains("move it away") && said.contains(log.to_str().unwrap()),
        "{said}"
    );
    assert_eq!(fs::read(&log).unwrap(), damaged);
}
