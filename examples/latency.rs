//! From mouth to ear: how long sound takes from one node to another on loopback, without any sound device, and where the
//! time goes.
//!
//! `cargo run --release --example latency -- --seconds 30`
//!
//! Both people are on the stage. The microphone is a source that gives each 20 ms when they are over, as a sound card
//! does; the loudspeaker is a sink that notes when it is given which samples. A mark in the sound, twice a second, says
//! which moment is which.

#![expect(clippy::print_stdout, reason = "printing is what an example is for")]

use std::{
    sync::mpsc::{Sender, channel},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::Bytes;
use clap::Parser;
use majlis::{
    audio::{
        AudioError, AudioSink, AudioSource, Channels, FRAME, FRAME_SAMPLES, Fill, Input, MAX_MIXED, MixInput,
        Mixer, Output, SourceKind,
        codec::{self, EncoderSettings},
    },
    event::Event,
    node::{Config, Node},
    room::{Hosting, RoomAction, Seat},
};
use majlis_protocol::{
    media::{Draft, Header, Tag},
    person::PersonKey,
    room::RoomId,
};

/// Frames from one mark to the next: half a second, and a little more, so that marks wander through the frames.
const EVERY: usize = 26;

/// Samples by which each mark lies further back in its frame.
const WANDER: usize = 97;

/// What lies between the marks: a quiet tone, so that the microphone never counts as silent.
const GROUND: f32 = 0.02;

/// A mark: a loud tone of 15 ms, which begins at once.
const MARK: f32 = 0.5;
const MARK_SAMPLES: usize = 720;

/// Above this it is a mark that is heard.
const HEARD: f32 = 0.2;

/// The codec's own delay, of which the encoder and the decoder each have a part: 6.5 ms.
const LOOKAHEAD: Duration = Duration::from_micros(6_500);

/// What to do, as it was typed.
#[derive(Debug, Parser)]
#[command(name = "latency")]
struct Options {
    /// How long to measure
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Listen from the audience instead, which hears later on purpose
    #[arg(long)]
    audience: bool,
}

/// A microphone that keeps time.
struct Mouth {
    start: Instant,
    frame: usize,
    marks: Sender<Instant>,
}

/// A loudspeaker that notes when marks are heard.
struct Ear {
    quiet: usize,
    marks: Sender<Instant>,
}

/// When sample number `n` of a frame that begins at `start` sounds.
fn moment(start: Instant, n: usize) -> Instant {
    start + FRAME.mul_f64(n as f64 / FRAME_SAMPLES as f64)
}

fn tone(n: usize, hertz: f32) -> f32 {
    (std::f32::consts::TAU * hertz * n as f32 / 48_000.0).sin()
}

impl AudioSource for Mouth {
    fn kind(&self) -> SourceKind {
        SourceKind::Live
    }

    fn read_frame(&mut self, channels: Channels, frame: &mut [f32]) -> Result<Fill, AudioError> {
        let begin = self.start + FRAME * self.frame as u32;
        std::thread::sleep((begin + FRAME).saturating_duration_since(Instant::now()));
        let mark = self.frame / EVERY;
        let place = mark * WANDER % (FRAME_SAMPLES - MARK_SAMPLES);
        let is_marked = self.frame % EVERY == EVERY - 1;
        for (n, moment) in frame.chunks_exact_mut(channels.count()).enumerate() {
            let is_loud = is_marked && (place..place + MARK_SAMPLES).contains(&n);
            let sample = if is_loud {
                MARK * tone(n - place + 12, 1_000.0)
            } else {
                GROUND * tone(self.frame * FRAME_SAMPLES + n, 200.0)
            };
            moment.fill(sample);
        }
        if is_marked {
            // Nobody listens any more at the end.
            let _ = self.marks.send(moment(begin, place));
        }
        self.frame += 1;
        Ok(Fill::Frame)
    }
}

impl AudioSink for Ear {
    fn write_frame(&mut self, channels: Channels, frame: &[f32]) -> Result<(), AudioError> {
        let now = Instant::now();
        for (n, sample) in frame.iter().step_by(channels.count()).enumerate() {
            if sample.abs() < HEARD {
                self.quiet += 1;
            } else if std::mem::take(&mut self.quiet) > FRAME_SAMPLES * 2 {
                let _ = self.marks.send(moment(now, n));
            }
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let homes = (tempfile::tempdir()?, tempfile::tempdir()?);
    let host = Node::start(Config::at(homes.0.path()).on_loopback()).await?;
    let guest = Node::start(Config::at(homes.1.path()).on_loopback()).await?;
    let ((said, all_said), (heard, all_heard)) = (channel(), channel());
    let mouth = Mouth {
        start: Instant::now(),
        frame: 0,
        marks: said,
    };
    let seat = Seat::default().input(Input::Source(Box::new(Lazy(mouth))));
    let room = host.host(Hosting::titled("Latency").seat(seat)).await?;
    let link = room.info().await.context("the room is open")?.link;
    let ear = Ear {
        quiet: 0,
        marks: heard,
    };
    let seat = guest
        .join(&link, Seat::default().output(Output::Sink(Box::new(ear))))
        .await?;
    let mut events = seat.events();
    while let Some(stamped) = events.next().await {
        if matches!(stamped.event, Event::FirstAudio { .. }) {
            break;
        }
    }
    if !options.audience {
        room.act(RoomAction::Invite(guest.person())).await?;
        // The invitation may take a moment.
        while seat.act(RoomAction::Accept).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    // The delay follows the stage in the first seconds.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let begin = Instant::now();
    let mut buffered = Vec::new();
    let end = tokio::time::sleep(Duration::from_secs(options.seconds));
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            event = events.next() => match event.context("the room goes on")?.event {
                Event::Stats(stats) => buffered.extend(stats.streams.first().map(|stream| stream.delay_ms as f64)),
                _ => continue,
            },
        }
    }
    room.act(RoomAction::End).await?;
    let said: Vec<Instant> = all_said.try_iter().collect();
    let heard: Vec<Instant> = all_heard.try_iter().filter(|at| *at >= begin).collect();
    // Each mark is heard before the next is said.
    let late = |heard: &Instant| {
        let said = said.iter().rev().find(|said| *said < heard)?;
        Some((*heard - *said).as_secs_f64() * 1e3)
    };
    report(heard.iter().filter_map(late).collect(), buffered)?;
    host.shutdown().await;
    guest.shutdown().await;
    Ok(())
}

/// The microphone starts when it is first read.
struct Lazy(Mouth);

impl AudioSource for Lazy {
    fn kind(&self) -> SourceKind {
        self.0.kind()
    }

    fn read_frame(&mut self, channels: Channels, frame: &mut [f32]) -> Result<Fill, AudioError> {
        if self.0.frame == 0 {
            self.0.start = Instant::now();
        }
        self.0.read_frame(channels, frame)
    }
}

/// Prints the whole way, and its stages.
fn report(mut whole: Vec<f64>, mut buffered: Vec<f64>) -> anyhow::Result<()> {
    anyhow::ensure!(!whole.is_empty(), "no mark was heard");
    let (p50, p95) = (quantile(&mut whole, 0.5), quantile(&mut whole, 0.95));
    println!(
        "mouth to ear, {} marks: p50 {p50:.1} ms, p95 {p95:.1} ms, longest {:.1} ms",
        whole.len(),
        quantile(&mut whole, 1.0)
    );
    let [encode, sign, decode, mix] = work()?;
    let buffer = if buffered.is_empty() {
        0.0
    } else {
        quantile(&mut buffered, 0.5)
    };
    let (capture, lookahead) = (FRAME.as_secs_f64() * 1e3, LOOKAHEAD.as_secs_f64() * 1e3);
    let known = capture + lookahead + encode + sign + buffer + decode + mix;
    println!("capture      {capture:>7.2} ms   a frame is sent when it is whole");
    println!("codec        {lookahead:>7.2} ms   lookahead of Opus");
    println!("encode       {encode:>7.2} ms");
    println!("sign         {sign:>7.2} ms");
    println!(
        "send         {:>7.2} ms   what remains of p50: threads, loopback, verification",
        p50 - known
    );
    println!("buffer       {buffer:>7.2} ms   median of the jitter buffer's delay");
    println!("decode       {decode:>7.2} ms");
    println!("mix          {mix:>7.2} ms   of {MAX_MIXED} voices");
    Ok(())
}

fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    values[((last as f64 * part).ceil() as usize).min(last)]
}

/// How long the work on one frame takes, in milliseconds: medians of encoding, signing, decoding and mixing.
fn work() -> anyhow::Result<[f64; 4]> {
    const TURNS: usize = 300;
    let mut encoder = codec::encoder(EncoderSettings::speech())?;
    let mut decoder = codec::decoder(Channels::Mono)?;
    let mut mixer = Mixer::new(Channels::Mono);
    let (key, room) = (PersonKey::from_seed(&[1; 32]), RoomId([1; 32]));
    let mut times: [Vec<f64>; 4] = Default::default();
    let (mut heard, mut mixed) = (vec![0.0; FRAME_SAMPLES], vec![0.0; FRAME_SAMPLES]);
    for turn in 0..TURNS {
        let frame: Vec<f32> = (0..FRAME_SAMPLES)
            .map(|n| 0.3 * tone(turn * FRAME_SAMPLES + n, 220.0))
            .collect();
        let clock = |begin: Instant| begin.elapsed().as_secs_f64() * 1e3;
        let begin = Instant::now();
        let payload: Bytes = encoder.encode(&frame)?.payload;
        times[0].push(clock(begin));
        let number = turn as u32;
        let header = Header {
            tag: Tag([1; 4]),
            epoch: 1,
            sequence: number,
            time: number,
            log: 0,
            level: 20,
            end_of_spurt: false,
        };
        let begin = Instant::now();
        let draft = Draft {
            header,
            frames: &[&payload],
            redundant: &[],
        };
        draft.sign(room, &key)?;
        times[1].push(clock(begin));
        let begin = Instant::now();
        decoder.decode(&payload, &mut heard)?;
        times[2].push(clock(begin));
        let voices: Vec<MixInput<'_, usize>> = (0..MAX_MIXED)
            .map(|key| MixInput {
                key,
                frame: &heard,
                leaving: false,
            })
            .collect();
        let begin = Instant::now();
        mixer.mix(&voices, &mut mixed);
        times[3].push(clock(begin));
    }
    Ok(times.map(|mut times| quantile(&mut times, 0.5)))
}
