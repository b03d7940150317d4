//! How loud a voice is, and the gain that brings it to the loudness of all others.
//!
//! Loudness is measured as ITU-R BS.1770-4 does it: weighted by how ears hear (K), in overlapping blocks, of which the
//! soft ones do not count, so that pauses change nothing. Unlike a programme, a voice is followed: what was said some
//! seconds ago counts less and less.
//!
//! Invariant: the gain is a number between [`LEAST_DB`] and [`MOST_DB`], and moves by a fraction of a decibel a frame.

use crate::audio::{Channels, FRAME_SAMPLES};

/// The loudness that voices are brought to, in LUFS. Speech peaks some 15 dB above its loudness, so two who speak at
/// once still fit below full scale.
pub const TARGET_LUFS: f32 = -20.0;

/// The most gain: beyond it the noise of a bad microphone is what is raised, in decibels.
const MOST_DB: f32 = 20.0;

/// The least: below full scale nothing needs more, in decibels.
const LEAST_DB: f32 = -20.0;

/// Frames from one block to the next: 100 ms, as in BS.1770.
const STEP: u32 = 5;

/// Steps of a block: 400 ms, as there.
const BLOCK: usize = 4;

/// Blocks softer than this are no speech, in LUFS: the background of a voice that is 20 LU below the target.
const ABSOLUTE_GATE: f32 = -50.0;

/// Blocks so far below the voice's loudness are its pauses, in LU, as in BS.1770.
const RELATIVE_GATE: f32 = 10.0;

/// Blocks after which what was said before counts for a third: 2 s of speech. Shorter, and the gain follows single words;
/// longer, and who grows louder from one sentence to the next is too loud for long.
const MEMORY: u32 = 20;

/// How much more a block counts that is louder than what was said before: too loud is worse than too soft.
const LOUDER: f32 = 1.5;

/// By how much the idea of the loudness falls for each block below the relative gate, in decibels: half a decibel a
/// second, so that who speaks far softer from now on is raised in the end, and noise in a pause hardly.
const SINK: f32 = 0.05;

/// Blocks of speech after which a voice is known: 2 s. Until then the gain moves fast.
const KNOWN: u32 = 20;

/// How fast the gain rises and falls while a voice is not known yet, and afterwards, in decibels a second. It falls
/// faster, for the same reason.
const FAST: (f32, f32) = (12.0, 40.0);
const SLOW: (f32, f32) = (3.0, 8.0);

/// Frames a second.
const FRAMES: f32 = 50.0;

/// Follows one voice.
#[derive(Debug, Clone)]
pub(super) struct Leveler {
    channels: Channels,
    weighting: [[Biquad; 2]; 2],
    /// Sum of the weighted powers of the present step, and its frames.
    sum: f32,
    frames: u32,
    /// The mean powers of the newest steps.
    steps: [f32; BLOCK],
    /// How many of them there are.
    heard: usize,
    /// The voice's loudness as a mean power; counts once a block was heard.
    power: f32,
    /// Blocks that counted, at most [`MEMORY`].
    blocks: u32,
    gain_db: f32,
}

impl Leveler {
    /// Knows nothing of the voice yet, and leaves it as it is.
    pub(super) fn new(channels: Channels) -> Self {
        Self {
            channels,
            weighting: [[Biquad::shelf(), Biquad::high_pass()]; 2],
            sum: 0.0,
            frames: 0,
            steps: [0.0; BLOCK],
            heard: 0,
            power: 0.0,
            blocks: 0,
            gain_db: 0.0,
        }
    }

    /// Listens to a frame and says what it is to be multiplied with at its end.
    pub(super) fn follow(&mut self, frame: &[f32]) -> f32 {
        self.measure(frame);
        if self.blocks > 0 {
            let wanted = (TARGET_LUFS - loudness(self.power)).clamp(LEAST_DB, MOST_DB);
            let (up, down) = if self.blocks < KNOWN { FAST } else { SLOW };
            self.gain_db += (wanted - self.gain_db).clamp(-down / FRAMES, up / FRAMES);
        }
        10f32.powf(self.gain_db / 20.0)
    }

    fn measure(&mut self, frame: &[f32]) {
        let count = self.channels.count();
        let mut sum = 0.0;
        for (channel, stages) in self.weighting.iter_mut().take(count).enumerate() {
            for &sample in frame.iter().skip(channel).step_by(count) {
                let [shelf, high_pass] = stages;
                let weighted = high_pass.pass(shelf.pass(sample));
                sum += weighted * weighted;
            }
            stages.iter_mut().for_each(Biquad::settle);
        }
        if !sum.is_finite() {
            // Nothing is learnt from what is no sound.
            self.weighting = [[Biquad::shelf(), Biquad::high_pass()]; 2];
            return;
        }
        self.sum += sum / FRAME_SAMPLES as f32;
        self.frames += 1;
        if self.frames == STEP {
            self.steps.rotate_right(1);
            self.steps[0] = self.sum / STEP as f32;
            (self.sum, self.frames) = (0.0, 0);
            // The first block is as long as what was heard: a voice need not wait for its level.
            self.heard = (self.heard + 1).min(BLOCK);
            let block = &self.steps[..self.heard];
            self.count(block.iter().sum::<f32>() / self.heard as f32);
        }
    }

    fn count(&mut self, power: f32) {
        let block = loudness(power);
        if block < ABSOLUTE_GATE {
            return;
        }
        if self.blocks > 0 && block < loudness(self.power) - RELATIVE_GATE {
            self.power *= 10f32.powf(-SINK / 10.0);
            return;
        }
        self.blocks = (self.blocks + 1).min(MEMORY);
        let weight = if power > self.power { LOUDER } else { 1.0 };
        self.power += (power - self.power) * (weight / self.blocks as f32).min(1.0);
    }
}

