//! How well speech is heard through bad links: codec, simulated links, repair, buffer and mix, offline.

mod chain;
mod listener;
mod options;
mod score;
mod speaker;
#[path = "../score/stoi.rs"]
#[allow(dead_code, reason = "what is scored here has the method's rate already")]
mod stoi;
mod table;

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use clap::Parser as _;
use majlis::audio::{
    AudioSink as _, AudioSource as _, Channels, FRAME, FRAME_SAMPLES, FileSource, Fill, WavSink,
};
use majlis_protocol::{jitter::DelayGoal, media::Copies};

use chain::Chain;
use listener::Listener;
use options::{Listener as Whom, Options, Switch};
use speaker::Speaker;
use table::{Heard, Row, Table};

/// When the speaker begins: the chain is settled by then.
const BEGIN: Duration = Duration::from_secs(2);

/// How long packets that were sent last are waited for.
const REST: Duration = Duration::from_secs(1);

/// One file of speech.
struct Speech {
    name: String,
    frames: Vec<Vec<f32>>,
}

impl Speech {
    fn samples(&self) -> Vec<f32> {
        self.frames.concat()
    }
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let speech = speech_of(&options)?;
    let mut table = Table::new(&options)?;
    let mut alone = Row::new("codec alone");
    for speech in &speech {
        let said = speech.samples();
        table.keep(&speech.name, "said", &said)?;
        let sound = speaker::codec_alone(&speech.frames)?;
        let sound = listener::aligned(&sound, 0, said.len());
        table.keep(&speech.name, "codec alone", &sound)?;
        alone.add_score(score::stoi(&said, &sound)?);
    }
    table.print(&alone);
    for &loss in &options.loss {
        let mut row = Row::new(&format!("{loss} %"));
        for speech in &speech {
            let said = speech.samples();
            for seed in 0..options.seeds {
                let (heard, sound) = listen(&options, speech, loss, seed)?;
                row.add_score(score::stoi(&said, &sound)?);
                row.add(&heard);
                table.keep(&format!("{} {seed}", speech.name), &format!("{loss} %"), &sound)?;
            }
        }
        table.print(&row);
    }
    Ok(())
}

/// Sends one file down the chain.
fn listen(options: &Options, speech: &Speech, loss: f64, seed: u32) -> anyhow::Result<(Heard, Vec<f32>)> {
    let profile = options.link(loss, u64::from(seed) + 1);
    let mut chain = Chain::new(options.links, &profile, options.pulls == Switch::On)?;
    let mut speaker = Speaker::new(
        speech.frames.clone(),
        options.redundancy,
        options.listener == Whom::Stage,
    )?;
    let mut listener = Listener::new(match options.listener {
        Whom::Audience => DelayGoal::Audience {
            floor: chain.delay_floor(),
        },
        Whom::Stage => DelayGoal::Stage,
    });
    // The two clocks have no common phase.
    let phase = Duration::from_millis(1 + 7 * u64::from(seed) % 20);
    let step = FRAME.div_f64(1.0 + options.drift / 1e6);
    let mut next_frame = BEGIN;
    let mut copied = 0_u32;
    let end = BEGIN + step * u32::try_from(speaker.frames())? + REST;
    let mut tick = Duration::ZERO;
    while tick < end {
        let now = tick + phase;
        while next_frame <= now {
            for (delivery, arrived) in chain.run_until(next_frame) {
                listener.hear(&delivery, arrived);
            }
            if let Some(own) = speaker.speak(next_frame)? {
                chain.speak(own, next_frame)?;
                copied += u32::from(speaker.copies() != Copies::None);
            }
            next_frame += step;
        }
        for (delivery, arrived) in chain.run_until(now) {
            listener.hear(&delivery, arrived);
        }
        listener.tick(now);
        if tick.subsec_nanos() == 0 {
            speaker.hear_of(listener.grade(now), now);
        }
        tick += FRAME;
    }
    listener.play_out(end + phase);
    let stream = listener.stats().context("nothing was heard")?;
    let (delay, longest) = listener.delay();
    let seconds = step.as_secs_f64() * speaker.frames() as f64;
    let heard = Heard {
        stretched: 60.0 * stream.stretched as f64 / seconds,
        stats: stream.jitter,
        delay,
        longest,
        kilobits: speaker.sent as f64 * 8.0 / 1000.0 / seconds,
        copied: f64::from(copied) / speaker.frames() as f64,
    };
    Ok((heard, listener.heard(speech.frames.len() * FRAME_SAMPLES)))
}

fn speech_of(options: &Options) -> anyhow::Result<Vec<Speech>> {
    let folder = options.speech();
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .with_context(|| folder.display().to_string())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "wav"))
        .collect();
    paths.sort();
    anyhow::ensure!(!paths.is_empty(), "no WAV files in {}", folder.display());
    paths.iter().map(|path| read(path, options.at_least)).collect()
}

fn read(path: &Path, at_least: Duration) -> anyhow::Result<Speech> {
    let mut source = FileSource::open(path, Channels::Mono, false)?;
    let mut frames = Vec::new();
    let mut frame = vec![0.0; FRAME_SAMPLES];
    while source.read_frame(Channels::Mono, &mut frame)? == Fill::Frame {
        frames.push(frame.clone());
    }
    let wanted = at_least.as_millis().div_ceil(FRAME.as_millis());
    let wanted = usize::try_from(wanted)?.max(frames.len());
    let frames = frames.iter().cycle().take(wanted).cloned().collect();
    let name = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(Speech { name, frames })
}

/// Writes a WAV file.
fn write(path: &Path, sound: &[f32]) -> anyhow::Result<()> {
    let mut sink = WavSink::create(path, Channels::Mono)?;
    for frame in sound.chunks_exact(FRAME_SAMPLES) {
        sink.write_frame(Channels::Mono, frame)?;
    }
    sink.finish()?;
    Ok(())
}
