//! STOI, the short-time objective intelligibility measure: C. H. Taal, R. C. Hendriks, R. Heusdens, J. Jensen, "An
//! Algorithm for Intelligibility Prediction of Time-Frequency Weighted Noisy Speech" (IEEE Transactions on Audio,
//! Speech, and Language Processing, 2011). From 0 to 1; what is understood without effort has 0.95 and more.
//!
//! The measure takes every shift in time for damage, so what was heard is first laid beside what was said, piece by
//! piece: a delay that changed is no worse for who listens.

use majlis::audio::Resampler;
use realfft::RealFftPlanner;

/// The rate that the measure works at, in samples a second.
const RATE: u32 = 10_000;

/// Samples of a frame, of the step between two, and of the transform.
const FRAME: usize = 256;
const HOP: usize = FRAME / 2;
const TRANSFORM: usize = 512;

/// Third-octave bands, and the centre of the first in hertz.
const BANDS: usize = 15;
const FIRST_BAND: f64 = 150.0;

/// Frames of one segment: 384 ms.
const SEGMENT: usize = 30;

/// Frames this far below the loudest, in dB, are silence and left out.
const RANGE: f64 = 40.0;

/// The lower bound of the distortion in a segment, in dB.
const BOUND: f64 = -15.0;

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
    let (said, heard) = without_silence(&said, &heard);
    let (said, heard) = (bands(&said), bands(&heard));
    let mut sum = 0.0;
    let mut count = 0;
    for end in SEGMENT..=said.len() {
        for band in 0..BANDS {
            let segment =
                |of: &[[f64; BANDS]]| of[end - SEGMENT..end].iter().map(|frame| frame[band]).collect();
            sum += correlation(segment(&said), segment(&heard));
            count += 1;
        }
    }
    Ok(sum / f64::from(count.max(1)))
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

fn frames(sound: &[f64]) -> Vec<Vec<f64>> {
    let window = window(FRAME);
    sound
        .windows(FRAME)
        .step_by(HOP)
        .map(|frame| {
            frame
                .iter()
                .zip(&window)
                .map(|(sample, weight)| sample * weight)
                .collect()
        })
        .collect()
}

/// Leaves out of both what is silent in the first.
fn without_silence(said: &[f64], heard: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let (said, heard) = (frames(said), frames(heard));
    let level = |frame: &Vec<f64>| {
        let power: f64 = frame.iter().map(|sample| sample * sample).sum();
        10.0 * (power + 1e-20).log10()
    };
    let loudest = said.iter().map(level).fold(f64::MIN, f64::max);
    let kept: Vec<usize> = (0..said.len().min(heard.len()))
        .filter(|&index| level(&said[index]) > loudest - RANGE)
        .collect();
    let joined = |frames: &[Vec<f64>]| {
        let mut sound = vec![0.0; kept.len() * HOP + HOP];
        for (place, &index) in kept.iter().enumerate() {
            let into = &mut sound[place * HOP..place * HOP + FRAME];
            into.iter_mut()
                .zip(&frames[index])
                .for_each(|(sum, sample)| *sum += sample);
        }
        sound
    };
    (joined(&said), joined(&heard))
}

/// The magnitude in each third of an octave, frame by frame.
fn bands(sound: &[f64]) -> Vec<[f64; BANDS]> {
    let transform = RealFftPlanner::<f64>::new().plan_fft_forward(TRANSFORM);
    let mut input = transform.make_input_vec();
    let mut spectrum = transform.make_output_vec();
    let bin = |hertz: f64| (hertz * TRANSFORM as f64 / f64::from(RATE)).round() as usize;
    frames(sound)
        .into_iter()
        .map(|frame| {
            input.fill(0.0);
            input[..FRAME].copy_from_slice(&frame);
            transform
                .process(&mut input, &mut spectrum)
                .expect("the buffers are the transform's own");
            core::array::from_fn(|band| {
                let centre = FIRST_BAND * 2f64.powf(band as f64 / 3.0);
                let edges = bin(centre * 2f64.powf(-1.0 / 6.0))..bin(centre * 2f64.powf(1.0 / 6.0));
                spectrum[edges]
                    .iter()
                    .map(|value| value.norm_sqr())
                    .sum::<f64>()
                    .sqrt()
            })
        })
        .collect()
}

/// The correlation of a band's envelopes over one segment, what was heard brought to the level of what was said.
fn correlation(said: Vec<f64>, heard: Vec<f64>) -> f64 {
    let power = |of: &[f64]| of.iter().map(|value| value * value).sum::<f64>();
    let gain = (power(&said) / (power(&heard) + 1e-20)).sqrt();
    let most = 1.0 + 10f64.powf(-BOUND / 20.0);
    let heard: Vec<f64> = heard
        .iter()
        .zip(&said)
        .map(|(heard, said)| (heard * gain).min(said * most))
        .collect();
    let centred = |of: &[f64]| {
        let mean = of.iter().sum::<f64>() / of.len() as f64;
        of.iter().map(|value| value - mean).collect::<Vec<f64>>()
    };
    let (said, heard) = (centred(&said), centred(&heard));
    let product: f64 = said.iter().zip(&heard).map(|(said, heard)| said * heard).sum();
    product / ((power(&said) * power(&heard)).sqrt() + 1e-20)
}
