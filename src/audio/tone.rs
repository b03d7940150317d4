//! A steady tone as input: for trying out a room without a microphone, and for tests.

use super::{AudioError, AudioSource, Channels, Fill, SAMPLE_RATE, SourceKind};
use core::f64::consts::TAU;

/// Peak of the tone: -20 dBFS, a usual alignment level. Much louder startles whoever joins, much softer
/// is lost among speakers.
const AMPLITUDE: f64 = 0.1;

/// A sine that never ends.
#[derive(Debug, Clone)]
pub struct Tone {
    /// Position in the period, 0 to 1: kept small so that no precision is lost however long it sounds.
    phase: f64,
    /// Periods a sample.
    step: f64,
}

impl Tone {
    /// A tone of `hertz`, which must lie between 1 and 20,000.
    pub fn new(hertz: f64) -> Result<Self, AudioError> {
        if !(1.0..=20_000.0).contains(&hertz) {
            return Err(AudioError::Usage(format!(
                "a tone of {hertz} Hz can't be heard; give one between 1 and 20000, for example tone:440"
            )));
        }
        Ok(Self {
            phase: 0.0,
            step: hertz / f64::from(SAMPLE_RATE),
        })
    }
}

impl AudioSource for Tone {
    fn kind(&self) -> SourceKind {
        SourceKind::Recorded
    }

    fn read_frame(&mut self, channels: Channels, frame: &mut [f32]) -> Result<Fill, AudioError> {
        for moment in frame.chunks_exact_mut(channels.count()) {
            moment.fill(((self.phase * TAU).sin() * AMPLITUDE) as f32);
            self.phase = (self.phase + self.step).fract();
        }
        Ok(Fill::Frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_has_its_pitch_and_peaks_at_minus_twenty_decibels() {
        let mut tone = Tone::new(1_000.0).unwrap();
        let mut sound = Vec::new();
        for _ in 0..50 {
            let mut frame = vec![0.0; Channels::Mono.frame_len()];
            assert_eq!(tone.read_frame(Channels::Mono, &mut frame).unwrap(), Fill::Frame);
            sound.extend(frame);
        }
        let rises = sound.windows(2).filter(|w| w[0] < 0.0 && w[1] >= 0.0);
        assert!((999..=1_000).contains(&rises.count()));
        let peak = sound.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
        assert!((peak - 0.1).abs() < 1e-4, "{peak}");
    }

    #[test]
    fn both_channels_carry_the_tone() {
        let mut tone = Tone::new(440.0).unwrap();
        let mut frame = vec![0.0; Channels::Stereo.frame_len()];
        tone.read_frame(Channels::Stereo, &mut frame).unwrap();
        assert!(frame.chunks_exact(2).all(|pair| pair[0] == pair[1]));
        assert!(frame[100] != 0.0);
    }

    #[test]
    fn an_inaudible_pitch_is_refused_with_an_example() {
        for hertz in [0.0, -1.0, 30_000.0, f64::NAN, f64::INFINITY] {
            let error = Tone::new(hertz).unwrap_err().to_string();
            assert!(error.contains("tone:440"), "{error}");
        }
    }
}
