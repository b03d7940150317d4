//! What a listener hears of three speakers who are not equally loud, and what hearing them costs.
//!
//! `cargo run --release --example listener_chain` with the speech of `$MAJLIS_SPEECH`, a folder of WAV files, or of
//! `assets/speech`. Packets go from an encoder to the listening half without a network; nothing is played.

#![expect(clippy::print_stdout, reason = "printing is what an example is for")]

#[path = "score/speech.rs"]
mod speech;

use std::time::{Duration, Instant};

use bytes::Bytes;
use ebur128::{EbuR128, Mode};
use majlis::audio::{
    Channels, FRAME, FRAME_SAMPLES,
    codec::{self, EncoderSettings},
    engine::{Engine, SpeakerKey, SpeechPacket},
};
use majlis_protocol::jitter::DelayGoal;

/// How loud the speakers are, in LUFS.
const LOUDNESS: [f64; 3] = [-35.0, -20.0, -10.0];

/// Frames that are said: 12 s.
const FRAMES: usize = 600;

/// What is not judged: 3 s.
const LEARNING: usize = 150 * FRAME_SAMPLES;

fn main() -> anyhow::Result<()> {
    let speech = speech::speech()?;
    let mut voices = Vec::new();
    for (index, loudness) in LOUDNESS.into_iter().enumerate() {
        let (_, said) = &speech[index % speech.len()];
        let said: Vec<f32> = said
            .iter()
            .copied()
            .cycle()
            .take(FRAMES * FRAME_SAMPLES)
            .collect();
        let size = 10f64.powf((loudness - lufs(&said)?) / 20.0) as f32;
        let said: Vec<f32> = said
            .iter()
            .map(|sample| (sample * size).clamp(-1.0, 1.0))
            .collect();
        voices.push(encode(&said)?);
    }
    println!("each alone, from the third second on, in LUFS");
    for leveling in [false, true] {
        let heard = voices
            .iter()
            .map(|voice| lufs(&play(&[voice], leveling).0[LEARNING..]))
            .collect::<anyhow::Result<Vec<f64>>>()?;
        let most = heard.iter().copied().fold(f64::MIN, f64::max);
        let least = heard.iter().copied().fold(f64::MAX, f64::min);
        let (name, spread) = (if leveling { "levelled" } else { "as sent" }, most - least);
        println!(
            "  {name:<9} {:6.1} {:6.1} {:6.1}   {spread:.1} LU apart",
            heard[0], heard[1], heard[2]
        );
    }
    println!("all three at once: processor time of packets, buffers, decoders and mix");
    let all: Vec<&Vec<Bytes>> = voices.iter().collect();
    for leveling in [false, true] {
        let (mix, each) = play(&all, leveling);
        let loudest = mix.iter().fold(0.0f32, |most, sample| most.max(sample.abs()));
        println!(
            "  {:<9} {each:>9.1?} a frame of 20 ms, {:.2} % of a core; peak {loudest:.3}",
            if leveling { "levelled" } else { "as sent" },
            each.as_secs_f32() / FRAME.as_secs_f32() * 100.0
        );
    }
    Ok(())
}

/// What is heard of these speakers, and how long each frame took.
fn play(voices: &[&Vec<Bytes>], leveling: bool) -> (Vec<f32>, Duration) {
    let mut engine = Engine::new(Channels::Mono, DelayGoal::Stage);
    engine.set_leveling(leveling);
    let (mut heard, mut now) = (Vec::with_capacity(FRAMES * FRAME_SAMPLES), Duration::ZERO);
    let start = Instant::now();
    for index in 0..FRAMES {
        for (speaker, voice) in voices.iter().enumerate() {
            engine.handle_packet(packet(speaker, index, &voice[index]), now);
        }
        now += FRAME;
        heard.extend_from_slice(engine.tick(now));
    }
    (heard, start.elapsed() / FRAMES as u32)
}

fn packet(speaker: usize, index: usize, payload: &Bytes) -> SpeechPacket {
    SpeechPacket {
        speaker: SpeakerKey([speaker as u8; 32]),
        epoch: 1,
        sequence: index as u32,
        time: index as u32,
        frames: vec![payload.clone()],
        redundant: Vec::new(),
        end_of_spurt: false,
        repaired: false,
    }
}

fn encode(said: &[f32]) -> anyhow::Result<Vec<Bytes>> {
    let mut encoder = codec::encoder(EncoderSettings::speech())?;
    let frames = said.chunks_exact(FRAME_SAMPLES);
    frames.map(|frame| Ok(encoder.encode(frame)?.payload)).collect()
}

fn lufs(sound: &[f32]) -> anyhow::Result<f64> {
    let mut judge = EbuR128::new(1, 48_000, Mode::I)?;
    judge.add_frames_f32(sound)?;
    Ok(judge.loudness_global()?)
}
