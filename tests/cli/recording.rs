//! The host records: everyone is told, and each speaker is in a file of their own.

use std::path::Path;

use majlis::audio::{AudioSource as _, Channels, FileSource, Fill};

use super::program::{Running, community, fails, host, id_of, join, succeeds};

/// The seconds of a file, and those of them that sound.
fn heard(path: &Path) -> (f64, f64) {
    let mut source = FileSource::open(path, Channels::Mono, false).expect("a file that plays");
    let (mut frames, mut loud, mut frame) = (0_u32, 0_u32, vec![0.0; 960]);
    while source.read_frame(Channels::Mono, &mut frame).expect("sound") == Fill::Frame {
        frames += 1;
        loud += u32::from(frame.iter().any(|sample| sample.abs() > 0.02));
    }
    (f64::from(frames) / 50.0, f64::from(loud) / 50.0)
}

#[test]
fn the_host_records_each_speaker_and_everyone_is_told() {
    let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [a, b, c] = homes.each_ref().map(tempfile::TempDir::path);
    let (mut host, link) = host(a, &["--nick", "amir", "--input", "tone:300"]);
    let (mut guest, joined) = join(b, &link, &["--nick", "salma", "--input", "tone:900"]);
    let hers = joined["key"].as_str().unwrap();
    succeeds(a, &["ctl", "invite", hers]);
    guest.until_that("log", |event| event["action"] == "invite");
    succeeds(b, &["ctl", "accept"]);
    host.until("first_audio");

    assert!(fails(b, &["ctl", "record", "on"]).contains("host"));
    succeeds(a, &["ctl", "record", "on"]);
    guest.until_that("recording", |event| event["on"] == true);
    // Who comes later is told as well.
    let (mut late, _) = join(c, &link, &["--nick", "noor"]);
    late.until_that("recording", |event| event["on"] == true);
    assert_eq!(succeeds(c, &["ctl", "info"])[0]["recorded"], true);
    let spoken = |count: &serde_json::Value| count["streams"][0]["received"].as_u64().unwrap_or(0);
    late.until_that("stats", |event| spoken(event) >= 100);
    succeeds(a, &["ctl", "record", "off"]);
    late.until_that("recording", |event| event["on"] == false);
    let folder = host.until("recorded")["folder"].as_str().unwrap().to_owned();

    let folder = Path::new(&folder);
    assert!(folder.starts_with(a));
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let names: Vec<_> = files
        .iter()
        .map(|file| file.file_name().unwrap().to_str().unwrap())
        .collect();
    let [amir, mix, salma] = names[..] else {
        panic!("{names:?}")
    };
    assert!(
        amir.starts_with("amir-") && mix == "mix.opus" && salma.starts_with("salma-"),
        "{names:?}"
    );
    let heard: Vec<_> = files.iter().map(|file| heard(file)).collect();
    let (length, _) = heard[0];
    assert!(length >= 2.0, "{heard:?}");
    for (seconds, loud) in heard {
        assert!((seconds - length).abs() < 0.001, "all end together");
        // At the edges a packet or two are on their way.
        assert!(loud > length - 0.5, "{loud} of {length} s sound");
    }
}

#[test]
fn a_host_that_cannot_record_says_so_once_and_the_room_is_recorded_no_more() {
    let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [a, b, n] = homes.each_ref().map(tempfile::TempDir::path);
    let (_node, meeting) = community(n);
    let way = ["--bootstrap", &meeting];
    let (first, link) = host(a, &way);
    let (mut guest, joined) = join(b, &link, &way);
    succeeds(a, &["ctl", "grant", joined["key"].as_str().unwrap(), "co-host"]);
    guest.until_that("role", |event| event["role"] == "co-host");
    succeeds(a, &["ctl", "record", "on"]);
    guest.until_that("recording", |event| event["on"] == true);
    first.signal("KILL");
    drop(first);
    guest.until_that("chair", |event| event["key"] == joined["key"]);

    // When it comes back, another has the chair, and a file stands where the recordings are to lie.
    let folder = a.join("rooms").join(id_of(&link)).join("recordings");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::write(&folder, "no folder").unwrap();
    let words = [
        "host",
        "--room",
        id_of(&link),
        "--input",
        "none",
        "--output",
        "none",
    ];
    let mut again = Running::start(a, &[&words[..], &way].concat());
    again.until_that("recording", |event| event["on"] == true);
    let mut told = 0;
    loop {
        let event = again.next().expect("it goes on");
        let text = event["text"].as_str().unwrap_or_default();
        told += u32::from(text.contains("not recorded any more"));
        if event["event"] == "recording" {
            break;
        }
    }
    assert_eq!(told, 1);
    guest.until_that("recording", |event| event["on"] == false);
}
