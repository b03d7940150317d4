//! STOI: how much of speech is understood, from 0 to about 1, by comparing it with what was said.
//!
//! After C. H. Taal, R. C. Hendriks, R. Heusdens, J. Jensen: "An Algorithm for Intelligibility Prediction of
//! Time-Frequency Weighted Noisy Speech", IEEE Transactions on Audio, Speech, and Language Processing 19(7), 2011. The
//! numbers in the constants are that paper's. Both signals must be aligned.
//!
//! The file needs nothing but the standard library, so that programs and tests include it by its path.

use std::f64::consts::{PI, TAU};

/// The rate at which the method works, in samples a second.
pub(crate) const RATE: u32 = 10_000;

/// Samples of an analysis frame: 25.6 ms.
const FRAME: usize = 256;

/// Samples between the starts of two frames.
const HOP: usize = FRAME / 2;

/// Length of the discrete Fourier transform, frames are padded with zeros to it.
const FFT: usize = 512;

/// One-third octave bands.
const BANDS: usize = 15;

/// Centre of the lowest band, in hertz.
const LOWEST_BAND: f64 = 150.0;

/// Frames that are compared as one: 384 ms.
const SEGMENT: usize = 30;

/// The lowest signal-to-distortion ratio that still lowers the score, in decibels.
const CLIP_DB: f64 = -15.0;

/// Frames of the clean signal that lie this far below its loudest one are silence and left out, in decibels.
const DYNAMIC_RANGE_DB: f64 = 40.0;

/// The score of `heard` against `clean`, both mono at `rate` and aligned; the longer one is cut. `None` when less than
/// a segment of speech is there to compare.
pub(crate) fn stoi(clean: &[f32], heard: &[f32], rate: u32) -> Option<f64> {
    let length = clean.len().min(heard.len());
    let clean = to_method_rate(&clean[..length], rate);
    let heard = to_method_rate(&heard[..length], rate);
    at_method_rate(&clean, &heard)
}

/// The same of signals that have [`RATE`] already, and the same length.
pub(crate) fn at_method_rate(clean: &[f64], heard: &[f64]) -> Option<f64> {
    let (clean, heard) = without_silence(clean, heard);
    let (clean, heard) = (bands(&clean), bands(&heard));
    let segments = (clean.len() + 1)
        .checked_sub(SEGMENT)
        .filter(|&count| count > 0)?;
    let sum: f64 = (0..segments)
        .map(|start| {
            let range = start..start + SEGMENT;
            segment(&clean[range.clone()], &heard[range])
        })
        .sum();
    Some(sum / segments as f64)
}

/// The mean over all bands of the correlation of one segment.
fn segment(clean: &[[f64; BANDS]], heard: &[[f64; BANDS]]) -> f64 {
    let clip = 1.0 + 10f64.powf(-CLIP_DB / 20.0);
    let correlations = (0..BANDS).map(|band| {
        let energy = |frames: &[[f64; BANDS]]| frames.iter().map(|frame| frame[band].powi(2)).sum::<f64>();
        let scale = (energy(clean) / (energy(heard) + f64::EPSILON)).sqrt();
        let x: Vec<f64> = clean.iter().map(|frame| frame[band]).collect();
        let y: Vec<f64> = heard
            .iter()
            .zip(&x)
            .map(|(frame, x)| (frame[band] * scale).min(x * clip))
            .collect();
        correlation(&x, &y)
    });
    correlations.sum::<f64>() / BANDS as f64
}

fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_x, mean_y) = (mean(x), mean(y));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let (x, y) = (x - mean_x, y - mean_y);
        xy += x * y;
        xx += x * x;
        yy += y * y;
    }
    xy / ((xx * yy).sqrt() + f64::EPSILON)
}

/// Both signals without the frames in which the clean one is silent, put together again by overlapping.
fn without_silence(clean: &[f64], heard: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let window = window();
    let starts: Vec<usize> = (0..(clean.len() + 1).saturating_sub(FRAME))
        .step_by(HOP)
        .collect();
    let power = |start: usize| -> f64 {
        let frame = &clean[start..start + FRAME];
        frame
            .iter()
            .zip(&window)
            .map(|(sample, weight)| (sample * weight).powi(2))
            .sum()
    };
    let powers: Vec<f64> = starts.iter().map(|&start| power(start)).collect();
    let least = powers.iter().copied().fold(0.0, f64::max) * 10f64.powf(-DYNAMIC_RANGE_DB / 10.0);
    let kept: Vec<usize> = starts
        .iter()
        .zip(&powers)
        .filter_map(|(&start, &power)| (power > least).then_some(start))
        .collect();
    let joined = |signal: &[f64]| {
        let mut joined = vec![
            0.0;
            if kept.is_empty() {
                0
            } else {
                (kept.len() - 1) * HOP + FRAME
            }
        ];
        for (index, &start) in kept.iter().enumerate() {
            let out = &mut joined[index * HOP..index * HOP + FRAME];
            for ((out, sample), weight) in out.iter_mut().zip(&signal[start..]).zip(&window) {
                *out += sample * weight;
            }
        }
        joined
    };
    (joined(clean), joined(heard))
}

