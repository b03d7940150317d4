//! The chain against scenes with known echo and noise.

use super::*;
use crate::audio::score::scene;
use crate::audio::testing::{frames, speech_files};
use crate::audio::{Channels, SAMPLE_RATE};
use proptest::prelude::*;

fn chain(options: VoiceOptions) -> impl FnMut(&[f32], &mut [f32; FRAME_SAMPLES]) {
    let far_end = FarEnd::default();
    let mut chain = VoiceChain::new(options, far_end.clone());
    chain.open();
    move |played, frame| {
        far_end.play(Channels::Mono, played);
        chain.process(frame);
    }
}

/// Ten seconds of each file of speech.
fn voices() -> Vec<Vec<f32>> {
    let voice = |(_, samples): (String, Vec<i16>)| frames(&samples).take(500).flatten().collect();
    speech_files().into_iter().map(voice).collect()
}

fn mean(values: impl ExactSizeIterator<Item = f32>) -> f32 {
    let count = values.len() as f32;
    values.sum::<f32>() / count
}

#[test]
fn an_echo_is_down_by_25_db_after_three_seconds() {
    for far in voices() {
        let (_, settled) = scene::echo_return_loss(&mut chain(VoiceOptions::ON), &far, -10.0);
        assert!(settled >= 25.0, "{settled} dB");
    }
}

#[test]
fn who_speaks_while_others_are_played_is_understood() {
    let voices = voices();
    let others = voices.iter().cycle().skip(1);
    let scores: Vec<f32> = voices
        .iter()
        .zip(others)
        .map(|(near, far)| scene::double_talk(&mut chain(VoiceOptions::ON), near, far, 28.0).unwrap() as f32)
        .collect();
    assert!(mean(scores.iter().copied()) >= 0.75, "STOI {scores:?}");
}

#[test]
fn steady_noise_is_held_down_by_10_db_and_speech_stays_as_clear() {
    let scenes: Vec<scene::InNoise> = voices()
        .iter()
        .map(|near| scene::in_noise(&mut chain(VoiceOptions::ON), near, 10.0).unwrap())
        .collect();
    assert!(scenes.iter().all(|scene| scene.gain_db >= 10.0), "{scenes:?}");
    let clearer = mean(scenes.iter().map(|scene| (scene.sent - scene.heard) as f32));
    assert!(clearer >= -0.03, "{scenes:?}");
}

#[test]
fn a_soft_voice_is_raised_and_a_loud_one_hardly() {
    let near = voices().swap_remove(0);
    let alone = VoiceOptions {
        auto_gain: true,
        ..VoiceOptions::OFF
    };
    let gain = |db: f32| {
        let size = 10f32.powf(db / 20.0);
        let heard: Vec<f32> = near
            .iter()
            .cycle()
            .take(10 * SAMPLE_RATE as usize)
            .map(|sample| sample * size)
            .collect();
        let silence = vec![0.0; heard.len()];
        let sent = scene::run(&mut chain(alone), &silence, &heard);
        let end = heard.len() * 3 / 4;
        scene::decibels(scene::power(&sent[end..])) - scene::decibels(scene::power(&heard[end..]))
    };
    let (soft, loud) = (gain(-30.0), gain(0.0));
    assert!(soft >= loud + 10.0, "soft {soft} dB, loud {loud} dB");
}

#[test]
fn with_everything_off_a_frame_comes_back_bit_for_bit() {
    let near = voices().swap_remove(0);
    let silence = vec![0.0; near.len()];
    assert_eq!(scene::run(&mut chain(VoiceOptions::OFF), &silence, &near), near);
}

#[test]
fn rumble_is_cut_off_and_the_voice_is_not() {
    let sine = |hertz: f32| -> Vec<f32> {
        let step = core::f32::consts::TAU * hertz / SAMPLE_RATE as f32;
        (0..2 * SAMPLE_RATE as usize)
            .map(|n| (n as f32 * step).sin() * 0.3)
            .collect()
    };
    let high_pass = VoiceOptions {
        high_pass: true,
        ..VoiceOptions::OFF
    };
    let change = |hertz: f32| {
        let heard = sine(hertz);
        let sent = scene::run(&mut chain(high_pass), &vec![0.0; heard.len()], &heard);
        let half = heard.len() / 2;
        scene::decibels(scene::power(&sent[half..])) - scene::decibels(scene::power(&heard[half..]))
    };
    let (rumble, voice) = (change(20.0), change(300.0));
    assert!(rumble < -15.0 && voice > -1.0, "{rumble} dB, {voice} dB");
}

