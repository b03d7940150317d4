//! The speaking half on the real clock; judged by what comes and in which order, never by when.

use super::*;
use crate::audio::{Channels, FRAME_SAMPLES};

/// Frames from a list; then the end, or nothing more.
struct Listed {
    kind: SourceKind,
    frames: std::vec::IntoIter<Vec<f32>>,
    ends: bool,
}

impl Listed {
    fn input(kind: SourceKind, frames: Vec<Vec<f32>>, ends: bool) -> Input {
        Input::Source(Box::new(Self {
            kind,
            frames: frames.into_iter(),
            ends,
        }))
    }
}

impl AudioSource for Listed {
    fn kind(&self) -> SourceKind {
        self.kind
    }

    fn read_frame(&mut self, _: Channels, frame: &mut [f32]) -> Result<Fill, AudioError> {
        match self.frames.next() {
            Some(next) => {
                frame.copy_from_slice(&next);
                Ok(Fill::Frame)
            }
            None if self.ends => Ok(Fill::End),
            None => {
                std::thread::park_timeout(Duration::from_millis(5));
                Ok(Fill::NotYet)
            }
        }
    }
}

fn sines(count: usize) -> Vec<Vec<f32>> {
    let sample = |n: usize| (n as f32 * 0.05).sin() * 0.3;
    (0..count)
        .map(|frame| {
            (0..FRAME_SAMPLES)
                .map(|n| sample(frame * FRAME_SAMPLES + n))
                .collect()
        })
        .collect()
}

const OPTIONS: CaptureOptions = CaptureOptions::new(EncoderSettings::speech());

async fn all(capture: &Capture) -> (Vec<EncodedFrame>, bool) {
    let mut frames = Vec::new();
    let mut finished = false;
    while let Some(captured) = capture.next().await {
        match captured {
            Captured::Frame(frame) => frames.push(frame),
            Captured::Opened(_) | Captured::Paused(_) => {}
            Captured::Finished => finished = true,
            Captured::Failed(error) => panic!("{error}"),
        }
    }
    (frames, finished)
}

async fn next_frame(capture: &Capture) -> EncodedFrame {
    match capture.next().await {
        Some(Captured::Frame(frame)) => frame,
        other => panic!("a frame was expected, not {other:?}"),
    }
}

#[tokio::test]
async fn a_recording_is_sent_whole_and_its_last_frame_says_so() {
    let mut sound = sines(10);
    sound[4].fill(0.0);
    let capture = Capture::start(Listed::input(SourceKind::Recorded, sound, true), OPTIONS).unwrap();
    let (frames, finished) = all(&capture).await;
    assert!(finished);
    assert_eq!(frames.len(), 10, "silent frames of a recording are sent too");
    assert!(frames.windows(2).all(|pair| pair[1].time > pair[0].time));
    let ends: Vec<bool> = frames.iter().map(|frame| frame.end_of_spurt).collect();
    assert_eq!(ends, [[false; 9].as_slice(), &[true]].concat());
    assert_eq!((frames[4].level, frames[5].level), (127, 13));
}

#[tokio::test]
async fn payloads_are_those_of_an_encoder_without_a_clock() {
    let sound = sines(15);
    let mut encoder = codec::encoder(EncoderSettings::speech()).unwrap();
    let expected: Vec<Bytes> = sound
        .iter()
        .map(|frame| encoder.encode(frame).unwrap().payload)
        .collect();
    let input = Listed::input(SourceKind::Recorded, sound, true);
    let capture = Capture::start(input, OPTIONS).unwrap();
    let payloads: Vec<Bytes> = all(&capture)
        .await
        .0
        .into_iter()
        .map(|frame| frame.payload)
        .collect();
    assert_eq!(payloads, expected);
}

#[tokio::test]
async fn a_silent_microphone_sends_at_most_five_packets_a_second() {
    // Half a second of sound, then ten of silence.
    let mut sound = sines(25);
    sound.extend(std::iter::repeat_n(vec![0.0; FRAME_SAMPLES], 500));
    sound.extend(sines(5));
    let input = Listed::input(SourceKind::Live, sound, true);
    let capture = Capture::start(input, OPTIONS).unwrap();
    let (frames, _) = all(&capture).await;
    // The first of a silence is sent, in case it is a pause between words, and the last, in case a word begins in it.
    let silent: Vec<&EncodedFrame> = frames
        .iter()
        .filter(|frame| (50..523).contains(&frame.time))
        .collect();
    assert!(!silent.is_empty(), "listeners hear that the link lives");
    for second in silent[0].time..475 {
        let sent = silent
            .iter()
            .filter(|frame| (second..second + 50).contains(&frame.time));
        assert!(sent.count() <= 5);
    }
    assert!(silent.iter().all(|frame| frame.end_of_spurt));
    let spoken = frames.iter().filter(|frame| frame.time >= 523);
    assert_eq!(
        spoken.count(),
        2 + 5,
        "speech after silence is sent from its first frame on, and what came just before"
    );
    assert!(frames[..25].iter().all(|frame| !frame.end_of_spurt));
}