/// The magnitude of each band in each frame.
fn bands(signal: &[f64]) -> Vec<[f64; BANDS]> {
    let window = window();
    let edges = edges();
    (0..(signal.len() + 1).saturating_sub(FRAME))
        .step_by(HOP)
        .map(|start| {
            let mut spectrum = [(0.0, 0.0); FFT];
            for ((bin, sample), weight) in spectrum
                .iter_mut()
                .zip(&signal[start..start + FRAME])
                .zip(&window)
            {
                bin.0 = sample * weight;
            }
            transform(&mut spectrum);
            edges.map(|(from, to)| {
                let power = spectrum[from..to].iter().map(|(re, im)| re * re + im * im);
                power.sum::<f64>().sqrt()
            })
        })
        .collect()
}

/// The first bin of each band, and the one behind its last.
fn edges() -> [(usize, usize); BANDS] {
    let bin = |hertz: f64| (hertz * FFT as f64 / f64::from(RATE)).round() as usize;
    core::array::from_fn(|band| {
        let centre = LOWEST_BAND * 2f64.powf(band as f64 / 3.0);
        (
            bin(centre * 2f64.powf(-1.0 / 6.0)),
            bin(centre * 2f64.powf(1.0 / 6.0)),
        )
    })
}

/// The Hann window without its two zeros.
fn window() -> [f64; FRAME] {
    core::array::from_fn(|n| 0.5 - 0.5 * (TAU * (n + 1) as f64 / (FRAME + 1) as f64).cos())
}

/// A fast Fourier transform in place, radix 2, decimation in time.
fn transform(values: &mut [(f64, f64); FFT]) {
    let bits = FFT.trailing_zeros();
    for index in 0..FFT {
        let other = index.reverse_bits() >> (usize::BITS - bits);
        if other > index {
            values.swap(index, other);
        }
    }
    let mut half = 1;
    while half < FFT {
        for group in (0..FFT).step_by(2 * half) {
            for k in 0..half {
                let (sin, cos) = (-PI * k as f64 / half as f64).sin_cos();
                let (a, b) = (values[group + k], values[group + k + half]);
                let turned = (b.0 * cos - b.1 * sin, b.0 * sin + b.1 * cos);
                values[group + k] = (a.0 + turned.0, a.1 + turned.1);
                values[group + k + half] = (a.0 - turned.0, a.1 - turned.1);
            }
        }
        half *= 2;
    }
}

