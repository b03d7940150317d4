//! Conversion between a fixed sample rate and 48 kHz, as a stream.
//!
//! A thin layer over rubato's FFT resampler. Invariant: the output is aligned with the input (the filter's
//! delay is cut off at the start) and, after [`Resampler::finish`], lasts as long as the input did.

use super::{AudioError, FRAME_SAMPLES, SAMPLE_RATE};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};

/// Rates that are converted, in samples a second. Below, speech is no longer understood; above, no
/// recorder exists, and the filter's memory grows with the rate.
pub(crate) const RATES: core::ops::RangeInclusive<u32> = 4_000..=384_000;

/// Input samples a channel that are converted at once: about 20 ms at usual rates. Shorter blocks blunt the
/// filter at high frequencies, longer ones cost delay.
const BLOCK: usize = 1_024;

/// Converts a stream of interleaved samples from one rate to another.
pub struct Resampler {
    inner: Fft<f32>,
    channels: usize,
    /// Interleaved input that does not fill a block yet.
    waiting: Vec<f32>,
    /// Where the converter writes; one block.
    scratch: Vec<f32>,
    /// Frames of the filter's delay that are still to be cut off.
    to_cut: usize,
    /// Input frames taken and output frames given so far.
    taken: u64,
    given: u64,
    from: u32,
    to: u32,
}

impl Resampler {
    /// From `rate` to 48 kHz.
    pub fn to_48k(rate: u32, channels: usize) -> Result<Self, AudioError> {
        Self::new(rate, SAMPLE_RATE, channels, BLOCK)
    }

    /// From 48 kHz to `rate`.
    pub fn from_48k(rate: u32, channels: usize) -> Result<Self, AudioError> {
        Self::new(SAMPLE_RATE, rate, channels, BLOCK)
    }

    /// From 48 kHz to 16 kHz, mono, in blocks of one frame: each frame that is pushed is converted at once.
    pub(super) fn frames_to_16k() -> Self {
        Self::new(SAMPLE_RATE, 16_000, 1, FRAME_SAMPLES).expect("both rates are converted")
    }

    fn new(from: u32, to: u32, channels: usize, block: usize) -> Result<Self, AudioError> {
        for rate in [from, to] {
            if !RATES.contains(&rate) {
                return Err(AudioError::Usage(format!(
                    "a sample rate of {rate} Hz can't be converted; use one from {} to {}",
                    RATES.start(),
                    RATES.end()
                )));
            }
        }
        let inner = Fft::new(from as usize, to as usize, block, channels, FixedSync::Input)
            .map_err(|error| AudioError::Usage(format!("can't convert {from} to {to} Hz: {error}")))?;
        Ok(Self {
            channels,
            waiting: Vec::new(),
            scratch: vec![0.0; inner.output_frames_max() * channels],
            to_cut: inner.output_delay(),
            taken: 0,
            given: 0,
            from,
            to,
            inner,
        })
    }

    /// Takes interleaved samples and appends what can be converted by now to `output`.
    pub fn push(&mut self, samples: &[f32], output: &mut Vec<f32>) {
        self.taken += (samples.len() / self.channels) as u64;
        self.waiting.extend_from_slice(samples);
        let mut used = 0;
        loop {
            let block = self.inner.input_frames_next() * self.channels;
            if self.waiting.len() - used < block {
                break;
            }
            let range = used..used + block;
            self.convert(range, output);
            used += block;
        }
        self.waiting.drain(..used);
    }

    /// Appends what the filter still holds, so that the output lasts as long as the input.
    pub fn finish(&mut self, output: &mut Vec<f32>) {
        let wanted = (self.taken * u64::from(self.to)).div_ceil(u64::from(self.from));
        while self.given < wanted {
            let block = self.inner.input_frames_next() * self.channels;
            self.waiting.resize(block, 0.0);
            self.convert(0..block, output);
            self.waiting.clear();
        }
        let surplus = (self.given - wanted) as usize * self.channels;
        output.truncate(output.len().saturating_sub(surplus));
        self.given = wanted;
    }

