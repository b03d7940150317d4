//! A room for music is stereo, from the file that is played to the file that is heard.

use std::path::Path;

use super::program::{host, join, succeeds};

#[test]
fn what_is_played_on_the_right_in_a_room_for_music_is_heard_on_the_right() {
    let homes = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let [a, b] = homes.each_ref().map(tempfile::TempDir::path);
    let (played, heard) = (a.join("played.wav"), b.join("heard.wav"));
    tone_on_the_right(&played);
    let input = format!("file:{}", played.display());
    let (mut host, link) = host(a, &["--music", "--input", &input, "--wait-listeners", "1"]);
    let (mut guest, _) = join(b, &link, &["--output", &format!("file:{}", heard.display())]);
    guest.until("first_audio");
    host.until("input_ended");
    succeeds(a, &["ctl", "end"]);
    assert_eq!((host.finish().0, guest.finish().0), (Some(0), Some(0)));

    let mut reader = hound::WavReader::open(&heard).expect("a WAV");
    assert_eq!(reader.spec().channels, 2);
    let samples: Vec<i16> = reader.samples().map(|sample| sample.expect("whole")).collect();
    let power = |channel: usize| -> f64 {
        let samples = samples.iter().skip(channel).step_by(2);
        samples.map(|sample| f64::from(*sample).powi(2)).sum()
    };
    let (left, right) = (power(0), power(1));
    assert!(
        right > 1e9 && left < right / 1_000.0,
        "left {left}, right {right}"
    );
}

/// Two seconds, silent on the left.
fn tone_on_the_right(path: &Path) {
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).expect("a writable file");
    for n in 0..96_000 {
        let sample = (n as f32 * 0.06).sin() * 6_000.0;
        writer.write_sample(0i16).expect("room on the disk");
        writer.write_sample(sample as i16).expect("room on the disk");
    }
    writer.finalize().expect("room on the disk");
}
