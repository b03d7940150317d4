//! The listening half on the real clock; judged by what it leaves behind, never by when.

use super::*;
use crate::audio::codec::EncoderSettings;
use crate::audio::testing::speech_files;
use crate::audio::{Capture, CaptureOptions, Captured, FRAME_SAMPLES, Input};
use audiopus::packet::Packet;
use audiopus::{MutSignals, SampleRate, coder};
use bytes::Bytes;
use std::path::Path;

const ME: SpeakerKey = SpeakerKey([1; 32]);
/// A listener's delay, which a busy machine does not use up.
const GOAL: DelayGoal = DelayGoal::Audience {
    floor: Duration::from_millis(240),
};
const OPTIONS: PlaybackOptions = PlaybackOptions::new(Channels::Mono, GOAL);

/// A second and a half of speech in a file.
fn speech(path: &Path) {
    let (_, samples) = speech_files().swap_remove(0);
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 48_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for sample in &samples[..75 * FRAME_SAMPLES] {
        writer.write_sample(*sample).unwrap();
    }
    writer.finalize().unwrap();
}

fn reference(payloads: &[Bytes]) -> Vec<i16> {
    let mut decoder = coder::Decoder::new(SampleRate::Hz48000, audiopus::Channels::Mono).unwrap();
    let mut sound = vec![0; payloads.len() * FRAME_SAMPLES];
    for (payload, frame) in payloads.iter().zip(sound.chunks_mut(FRAME_SAMPLES)) {
        let packet = Packet::try_from(&payload[..]).unwrap();
        let signals = MutSignals::try_from(frame).unwrap();
        decoder.decode(Some(packet), signals, false).unwrap();
    }
    sound
}

fn read(path: &Path) -> Vec<i16> {
    let mut reader = hound::WavReader::open(path).unwrap();
    reader.samples().map(Result::unwrap).collect()
}

/// Speaks the file into the playback; returns the payloads.
async fn speak(path: &Path, playback: &PlaybackHandle) -> Vec<Bytes> {
    let options = CaptureOptions::new(EncoderSettings::speech());
    let capture = Capture::start(Input::File(path.into()), options).unwrap();
    let mut payloads = Vec::new();
    while let Some(captured) = capture.next().await {
        match captured {
            Captured::Frame(frame) => {
                let packet = SpeechPacket {
                    speaker: ME,
                    epoch: 7,
                    sequence: payloads.len() as u32,
                    time: frame.time,
                    frames: vec![frame.payload.clone()],
                    redundant: Vec::new(),
                    end_of_spurt: frame.end_of_spurt,
                    repaired: false,
                };
                payloads.push(frame.payload);
                playback.push(packet, Instant::now());
            }
            Captured::Opened(_) | Captured::Paused(_) | Captured::Finished => {}
            Captured::Failed(error) => panic!("{error}"),
        }
    }
    payloads
}

/// What one attempt at speaking a file into a WAV came to.
struct Heard {
    payloads: Vec<Bytes>,
    sound: Vec<i16>,
    first_sequence: Option<u32>,
    stats: PlaybackStats,
}

async fn speak_into_a_file() -> Heard {
    let dir = tempfile::tempdir().unwrap();
    let (said, heard) = (dir.path().join("said.wav"), dir.path().join("heard.wav"));
    speech(&said);
    let playback = Playback::start(Output::File(heard.clone()), OPTIONS).unwrap();
    let payloads = speak(&said, &playback).await;
    let shared = Arc::clone(&playback.feed.shared);
    let report = playback.finish(Finish::PlayOut).await;
    assert!(report.failure.is_none());
    let mut firsts = core::iter::from_fn(|| shared.events.try_pop()).filter_map(|event| match event {
        PlaybackEvent::Speaker(EngineEvent::FirstAudio { sequence, .. }) => Some(sequence),
        _ => None,
    });
    Heard {
        payloads,
        sound: read(&heard),
        first_sequence: firsts.next(),
        stats: report.stats,
    }
}