/// LUFS of a weighted mean power, all channels summed.
fn loudness(power: f32) -> f32 {
    -0.691 + 10.0 * power.max(1e-12).log10()
}

/// A filter of second order, transposed direct form II.
#[derive(Debug, Clone, Copy)]
struct Biquad {
    b: [f32; 3],
    a: [f32; 2],
    state: [f32; 2],
}

impl Biquad {
    /// The first filter of BS.1770 at 48 kHz: the head's own gain.
    const fn shelf() -> Self {
        Self {
            b: [1.535_124_9, -2.691_696_2, 1.198_392_8],
            a: [-1.690_659_3, 0.732_480_8],
            state: [0.0; 2],
        }
    }

    /// The second: low sounds count less.
    const fn high_pass() -> Self {
        Self {
            b: [1.0, -2.0, 1.0],
            a: [-1.990_047_5, 0.990_072_25],
            state: [0.0; 2],
        }
    }

    fn pass(&mut self, sample: f32) -> f32 {
        let out = self.b[0] * sample + self.state[0];
        self.state[0] = self.b[1] * sample - self.a[0] * out + self.state[1];
        self.state[1] = self.b[2] * sample - self.a[1] * out;
        out
    }

    /// What has died away is nothing: numbers that small are slow to work with.
    fn settle(&mut self) {
        for state in &mut self.state {
            if state.abs() < 1e-15 {
                *state = 0.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::testing::{frames, speech_files};
    use ebur128::{EbuR128, Mode};
    use proptest::prelude::*;

    fn lufs(sound: &[f32]) -> f32 {
        let mut judge = EbuR128::new(1, 48_000, Mode::I).unwrap();
        judge.add_frames_f32(sound).unwrap();
        judge.loudness_global().unwrap() as f32
    }

    /// Ten seconds of a file of speech at this loudness.
    fn voice(file: usize, wanted: f32) -> Vec<f32> {
        let files = speech_files();
        let (_, samples) = &files[file % files.len()];
        let sound: Vec<f32> = frames(samples).flatten().collect();
        let sound: Vec<f32> = sound.iter().copied().cycle().take(480_000).collect();
        let size = 10f32.powf((wanted - lufs(&sound)) / 20.0);
        sound.iter().map(|sample| sample * size).collect()
    }

    fn levelled(sound: &[f32]) -> Vec<f32> {
        let mut leveler = Leveler::new(Channels::Mono);
        let frames = sound.chunks_exact(FRAME_SAMPLES).flat_map(|frame| {
            let gain = leveler.follow(frame);
            frame.iter().map(|sample| sample * gain).collect::<Vec<_>>()
        });
        frames.collect()
    }

    #[test]
    fn soft_and_loud_voices_are_within_3_lu_of_each_other_after_3_seconds() {
        let voices = [(0, -35.0), (1, -20.0), (2, -10.0)];
        let heard = voices.map(|(file, loudness)| lufs(&levelled(&voice(file, loudness))[144_000..]));
        let spread =
            heard.iter().copied().fold(f32::MIN, f32::max) - heard.iter().copied().fold(f32::MAX, f32::min);
        assert!(spread <= 3.0, "{heard:?}");
        assert!(
            heard.iter().all(|heard| (heard - TARGET_LUFS).abs() < 3.0),
            "{heard:?}"
        );
    }

    #[test]
    fn the_meter_agrees_with_another_one_on_a_steady_sound() {
        let step = core::f32::consts::TAU * 997.0 / 48_000.0;
        let sine: Vec<f32> = (0..96_000).map(|n| (n as f32 * step).sin() * 0.1).collect();
        let mut leveler = Leveler::new(Channels::Mono);
        for frame in sine.chunks_exact(FRAME_SAMPLES) {
            leveler.follow(frame);
        }
        assert!((loudness(leveler.power) - lufs(&sine)).abs() < 0.1);
    }

    #[test]
    fn pauses_and_their_noise_change_the_gain_hardly() {
        let mut leveler = Leveler::new(Channels::Mono);
        let last = |leveler: &mut Leveler, sound: &[f32]| -> f32 {
            sound
                .chunks_exact(FRAME_SAMPLES)
                .map(|frame| leveler.follow(frame))
                .last()
                .unwrap()
        };
        let before = last(&mut leveler, &voice(0, -25.0));
        let noise: Vec<f32> = voice(1, -40.0)[..240_000].to_vec();
        let after = last(&mut leveler, &noise);
        assert!((20.0 * (after / before).log10()).abs() < 3.0, "{before} {after}");
        let silence = last(&mut leveler, &[0.0; 96_000]);
        assert!(
            (20.0 * (silence / after).log10()).abs() < 1.0,
            "{after} {silence}"
        );
    }

    proptest! {
        #[test]
        fn no_sound_makes_the_gain_leave_its_bounds_or_leap(
            values in proptest::collection::vec((any::<f32>(), -1.0f32..1.0), 1..60)
        ) {
            let mut leveler = Leveler::new(Channels::Stereo);
            let mut last = 1.0f32;
            for (wild, tame) in values {
                let mut frame = vec![tame; 2 * FRAME_SAMPLES];
                frame[99] = wild;
                let gain = leveler.follow(&frame);
                prop_assert!((0.09..=10.01).contains(&gain));
                prop_assert!((20.0 * (gain / last).log10()).abs() < 1.0);
                last = gain;
            }
        }
    }
}