/// The signal at [`RATE`], through a windowed sinc that keeps nine tenths of the narrower band.
fn to_method_rate(signal: &[f32], rate: u32) -> Vec<f64> {
    /// Zero crossings of the sinc on either side.
    const CROSSINGS: f64 = 24.0;
    let step = f64::from(rate) / f64::from(RATE);
    let cutoff = 0.9 / step.max(1.0);
    let reach = (CROSSINGS / cutoff).ceil() as isize;
    // Where an output sample lies between two input samples repeats after so many of them.
    let phases = (RATE / greatest_common_divisor(rate, RATE)) as usize;
    let filters: Vec<Vec<f64>> = (0..phases)
        .map(|phase| {
            let between = (phase as f64 * step).fract();
            let weight = |tap: isize| {
                let away = tap as f64 - between;
                let taper = 0.5 + 0.5 * (PI * away / (reach + 1) as f64).cos();
                cutoff * sinc(away * cutoff) * taper
            };
            (-reach..=reach).map(weight).collect()
        })
        .collect();
    let length = (signal.len() as f64 / step).ceil() as usize;
    (0..length)
        .map(|index| {
            let first = (index as u64 * u64::from(rate) / u64::from(RATE)) as isize - reach;
            let taps = filters[index % phases].iter().zip(first..);
            let parts = taps.filter_map(|(weight, at)| {
                let sample = usize::try_from(at).ok().and_then(|at| signal.get(at));
                sample.map(|&sample| f64::from(sample) * weight)
            });
            parts.sum()
        })
        .collect()
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

fn sinc(x: f64) -> f64 {
    if x.abs() < 1e-9 {
        1.0
    } else {
        (PI * x).sin() / (PI * x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST_RATE: u32 = 48_000;

    /// Two seconds that move as speech does: a buzz with three formants, whose loudness and pitch change.
    fn voice() -> Vec<f32> {
        let sample = |n: usize| {
            let t = n as f64 / f64::from(TEST_RATE);
            let syllable = (TAU * 2.3 * t).sin().max(0.0).powf(0.7) * (0.6 + 0.4 * (TAU * 0.7 * t).sin());
            let pitch = 120.0 + 25.0 * (TAU * 1.1 * t).sin();
            let harmonics = (1..30).map(|k| {
                let hertz = pitch * f64::from(k);
                let formants = [(500.0, 120.0), (1_500.0, 250.0), (2_600.0, 400.0)];
                let weight: f64 = formants
                    .iter()
                    .map(|(f, w)| (-((hertz - f) / w).powi(2)).exp() + 0.02)
                    .sum();
                weight * (TAU * hertz * t).sin()
            });
            (0.1 * syllable * harmonics.sum::<f64>()) as f32
        };
        (0..2 * TEST_RATE as usize).map(sample).collect()
    }

    fn with_noise(signal: &[f32], snr_db: f32) -> Vec<f32> {
        let power = signal.iter().map(|sample| sample * sample).sum::<f32>() / signal.len() as f32;
        // A uniform value between -1 and 1 has a mean square of a third.
        let size = (3.0 * power / 10f32.powf(snr_db / 10.0)).sqrt();
        let mut state = 1u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        });
        signal
            .iter()
            .zip(noise)
            .map(|(sample, noise)| sample + size * noise)
            .collect()
    }

    fn score(heard: &[f32]) -> f64 {
        stoi(&voice(), heard, TEST_RATE).expect("there is enough speech")
    }

    #[test]
    fn what_was_said_scores_one_whatever_its_loudness() {
        assert!((score(&voice()) - 1.0).abs() < 1e-6);
        let softer: Vec<f32> = voice().iter().map(|sample| sample * 0.05).collect();
        assert!((score(&softer) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_more_noise_the_lower_the_score() {
        let scores = [30.0, 10.0, 0.0, -10.0, -30.0].map(|snr| score(&with_noise(&voice(), snr)));
        assert!(scores.windows(2).all(|pair| pair[0] > pair[1]), "{scores:?}");
        assert!(scores[0] > 0.95 && scores[4] < 0.6, "{scores:?}");
    }

    #[test]
    fn silence_is_not_understood_and_is_no_division_by_zero() {
        let nothing = vec![0.0; voice().len()];
        assert!(score(&nothing).abs() < 0.1);
        assert_eq!(
            stoi(&nothing, &nothing, TEST_RATE),
            None,
            "no frame of it is speech"
        );
    }

    #[test]
    fn what_is_said_in_silence_around_it_counts_as_without() {
        let pad = vec![0.0; TEST_RATE as usize];
        let padded = |signal: &[f32]| [&pad[..], signal, &pad].concat();
        let noisy = with_noise(&voice(), 5.0);
        let alone = score(&noisy);
        let amid = stoi(&padded(&voice()), &padded(&noisy), TEST_RATE).expect("there is enough speech");
        assert!((alone - amid).abs() < 0.02, "{alone} {amid}");
    }

    #[test]
    fn too_little_speech_has_no_score() {
        assert_eq!(stoi(&voice()[..9_600], &voice()[..9_600], TEST_RATE), None);
        assert_eq!(stoi(&[], &[], TEST_RATE), None);
    }

    #[test]
    fn the_rate_of_the_signals_hardly_matters() {
        let at_half: Vec<f32> = with_noise(&voice(), 5.0)
            .chunks_exact(2)
            .map(|two| (two[0] + two[1]) / 2.0)
            .collect();
        let clean_half: Vec<f32> = voice()
            .chunks_exact(2)
            .map(|two| (two[0] + two[1]) / 2.0)
            .collect();
        let half = stoi(&clean_half, &at_half, TEST_RATE / 2).expect("there is enough speech");
        assert!((half - score(&with_noise(&voice(), 5.0))).abs() < 0.05);
    }
}
