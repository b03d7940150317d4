//! How well what was heard matches what was said: normalised cross-correlation, segment by segment.
//!
//! What was said is cut into segments of a quarter second; each segment that is not silence is looked for in what
//! was heard. Its score is the largest of
//!
//! ```text
//!   r(d) = sum s[i] h[i + d] / sqrt( sum s[i]^2 * sum h[i + d]^2 )
//! ```
//!
//! over the shifts d, and the match is the mean of all scores: 1 where every sample is the same but for loudness,
//! about 0.5 and less for other speech, 0 for silence. The first shift is looked for everywhere; the next ones only
//! near the last, since a listener's delay moves by half a second at most. So words in the wrong order, or twice,
//! do not count.

/// Samples of a segment: a syllable at 48 kHz. Shorter ones find something alike anywhere; a longer one suffers as a
/// whole where the listener's delay changed in its middle.
const SEGMENT: usize = 12_000;

/// Samples that are averaged into one for the rough search: 4 kHz keep what tells one syllable from another.
const ROUGH: usize = 12;

/// Farthest that a shift may lie from the one before, in samples: the largest delay of a listener, half a second.
const REACH: usize = 24_000;

/// Mean power under which a segment is silence: -50 dB of full scale.
const SILENCE: f32 = 1e-5;

/// Score from which a segment counts as found, so that the next is looked for near it.
const FOUND: f32 = 0.8;

/// The match between what was said and what was heard, 0 to 1; both mono at 48 kHz.
pub(super) fn matching(said: &[f32], heard: &[f32]) -> f32 {
    let (rough_said, rough_heard) = (rough(said), rough(heard));
    let mut last: Option<usize> = None;
    let mut scores = Vec::new();
    for start in (0..said.len().saturating_sub(SEGMENT)).step_by(SEGMENT) {
        let segment = &said[start..start + SEGMENT];
        if dot(segment, segment) < SILENCE * SEGMENT as f32 {
            continue;
        }
        // Shifts count from where the segment would be if it were heard as early as it was said.
        let expected = last.map(|shift| start + shift);
        let place = expected.map_or(0..usize::MAX, |at| {
            at.saturating_sub(REACH)..at.saturating_add(REACH)
        });
        let rough_segment = &rough_said[start / ROUGH..(start + SEGMENT) / ROUGH];
        let near = best(
            rough_segment,
            &rough_heard,
            place.start / ROUGH..place.end / ROUGH,
        )
        .0 * ROUGH;
        let (at, score) = best(segment, heard, near.saturating_sub(ROUGH)..near + ROUGH);
        if score >= FOUND {
            last = Some(at.saturating_sub(start));
        }
        scores.push(score);
    }
    if scores.is_empty() {
        0.0
    } else {
        scores.iter().sum::<f32>() / scores.len() as f32
    }
}

/// Where in `heard`, within `places`, the segment fits best, and how well.
fn best(segment: &[f32], heard: &[f32], places: std::ops::Range<usize>) -> (usize, f32) {
    let own = dot(segment, segment);
    let mut best = (places.start, 0.0);
    for at in places {
        let Some(there) = at.checked_add(segment.len()).and_then(|end| heard.get(at..end)) else {
            break;
        };
        let power = own * dot(there, there);
        let score = if power > 0.0 {
            dot(segment, there) / power.sqrt()
        } else {
            0.0
        };
        if score > best.1 {
            best = (at, score);
        }
    }
    best
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn rough(samples: &[f32]) -> Vec<f32> {
    samples
        .chunks(ROUGH)
        .map(|chunk| chunk.iter().sum::<f32>() / ROUGH as f32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noise of a fixed seed with a slow rhythm, so that every segment is unlike every other.
    fn speech(seed: u32, samples: usize) -> Vec<f32> {
        let mut state = seed;
        let mut smooth = 0.0;
        let next = move |n: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let white = (state >> 8) as f32 / (1 << 24) as f32 - 0.5;
            smooth = 0.9 * smooth + 0.1 * white;
            smooth * (1.0 + (n as f32 / 3_000.0).sin())
        };
        (0..samples).map(next).collect()
    }

    #[test]
    fn the_same_sound_later_and_softer_matches() {
        let said = speech(1, 96_000);
        let heard: Vec<f32> = [
            vec![0.0; 30_007],
            said.iter().map(|sample| sample * 0.5).collect(),
        ]
        .concat();
        assert!(matching(&said, &heard) > 0.999);
    }

    #[test]
    fn other_sound_and_silence_do_not() {
        let said = speech(1, 96_000);
        assert!(matching(&said, &speech(2, 96_000)) < 0.5);
        assert!(matching(&said, &vec![0.0; 96_000]) < 0.001);
        assert!(matching(&said, &[]) < 0.001);
    }

    #[test]
    fn what_is_missing_counts() {
        let said = speech(1, 96_000);
        let score = matching(&said, &said[..48_000]);
        assert!((0.4..0.75).contains(&score), "{score}");
    }

    #[test]
    fn a_longer_pause_is_forgiven() {
        let said = speech(1, 96_000);
        let heard = [&said[..48_000], &[0.0; 5_000], &said[48_000..]].concat();
        assert!(matching(&said, &heard) > 0.999);
    }

    #[test]
    fn words_in_another_order_are_not() {
        let said = speech(1, 192_000);
        let heard = [&said[96_000..], &said[..96_000]].concat();
        assert!(matching(&said, &heard) < 0.8);
    }
}
