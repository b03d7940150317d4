//! What a microphone's chain does to echo and noise, and what it costs; what of a microphone's sound is sent.
//!
//! `cargo run --release --example voice_chain` with the speech of `$MAJLIS_SPEECH`, a folder of WAV files, or of
//! `assets/speech`. Nothing is played or recorded.

#![expect(clippy::print_stdout, reason = "printing is what an example is for")]

#[path = "score/mod.rs"]
mod score;
#[path = "score/speech.rs"]
mod speech;

use std::time::Instant;

use anyhow::Context;
use majlis::audio::{
    Channels, FRAME_SAMPLES,
    process::{FarEnd, Spurts, Step, VoiceChain, VoiceDetector, VoiceOptions},
};
use score::scene;

fn main() -> anyhow::Result<()> {
    let speech = speech::speech()?;
    println!("{} files of speech\n", speech.len());
    echo(&speech);
    double_talk(&speech)?;
    noise(&speech)?;
    spurts(&speech);
    cost(&speech[0].1);
    Ok(())
}

/// A chain as the scenes want it.
fn chain(options: VoiceOptions) -> impl FnMut(&[f32], &mut [f32; FRAME_SAMPLES]) {
    let far_end = FarEnd::default();
    let mut chain = VoiceChain::new(options, far_end.clone());
    chain.open();
    move |played, frame| {
        far_end.play(Channels::Mono, played);
        chain.process(frame);
    }
}

