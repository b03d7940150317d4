//! Sound made shorter or longer by one period of its own, which nobody hears: how a delay changes in mid-speech.
//!
//! After W. Verhelst, M. Roelands, "An overlap-add technique based on waveform similarity (WSOLA) for high quality
//! time-scale modification of speech" (ICASSP 1993), within one frame: where the frame is most like itself a little later
//! one is faded into the other, and what lies between is left out or played twice. Invariants: the first and the last
//! sample of a frame stay what they are, so that it joins its neighbours as before; a frame that is not changed is not
//! touched.

use crate::audio::{Channels, FRAME_SAMPLES, SAMPLE_RATE};
use core::time::Duration;
use majlis_protocol::jitter::Pace;

/// The shortest and the longest piece that is taken out or put in, in samples a channel: 2.5 and 15 ms, the periods of
/// voices from 400 down to 67 Hz.
const SHORTEST: usize = 120;
const LONGEST: usize = 720;

/// The longest piece that is always put in, however little is missing: 10 ms. Half of a tick too much is only delay; a
/// voice that is too low for less would leave it missing.
const LONGEST_SPARE: usize = 480;

/// The shortest and the longest fade from one piece to the other: 5 and 10 ms. Less is heard as a crackle in low voices;
/// more does not fit a frame beside a long period.
const SHORTEST_FADE: usize = 240;
const LONGEST_FADE: usize = 480;

/// The signal is compared at a quarter of its rate first; the pitch of speech lies far below.
const COARSE: usize = 4;

/// How like each other the two pieces must be at first, as a correlation: vowels are, consonants are not.
const ALIKE: f32 = 0.95;

/// By how much less they must be with each frame that was not like itself, where at least a long piece is to go: after a
/// second anything will do, since music or noise may never be, and a delay that runs away is worse.
const LESS_ALIKE: f32 = 0.02;

/// Frames this quiet may be cut anywhere: 60 dB below full scale, as a mean square.
const QUIET: f32 = 1e-6;

/// Frames left alone after one was changed: speech is then at most 15 % faster, which is not noticed.
const REST: u32 = 3;

/// A delay that is off by more than this is brought back faster, with every other frame: it is in the way of talking with
/// each other.
const URGENT: Duration = Duration::from_millis(60);
const URGENT_REST: u32 = 1;

/// Changes the length of one stream's frames.
#[derive(Debug)]
pub(super) struct Stretch {
    channels: Channels,
    /// Frames to be left alone.
    rests: u32,
    /// Frames that were not like themselves since the last that was.
    tried: u32,
    /// Frames that were changed.
    changed: u64,
    /// The frame with its channels added up, whole and at the coarse rate.
    mono: Vec<f32>,
    coarse: Vec<f32>,
}

/// Where to cut.
#[derive(Debug, Clone, Copy)]
struct Cut {
    /// Samples between the two pieces that are alike.
    lag: usize,
    fade: usize,
    alike: f32,
}

impl Stretch {
    pub(super) fn new(channels: Channels) -> Self {
        Self {
            channels,
            rests: 0,
            tried: 0,
            changed: 0,
            mono: Vec::with_capacity(FRAME_SAMPLES),
            coarse: Vec::with_capacity(FRAME_SAMPLES / COARSE),
        }
    }

    /// Frames that were made shorter or longer so far.
    pub(super) fn changed(&self) -> u64 {
        self.changed
    }

    /// Appends a frame to `out`, as long as `pace` asks, if it can be without being heard.
    pub(super) fn append(&mut self, frame: &[f32], pace: Pace, out: &mut Vec<f32>) {
        let Some((by, longer)) = (match pace {
            Pace::Keep => None,
            Pace::Shorten(by) => Some((by, false)),
            Pace::Lengthen(by) => Some((by, true)),
        }) else {
            self.tried = 0;
            out.extend_from_slice(frame);
            return;
        };
        if self.rests > 0 {
            self.rests -= 1;
            out.extend_from_slice(frame);
            return;
        }
        let least = if longer { LONGEST_SPARE } else { SHORTEST };
        let most = samples(by).clamp(least, LONGEST);
        self.listen(frame);
        let cut = self.best(most, longer);
        let patience = if longer || most == LONGEST { self.tried } else { 0 };
        let enough = ALIKE - LESS_ALIKE * patience as f32;
        if cut.alike < enough && !self.is_quiet() {
            self.tried += 1;
            out.extend_from_slice(frame);
            return;
        }
        self.tried = 0;
        self.rests = if by > URGENT { URGENT_REST } else { REST };
        self.changed += 1;
        if longer {
            lengthen(frame, cut, self.channels.count(), out);
        } else {
            shorten(frame, cut, self.channels.count(), out);
        }
    }

