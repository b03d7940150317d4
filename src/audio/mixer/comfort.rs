//! Comfort noise: what is heard of an open microphone while its owner is silent and sends next to nothing.
//!
//! Without it the room behind a voice would appear and vanish with every sentence. A silent microphone sends a single
//! frame now and then; its loudness is that of the noise, which is made here until the next. Where several are open one
//! noise is made, as loud as the loudest.
//!
//! Invariant: who never sent a lone frame, as a file does not, gets no noise, and the mix stays as it is, bit for bit.

use crate::audio::Channels;
use crate::audio::sample::mean_power;
use std::collections::BTreeMap;

/// The most frames in a row that are a lone frame of silence: it, and the one in which it is let down.
const LONE: u32 = 2;

/// Frames after the last that was heard for which noise is made: a second, in which a silent microphone sends at least
/// twice. Then it is closed.
const LASTS: u32 = 50;

/// A lone frame louder than this is not taken for noise, in power: 50 dB below full scale. It would be no comfort.
const LOUDEST: f32 = 1e-5;

/// Noise softer than this is not made, in power: 85 dB below full scale, which nobody hears.
const SOFTEST: f32 = 3e-9;

/// What of the last sample stays in the next: more of the noise below a kilohertz than above, as rooms have it.
const COLOUR: f32 = 0.9;

/// The power of coloured noise made of values between -1 and 1: a third, narrowed by the filter.
const MADE: f32 = (1.0 - COLOUR) / (1.0 + COLOUR) / 3.0;

/// The noise behind all voices of one mix.
#[derive(Debug)]
pub(super) struct Comfort<K> {
    sources: BTreeMap<K, Source>,
    /// The factor at the end of the last frame.
    size: f32,
    last: f32,
    random: u32,
}

/// What is known of a microphone.
#[derive(Debug, Clone, Copy, Default)]
struct Source {
    /// Frames in a row that sounded, and the power of the first of them.
    run: u32,
    first: f32,
    /// Frames since.
    silent: u32,
    /// The power of its noise: of the last lone frame.
    noise: Option<f32>,
}

impl<K: Ord + Copy> Comfort<K> {
    pub(super) const fn new() -> Self {
        Self {
            sources: BTreeMap::new(),
            size: 0.0,
            last: 0.0,
            random: 1,
        }
    }

    /// Forgets a microphone.
    pub(super) fn forget(&mut self, key: K) {
        self.sources.remove(&key);
    }

    /// Notes that a voice sounds in this frame of the mix, as it is heard there.
    pub(super) fn hear(&mut self, key: K, frame: &[f32], gain: f32) {
        let source = self.sources.entry(key).or_default();
        if source.silent > 0 || source.run == 0 {
            *source = Source {
                noise: source.noise,
                first: mean_power(frame) * gain * gain,
                ..Source::default()
            };
        }
        source.run = source.run.saturating_add(1);
    }

    /// Adds the noise of this frame. `sounds` says who was heard in it.
    pub(super) fn add(&mut self, sounds: impl Fn(K) -> bool, channels: Channels, out: &mut [f32]) {
        let mut loudest: f32 = 0.0;
        for (&key, source) in &mut self.sources {
            if sounds(key) {
                continue;
            }
            source.silent = source.silent.saturating_add(1);
            if source.silent == 1 && source.run <= LONE {
                source.noise = Some(source.first).filter(|noise| (SOFTEST..=LOUDEST).contains(noise));
            }
            if source.silent <= LASTS {
                loudest = loudest.max(source.noise.unwrap_or(0.0));
            }
        }
        let wanted = (loudest / MADE).sqrt();
        if wanted == 0.0 && self.size == 0.0 {
            return;
        }
        let count = channels.count();
        let (from, moments) = (self.size, out.len() / count);
        for (index, moment) in out.chunks_exact_mut(count).enumerate() {
            self.random = self.random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let white = (self.random >> 8) as f32 / 8_388_608.0 - 1.0;
            self.last = self.last * COLOUR + white * (1.0 - COLOUR);
            let size = from + (wanted - from) * (index + 1) as f32 / moments as f32;
            for sample in moment {
                *sample += self.last * size;
            }
        }
        self.size = wanted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::FRAME_SAMPLES;

    const VOICE: [f32; FRAME_SAMPLES] = [0.1; FRAME_SAMPLES];
    const ROOM: [f32; FRAME_SAMPLES] = [0.001; FRAME_SAMPLES];

    /// The power of the noise in the next frame.
    fn next(comfort: &mut Comfort<u8>, sound: Option<&[f32]>) -> f32 {
        let mut out = vec![0.0; FRAME_SAMPLES];
        if let Some(sound) = sound {
            comfort.hear(1, sound, 1.0);
        }
        comfort.add(|_| sound.is_some(), Channels::Mono, &mut out);
        mean_power(&out)
    }

    #[test]
    fn between_lone_frames_there_is_noise_as_loud_as_they_are() {
        let mut comfort = Comfort::new();
        next(&mut comfort, Some(&ROOM));
        let powers: Vec<f32> = (0..19).map(|_| next(&mut comfort, None)).collect();
        let mean = powers[1..].iter().sum::<f32>() / 18.0;
        assert!((0.7e-6..1.4e-6).contains(&mean), "{mean}");
    }

    #[test]
    fn what_stops_without_a_lone_frame_leaves_silence() {
        let mut comfort = Comfort::new();
        for _ in 0..10 {
            assert_eq!(next(&mut comfort, Some(&VOICE)), 0.0);
        }
        assert!((0..100).all(|_| next(&mut comfort, None) == 0.0));
    }

    #[test]
    fn it_is_there_at_once_when_a_spurt_ends_and_gone_a_second_after_the_microphone_closed() {
        let mut comfort = Comfort::new();
        next(&mut comfort, Some(&ROOM));
        next(&mut comfort, None);
        for _ in 0..10 {
            next(&mut comfort, Some(&VOICE));
        }
        assert_eq!(
            next(&mut comfort, Some(&VOICE)),
            0.0,
            "a voice is heard without it"
        );
        let powers: Vec<f32> = (0..60).map(|_| next(&mut comfort, None)).collect();
        assert!(powers[1] > 1e-7 && powers[40] > 1e-7);
        assert_eq!(powers[51..], [0.0; 9]);
    }

    #[test]
    fn loud_noise_is_no_comfort_and_silence_needs_none() {
        let mut comfort = Comfort::new();
        next(&mut comfort, Some(&VOICE));
        assert!((0..19).all(|_| next(&mut comfort, None) == 0.0));
        next(&mut comfort, Some(&ROOM));
        assert!((0..19).map(|_| next(&mut comfort, None)).sum::<f32>() > 0.0);
        next(&mut comfort, Some(&[0.0; FRAME_SAMPLES]));
        next(&mut comfort, None);
        assert_eq!(next(&mut comfort, None), 0.0);
    }
}
