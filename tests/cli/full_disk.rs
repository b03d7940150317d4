//! A disk that is full: what was to be written is named, and a room that is open goes on.
//!
//! The disk is a real one of 64 KiB, which wants root on Linux; elsewhere these tests say that they were skipped.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use super::program::{Running, fails, host, join, majlis, succeeds};
use crate::support::{ear, is_root_on_linux};

/// A disk of 64 KiB: less than a second of sound, and more than a home takes. It is taken away when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// A new disk, where this machine can have one.
    fn mount() -> Option<Self> {
        if !is_root_on_linux() {
            return None;
        }
        let place = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=64k", "majlis-test"];
        let mounted = Command::new("mount")
            .args(mount)
            .arg(place.path())
            .output()
            .unwrap();
        assert!(mounted.status.success(), "{mounted:?}");
        Some(Self(place))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Fills it to the last byte with a file.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut file = File::create(&path).unwrap();
        let full = std::iter::repeat_with(|| file.write_all(&[0; 512])).find_map(Result::err);
        assert_eq!(full.unwrap().kind(), std::io::ErrorKind::StorageFull);
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // At once, whoever still looks at it.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// Waits until a member has heard a second more of the only speaker.
fn hears_on(member: &mut Running) {
    let heard = |stats: &Value| stats["streams"][0]["received"].as_u64().unwrap_or(0);
    let before = heard(&member.until("stats"));
    member.until_that("stats", |stats| heard(stats) > before + 50);
}

#[test]
fn a_full_disk_ends_the_output_and_not_the_stay() {
    let Some(disk) = SmallDisk::mount() else { return };
    let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut host, link) = host(a.path(), &["--input", "tone:440"]);
    let wav = disk.path().join("heard.wav");
    let (mut member, _) = join(b.path(), &link, &["--output", &format!("file:{}", wav.display())]);
    let warning = member.until("warning")["text"].to_string();
    assert!(
        warning.contains(wav.to_str().unwrap()) && warning.contains("free some space"),
        "{warning}"
    );

    hears_on(&mut member);
    // What there was room for can be played.
    let frames = ear::read(&wav).len() / ear::FRAME;
    assert!((30..=34).contains(&frames), "{frames} frames on a disk of 64 KiB");
    succeeds(a.path(), &["ctl", "end"]);
    let (code, _, said) = member.finish();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(host.finish().0, Some(0));
}

#[test]
fn a_full_disk_under_a_home_is_named_before_a_room_is_opened() {
    let Some(disk) = SmallDisk::mount() else { return };
    let home = disk.path().join("home");
    let silent = ["host", "T", "--input", "none", "--output", "none"];
    // Once with all that a home holds already, and once without.
    succeeds(&home, &["id"]);
    disk.fill();
    for home in [home, disk.path().join("other")] {
        let said = fails(&home, &silent);
        assert!(
            said.contains("make room on the disk") && said.contains(home.to_str().unwrap()),
            "{said}"
        );
    }
}

#[test]
fn a_room_whose_log_finds_no_room_goes_on_and_its_log_is_completed_later() {
    const TITLES: u64 = 20;
    let Some(disk) = SmallDisk::mount() else { return };
    let (home, b) = (disk.path().join("home"), tempfile::tempdir().unwrap());
    let (mut host, link) = host(&home, &["--input", "tone:440"]);
    let (mut member, joined) = join(b.path(), &link, &[]);
    let filler = disk.fill();
    // More than is left of the log's last block.
    let title = |n: u64| format!("{n:0200}");
    for n in 1..=TITLES {
        succeeds(&home, &["ctl", "title", &title(n)]);
    }
    let warning = host.until("warning")["text"].to_string();
    assert!(warning.contains("make room on the disk"), "{warning}");
    member.until_that("title", |event| event["title"] == title(TITLES));
    hears_on(&mut member);

    fs::remove_file(filler).unwrap();
    succeeds(&home, &["ctl", "end"]);
    assert_eq!((host.finish().0, member.finish().0), (Some(0), Some(0)));
    for home in [&home, b.path()] {
        let log = home
            .join("rooms")
            .join(joined["room"].as_str().unwrap())
            .join("log");
        let verified = &succeeds(home, &["log", "verify", log.to_str().unwrap()])[0];
        assert_eq!(verified["entries"], TITLES + 1, "{verified}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn events_that_find_no_room_end_the_stay_with_a_word() {
    let home = tempfile::tempdir().unwrap();
    let output = majlis(home.path(), &["host", "T", "--input", "none", "--output", "none", "--json"])
        // Answers every write as a full disk does.
        .stdout(Stdio::from(File::options().write(true).open("/dev/full").unwrap()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("No space left"), "{said}");
}