/// The ways in which a chain is judged.
fn ways() -> [(&'static str, VoiceOptions); 3] {
    let echo = VoiceOptions {
        noise_suppression: false,
        auto_gain: false,
        ..VoiceOptions::ON
    };
    let noise = VoiceOptions {
        echo_cancel: false,
        auto_gain: false,
        ..VoiceOptions::ON
    };
    [
        ("echo cancellation", echo),
        ("noise suppression", noise),
        ("all", VoiceOptions::ON),
    ]
}

fn echo(speech: &[(String, Vec<f32>)]) {
    println!("echo, 10 dB below what is played: how far it is brought down");
    for (name, options) in [ways()[0], ways()[2]] {
        let losses = speech
            .iter()
            .map(|(_, said)| scene::echo_return_loss(&mut chain(options), said, -10.0));
        let (early, settled): (Vec<f32>, Vec<f32>) = losses.unzip();
        println!(
            "  {name:<18} at 1 s {:5.1} dB; after 3 s {:5.1} dB, worst {:5.1}",
            mean(&early),
            mean(&settled),
            least(&settled)
        );
    }
}

fn double_talk(speech: &[(String, Vec<f32>)]) -> anyhow::Result<()> {
    println!("both speak, the echo 28 dB below the near end: STOI of the near end");
    for (name, options) in [ways()[0], ways()[2]] {
        let mut scores = Vec::new();
        for (index, (_, near)) in speech.iter().enumerate() {
            let far = &speech[(index + 1) % speech.len()].1;
            let score = scene::double_talk(&mut chain(options), near, far, 28.0);
            scores.push(score.context("too little speech")? as f32);
        }
        println!("  {name:<18} {:.2}, worst {:.2}", mean(&scores), least(&scores));
    }
    Ok(())
}

fn noise(speech: &[(String, Vec<f32>)]) -> anyhow::Result<()> {
    println!("steady noise 10 dB below speech: by how much the ratio grows, and STOI before and after");
    for (name, options) in [ways()[1], ways()[2]] {
        let (mut gains, mut heard, mut sent) = (Vec::new(), Vec::new(), Vec::new());
        for (_, said) in speech {
            let scene = scene::in_noise(&mut chain(options), said, 10.0).context("too little speech")?;
            gains.push(scene.gain_db);
            heard.push(scene.heard as f32);
            sent.push(scene.sent as f32);
        }
        println!(
            "  {name:<18} {:5.1} dB, worst {:5.1}; {:.2} -> {:.2}",
            mean(&gains),
            least(&gains),
            mean(&heard),
            mean(&sent)
        );
    }
    Ok(())
}

/// What is sent of speech that is said after two seconds of a quiet room, and of a room in which only a fan is heard.
fn spurts(speech: &[(String, Vec<f32>)]) {
    println!("spurts: the share of frames that is sent, and of the energy of all frames that is in those");
    for (name, said) in speech {
        let heard: Vec<f32> = [&scene::fan(2 * 48_000, 1e-7)[..], said].concat();
        let (sent, powers) = sent(VoiceOptions::ON, &heard);
        let kept: f32 = sent.iter().map(|&frame| powers[frame]).sum();
        println!(
            "  {name:<28} {:3.0} %, {:.3} %",
            100.0 * sent.len() as f32 / powers.len() as f32,
            100.0 * kept / powers.iter().sum::<f32>()
        );
    }
    println!(
        "frames a second of a room in which a fan runs, from the fifth second on: as it is, and after the chain"
    );
    for level in [-70, -60, -50, -40] {
        let fan = scene::fan(20 * 48_000, 10f32.powf(level as f32 / 10.0));
        let [plain, clean] = [VoiceOptions::OFF, VoiceOptions::ON].map(|options| {
            let (sent, _) = sent(options, &fan);
            sent.iter().filter(|&&frame| frame >= 250).count() as f32 / 15.0
        });
        println!("  {level} dBFS: {plain:.1}, {clean:.1}");
    }
}

/// The numbers of the frames that are sent, and the power of each frame.
fn sent(options: VoiceOptions, signal: &[f32]) -> (Vec<usize>, Vec<f32>) {
    let mut chain = VoiceChain::new(options, FarEnd::default());
    let (mut detector, mut spurts) = (VoiceDetector::new(), Spurts::new());
    let (mut sent, mut powers) = (Vec::new(), Vec::new());
    for (index, heard) in signal.chunks_exact(FRAME_SAMPLES).enumerate() {
        let mut frame = [0.0; FRAME_SAMPLES];
        frame.copy_from_slice(heard);
        chain.process(&mut frame);
        powers.push(scene::power(&frame));
        match spurts.step(index, detector.judge(chain.heard(), &frame)) {
            Step::Hold => {}
            Step::Begin(frames) => sent.extend(frames),
            Step::Send(frame) | Step::Last(frame) => sent.push(frame),
        }
    }
    (sent, powers)
}

/// What the chain costs of a core while both speak.
fn cost(said: &[f32]) {
    println!("processor time, without the encoder");
    let frames: Vec<&[f32]> = said.chunks_exact(FRAME_SAMPLES).collect();
    let all = VoiceOptions::ON;
    for (name, options) in [
        (
            "high-pass",
            VoiceOptions {
                high_pass: true,
                ..VoiceOptions::OFF
            },
        ),
        (
            "echo cancellation",
            VoiceOptions {
                echo_cancel: true,
                ..VoiceOptions::OFF
            },
        ),
        (
            "noise suppression",
            VoiceOptions {
                noise_suppression: true,
                ..VoiceOptions::OFF
            },
        ),
        (
            "gain control",
            VoiceOptions {
                auto_gain: true,
                ..VoiceOptions::OFF
            },
        ),
        ("all, and spurts", all),
    ] {
        let mut chain = chain(options);
        let (mut detector, mut spurts) = (VoiceDetector::new(), Spurts::new());
        let start = Instant::now();
        let mut count = 0;
        while count < 1_000 {
            for (index, heard) in frames.iter().enumerate() {
                let mut frame = [0.0; FRAME_SAMPLES];
                frame.copy_from_slice(heard);
                chain(frames[(index + frames.len() / 2) % frames.len()], &mut frame);
                if options == all {
                    spurts.step(index, detector.judge(&frame, &frame));
                }
            }
            count += frames.len();
        }
        let each = start.elapsed() / u32::try_from(count).unwrap_or(u32::MAX);
        println!(
            "  {name:<18} {each:>9.1?} a frame of 20 ms, {:.2} % of a core",
            each.as_secs_f32() / 0.02 * 100.0
        );
    }
}

fn mean(values: &[f32]) -> f32 {
    values.iter().sum::<f32>() / values.len() as f32
}

fn least(values: &[f32]) -> f32 {
    values.iter().copied().fold(f32::INFINITY, f32::min)
}
