//! Real capture and playback on a virtual sound card: a PulseAudio server of the test's own, whose microphone hears
//! what its loudspeaker plays.
//!
//! The server is found through the environment, so each test runs its other half as a process of its own, started
//! with that environment. On a machine without `pulseaudio` the tests say so and pass.

use super::*;
use crate::audio::FRAME_SAMPLES;
use core::time::Duration;
use sound_server::SoundServer;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// A generous limit for everything that only has to happen.
const LIMIT: Duration = Duration::from_secs(30);

#[path = "../../../tests/support/sound_server.rs"]
mod sound_server;

/// A sound server whose loudspeaker is heard by its microphone.
struct Server(SoundServer);

impl Server {
    /// Starts one with a null sink at `rate` with `channels`, whose monitor is the default microphone.
    fn start(rate: u32, channels: u8) -> Option<Self> {
        let sink = format!("module-null-sink sink_name=spk rate={rate} channels={channels}");
        let microphone = "module-remap-source source_name=micsrc master=spk.monitor";
        SoundServer::start(&[&sink, microphone]).map(Self)
    }

    /// One of the ignored tests below as a process that finds this server.
    fn half(&self, test: &str) -> Command {
        self.0.with(half(test, self.0.folder()))
    }

    fn run(&self, test: &str) {
        let output = self.half(test).output().expect("the test's other half runs");
        let text = String::from_utf8_lossy(&output.stdout);
        println!("{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(
            output.status.success() && text.contains("1 passed"),
            "the other half failed"
        );
    }
}

/// One of the ignored tests below as a process with this runtime folder.
fn half(test: &str, folder: &Path) -> Command {
    let this = std::env::current_exe().expect("a test knows its own program");
    let module = module_path!().split_once("::").map_or("", |(_, path)| path);
    let mut command = Command::new(this);
    command
        .args([
            &format!("{module}::{test}"),
            "--exact",
            "--ignored",
            "--nocapture",
        ])
        .env("XDG_RUNTIME_DIR", folder)
        .env("MAJLIS_TEST_FOLDER", folder);
    command
}

#[test]
fn what_a_loudspeaker_plays_a_microphone_hears_on_a_virtual_card() {
    for (rate, channels) in [(48_000, 1), (44_100, 2)] {
        if let Some(server) = Server::start(rate, channels) {
            server.run("half_plays_and_listens");
        }
    }
}

#[test]
fn devices_are_listed_and_found_by_part_of_their_name() {
    if let Some(server) = Server::start(48_000, 1) {
        server.run("half_lists_and_finds");
    }
}

#[test]
fn a_machine_without_any_device_gets_the_flag_to_use_instead() {
    let cards = std::fs::read_to_string("/proc/asound/cards").unwrap_or_default();
    if cards.contains('[') {
        println!("skipped: this machine has a sound card");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut half = half("half_finds_nothing", folder.path());
    let output = half
        .env_remove("PULSE_SERVER")
        .output()
        .expect("the test's other half runs");
    println!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success());
    let noise = String::from_utf8_lossy(&output.stderr);
    assert!(
        !noise.contains("ALSA lib"),
        "the sound library keeps off our stderr"
    );
}

#[test]
fn a_sound_server_that_dies_is_noticed_by_reader_and_writer() {
    let Some(mut server) = Server::start(48_000, 1) else {
        return;
    };
    let mut half = server
        .half("half_waits_for_the_end")
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    let start = Instant::now();
    while !server.0.folder().join("open").exists() {
        assert!(start.elapsed() < LIMIT, "the devices were not opened");
        std::thread::sleep(Duration::from_millis(20));
    }
    server.0.kill();
    assert!(half.wait().expect("it ends").success());
}

