//! Microphone and loudspeakers of a whole program, on virtual sound devices: a PulseAudio server of the test's own.
//!
//! What a program plays comes back into its microphone, and it must not go out again; what is said into the microphone
//! must, and the silence around it hardly. On a machine without `pulseaudio` the tests say so and pass.

use std::{path::Path, process::Command};

use serde_json::Value;

use super::program::{Running, join, majlis, succeeds};
use crate::support::{
    ear,
    nodes::{Run, in_real_time},
    sound_server::SoundServer,
};

#[path = "../../examples/score/mod.rs"]
#[allow(dead_code, reason = "not every scene is for this")]
mod score;

/// Seconds of speech.
const SECONDS: usize = 8;

/// A sound server whose loudspeakers are `spk` and whose microphone hears what is played to `mic`.
struct Devices(SoundServer);

impl Devices {
    /// Starts it; with `echo` the microphone hears also what the loudspeakers play.
    fn start(echo: bool) -> Option<Self> {
        let mut modules = vec![
            "module-null-sink sink_name=spk rate=48000 channels=1",
            "module-null-sink sink_name=mic rate=48000 channels=1",
            "module-remap-source source_name=micsrc master=mic.monitor",
        ];
        if echo {
            modules.push("module-loopback source=spk.monitor sink=mic latency_msec=30");
        }
        SoundServer::start(&modules).map(Self)
    }

    /// A host at its microphone and loudspeakers.
    fn host(&self, home: &Path, args: &[&str]) -> (Running, String) {
        let words = [&["host", "A room", "--input", "mic", "--json"], args].concat();
        let mut host = Running::of(self.0.with(majlis(home, &words)));
        let link = host.until("room")["link"].as_str().expect("a link").to_owned();
        (host, link)
    }

