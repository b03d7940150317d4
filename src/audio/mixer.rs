//! The mix: the loudest few speakers, each as loud as its listener wants it, summed, softly limited.
//!
//! Invariants: with levelling off and volumes untouched one speaker below -1 dBFS passes through bit for bit; the mix is
//! never above full scale and never not-a-number; a speaker who starts or stops being part of the mix in the middle of a
//! sound does so over a ramp of 10 ms, and a gain changes over a frame. A sound that begins (a fresh decoder, or speech
//! after silence) is not ramped: its own beginning is what the speaker sent.

mod comfort;
mod leveling;

pub use leveling::TARGET_LUFS;

use super::sample::mean_power;
use super::{Channels, FRAME_SAMPLES};
use comfort::Comfort;
use leveling::Leveler;
use std::collections::BTreeMap;

/// Speakers that are heard at once. More voices than four at a time are noise to everybody, and their
/// background noises add up; fewer would cut laughter and short interjections.
pub const MAX_MIXED: usize = 4;

/// The most that a listener raises one speaker by: four times, 12 dB.
pub const MAX_VOLUME: f32 = 4.0;

/// Samples a channel over which a voice fades in or out: 10 ms, the shortest that does not click.
const RAMP: usize = FRAME_SAMPLES / 2;

/// How much louder, in power, a newcomer must be to displace a heard voice: 3 dB. Without it two equally
/// loud voices would take turns every frame.
const STAY: f32 = 2.0;

/// What is left of a voice's smoothed power after one frame without it: it falls 30 dB in about half a
/// second, so that a voice keeps its place between words.
const DECAY: f32 = 0.76;

/// Where the limiter begins: -1 dBFS.
const KNEE: f32 = 0.891_250_9;

/// What a stream gives to one frame of the mix.
#[derive(Debug)]
pub struct MixInput<'a, K> {
    /// Whose sound it is.
    pub key: K,
    /// One frame, channels interleaved.
    pub frame: &'a [f32],
    /// The voice ends with this frame though its sound goes on: fade it out.
    pub leaving: bool,
}

/// Sums voices. One for each output; `K` names a voice.
#[derive(Debug)]
pub struct Mixer<K> {
    channels: Channels,
    voices: BTreeMap<K, Voice>,
    /// What each voice's loudness is, while all are brought to one; of voices that are silent too.
    levelers: Option<BTreeMap<K, Leveler>>,
    /// What the listener wants each voice multiplied with; 1 where there is nothing.
    volumes: BTreeMap<K, f32>,
    comfort: Comfort<K>,
}

/// What is remembered of a voice from one frame to the next, while it sounds.
#[derive(Debug, Clone, Copy)]
struct Voice {
    /// Smoothed power, as it is heard.
    power: f32,
    /// Its weight at the end of the last frame: 1 when heard, 0 when not; `None` before its first frame.
    weight: Option<f32>,
    /// Its gain at the end of the last frame, and at the end of this one.
    gain: (f32, f32),
}

impl<K: Ord + Copy> Mixer<K> {
    /// A mixer for frames with `channels`, which leaves each voice as loud as it is.
    pub const fn new(channels: Channels) -> Self {
        Self {
            channels,
            voices: BTreeMap::new(),
            levelers: None,
            volumes: BTreeMap::new(),
            comfort: Comfort::new(),
        }
    }

    /// Whether this voice was part of the last mix, even if only fading.
    pub fn was_heard(&self, key: K) -> bool {
        self.voices
            .get(&key)
            .is_some_and(|voice| voice.weight.is_some_and(|weight| weight > 0.0))
    }

    /// Whether all voices are brought to [`TARGET_LUFS`].
    pub fn set_leveling(&mut self, on: bool) {
        self.levelers = on.then(|| self.levelers.take().unwrap_or_default());
    }

    /// How loud the listener wants a voice: a factor from 0, which mutes it here, to [`MAX_VOLUME`]; what is no number
    /// counts as 1.
    pub fn set_volume(&mut self, key: K, volume: f32) {
        if volume == 1.0 || volume.is_nan() {
            self.volumes.remove(&key);
        } else {
            self.volumes.insert(key, volume.clamp(0.0, MAX_VOLUME));
        }
    }

    /// Forgets how loud a voice is; its volume stays.
    pub fn forget(&mut self, key: K) {
        self.comfort.forget(key);
        if let Some(levelers) = &mut self.levelers {
            levelers.remove(&key);
        }
    }

