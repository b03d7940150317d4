//! How intelligible speech is that came late, and not always by as much.
//!
//! STOI takes every shift in time for damage, so what was heard is first laid beside what was said, piece by piece: a delay
//! that changed is no worse for who listens.

use majlis::audio::Resampler;
use realfft::RealFftPlanner;

use super::stoi::{self, RATE};

/// The pieces that are laid beside each other: 400 ms, every 200 ms, from as much earlier or later than the piece before
/// as delays change at once.
const PIECE: usize = 4_000;
const SHIFT: usize = 1_000;

/// How much more like what was said another place must be than the one that is expected.
const CLEARLY: f64 = 1.1;

/// How intelligible `heard` is, which begins when `said` does, or nearly; both have 48 kHz.
pub(crate) fn stoi(said: &[f32], heard: &[f32]) -> anyhow::Result<f64> {
    let (said, heard) = (resampled(said)?, resampled(heard)?);
    let heard = beside(&said, &heard);
    Ok(stoi::at_method_rate(&said, &heard).unwrap_or(0.0))
}

fn resampled(sound: &[f32]) -> anyhow::Result<Vec<f64>> {
    let mut resampler = Resampler::from_48k(RATE, 1)?;
    let mut out = Vec::new();
    resampler.push(sound, &mut out);
    resampler.finish(&mut out);
    Ok(out.into_iter().map(f64::from).collect())
}

fn window(length: usize) -> Vec<f64> {
    let turn = std::f64::consts::TAU / (length + 1) as f64;
    (1..=length)
        .map(|n| 0.5 - 0.5 * (turn * n as f64).cos())
        .collect()
}

/// What was heard, each piece of it where it is most like what was said.
fn beside(said: &[f64], heard: &[f64]) -> Vec<f64> {
    let window = window(PIECE);
    let silent = 1e-5 * PIECE as f64;
    let mut lag = 0_isize;
    let mut out = vec![0.0; said.len() + PIECE];
    let mut weights = vec![1e-9; out.len()];
    for start in (0..said.len()).step_by(PIECE / 2) {
        let piece = |of: &[f64], at: isize, length: usize| -> Vec<f64> {
            let sample = |n: usize| {
                usize::try_from(at + n as isize)
                    .ok()
                    .and_then(|n| of.get(n))
                    .copied()
            };
            (0..length).map(|n| sample(n).unwrap_or_default()).collect()
        };
        let wanted = piece(said, start as isize, PIECE);
        let first = start as isize + lag - SHIFT as isize;
        let around = piece(heard, first, PIECE + 2 * SHIFT);
        let power: f64 = wanted.iter().map(|sample| sample * sample).sum();
        if power > silent {
            lag += best_shift(&wanted, &around) as isize - SHIFT as isize;
        }
        let found = piece(heard, start as isize + lag, PIECE);
        for (n, (sample, weight)) in found.into_iter().zip(&window).enumerate() {
            out[start + n] += sample * weight;
            weights[start + n] += weight;
        }
    }
    out.truncate(said.len());
    out.iter()
        .zip(&weights)
        .map(|(sample, weight)| sample / weight)
        .collect()
}

/// Where in `around` the piece is most like what was said: the peak of their correlation, each place by its own power.
fn best_shift(wanted: &[f64], around: &[f64]) -> usize {
    let length = (wanted.len() + around.len()).next_power_of_two();
    let mut planner = RealFftPlanner::<f64>::new();
    let (forward, back) = (planner.plan_fft_forward(length), planner.plan_fft_inverse(length));
    let spectrum = |sound: &[f64]| {
        let mut input = forward.make_input_vec();
        input[..sound.len()].copy_from_slice(sound);
        let mut out = forward.make_output_vec();
        forward
            .process(&mut input, &mut out)
            .expect("the buffers are the transform's own");
        out
    };
    let (wanted_in, around_in) = (spectrum(wanted), spectrum(around));
    let mut product: Vec<_> = around_in
        .iter()
        .zip(&wanted_in)
        .map(|(a, b)| a * b.conj())
        .collect();
    let mut like = back.make_output_vec();
    // The ends of a real signal's spectrum are real, which rounding spoils.
    product[0].im = 0.0;
    product[length / 2].im = 0.0;
    back.process(&mut product, &mut like)
        .expect("the buffers are the transform's own");
    let mut power: f64 = around[..wanted.len()].iter().map(|sample| sample * sample).sum();
    let (mut best, mut stays) = ((f64::MIN, SHIFT), 0.0);
    for shift in 0..=around.len() - wanted.len() {
        let score = like[shift] / (power.max(0.0) + 1e-6).sqrt();
        if score > best.0 {
            best = (score, shift);
        }
        if shift == SHIFT {
            stays = score.max(0.0);
        }
        if let Some(entering) = around.get(shift + wanted.len()) {
            power += entering * entering - around[shift] * around[shift];
        }
    }
    // Where nothing is much more like it than the place where the last piece was, that is where it is.
    if best.0 > stays * CLEARLY { best.1 } else { SHIFT }
}