#[tokio::test]
async fn a_recording_sends_silence_only_when_it_is_asked_to_leave_it_out() {
    let sound = || [sines(10), vec![vec![0.0; FRAME_SAMPLES]; 80]].concat();
    let whole = Capture::start(Listed::input(SourceKind::Recorded, sound(), true), OPTIONS).unwrap();
    assert_eq!(all(&whole).await.0.len(), 90);
    let options = CaptureOptions {
        discontinuous: Some(true),
        ..OPTIONS
    };
    let parts = Capture::start(Listed::input(SourceKind::Recorded, sound(), true), options).unwrap();
    let (frames, finished) = all(&parts).await;
    assert!(finished && frames.len() < 50, "{} frames", frames.len());
    assert!(frames.last().unwrap().end_of_spurt);
}

#[tokio::test]
async fn a_recording_is_never_worked_on_and_a_live_source_is_when_asked() {
    let quiet: Vec<Vec<f32>> = sines(60)
        .into_iter()
        .map(|frame| frame.iter().map(|sample| sample * 0.01).collect())
        .collect();
    let options = CaptureOptions {
        voice: VoiceOptions::ON,
        discontinuous: Some(false),
        ..OPTIONS
    };
    let payloads = async |kind, options| -> Vec<Bytes> {
        let capture = Capture::start(Listed::input(kind, quiet.clone(), true), options).unwrap();
        all(&capture)
            .await
            .0
            .into_iter()
            .map(|frame| frame.payload)
            .collect()
    };
    let as_it_is = payloads(SourceKind::Recorded, OPTIONS).await;
    assert_eq!(payloads(SourceKind::Recorded, options).await, as_it_is);
    let worked_on = payloads(SourceKind::Live, options).await;
    assert_eq!(worked_on.len(), as_it_is.len());
    assert_ne!(worked_on, as_it_is);
}

#[tokio::test]
async fn a_pause_closes_the_spurt_with_silence_and_a_recording_goes_on_where_it_was() {
    let input = Listed::input(SourceKind::Recorded, sines(20), true);
    let capture = Capture::start(input, OPTIONS).unwrap();
    let mut frames = vec![next_frame(&capture).await];
    capture.pause();
    let closing = loop {
        let frame = next_frame(&capture).await;
        if frame.end_of_spurt {
            break frame;
        }
        frames.push(frame);
    };
    assert_eq!(closing.level, 127);
    assert_eq!(closing.time, frames.last().unwrap().time + 1);
    let paused = capture.next().await;
    assert!(matches!(paused, Some(Captured::Paused(1))), "{paused:?}");
    assert_eq!(capture.pauses(), 1);
    capture.resume();
    let (rest, finished) = all(&capture).await;
    assert!(finished);
    assert!(rest[0].time > closing.time);
    assert_eq!(
        frames.len() + rest.len(),
        20,
        "no frame of the recording is left out"
    );
}

#[tokio::test]
async fn what_starts_paused_sends_nothing_before_it_is_resumed() {
    let options = CaptureOptions {
        paused: true,
        ..OPTIONS
    };
    let input = Listed::input(SourceKind::Live, sines(3), true);
    let capture = Capture::start(input, options).unwrap();
    assert!(capture.is_paused());
    assert!(capture.shared.frames.try_pop().is_none());
    capture.resume();
    assert_eq!(all(&capture).await.0.len(), 3);
}

#[tokio::test]
async fn dropping_the_handle_stops_the_thread() {
    let capture = Capture::start(Input::Tone(440.0), OPTIONS).unwrap();
    next_frame(&capture).await;
    let frames = capture.shared.frames.clone();
    drop(capture);
    // Closed by the thread as its last act.
    while frames.pop().await.is_some() {}
}

#[tokio::test]
async fn a_source_that_fails_is_told_with_its_reason() {
    struct Broken;
    impl AudioSource for Broken {
        fn kind(&self) -> SourceKind {
            SourceKind::Recorded
        }
        fn read_frame(&mut self, _: Channels, _: &mut [f32]) -> Result<Fill, AudioError> {
            Err(AudioError::Plugged("the tape tore".into()))
        }
    }
    let capture = Capture::start(Input::Source(Box::new(Broken)), OPTIONS).unwrap();
    match capture.next().await {
        Some(Captured::Failed(error)) => assert_eq!(error.to_string(), "the tape tore"),
        other => panic!("{other:?}"),
    }
    assert!(capture.next().await.is_none());
}