    /// Mixes one frame into `out`, overwriting it. `inputs` are the voices that sound in this frame, each
    /// once; a voice that is missing has fallen silent.
    pub fn mix(&mut self, inputs: &[MixInput<'_, K>], out: &mut [f32]) {
        self.listen(inputs);
        let chosen = self.choose(inputs);
        out.fill(0.0);
        for (input, chosen) in inputs.iter().zip(chosen) {
            let voice = self
                .voices
                .get_mut(&input.key)
                .expect("`listen` has entered every input");
            let target = if chosen && !input.leaving { 1.0 } else { 0.0 };
            let begin = match voice.weight {
                Some(weight) => weight,
                // A new sound starts as it is; one that is cut in its first frame fades like any other.
                None if chosen => 1.0,
                None => 0.0,
            };
            voice.weight = Some(target);
            add(input.frame, (begin, target), voice.gain, self.channels, out);
            self.comfort.hear(input.key, input.frame, voice.gain.1);
        }
        self.comfort
            .add(|key| self.voices.contains_key(&key), self.channels, out);
        for sample in out {
            *sample = limit(*sample);
        }
    }

    /// Updates what is known about the voices; forgets those that have fallen silent.
    fn listen(&mut self, inputs: &[MixInput<'_, K>]) {
        self.voices
            .retain(|key, _| inputs.iter().any(|input| input.key == *key));
        for input in inputs {
            let volume = self.volumes.get(&input.key).copied().unwrap_or(1.0);
            let leveling = self.levelers.as_mut().map_or(1.0, |levelers| {
                let leveler = levelers.entry(input.key);
                leveler
                    .or_insert_with(|| Leveler::new(self.channels))
                    .follow(input.frame)
            });
            let gain = volume * leveling;
            let power = mean_power(input.frame) * gain * gain;
            let voice = self.voices.entry(input.key).or_insert(Voice {
                power,
                weight: None,
                gain: (gain, gain),
            });
            voice.power = power.max(voice.power * DECAY);
            voice.gain = (voice.gain.1, gain);
        }
    }

    /// Which of the inputs are among the loudest few. Who is muted here takes nobody's place.
    fn choose(&self, inputs: &[MixInput<'_, K>]) -> Vec<bool> {
        let mut ranking: Vec<(f32, usize)> = inputs
            .iter()
            .enumerate()
            .filter(|(_, input)| self.volumes.get(&input.key) != Some(&0.0))
            .map(|(index, input)| {
                let voice = &self.voices[&input.key];
                let heard = voice.weight.is_some_and(|weight| weight > 0.0);
                (voice.power * if heard { STAY } else { 1.0 }, index)
            })
            .collect();
        ranking.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut chosen = vec![false; inputs.len()];
        for &(_, index) in ranking.iter().take(MAX_MIXED) {
            chosen[index] = true;
        }
        chosen
    }
}

/// Adds a frame to the mix while its weight moves over the first 10 ms, and its gain over all of it.
fn add(frame: &[f32], weight: (f32, f32), gain: (f32, f32), channels: Channels, out: &mut [f32]) {
    if weight == (1.0, 1.0) && gain == (1.0, 1.0) {
        for (sum, sample) in out.iter_mut().zip(frame) {
            *sum += sample;
        }
        return;
    }
    if weight == (0.0, 0.0) {
        return;
    }
    let moments = out
        .chunks_exact_mut(channels.count())
        .zip(frame.chunks_exact(channels.count()));
    for (index, (sums, samples)) in moments.enumerate() {
        let done = (index + 1) as f32;
        let weight = weight.0 + (weight.1 - weight.0) * (done / RAMP as f32).min(1.0);
        let gain = gain.0 + (gain.1 - gain.0) * (done / FRAME_SAMPLES as f32);
        for (sum, sample) in sums.iter_mut().zip(samples) {
            *sum += sample * weight * gain;
        }
    }
}

/// The identity below -1 dBFS; above it, a curve that leaves the knee without a bend and ends at full scale.
fn limit(sample: f32) -> f32 {
    let size = sample.abs();
    if size <= KNEE {
        return sample;
    }
    if size.is_nan() {
        return 0.0;
    }
    let room = 1.0 - KNEE;
    let bent = KNEE + room * ((size - KNEE) / room).tanh();
    bent.min(1.0).copysign(sample)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LEN: usize = FRAME_SAMPLES;

    fn mix(mixer: &mut Mixer<u8>, inputs: &[(u8, &[f32], bool)]) -> Vec<f32> {
        let inputs: Vec<MixInput<'_, u8>> = inputs
            .iter()
            .map(|&(key, frame, leaving)| MixInput { key, frame, leaving })
            .collect();
        let mut out = vec![9.0; LEN];
        mixer.mix(&inputs, &mut out);
        out
    }

    fn sounding(keys: impl IntoIterator<Item = u8>, frame: &[f32]) -> Vec<(u8, &[f32], bool)> {
        keys.into_iter().map(|key| (key, frame, false)).collect()
    }

    #[test]
    fn without_voices_the_mix_is_silence() {
        assert_eq!(mix(&mut Mixer::new(Channels::Mono), &[]), vec![0.0; LEN]);
    }

    #[test]
    fn a_new_voice_among_five_equal_ones_does_not_displace_a_heard_one() {
        let mut mixer = Mixer::new(Channels::Mono);
        let frame = vec![0.1; LEN];
        mix(&mut mixer, &sounding(1..=4, &frame));
        mix(&mut mixer, &sounding(0..=4, &frame));
        assert!(!mixer.was_heard(0));
        assert!((1..=4).all(|key| mixer.was_heard(key)));
    }

    #[test]
    fn a_clearly_louder_voice_displaces_the_softest_over_a_ramp() {
        let mut mixer = Mixer::new(Channels::Mono);
        let (soft, loud) = (vec![0.1; LEN], vec![0.3; LEN]);
        mix(&mut mixer, &sounding(1..=5, &soft));
        assert!(!mixer.was_heard(5));
        let mut inputs = sounding(1..=4, &soft);
        inputs.push((5, &loud, false));
        let out = mix(&mut mixer, &inputs);
        assert!(mixer.was_heard(5));
        assert_eq!((1..=4).filter(|&key| mixer.was_heard(key)).count(), 3);
        let steps = out.windows(2).map(|pair| (pair[1] - pair[0]).abs());
        assert!(steps.fold(0.0, f32::max) < 0.001, "no jump inside the frame");
        assert!((out[0] - 0.4).abs() < 0.001, "begins where the last mix ended");
        assert!((out[LEN - 1] - 0.6).abs() < 1e-6);
    }

    #[test]
    fn a_voice_that_leaves_fades_within_ten_milliseconds() {
        let mut mixer = Mixer::new(Channels::Mono);
        let frame = vec![0.5; LEN];
        mix(&mut mixer, &[(1, &frame, false)]);
        let out = mix(&mut mixer, &[(1, &frame, true)]);
        assert!(out[0] > 0.49 && out[RAMP / 2] < 0.3);
        assert!(out[RAMP - 1..].iter().all(|&sample| sample == 0.0));
    }

    #[test]
    fn both_channels_fade_together() {
        let mut mixer = Mixer::new(Channels::Stereo);
        let frame = vec![0.5; LEN * 2];
        let mut out = vec![0.0; LEN * 2];
        for leaving in [false, true] {
            let input = MixInput {
                key: 1,
                frame: &frame,
                leaving,
            };
            mixer.mix(&[input], &mut out);
        }
        assert!(out.chunks_exact(2).all(|pair| pair[0] == pair[1]));
        assert!(out[RAMP * 2..].iter().all(|&sample| sample == 0.0));
    }

    #[test]
    fn the_limiter_rises_without_a_jump_and_ends_at_full_scale() {
        let mut last = 0.0;
        for step in 0..40_000 {
            let out = limit(step as f32 / 10_000.0);
            assert!(out >= last && out - last <= 1.01e-4, "step {step}");
            last = out;
        }
        assert!(last > 0.999 && last <= 1.0);
    }

    #[test]
    fn a_volume_holds_for_its_voice_alone_and_none_of_it_mutes() {
        let mut mixer = Mixer::new(Channels::Mono);
        let frame = vec![0.1; LEN];
        mixer.set_volume(1, 0.5);
        assert_eq!(mix(&mut mixer, &[(1, &frame, false)]), vec![0.05; LEN]);
        assert_eq!(mix(&mut mixer, &[(2, &frame, false)]), vec![0.1; LEN]);
        mixer.set_volume(2, 0.0);
        let out = mix(&mut mixer, &[(2, &frame, false)]);
        assert!(
            out[0] > 0.09 && out[RAMP..].iter().all(|&sample| sample == 0.0),
            "over a ramp"
        );
        assert!(!mixer.was_heard(2));
        mixer.set_volume(2, 1.0);
        mix(&mut mixer, &[(2, &frame, false)]);
        assert_eq!(mix(&mut mixer, &[(2, &frame, false)]), frame);
    }

    #[test]
    fn who_is_muted_here_takes_nobodys_place() {
        let mut mixer = Mixer::new(Channels::Mono);
        let (soft, loud) = (vec![0.1; LEN], vec![0.5; LEN]);
        mixer.set_volume(9, 0.0);
        let mut inputs = sounding(1..=4, &soft);
        inputs.push((9, &loud, false));
        mix(&mut mixer, &inputs);
        assert!((1..=4).all(|key| mixer.was_heard(key)) && !mixer.was_heard(9));
    }

    #[test]
    fn a_changed_volume_is_reached_without_a_jump() {
        let mut mixer = Mixer::new(Channels::Mono);
        let frame = vec![0.2; LEN];
        mix(&mut mixer, &[(1, &frame, false)]);
        mixer.set_volume(1, 4.0);
        let out = mix(&mut mixer, &[(1, &frame, false)]);
        let steps = out.windows(2).map(|pair| (pair[1] - pair[0]).abs());
        assert!(steps.fold(0.0, f32::max) < 0.001);
        assert!((out[LEN - 1] - 0.8).abs() < 1e-5);
    }

    #[test]
    fn a_voice_keeps_its_level_from_one_sentence_to_the_next() {
        let mut mixer = Mixer::new(Channels::Mono);
        mixer.set_leveling(true);
        let frame: Vec<f32> = (0..LEN).map(|n| (n as f32 * 0.13).sin() * 0.02).collect();
        let loudest = |out: &[f32]| out.iter().fold(0.0f32, |most, sample| most.max(sample.abs()));
        let first = loudest(&mix(&mut mixer, &[(1, &frame, false)]));
        let mut last = 0.0;
        for _ in 0..200 {
            last = loudest(&mix(&mut mixer, &[(1, &frame, false)]));
        }
        assert!(last > 3.0 * first, "{first} {last}");
        mix(&mut mixer, &[]);
        let next = loudest(&mix(&mut mixer, &[(1, &frame, false)]));
        assert!((next - last).abs() < 0.01 * last, "{last} {next}");
        mixer.forget(1);
        mix(&mut mixer, &[]);
        assert_eq!(loudest(&mix(&mut mixer, &[(1, &frame, false)])), first);
    }

    proptest! {
        #[test]
        fn one_voice_below_the_knee_passes_bit_for_bit(
            frames in proptest::collection::vec(proptest::collection::vec(-KNEE..KNEE, LEN), 1..4)
        ) {
            let mut mixer = Mixer::new(Channels::Mono);
            for frame in &frames {
                let out = mix(&mut mixer, &[(7, frame, false)]);
                for (mixed, sample) in out.iter().zip(frame) {
                    prop_assert_eq!(mixed, sample);
                }
            }
        }

        #[test]
        fn nothing_makes_the_mix_leave_full_scale(
            inputs in proptest::collection::vec((any::<f32>(), any::<f32>(), any::<bool>()), 0..9),
            rounds in 1usize..12,
            leveling in any::<bool>(),
            volumes in proptest::collection::vec(any::<f32>(), 0..9),
        ) {
            let mut mixer = Mixer::new(Channels::Mono);
            mixer.set_leveling(leveling);
            for (key, volume) in volumes.into_iter().enumerate() {
                mixer.set_volume(key as u8, volume);
            }
            let frames: Vec<Vec<f32>> = inputs
                .iter()
                .map(|&(a, b, _)| (0..LEN).map(|n| if n % 2 == 0 { a } else { b }).collect())
                .collect();
            for _ in 0..rounds {
                let voices: Vec<(u8, &[f32], bool)> = frames
                    .iter()
                    .zip(&inputs)
                    .enumerate()
                    .map(|(key, (frame, input))| (key as u8, &frame[..], input.2))
                    .collect();
                let out = mix(&mut mixer, &voices);
                prop_assert!(out.iter().all(|sample| sample.abs() <= 1.0));
            }
        }
    }
}
