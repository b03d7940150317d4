//! Scenes for a microphone's chain, without any device: a loudspeaker that the microphone hears, two who speak at once,
//! and a room with a fan. Each says how well the chain did.
//!
//! A chain is a function of two frames of 20 ms at 48 kHz, mono: what the loudspeaker plays, and what the microphone
//! hears, which it replaces by what is to be sent. The file needs only the standard library and `super::stoi`, so that
//! programs and tests include it by its path.

use super::stoi::stoi;

const RATE: usize = 48_000;
const FRAME: usize = 960;

/// How long the sound takes from the playback thread through the loudspeaker, the air and the microphone: 80 ms, about
/// what usual devices take together.
const WAY: usize = RATE * 80 / 1_000;

/// How long the room answers after the direct sound: 60 ms, as a small room does.
const REVERBERATION: usize = RATE * 60 / 1_000;

/// How long the chain may learn before it is judged: 3 s.
const LEARNING: usize = 3 * RATE;

/// The longest delay of a chain that is looked for: 60 ms.
const MOST_DELAY: usize = RATE * 60 / 1_000;

/// What is judged: takes what is played, and replaces what is heard.
pub(crate) trait Chain: FnMut(&[f32], &mut [f32; FRAME]) {}

impl<F: FnMut(&[f32], &mut [f32; FRAME])> Chain for F {}

/// How far the echo of `played`, which reaches the microphone `echo_db` below it, is brought down: in the first second
/// and a half, and from the third second on, in decibels.
pub(crate) fn echo_return_loss(chain: &mut impl Chain, played: &[f32], echo_db: f32) -> (f32, f32) {
    let played = at_least(played, 10 * RATE);
    let echo = echo_of(&played, echo_db);
    let sent = run(chain, &played, &echo);
    let loss = |from: usize, to: usize| decibels(power(&echo[from..to])) - decibels(power(&sent[from..to]));
    (loss(RATE / 2, 3 * RATE / 2), loss(LEARNING, sent.len()))
}

/// STOI of `near` as it is sent while `far` is played and its echo is `ratio_db` below `near`. `None` when there is too
/// little speech.
pub(crate) fn double_talk(chain: &mut impl Chain, near: &[f32], far: &[f32], ratio_db: f32) -> Option<f64> {
    let near = [&vec![0.0; LEARNING][..], &at_least(near, 6 * RATE)].concat();
    let far = at_least(far, near.len());
    let loudness = decibels(power(&near[LEARNING..])) - decibels(power(&far[..near.len()]));
    let echo = echo_of(&far, loudness - ratio_db);
    let heard: Vec<f32> = near.iter().zip(&echo).map(|(near, echo)| near + echo).collect();
    let sent = run(chain, &far, &heard);
    understood(&near[LEARNING..], &sent[LEARNING..])
}

/// What a chain does to speech in steady noise.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InNoise {
    /// By how much the ratio of speech to noise grew, in decibels. Noise is measured in the pauses.
    pub(crate) gain_db: f32,
    /// STOI of what the microphone heard.
    pub(crate) heard: f64,
    /// STOI of what is sent.
    pub(crate) sent: f64,
}

/// Lets `speech` be said in pieces of 3 s with pauses of 1 s between, in noise `snr_db` below it.
pub(crate) fn in_noise(chain: &mut impl Chain, speech: &[f32], snr_db: f32) -> Option<InNoise> {
    let (piece, pause) = (3 * RATE, RATE);
    let mut clean = vec![0.0; 2 * RATE];
    let mut pauses = Vec::new();
    for said in at_least(speech, 3 * piece)[..3 * piece].chunks(piece) {
        clean.extend_from_slice(said);
        // The chain's delay and the end of the word are left out of the pause.
        pauses.push(clean.len() + pause / 3..clean.len() + pause);
        clean.extend(vec![0.0; pause]);
    }
    let noise_power = power(&clean) / 10f32.powf(snr_db / 10.0);
    let heard: Vec<f32> = clean
        .iter()
        .zip(fan(clean.len(), noise_power))
        .map(|(clean, noise)| clean + noise)
        .collect();
    let sent = run(chain, &vec![0.0; clean.len()], &heard);
    let ratio = |signal: &[f32]| {
        let quiet: f32 = pauses
            .iter()
            .map(|pause| power(&signal[pause.clone()]))
            .sum::<f32>()
            / 3.0;
        let all = power(&signal[2 * RATE..]);
        decibels(all - quiet) - decibels(quiet)
    };
    Some(InNoise {
        gain_db: ratio(&sent) - ratio(&heard),
        heard: stoi(&clean, &heard, RATE as u32)?,
        sent: understood(&clean[2 * RATE..], &sent[2 * RATE..])?,
    })
}