    fn listen(&mut self, frame: &[f32]) {
        self.mono.clear();
        let moments = frame.chunks_exact(self.channels.count());
        self.mono.extend(moments.map(|moment| moment.iter().sum::<f32>()));
        self.coarse.clear();
        let few = self.mono.chunks_exact(COARSE);
        self.coarse.extend(few.map(|few| few.iter().sum::<f32>()));
    }

    fn is_quiet(&self) -> bool {
        let power: f32 = self.mono.iter().map(|sample| sample * sample).sum();
        power < QUIET * FRAME_SAMPLES as f32
    }

    /// The lag of at most so many samples at which the frame is most like itself: at its beginning, or at its end.
    fn best(&self, most: usize, longer: bool) -> Cut {
        let alike = |sound: &[f32], lag: usize, fade: usize| {
            let first = if longer { sound.len() - fade - lag } else { 0 };
            correlation(
                &sound[first..first + fade],
                &sound[first + lag..first + lag + fade],
            )
        };
        let coarse = (SHORTEST / COARSE..=most / COARSE)
            .map(|lag| (lag, alike(&self.coarse, lag, fade(lag * COARSE) / COARSE)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        let near = coarse.map_or(SHORTEST, |(lag, _)| lag * COARSE);
        let fine = near.saturating_sub(COARSE).max(SHORTEST)..=(near + COARSE).min(most);
        fine.map(|lag| {
            let fade = fade(lag);
            let alike = alike(&self.mono, lag, fade);
            Cut { lag, fade, alike }
        })
        .max_by(|a, b| a.alike.total_cmp(&b.alike))
        .unwrap_or(Cut {
            lag: SHORTEST,
            fade: fade(SHORTEST),
            alike: -1.0,
        })
    }
}

/// How many samples a channel a time has.
fn samples(time: Duration) -> usize {
    usize::try_from(time.as_micros() * u128::from(SAMPLE_RATE) / 1_000_000).unwrap_or(usize::MAX)
}

/// How long a fade may be beside this lag.
fn fade(lag: usize) -> usize {
    (FRAME_SAMPLES - lag).clamp(SHORTEST_FADE, LONGEST_FADE)
}

/// How like each other two pieces of one length are, from -1 to 1; silence is like nothing.
fn correlation(one: &[f32], other: &[f32]) -> f32 {
    let (mut product, mut first, mut second) = (0.0, 1e-9, 1e-9);
    for (a, b) in one.iter().zip(other) {
        product += a * b;
        first += a * a;
        second += b * b;
    }
    product / (first * second).sqrt()
}

/// Fades from the frame's beginning into what comes a lag later.
fn shorten(frame: &[f32], cut: Cut, channels: usize, out: &mut Vec<f32>) {
    let (lag, end) = (cut.lag * channels, cut.fade * channels);
    cross(&frame[..end], &frame[lag..lag + end], channels, out);
    out.extend_from_slice(&frame[lag + end..]);
}

/// Fades from the frame's end into what came a lag before, and plays the end from there.
fn lengthen(frame: &[f32], cut: Cut, channels: usize, out: &mut Vec<f32>) {
    let (lag, fade) = (cut.lag * channels, cut.fade * channels);
    let place = frame.len() - fade;
    out.extend_from_slice(&frame[..place]);
    cross(
        &frame[place..],
        &frame[place - lag..frame.len() - lag],
        channels,
        out,
    );
    out.extend_from_slice(&frame[frame.len() - lag..]);
}

/// Appends the fade from one piece to another of the same length.
pub(super) fn cross(from: &[f32], to: &[f32], channels: usize, out: &mut Vec<f32>) {
    let steps = (from.len() / channels) as f32;
    for (index, (from, to)) in from
        .chunks_exact(channels)
        .zip(to.chunks_exact(channels))
        .enumerate()
    {
        let part = (index as f32 + 0.5) / steps;
        out.extend(from.iter().zip(to).map(|(from, to)| from + (to - from) * part));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::testing::{frames, speech_files};
    use proptest::prelude::*;

    const BY: Duration = Duration::from_millis(30);

    fn tone(hertz: f32) -> Vec<f32> {
        (0..FRAME_SAMPLES * 4)
            .map(|n| (core::f32::consts::TAU * hertz * n as f32 / 48_000.0).sin() * 0.5)
            .collect()
    }

    fn steepest(sound: &[f32]) -> f32 {
        sound
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).abs())
            .fold(0.0, f32::max)
    }

    /// The frames of a sound, each changed that may be.
    fn stretched(sound: &[f32], pace: Pace) -> (Vec<f32>, u64) {
        let mut stretch = Stretch::new(Channels::Mono);
        let mut out = Vec::new();
        for frame in sound.chunks_exact(FRAME_SAMPLES) {
            stretch.append(frame, pace, &mut out);
        }
        (out, stretch.changed())
    }

    #[test]
    fn a_tone_loses_or_gains_whole_periods_and_stays_smooth() {
        for hertz in [80.0, 150.0, 220.0, 440.0, 1_000.0] {
            let sound = tone(hertz);
            for pace in [Pace::Shorten(BY), Pace::Lengthen(BY)] {
                let (out, changed) = stretched(&sound, pace);
                assert_eq!(changed, 1, "{hertz} Hz: one of four frames");
                let longer = out.len() > sound.len();
                assert_eq!(longer, matches!(pace, Pace::Lengthen(_)));
                let periods = out.len().abs_diff(sound.len()) as f32 * hertz / 48_000.0;
                assert!(
                    (periods - periods.round()).abs() < 0.05,
                    "{hertz} Hz: {periods} periods"
                );
                assert!(steepest(&out) < steepest(&sound) * 1.05, "{hertz} Hz clicks");
            }
        }
    }

    #[test]
    fn a_frame_that_is_left_alone_is_not_touched() {
        let sound = tone(300.0);
        assert_eq!(stretched(&sound, Pace::Keep), (sound, 0));
    }

    #[test]
    fn speech_is_changed_in_its_vowels_and_never_steeper_than_it_was() {
        for (name, samples) in speech_files() {
            let sound: Vec<f32> = frames(&samples).flatten().collect();
            for pace in [Pace::Shorten(BY), Pace::Lengthen(BY)] {
                let (out, changed) = stretched(&sound, pace);
                assert!(changed > 20, "{name}: {changed} frames");
                assert!(steepest(&out) <= steepest(&sound) * 1.01, "{name}");
            }
        }
    }

    #[test]
    fn noise_that_is_never_like_itself_is_changed_after_a_second() {
        let mut seed = 1_u32;
        let noise: Vec<f32> = (0..FRAME_SAMPLES * 60)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 8) as f32 / 16_777_216.0 - 0.5
            })
            .collect();
        let (_, changed) = stretched(&noise, Pace::Shorten(BY));
        assert!((1..5).contains(&changed), "{changed} frames of 60");
    }

    #[test]
    fn a_large_delay_is_brought_back_faster() {
        let (out, changed) = stretched(&tone(200.0), Pace::Shorten(URGENT * 2));
        assert_eq!(changed, 2);
        assert!(out.len() < FRAME_SAMPLES * 3);
    }

    proptest! {
        #[test]
        fn no_sound_makes_it_panic_and_a_frame_keeps_its_ends(
            sound in proptest::collection::vec(-1.0_f32..1.0, FRAME_SAMPLES * 2),
            by in 0_u64..200, longer: bool, tried in 0_u32..60
        ) {
            let by = Duration::from_millis(by);
            let pace = if longer { Pace::Lengthen(by) } else { Pace::Shorten(by) };
            let mut stretch = Stretch::new(Channels::Stereo);
            stretch.tried = tried;
            let mut out = Vec::new();
            stretch.append(&sound, pace, &mut out);
            prop_assert!(out.len() >= (FRAME_SAMPLES - LONGEST) * 2 && out.len() <= (FRAME_SAMPLES + LONGEST) * 2);
            prop_assert!(out.len() % 2 == 0 && out.iter().all(|sample| sample.abs() <= 1.0));
            prop_assert!((out[0] - sound[0]).abs() < 0.02);
            prop_assert!((out[out.len() - 1] - sound[sound.len() - 1]).abs() < 0.02);
        }
    }
}
