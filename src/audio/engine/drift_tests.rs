//! Clocks that drift apart for hours, in virtual time: a speaker's frames come a little too fast or too slow for as long as
//! a long talk without a pause, and nobody hears it.

use super::stream::Stream;
use crate::audio::codec::{CodecError, Decoder};
use crate::audio::{Channels, FRAME, FRAME_SAMPLES};
use bytes::Bytes;
use core::time::Duration;
use majlis_protocol::jitter::{Arrival, DelayGoal};

/// Frames of two hours.
const TWO_HOURS: u32 = 2 * 3600 * 50;

/// A decoder whose every frame is the same: whole periods of one tone, so that frames in a row join.
struct Sine(Vec<f32>);

impl Sine {
    fn new() -> Self {
        let sample = |n: usize| (core::f32::consts::TAU * n as f32 / 240.0).sin() * 0.5;
        Self((0..FRAME_SAMPLES).map(sample).collect())
    }

    /// The most it moves from one sample to the next.
    fn steepest(&self) -> f32 {
        0.5 * core::f32::consts::TAU / 240.0
    }
}

impl Decoder for Sine {
    fn decode(&mut self, _: &[u8], frame: &mut [f32]) -> Result<(), CodecError> {
        frame.copy_from_slice(&self.0);
        Ok(())
    }

    fn recover(&mut self, _: &[u8], frame: &mut [f32]) -> Result<(), CodecError> {
        self.conceal(frame)
    }

    fn conceal(&mut self, frame: &mut [f32]) -> Result<(), CodecError> {
        // What is made up is a click here.
        frame.fill(1.0);
        Ok(())
    }

    fn reset(&mut self) -> Result<(), CodecError> {
        Ok(())
    }
}

/// One speaker who talks without a pause, at one listener.
struct Talk {
    stream: Stream,
    payload: [Bytes; 1],
    /// Parts in a million by which the speaker's clock is fast.
    ppm: f64,
    /// The most jitter of the link, which keeps the order, and from when on frames come.
    jitter: Duration,
    begin: Duration,
    seed: u32,
    sent: u32,
    arrives: Duration,
}

impl Talk {
    fn new(goal: DelayGoal, ppm: f64, jitter: Duration, begin: Duration) -> Self {
        let mut talk = Self {
            stream: Stream::new(Channels::Mono, goal, Box::new(Sine::new())),
            payload: [Bytes::from_static(b"frame")],
            ppm,
            jitter,
            begin,
            seed: 1,
            sent: 0,
            arrives: Duration::ZERO,
        };
        talk.arrives = talk.next_arrival();
        talk
    }

    fn next_arrival(&mut self) -> Duration {
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let spoken = FRAME.mul_f64(f64::from(self.sent) / (1.0 + self.ppm / 1e6));
        let late = self.jitter * (self.seed >> 16) / 65_536;
        self.arrives.max(self.begin + spoken + late)
    }

    /// Makes the frame of a tick.
    fn tick(&mut self, tick: u32) -> Option<&[f32]> {
        let now = FRAME * tick;
        while self.arrives <= now {
            let arrival = Arrival {
                epoch: 1,
                sequence: self.sent,
                time: self.sent,
                frames: &self.payload,
                redundant: &[],
                end_of_spurt: false,
                repaired: false,
            };
            self.stream.handle_packet(&arrival, self.arrives);
            self.sent += 1;
            self.arrives = self.next_arrival();
        }
        self.stream.advance(now);
        self.stream.sound()
    }
}

/// Two hours of a speaker whose clock is fast by so many parts in a million, on a link with up to 4 ms of jitter.
fn two_hours(goal: DelayGoal, ppm: f64) {
    let limit = Sine::new().steepest() * 1.05;
    let mut talk = Talk::new(goal, ppm, Duration::from_millis(4), Duration::from_millis(3));
    let mut before = None;
    let (mut shortest, mut longest) = (Duration::MAX, Duration::ZERO);
    for tick in 0..TWO_HOURS {
        let Some(frame) = talk.tick(tick) else {
            assert_eq!(before, None, "silence in tick {tick}");
            continue;
        };
        for &sample in frame {
            let step: f32 = sample - before.unwrap_or(sample);
            assert!(step.abs() <= limit, "a click of {step} in tick {tick}");
            before = Some(sample);
        }
        let delay = talk.stream.delay();
        shortest = shortest.min(delay);
        longest = longest.max(delay);
    }
    let stats = talk.stream.stats(super::SpeakerKey([0; 32]));
    let jitter = &stats.jitter;
    assert_eq!(
        (jitter.concealed, jitter.lost, jitter.skipped),
        (0, 0, 0),
        "{stats:?}"
    );
    assert_eq!((jitter.inserted, jitter.removed), (0, 0), "there was no silence");
    assert!(longest - shortest < FRAME * 4, "from {shortest:?} to {longest:?}");
    assert!(stats.stretched < 1_000, "{stats:?}");
}

/// The median of the stage's delay over the last half of a minute, in the worst of all phases.
fn settled(jitter: Duration) -> Duration {
    let phases = (0..20).map(Duration::from_millis);
    let median = |begin| {
        let mut talk = Talk::new(DelayGoal::Stage, 0.0, jitter, begin);
        let mut delays = Vec::new();
        for tick in 0..3_000 {
            talk.tick(tick);
            delays.push(talk.stream.delay());
        }
        let last = &mut delays[1_500..];
        last.sort();
        last[last.len() / 2]
    };
    phases.map(median).max().unwrap_or_default()
}

#[test]
fn on_a_clean_network_the_stage_hears_within_thirty_milliseconds() {
    let delay = settled(Duration::from_millis(1));
    assert!(delay < Duration::from_millis(30), "{delay:?}");
}

#[test]
fn with_up_to_thirty_milliseconds_of_jitter_the_stage_hears_within_eighty() {
    let delay = settled(Duration::from_millis(30));
    assert!(delay < Duration::from_millis(80), "{delay:?}");
}

#[test]
fn two_hours_of_a_speaker_that_is_too_fast_are_heard_without_a_click_or_a_gap() {
    two_hours(
        DelayGoal::Audience {
            floor: Duration::ZERO,
        },
        150.0,
    );
    two_hours(DelayGoal::Stage, 150.0);
}

#[test]
fn two_hours_of_a_speaker_that_is_too_slow_are_heard_without_a_click_or_a_gap() {
    two_hours(
        DelayGoal::Audience {
            floor: Duration::ZERO,
        },
        -150.0,
    );
    two_hours(DelayGoal::Stage, -150.0);
}

#[test]
fn two_hundred_parts_in_a_million_are_absorbed_as_well() {
    two_hours(DelayGoal::Stage, 200.0);
    two_hours(DelayGoal::Stage, -200.0);
}
