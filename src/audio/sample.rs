//! Samples: how many channels, how a sample becomes 16 bit, how loud a frame is.

use serde::{Deserialize, Serialize};

/// The quietest level a packet can state, in -dBov (RFC 6464).
pub(crate) const SILENCE_LEVEL: u8 = 127;

/// How many channels a room's sound has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// One channel: speech.
    Mono,
    /// Two interleaved channels, left first: music.
    Stereo,
}

impl Channels {
    /// 1 or 2.
    pub const fn count(self) -> usize {
        match self {
            Self::Mono => 1,
            Self::Stereo => 2,
        }
    }

    /// The length of a slice that holds one 20 ms frame, all channels interleaved.
    pub const fn frame_len(self) -> usize {
        super::FRAME_SAMPLES * self.count()
    }
}

/// Rounds a sample to 16 bit: times 32768, clamped, halves to the even neighbour.
///
/// This is what libopus does on its own way to 16 bit, so that a WAV file written here equals, sample for
/// sample, what any other program decodes from the same packets. Not a number becomes silence.
pub fn to_i16(sample: f32) -> i16 {
    let scaled = (sample * 32_768.0).clamp(-32_768.0, 32_767.0);
    // The cast is exact after clamping; NaN, which survives `clamp`, casts to 0.
    scaled.round_ties_even() as i16
}

/// The level of a frame as RFC 6464 states it: 0 is full scale, 127 is silence, in steps of -1 dB (RMS,
/// relative to a full-scale square wave).
pub fn level_of(frame: &[f32]) -> u8 {
    level_of_power(mean_power(frame))
}

/// The mean square of a frame; not-a-number counts as silence.
pub(crate) fn mean_power(frame: &[f32]) -> f32 {
    if frame.is_empty() {
        return 0.0;
    }
    let sum: f32 = frame.iter().map(|sample| sample * sample).sum();
    let power = sum / frame.len() as f32;
    if power.is_nan() { 0.0 } else { power }
}

/// Gives every channel the one there is.
pub(crate) fn unfold(mono: &[f32], channels: Channels, frame: &mut [f32]) {
    for (moment, &sample) in frame.chunks_exact_mut(channels.count()).zip(mono) {
        moment.fill(sample);
    }
}

/// Folds all channels into one.
pub(crate) fn fold(frame: &[f32], channels: Channels, mono: &mut [f32]) {
    for (sample, moment) in mono.iter_mut().zip(frame.chunks_exact(channels.count())) {
        *sample = moment.iter().sum::<f32>() / channels.count() as f32;
    }
}

fn level_of_power(power: f32) -> u8 {
    // 1e-13 is below -127 dB; it keeps the logarithm finite.
    let decibels = -10.0 * power.max(1e-13).log10();
    decibels.round().clamp(0.0, f32::from(SILENCE_LEVEL)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_round_to_the_even_neighbour() {
        assert_eq!(to_i16(0.5 / 32_768.0), 0);
        assert_eq!(to_i16(1.5 / 32_768.0), 2);
        assert_eq!(to_i16(-2.5 / 32_768.0), -2);
    }

    #[test]
    fn sixteen_bit_never_wraps_and_takes_nonsense_for_silence() {
        assert_eq!(to_i16(1.0), i16::MAX);
        assert_eq!(to_i16(-1.0), i16::MIN);
        assert_eq!(to_i16(f32::INFINITY), i16::MAX);
        assert_eq!(to_i16(f32::NEG_INFINITY), i16::MIN);
        assert_eq!(to_i16(f32::NAN), 0);
    }

    #[test]
    fn every_sixteen_bit_value_survives_the_way_through_a_float() {
        for value in i16::MIN..=i16::MAX {
            assert_eq!(to_i16(f32::from(value) / 32_768.0), value);
        }
    }

    #[test]
    fn one_channel_becomes_two_equal_ones_and_two_become_their_mean() {
        let mut stereo = [0.0; 4];
        unfold(&[0.25, -0.5], Channels::Stereo, &mut stereo);
        assert_eq!(stereo, [0.25, 0.25, -0.5, -0.5]);
        let mut mono = [0.0; 2];
        fold(&[0.25, 0.75, -0.5, 0.5], Channels::Stereo, &mut mono);
        assert_eq!(mono, [0.5, 0.0]);
    }

    #[test]
    fn one_channel_passes_unchanged() {
        let (mut frame, mut mono) = ([0.0; 2], [0.0; 2]);
        unfold(&[0.1, -0.2], Channels::Mono, &mut frame);
        fold(&frame, Channels::Mono, &mut mono);
        assert_eq!(mono, [0.1, -0.2]);
    }

    #[test]
    fn a_level_is_decibels_below_full_scale() {
        assert_eq!(level_of(&[1.0, -1.0, 1.0, -1.0]), 0);
        assert_eq!(level_of(&[0.1; 960]), 20);
        assert_eq!(level_of(&[0.0; 960]), 127);
        assert_eq!(level_of(&[]), 127);
        assert_eq!(level_of(&[f32::NAN; 960]), 127);
        assert_eq!(level_of(&[8.0; 960]), 0);
    }
}