    fn convert(&mut self, block: core::ops::Range<usize>, output: &mut Vec<f32>) {
        let channels = self.channels;
        let frames_in = block.len() / channels;
        let frames_out = self.scratch.len() / channels;
        let input = InterleavedSlice::new(&self.waiting[block], channels, frames_in)
            .expect("the block has exactly this many samples");
        let mut out = InterleavedSlice::new_mut(&mut self.scratch, channels, frames_out)
            .expect("the scratch has exactly this many samples");
        let (_, made) = self
            .inner
            .process_into_buffer(&input, &mut out, None)
            .expect("the block is what was asked for and the scratch holds the longest answer");
        let cut = self.to_cut.min(made);
        self.to_cut -= cut;
        output.extend_from_slice(&self.scratch[cut * channels..made * channels]);
        self.given += (made - cut) as u64;
    }
}

impl core::fmt::Debug for Resampler {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Resampler")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("channels", &self.channels)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(rate: u32, seconds: f64, hertz: f64) -> Vec<f32> {
        (0..(f64::from(rate) * seconds) as usize)
            .map(|n| (core::f64::consts::TAU * hertz * n as f64 / f64::from(rate)).sin() as f32 * 0.5)
            .collect()
    }

    fn convert(resampler: &mut Resampler, samples: &[f32], chunk: usize) -> Vec<f32> {
        let mut output = Vec::new();
        for part in samples.chunks(chunk) {
            resampler.push(part, &mut output);
        }
        resampler.finish(&mut output);
        output
    }

    /// The largest difference, leaving out 20 ms at both ends where the sine begins and stops.
    fn worst(a: &[f32], b: &[f32]) -> f32 {
        let edge = 960;
        a[edge..a.len() - edge]
            .iter()
            .zip(&b[edge..])
            .fold(0.0, |worst, (x, y)| worst.max((x - y).abs()))
    }

    #[test]
    fn a_sine_of_any_usual_rate_becomes_the_same_sine_at_48_khz() {
        for rate in [
            8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 88_200, 96_000, 192_000,
        ] {
            let mut resampler = Resampler::to_48k(rate, 1).unwrap();
            let output = convert(&mut resampler, &sine(rate, 1.0, 440.0), 777);
            assert!(output.len().abs_diff(48_000) <= 1, "{rate}: {}", output.len());
            let error = worst(&output, &sine(48_000, 1.1, 440.0));
            assert!(error < 0.002, "{rate} Hz: off by {error}");
        }
    }

    #[test]
    fn a_sine_at_48_khz_becomes_the_same_sine_at_a_devices_rate() {
        let mut resampler = Resampler::from_48k(44_100, 1).unwrap();
        let output = convert(&mut resampler, &sine(48_000, 1.0, 440.0), 960);
        assert_eq!(output.len(), 44_100);
        let error = worst(&output, &sine(44_100, 1.1, 440.0));
        assert!(error < 0.002, "off by {error}");
    }

    #[test]
    fn how_the_input_is_cut_makes_no_difference() {
        let samples = sine(44_100, 0.3, 1_000.0);
        let whole = convert(&mut Resampler::to_48k(44_100, 1).unwrap(), &samples, usize::MAX);
        let crumbs = convert(&mut Resampler::to_48k(44_100, 1).unwrap(), &samples, 13);
        assert_eq!(whole, crumbs);
    }

    #[test]
    fn channels_do_not_mix() {
        let left = sine(44_100, 0.3, 440.0);
        let both: Vec<f32> = left.iter().flat_map(|&x| [x, 0.0]).collect();
        let output = convert(&mut Resampler::to_48k(44_100, 2).unwrap(), &both, 2_000);
        assert!(output.chunks_exact(2).all(|pair| pair[1].abs() < 1e-6));
        assert!(output.chunks_exact(2).any(|pair| pair[0].abs() > 0.4));
    }

    #[test]
    fn an_absurd_rate_is_refused() {
        assert!(Resampler::to_48k(0, 1).is_err());
        assert!(Resampler::to_48k(u32::MAX, 1).is_err());
    }
}