/// The numbers of the frames that are sent of this sound, once a chain has worked on it.
fn sent(options: VoiceOptions, signal: &[f32]) -> Vec<usize> {
    let mut chain = VoiceChain::new(options, FarEnd::default());
    let (mut detector, mut spurts) = (VoiceDetector::new(), Spurts::new());
    let mut sent = Vec::new();
    for (index, heard) in signal.chunks_exact(FRAME_SAMPLES).enumerate() {
        let mut frame = [0.0; FRAME_SAMPLES];
        frame.copy_from_slice(heard);
        chain.process(&mut frame);
        match spurts.step(index, detector.judge(chain.heard(), &frame)) {
            Step::Hold => {}
            Step::Begin(frames) => sent.extend(frames),
            Step::Send(frame) | Step::Last(frame) => sent.push(frame),
        }
    }
    sent
}

#[test]
fn speech_that_begins_abruptly_is_sent_from_its_first_syllable() {
    for (name, samples) in speech_files() {
        let voice: Vec<f32> = frames(&samples).take(300).flatten().collect();
        let loudest = voice
            .chunks_exact(FRAME_SAMPLES)
            .map(scene::power)
            .fold(0.0, f32::max);
        // Said in a quiet room, from the first frame that is heard at all.
        let begin = voice
            .chunks_exact(FRAME_SAMPLES)
            .position(|frame| scene::power(frame) > loudest * 1e-4)
            .unwrap();
        let voice = &voice[begin * FRAME_SAMPLES..];
        let room = scene::fan(SAMPLE_RATE as usize * 2, loudest * 1e-6);
        let first = room.len() / FRAME_SAMPLES;
        let signal = [&room[..], voice].concat();
        let sent = sent(VoiceOptions::OFF, &signal);
        for frame in first..first + 25 {
            let heard = scene::power(&signal[frame * FRAME_SAMPLES..][..FRAME_SAMPLES]) > loudest * 1e-4;
            assert!(
                !heard || sent.contains(&frame),
                "{name}: frame {} of speech",
                frame - first
            );
        }
        let lost: f32 = (first..signal.len() / FRAME_SAMPLES)
            .filter(|frame| !sent.contains(frame))
            .map(|frame| scene::power(&signal[frame * FRAME_SAMPLES..][..FRAME_SAMPLES]))
            .sum();
        assert!(lost < scene::power(voice) * 0.001 * 300.0, "{name}: {lost}");
    }
}

#[test]
fn a_room_in_which_nobody_speaks_sends_at_most_five_frames_a_second() {
    for level in [0.0, 1e-8, 1e-6, 1e-5, 1e-4] {
        let mut room = scene::fan(12 * SAMPLE_RATE as usize, 1.0);
        for sample in &mut room {
            *sample *= f32::sqrt(level);
        }
        for options in [VoiceOptions::OFF, VoiceOptions::ON] {
            // It takes some seconds to know that a noise which begins is one that stays.
            let sent = sent(options, &room)
                .into_iter()
                .filter(|&frame| frame >= 250)
                .count();
            assert!(sent <= 5 * 7, "{level} {options:?}: {sent} frames in 7 s");
            assert!(sent >= 2 * 7, "{level}: listeners hear that the link lives");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn nothing_makes_the_chain_panic_or_leave_full_scale(
        values in proptest::collection::vec((any::<f32>(), any::<f32>(), -1.0f32..1.0), 1..12)
    ) {
        let mut chain = chain(VoiceOptions::ON);
        for (wild, far, tame) in values {
            let mut frame = [tame; FRAME_SAMPLES];
            frame[17] = wild;
            chain(&[far; FRAME_SAMPLES], &mut frame);
            prop_assert!(frame.iter().all(|sample| sample.abs() <= 1.0));
        }
        // And it comes to itself again.
        for _ in 0..50 {
            let mut frame = [0.0; FRAME_SAMPLES];
            chain(&[0.0; FRAME_SAMPLES], &mut frame);
            prop_assert!(frame.iter().all(|sample| sample.abs() <= 1.0));
        }
    }
}
