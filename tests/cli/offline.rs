//! What needs no network: identity, logs, completions, the doctor.

use std::fs;

use super::program::{fails, host, join, run, succeeds};

#[test]
fn who_one_is_stays_the_same() {
    let home = tempfile::tempdir().unwrap();
    let first = &succeeds(home.path(), &["id"])[0];
    assert!(first["key"].as_str().unwrap().starts_with("12D3KooW"), "{first}");
    assert_eq!(first["tag"].as_str().unwrap().len(), 8);
    assert_eq!(first["key"], succeeds(home.path(), &["id"])[0]["key"]);
}

#[test]
fn the_environment_names_a_home_and_a_flag_another() {
    let (named, flagged) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let id = |args: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_majlis"))
            .env("MAJLIS_HOME", named.path())
            .args(["id", "--json"])
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success());
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["home"].clone()
    };
    assert_eq!(id(&[]), named.path().to_str().unwrap());
    let flag = flagged.path().to_str().unwrap();
    assert_eq!(id(&["--home", flag]), flag);
}

#[test]
fn one_can_ask_who_one_is_while_a_node_runs() {
    let home = tempfile::tempdir().unwrap();
    let (_host, _) = host(home.path(), &[]);
    assert!(succeeds(home.path(), &["id"])[0]["key"].is_string());
}

#[test]
fn a_members_log_is_shown_and_audited_and_a_changed_one_is_not_believed() {
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut host, link) = host(a.path(), &[]);
    let (mut member, joined) = join(b.path(), &link, &[]);
    succeeds(a.path(), &["ctl", "title", "Another name"]);
    member.until_that("log", |event| event["action"] == "title");
    succeeds(a.path(), &["ctl", "end"]);
    assert_eq!((host.finish().0, member.finish().0), (Some(0), Some(0)));

    let path = b
        .path()
        .join("rooms")
        .join(joined["room"].as_str().unwrap())
        .join("log");
    let file = path.to_str().unwrap();
    let shown = succeeds(b.path(), &["log", "show", file]);
    let actions: Vec<_> = shown
        .iter()
        .filter(|line| line["event"] == "log")
        .map(|line| &line["action"])
        .collect();
    assert_eq!(actions, ["title", "end"], "{shown:?}");
    assert_eq!(shown[0]["event"], "genesis");
    assert_eq!(shown[1]["title"], "Another name");
    assert!(
        shown[1]["clock_ms"].as_u64() <= shown[2]["clock_ms"].as_u64(),
        "{shown:?}"
    );
    let folder = path.parent().unwrap().to_str().unwrap();
    for word in [file, folder, joined["room"].as_str().unwrap()] {
        let verified = &succeeds(b.path(), &["log", "verify", word])[0];
        assert_eq!(
            (&verified["room"], &verified["entries"]),
            (&joined["room"], &2.into())
        );
    }

    let good = fs::read(&path).unwrap();
    fs::write(&path, [&good[..], &[0, 0]].concat()).unwrap();
    let said = fails(b.path(), &["log", "verify", file]);
    assert!(said.contains("2 entries") && said.contains("cut"), "{said}");
    assert!(fails(b.path(), &["log", "show", file]).contains("cut"));
    let mut bad = good;
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    fs::write(&path, bad).unwrap();
    let said = fails(b.path(), &["log", "verify", file]);
    assert!(said.contains("not valid"), "{said}");
}

#[test]
fn a_file_that_is_no_log_is_named() {
    let home = tempfile::tempdir().unwrap();
    let missing = home.path().join("missing");
    assert!(fails(home.path(), &["log", "show", missing.to_str().unwrap()]).contains("missing"));
    let other = home.path().join("other");
    fs::write(&other, "salam").unwrap();
    let said = fails(home.path(), &["log", "verify", other.to_str().unwrap()]);
    assert!(said.contains("other is no room log"), "{said}");
}

#[test]
fn the_doctor_looks_without_touching() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home");
    let checks = succeeds(&home, &["doctor"]);
    let names: Vec<_> = checks
        .iter()
        .map(|check| check["check"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["home", "key", "IPv4", "IPv6", "sound", "clock"]);
    assert!(!home.exists());
}

#[test]
fn the_doctor_finds_a_bad_key() {
    let home = tempfile::tempdir().unwrap();
    succeeds(home.path(), &["id"]);
    fs::write(home.path().join("key.pem"), "no key").unwrap();
    fails(home.path(), &["doctor"]);
}

#[test]
fn completions_are_made_for_every_shell() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(home.path(), &["completions", shell]);
        assert!(output.status.success() && output.stdout.len() > 1_000, "{shell}");
    }
}