#[test]
#[ignore = "the other half of what_a_loudspeaker_plays_a_microphone_hears_on_a_virtual_card"]
fn half_plays_and_listens() {
    let mut speaker = Loudspeaker::open(None).expect("a loudspeaker");
    let mut microphone = Microphone::open(None).expect("a microphone");
    println!("{} to {}", speaker.name(), microphone.name());
    let frames = 200;
    let playing = std::thread::spawn(move || {
        let start = Instant::now();
        let mut phase = 0_usize;
        for _ in 0..frames {
            let mut frame = [0.0; FRAME_SAMPLES];
            for sample in &mut frame {
                *sample = tone(phase);
                phase += 1;
            }
            assert_eq!(speaker.write(&frame, LIMIT), Ok(Written::Taken));
        }
        assert_eq!(speaker.finish(LIMIT), Ok(()));
        (start.elapsed(), speaker.underruns())
    });
    let mut heard = vec![];
    while heard.len() < frames * FRAME_SAMPLES {
        let mut frame = [0.0; FRAME_SAMPLES];
        if microphone.read(&mut frame, LIMIT) == Ok(Read::Full) {
            heard.extend_from_slice(&frame);
        } else {
            panic!("the microphone gave nothing");
        }
    }
    let (took, underruns) = playing.join().expect("the player ends");
    println!(
        "played {frames} frames in {took:?}, {underruns} underruns, {} overruns",
        microphone.overruns()
    );
    assert!(
        took >= Duration::from_millis(3_500),
        "the device's clock sets the pace: {took:?}"
    );
    // By short pieces, since a busy machine tears the sound now and then.
    let pieces: Vec<f32> = heard.chunks_exact(2_400).map(purity).collect();
    let pure = pieces.iter().filter(|&&share| share > 0.98).count();
    println!(
        "{pure} of {} pieces of 50 ms are the tone and nothing else",
        pieces.len()
    );
    assert!(pure * 10 >= pieces.len() * 6, "{pieces:?}");
}

#[test]
#[ignore = "the other half of devices_are_listed_and_found_by_part_of_their_name"]
fn half_lists_and_finds() {
    let (inputs, outputs) = (inputs().expect("inputs"), outputs().expect("outputs"));
    println!("{inputs:?} {outputs:?}");
    assert!(!inputs.is_empty() && !outputs.is_empty());
    let part = outputs[0][1..].to_uppercase();
    assert_eq!(
        Loudspeaker::open(Some(&part)).expect("found by a part").name(),
        outputs[0]
    );
    let error = Microphone::open(Some("nothing like it")).expect_err("no such name");
    assert!(
        error.to_string().contains(&inputs[0]),
        "the error names what there is: {error}"
    );
}

#[test]
#[ignore = "the other half of a_sound_server_that_dies_is_noticed_by_reader_and_writer"]
fn half_waits_for_the_end() {
    let mut speaker = Loudspeaker::open(None).expect("a loudspeaker");
    let mut microphone = Microphone::open(None).expect("a microphone");
    let folder = std::env::var_os("MAJLIS_TEST_FOLDER").expect("set by the first half");
    std::fs::write(Path::new(&folder).join("open"), "").expect("the folder is ours");
    let start = Instant::now();
    let step = Duration::from_millis(100);
    let mut frame = [0.0; FRAME_SAMPLES];
    let read = loop {
        match microphone.read(&mut frame, step) {
            Ok(_) => assert!(start.elapsed() < LIMIT, "the microphone did not notice"),
            Err(error) => break error,
        }
    };
    let written = loop {
        match speaker.write(&frame, step) {
            Ok(_) => assert!(start.elapsed() < LIMIT, "the loudspeaker did not notice"),
            Err(error) => break error,
        }
    };
    println!("{read}; {written}; after {:?}", start.elapsed());
    assert_eq!(
        (read, written),
        (
            DeviceError::Lost(Direction::Input),
            DeviceError::Lost(Direction::Output)
        )
    );
}

#[test]
#[ignore = "the other half of a_machine_without_any_device_gets_the_flag_to_use_instead"]
fn half_finds_nothing() {
    println!("{:?} {:?}", inputs(), outputs());
    assert_eq!(
        Microphone::open(None).expect_err("no microphone"),
        DeviceError::None(Direction::Input)
    );
    assert_eq!(
        Loudspeaker::open(None).expect_err("no loudspeaker"),
        DeviceError::None(Direction::Output)
    );
}

/// 480 Hz: a hundred samples a period.
fn tone(n: usize) -> f32 {
    (core::f32::consts::TAU * (n % 100) as f32 / 100.0).sin() * 0.5
}

/// The share of a signal's energy that is the tone, whatever its phase; 0 when it is far too quiet.
fn purity(signal: &[f32]) -> f32 {
    let (mut sine, mut cosine, mut energy) = (0.0, 0.0, 0.0);
    for (n, &sample) in signal.iter().enumerate() {
        sine += sample * tone(n) * 2.0;
        cosine += sample * tone(n + 25) * 2.0;
        energy += sample * sample;
    }
    let length = signal.len() as f32;
    if energy / length < 0.01 {
        0.0
    } else {
        2.0 * (sine * sine + cosine * cosine) / (energy * length)
    }
}