/// What is sent of `heard` while `played` is played.
pub(crate) fn run(chain: &mut impl Chain, played: &[f32], heard: &[f32]) -> Vec<f32> {
    let frames = played.chunks_exact(FRAME).zip(heard.chunks_exact(FRAME));
    let mut sent = Vec::with_capacity(heard.len());
    for (played, heard) in frames {
        let mut frame = [0.0; FRAME];
        frame.copy_from_slice(heard);
        chain(played, &mut frame);
        sent.extend_from_slice(&frame);
    }
    sent
}

/// Steady noise of this power, as a fan makes it: more of it below than above.
pub(crate) fn fan(length: usize, wanted: f32) -> Vec<f32> {
    let mut state = 7u32;
    let mut low = 0.0;
    let noise: Vec<f32> = std::iter::repeat_with(|| {
        let white = random(&mut state);
        low += 0.1 * (white - low);
        low + 0.2 * white
    })
    .take(length)
    .collect();
    let size = (wanted / power(&noise)).sqrt();
    noise.iter().map(|sample| sample * size).collect()
}

/// The mean square.
pub(crate) fn power(signal: &[f32]) -> f32 {
    let sum: f64 = signal.iter().map(|sample| f64::from(sample * sample)).sum();
    (sum / signal.len().max(1) as f64) as f32
}

pub(crate) fn decibels(power: f32) -> f32 {
    10.0 * power.max(1e-12).log10()
}

/// The signal, said over and over until it is this long.
fn at_least(signal: &[f32], length: usize) -> Vec<f32> {
    signal
        .iter()
        .copied()
        .cycle()
        .take(signal.len().max(length))
        .collect()
}

/// What a microphone hears of a loudspeaker: late, and with the answer of the room, all of it `echo_db` against what is
/// played.
fn echo_of(played: &[f32], echo_db: f32) -> Vec<f32> {
    let mut state = 3u32;
    // The direct sound, and sixty reflections that die away.
    let mut taps = vec![(WAY, 1.0)];
    for reflection in 1..=60 {
        let at = REVERBERATION * reflection / 60;
        let fade = 10f32.powf(-2.0 * reflection as f32 / 60.0);
        taps.push((WAY + at + reflection % 7, 0.5 * fade * random(&mut state)));
    }
    let echo: Vec<f32> = (0..played.len())
        .map(|at| {
            let parts = taps
                .iter()
                .filter_map(|(late, weight)| Some(played[at.checked_sub(*late)?] * weight));
            parts.sum()
        })
        .collect();
    let size = (power(played) * 10f32.powf(echo_db / 10.0) / power(&echo).max(1e-12)).sqrt();
    echo.iter().map(|sample| sample * size).collect()
}

/// STOI once the delay between the two is taken out.
fn understood(clean: &[f32], sent: &[f32]) -> Option<f64> {
    let delay = delay_of(clean, sent, MOST_DELAY);
    stoi(&clean[..clean.len() - delay], &sent[delay..], RATE as u32)
}

/// By how many samples `sent` is later than `clean`, at most `most`: where the two are most alike.
pub(crate) fn delay_of(clean: &[f32], sent: &[f32], most: usize) -> usize {
    // A sample in eight is enough to come within a sixth of a millisecond.
    const THIN: usize = 8;
    let thin =
        |signal: &[f32]| -> Vec<f32> { signal.chunks_exact(THIN).map(|some| some.iter().sum()).collect() };
    let (clean, sent) = (thin(clean), thin(sent));
    let most = (most / THIN).min(sent.len().saturating_sub(1));
    let alike = |late: usize| -> f32 { clean.iter().zip(&sent[late..]).map(|(a, b)| a * b).sum() };
    let delays = (0..=most).map(|late| (alike(late), late));
    delays
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(0, |(_, late)| late * THIN)
}

/// Between -1 and 1.
fn random(state: &mut u32) -> f32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    (*state >> 8) as f32 / 8_388_608.0 - 1.0
}