    /// Plays a file into the microphone, to its end.
    fn say(&self, said: &Path) {
        let mut play = Command::new("paplay");
        play.arg("--device=mic").arg(said);
        let status = self.0.with(play).status().expect("pulseaudio-utils are there");
        assert!(status.success(), "paplay failed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn speech_at_a_microphone_is_understood_and_silence_around_it_is_hardly_sent() {
    in_real_time(async || tokio::task::spawn_blocking(speak).await.expect("no panic")).await;
}

fn speak() -> Run {
    let Some(server) = Devices::start(false) else {
        return Run::Good;
    };
    let homes = tempfile::tempdir().expect("a directory");
    let (at_host, at_guest) = (homes.path().join("host"), homes.path().join("guest"));
    let (said, heard) = (homes.path().join("said.wav"), homes.path().join("heard.wav"));
    let clean = ear::clip(&ear::speech()[0], SECONDS, &said);

    let (mut host, link) = server.host(&at_host, &["--output", "none"]);
    let output = format!("file:{}", heard.display());
    let (mut guest, _) = join(&at_guest, &link, &["--output", &output]);
    succeeds(&at_host, &["ctl", "mic", "on"]);
    let quiet = frames_in_three_seconds(&mut host);
    server.say(&said);
    let after = frames_in_three_seconds(&mut host);
    succeeds(&at_host, &["ctl", "end"]);
    let (host, guest) = (summary(&mut host), summary(&mut guest));

    println!(
        "frames in 3 s of silence: {quiet} before speech, {after} after; {} in all",
        host["sent_frames"]
    );
    let score = understood(&clean, &ear::read(&heard));
    println!("STOI of what was heard: {score:?}");
    let stalls = [&host, &guest]
        .iter()
        .filter_map(|end| end["stalls"].as_u64())
        .sum();
    let is_good = quiet <= 15 && after <= 15 && score.is_some_and(|score| score >= 0.75);
    if is_good {
        return Run::Good;
    }
    Run::Bad {
        why: format!("{quiet} and {after} frames in silence, STOI {score:?}"),
        stalls,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_loudspeakers_play_does_not_come_back_to_who_said_it() {
    in_real_time(async || tokio::task::spawn_blocking(echo).await.expect("no panic")).await;
}

fn echo() -> Run {
    let (Some(with), Some(without)) = (come_back("on"), come_back("off")) else {
        return Run::Good;
    };
    println!("what came back: {without:.1} dB without echo cancellation, {with:.1} dB with it");
    if without - with >= 20.0 {
        return Run::Good;
    }
    Run::Bad {
        why: format!("the echo fell from {without} to {with} dB only"),
        // What the devices lose on a busy machine no counter of ours knows.
        stalls: 1,
    }
}

/// How loud the speaker hears itself, in decibels, once the canceller has had some seconds.
fn come_back(cancel: &str) -> Option<f32> {
    let server = Devices::start(true)?;
    let homes = tempfile::tempdir().expect("a directory");
    let (at_host, at_guest) = (homes.path().join("host"), homes.path().join("guest"));
    let (said, heard) = (homes.path().join("said.wav"), homes.path().join("heard.wav"));
    ear::clip(&ear::speech()[0], SECONDS, &said);

    let words = [
        "--output",
        "speakers",
        "--leveling",
        "off",
        "--echo-cancel",
        cancel,
    ];
    let rest = ["--noise-suppression", "off", "--auto-gain", "off", "--dtx", "off"];
    let (mut host, link) = server.host(&at_host, &[&words[..], &rest].concat());
    let (input, output) = (
        format!("file:{}", said.display()),
        format!("file:{}", heard.display()),
    );
    let (mut guest, joined) = join(
        &at_guest,
        &link,
        &["--input", &input, "--output", &output, "--leveling", "off"],
    );
    succeeds(&at_host, &["ctl", "mic", "on"]);
    succeeds(
        &at_host,
        &["ctl", "invite", joined["key"].as_str().expect("a key")],
    );
    succeeds(&at_guest, &["ctl", "accept"]);
    guest.until("input_ended");
    let sound = guest.until("stats");
    succeeds(&at_host, &["ctl", "end"]);
    summary(&mut host);
    summary(&mut guest);
    assert!(
        sound["streams"][0]["received"].as_u64() > Some(0),
        "the microphone is heard: {sound}"
    );
    let heard = floats(&ear::read(&heard));
    Some(score::scene::decibels(score::scene::power(
        &heard[heard.len() / 2..],
    )))
}

/// How many frames go out in the next three seconds.
fn frames_in_three_seconds(host: &mut Running) -> u64 {
    let sent = |host: &mut Running| host.until("stats")["sent_frames"].as_u64().expect("a number");
    // What was told while nobody read is of the past.
    let now = majlis::clock::unix_millis();
    host.until_that("stats", |event| event["at_ms"].as_u64() > Some(now));
    let before = sent(host);
    sent(host);
    sent(host);
    sent(host) - before
}

/// STOI of what was heard, wherever in it speech begins.
fn understood(clean: &[i16], heard: &[i16]) -> Option<f64> {
    let (clean, heard) = (floats(clean), floats(heard));
    // Where the loudness moves as that of what was said, and there the exact place.
    let loudness =
        |sound: &[f32]| -> Vec<f32> { sound.chunks_exact(ear::FRAME).map(score::scene::power).collect() };
    let (of_clean, of_heard) = (loudness(&clean), loudness(&heard));
    let alike = |late: usize| -> f32 {
        of_clean
            .iter()
            .zip(&of_heard[late..])
            .map(|(a, b)| (a * b).sqrt())
            .sum()
    };
    let begin = (0..of_heard.len()).max_by(|a, b| alike(*a).total_cmp(&alike(*b)))?;
    let heard = &heard[begin.saturating_sub(2) * ear::FRAME..];
    let late = score::scene::delay_of(&clean, heard, 5 * ear::FRAME);
    score::stoi::stoi(&clean, &heard[late..], 48_000)
}

fn floats(samples: &[i16]) -> Vec<f32> {
    samples
        .iter()
        .map(|sample| f32::from(*sample) / 32_768.0)
        .collect()
}

/// The totals of a process that has come to its end.
fn summary(process: &mut Running) -> Value {
    let (code, rest, said) = process.finish();
    assert_eq!(code, Some(0), "{said}");
    rest.last().expect("a summary").clone()
}
