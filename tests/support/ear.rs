//! A listener's ear of its own: decides what should have been heard without any of the code that is judged.
//!
//! It encodes the speech with libopus by itself, decodes it with a fresh decoder from the listener's first frame on,
//! and compares 16-bit samples. Only the WAV library is common to both.

use std::path::{Path, PathBuf};

use audiopus::{
    Application, Bitrate, Channels, SampleRate, Signal,
    coder::{Decoder, Encoder},
};

/// Samples of a frame of 20 ms at 48 kHz.
pub(crate) const FRAME: usize = 960;

/// Samples of a second.
const SECOND: usize = 48_000;

/// Speech to test with: the directory that `MAJLIS_SPEECH` names, or what the project ships.
pub(crate) fn speech() -> Vec<PathBuf> {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/speech");
    let named = std::env::var_os("MAJLIS_SPEECH").filter(|named| !named.is_empty());
    let place = named.map_or(shipped, PathBuf::from);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&place)
        .unwrap_or_else(|error| panic!("{}: {error}", place.display()))
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "wav"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no speech in {}", place.display());
    files
}

/// Writes a 48 kHz mono WAV that holds the first seconds of a file, repeated or cut, whatever its own rate: input
/// that needs no resampling, so that reference and program encode the same samples.
pub(crate) fn clip(source: &Path, seconds: usize, to: &Path) -> Vec<i16> {
    let mut reader = hound::WavReader::open(source).expect("a WAV");
    let spec = reader.spec();
    let all: Vec<i16> = reader
        .samples::<i16>()
        .map(|sample| sample.expect("whole"))
        .collect();
    let mono: Vec<i16> = all
        .chunks(usize::from(spec.channels))
        .map(|frame| frame[0])
        .collect();
    let step = f64::from(spec.sample_rate) / 48_000.0;
    // At half its level, so that no limiter has anything to do.
    let at = |n: usize| mono[((n as f64 * step) as usize) % mono.len()] / 2;
    let samples: Vec<i16> = (0..seconds * 48_000).map(at).collect();
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(to, spec).expect("a writable file");
    samples
        .iter()
        .for_each(|sample| writer.write_sample(*sample).expect("room on the disk"));
    writer.finalize().expect("room on the disk");
    samples
}

/// The samples of a WAV.
pub(crate) fn read(path: &Path) -> Vec<i16> {
    let mut reader = hound::WavReader::open(path).expect("a WAV");
    assert_eq!(
        (reader.spec().sample_rate, reader.spec().bits_per_sample),
        (48_000, 16)
    );
    reader
        .samples::<i16>()
        .map(|sample| sample.expect("whole"))
        .collect()
}

/// What a room for speech makes of these samples: one Opus packet for each frame.
pub(crate) fn encode(samples: &[i16]) -> Vec<Vec<u8>> {
    let mut encoder =
        Encoder::new(SampleRate::Hz48000, Channels::Mono, Application::Voip).expect("an encoder");
    encoder
        .set_bitrate(Bitrate::BitsPerSecond(32_000))
        .expect("in range");
    encoder.set_inband_fec(true).expect("a switch");
    encoder.set_packet_loss_perc(10).expect("in range");
    encoder.set_signal(Signal::Voice).expect("a hint");
    // The depth of the file: it decides what libopus takes for noise in a quiet passage.
    encoder.set_lsb_depth(16).expect("in range");
    let encode = |frame: &[i16]| {
        let frame: Vec<f32> = frame.iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
        let mut packet = vec![0; 1_500];
        let length = encoder.encode_float(&frame, &mut packet).expect("a frame");
        packet.truncate(length);
        packet
    };
    samples.chunks_exact(FRAME).map(encode).collect()
}

/// What a fresh decoder hears of these packets.
pub(crate) fn decode(packets: &[Vec<u8>]) -> Vec<i16> {
    let mut decoder = Decoder::new(SampleRate::Hz48000, Channels::Mono).expect("a decoder");
    let mut heard = Vec::with_capacity(packets.len() * FRAME);
    for packet in packets {
        let mut frame = [0; FRAME];
        let packet = audiopus::packet::Packet::try_from(packet.as_slice()).expect("not empty");
        let signals = audiopus::MutSignals::try_from(&mut frame[..]).expect("not empty");
        let samples = decoder
            .decode(Some(packet), signals, false)
            .expect("our own packet");
        assert_eq!(samples, FRAME);
        heard.extend_from_slice(&frame);
    }
    heard
}

/// Where in `heard` the reference begins, on a frame boundary; none when its first second is nowhere.
fn find(reference: &[i16], heard: &[i16]) -> Option<usize> {
    let first = &reference[..SECOND.min(reference.len())];
    (0..heard.len().saturating_sub(first.len()) + 1)
        .step_by(FRAME)
        .find(|at| heard[*at..].starts_with(first))
}

/// Demands that `heard` is the reference, whole and in one piece, with nothing but silence around it; else says which
/// second is the first that differs. Where a sound ends, it may be let down to silence within a frame.
pub(crate) fn judge(reference: &[i16], heard: &[i16]) -> Result<(), String> {
    let Some(at) = find(reference, heard) else {
        return Err("the first second is not in the file".into());
    };
    let (before, rest) = heard.split_at(at);
    for (n, second) in reference.chunks(SECOND).enumerate() {
        if !rest[(n * SECOND).min(rest.len())..].starts_with(second) {
            return Err(format!("second {n} differs"));
        }
    }
    let after = rest.get(reference.len() + FRAME..).unwrap_or_default();
    if before.iter().chain(after).any(|sample| *sample != 0) {
        return Err("something was heard that nobody said".into());
    }
    Ok(())
}

/// How loud a tone is in these samples, in dB below a full-scale sine: the Goertzel algorithm.
pub(crate) fn tone_level(samples: &[i16], hertz: f64) -> f64 {
    let coefficient = 2.0 * (2.0 * std::f64::consts::PI * hertz / 48_000.0).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in samples {
        let now = f64::from(*sample) / 32_768.0 + coefficient * last - before;
        before = last;
        last = now;
    }
    let power = last * last + before * before - coefficient * last * before;
    let amplitude = 2.0 * power.max(0.0).sqrt() / samples.len() as f64;
    20.0 * amplitude.max(1e-9).log10()
}

#[test]
fn an_ear_notices_a_wrong_sample_a_missing_frame_and_a_sound_too_many() {
    let said: Vec<i16> = (0..3 * SECOND).map(|n| (n * n % 9_973) as i16 - 5_000).collect();
    let silence = [0; 5 * FRAME];
    let heard = [&silence[..], &said, &silence].concat();
    assert_eq!(judge(&said, &heard), Ok(()));
    assert!(judge(&said, &said[..2 * SECOND]).is_err());
    for at in [10, SECOND + 7, 3 * SECOND - 1] {
        let mut wrong = heard.clone();
        wrong[silence.len() + at] ^= 1;
        assert!(judge(&said, &wrong).is_err(), "{at}");
    }
    let mut missing = heard.clone();
    missing.drain(2 * SECOND..2 * SECOND + FRAME);
    assert!(judge(&said, &missing).is_err());
    for at in [0, heard.len() - 1] {
        let mut more = heard.clone();
        more[at] = 1;
        assert!(judge(&said, &more).is_err(), "{at}");
    }
}