#[tokio::test]
async fn a_file_spoken_in_real_time_is_written_sample_for_sample() {
    for attempt in 1..=3 {
        let heard = speak_into_a_file().await;
        let jitter = &heard.stats.streams[0].jitter;
        if jitter.concealed + jitter.inserted + jitter.removed > 0 && attempt < 3 {
            eprintln!(
                "attempt {attempt}: the machine stood still too long: {:?}",
                heard.stats
            );
            continue;
        }
        assert_eq!(
            (jitter.received, jitter.lost, jitter.concealed),
            (75, 0, 0),
            "{:?}",
            heard.stats
        );
        assert_eq!(heard.first_sequence, Some(0));
        let expected = reference(&heard.payloads);
        let begin = heard
            .sound
            .chunks(FRAME_SAMPLES)
            .position(|frame| frame == &expected[..FRAME_SAMPLES])
            .expect("the first frame is in the file");
        assert_eq!(heard.sound[begin * FRAME_SAMPLES..][..expected.len()], expected);
        return;
    }
}

#[tokio::test]
async fn an_output_that_stands_still_for_a_while_loses_no_frame() {
    /// Holds the playback's thread up for 300 ms in the middle of the speech.
    struct Stuttering {
        taken: u32,
    }
    impl AudioSink for Stuttering {
        fn write_frame(&mut self, _: Channels, _: &[f32]) -> Result<(), AudioError> {
            self.taken += 1;
            if self.taken == 40 {
                std::thread::sleep(Duration::from_millis(300));
            }
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let said = dir.path().join("said.wav");
    speech(&said);
    let sink = Output::Sink(Box::new(Stuttering { taken: 0 }));
    let playback = Playback::start(sink, OPTIONS).unwrap();
    speak(&said, &playback).await;
    let report = playback.finish(Finish::PlayOut).await;
    let jitter = &report.stats.streams[0].jitter;
    assert!(report.stats.stalls >= 1);
    assert_eq!(
        (jitter.received, jitter.lost, jitter.concealed),
        (75, 0, 0),
        "{:?}",
        report.stats
    );
}

#[tokio::test]
async fn a_broken_output_is_told_once_and_the_counting_goes_on() {
    struct Full;
    impl AudioSink for Full {
        fn write_frame(&mut self, _: Channels, _: &[f32]) -> Result<(), AudioError> {
            Err(AudioError::Plugged("full".into()))
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let said = dir.path().join("said.wav");
    speech(&said);
    let playback = Playback::start(Output::Sink(Box::new(Full)), OPTIONS).unwrap();
    let payloads = speak(&said, &playback).await;
    let shared = Arc::clone(&playback.feed.shared);
    let report = playback.finish(Finish::PlayOut).await;
    let stats = &report.stats.streams[0].jitter;
    assert_eq!(stats.received, payloads.len() as u64);
    let failures = core::iter::from_fn(|| shared.events.try_pop())
        .filter(|event| matches!(event, PlaybackEvent::OutputFailed(_)));
    assert_eq!(failures.count(), 1);
}

#[tokio::test]
async fn a_sink_that_paces_itself_is_followed() {
    /// Takes frames at once, and leaves after so many.
    struct Eager {
        taken: u32,
        done: Option<oneshot::Sender<()>>,
    }
    impl AudioSink for Eager {
        fn write_frame(&mut self, _: Channels, frame: &[f32]) -> Result<(), AudioError> {
            assert_eq!(frame.len(), FRAME_SAMPLES);
            self.taken += 1;
            if self.taken == 1_000
                && let Some(done) = self.done.take()
            {
                let _ = done.send(());
            }
            Ok(())
        }
        fn paces_itself(&self) -> bool {
            true
        }
    }
    let (done, reached) = oneshot::channel();
    let sink = Eager {
        taken: 0,
        done: Some(done),
    };
    let playback = Playback::start(Output::Sink(Box::new(sink)), OPTIONS).unwrap();
    reached.await.unwrap();
    playback.finish(Finish::Now).await;
}

#[tokio::test]
async fn dropping_the_handle_closes_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("heard.wav");
    let playback = Playback::start(Output::File(path.clone()), OPTIONS).unwrap();
    let shared = Arc::clone(&playback.feed.shared);
    drop(playback);
    // The thread closes the queue after the file.
    while shared.events.pop().await.is_some() {}
    assert!(read(&path).iter().all(|&sample| sample == 0));
}

#[tokio::test]
async fn an_output_that_cannot_be_opened_is_refused_at_once() {
    for output in ["file:/no/such/place.wav", "speakers:nonesuch"] {
        let output = output.parse().unwrap();
        assert!(Playback::start(output, OPTIONS).is_err());
    }
}
