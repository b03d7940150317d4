//! The speaking half in its thread: from a source to encoded frames, at the pace of real time.
//!
//! Frames of a file or tone have absolute deadlines on a monotonic clock, so no delay ever adds up; after
//! a stall they follow each other quickly until the stream is back in time. A microphone keeps its own
//! time. `time` counts 20 ms ticks since the capture started and goes on while nothing is sent.
//!
//! Invariants: while paused nothing is read and nothing is sent but one frame of digital silence that
//! closes the spurt; a microphone is released while paused; dropping the handle stops the thread.

mod voice;

use super::codec::{self, Encoder, EncoderSettings};
use super::live::MicSource;
use super::pace::{Schedule, Step};
use super::process::{FarEnd, VoiceOptions};
use super::sample::SILENCE_LEVEL;
use super::{AudioError, AudioSource, FileSource, Fill, Input, SourceKind, Tone, level_of};
use crate::queue::Queue;
use bytes::Bytes;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use core::time::Duration;
use std::sync::Arc;
use std::thread::Thread;
use std::time::Instant;
use voice::{Timed, Voice};

/// Frames between the thread and the room: more than the 5 s that are caught up after the longest stall.
const FRAME_QUEUE: usize = 256;

/// The room between frames that are caught up: ten times real time. Less, and a burst overruns the
/// datagram buffers on its way; more, and listeners run dry meanwhile.
const CATCH_UP_SPACING: Duration = Duration::from_millis(2);

/// A live source that gives nothing for this long has lost sound, and `time` moves on by what is missing.
/// A frame and the unpunctuality of a sound card stay below.
const LIVE_GAP: Duration = Duration::from_millis(200);

/// A microphone that goes away again within this time is not replaced again: it would be opened and lost
/// in circles.
const REOPEN_AFTER: Duration = Duration::from_secs(2);

/// How long a paused thread sleeps when nobody wakes it. It is woken for every change; this is a safety net.
const PAUSED_NAP: Duration = Duration::from_secs(1);

/// One frame as it goes into a media packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedFrame {
    /// When it was captured, in 20 ms ticks since the capture started. A gap is silence that was not sent.
    pub time: u32,
    /// The codec's bytes.
    pub payload: Bytes,
    /// How loud it is: -dBov as in RFC 6464, 0 is full scale, 127 silence.
    pub level: u8,
    /// Silence follows, for at least one tick.
    pub end_of_spurt: bool,
}

/// What a capture gives.
#[derive(Debug)]
pub enum Captured {
    /// A frame to send.
    Frame(EncodedFrame),
    /// A live source is open, and gives sound, since the pause of this number ([`Capture::pauses`]).
    Opened(u64),
    /// The pause of this number ([`Capture::pauses`]) has begun, or a later one: all that was captured before it has been
    /// given, the frame that closes the spurt included.
    Paused(u64),
    /// The source is at its end; nothing more comes.
    Finished,
    /// The source failed. A microphone counts as paused from here on and may be resumed; from any other source
    /// nothing more comes. A microphone that went away is first replaced by the system's next, if it has one.
    Failed(AudioError),
}

/// How to capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaptureOptions {
    /// What the encoder is asked for.
    pub encoder: EncoderSettings,
    /// A file starts over at its end.
    pub repeat: bool,
    /// Start paused: nothing is read, and no microphone opened, before [`Capture::resume`].
    pub paused: bool,
    /// What is done to the sound of a live source. A recording is sent as it is.
    pub voice: VoiceOptions,
    /// Whether silence is hardly sent: `None` for that of a live source alone.
    pub discontinuous: Option<bool>,
}

impl CaptureOptions {
    /// Starts at once, plays a file once, and leaves sound as it is.
    pub const fn new(encoder: EncoderSettings) -> Self {
        Self {
            encoder,
            repeat: false,
            paused: false,
            voice: VoiceOptions::OFF,
            discontinuous: None,
        }
    }
}

/// A running capture; dropping it stops the thread and releases the microphone.
#[derive(Debug)]
pub struct Capture {
    shared: Arc<Shared>,
    thread: Thread,
}

impl Capture {
    /// Opens the source and starts the thread. A microphone is opened by the thread, and only when it is
    /// not paused; its failure comes as [`Captured::Failed`].
    pub fn start(input: Input, options: CaptureOptions) -> Result<Self, AudioError> {
        Self::start_beside(input, options, FarEnd::default())
    }

    /// The same beside a loudspeaker, whose echo in the microphone is cancelled if the options say so.
    pub fn start_beside(input: Input, options: CaptureOptions, far_end: FarEnd) -> Result<Self, AudioError> {
        let slot = Slot::open(input, options)?;
        let encoder = codec::encoder(options.encoder)?;
        let voice = Voice::new(
            options.encoder.channels,
            if slot.is_live() {
                options.voice
            } else {
                VoiceOptions::OFF
            },
            far_end,
            options.discontinuous.unwrap_or(slot.is_live()),
        );
        let shared = Arc::new(Shared {
            frames: Queue::new(FRAME_QUEUE),
            paused: AtomicBool::new(options.paused),
            pauses: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            expected_loss: AtomicU8::new(options.encoder.expected_loss),
            bitrate: AtomicU32::new(options.encoder.bitrate),
        });
        let worker = Worker {
            frame: vec![0.0; options.encoder.channels.frame_len()],
            next_frame: vec![0.0; options.encoder.channels.frame_len()],
            next: None,
            expected_loss: options.encoder.expected_loss,
            bitrate: options.encoder.bitrate,
            schedule: Schedule::new(CATCH_UP_SPACING),
            start: Instant::now(),
            live: None,
            reopened_at: None,
            last_tick: None,
            in_spurt: false,
            pauses: 0,
            opened: None,
            shared: Arc::clone(&shared),
            encoder,
            voice,
            slot,
        };
        let handle = std::thread::Builder::new()
            .name("majlis-capture".into())
            .spawn(move || worker.run())
            .map_err(AudioError::Thread)?;
        Ok(Self {
            shared,
            thread: handle.thread().clone(),
        })
    }

    /// Frames dropped because nobody took them.
    pub fn dropped(&self) -> u64 {
        self.shared.frames.dropped()
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.shared.paused.load(Ordering::Acquire)
    }

    /// How often it was paused with [`Capture::pause`].
    pub fn pauses(&self) -> u64 {
        self.shared.pauses.load(Ordering::Relaxed)
    }

    /// The next frame or news; `None` after the last. Safe to cancel.
    pub async fn next(&self) -> Option<Captured> {
        self.shared.frames.pop().await
    }

    /// Stops reading and sending; a microphone is released, a file stays where it is.
    pub fn pause(&self) {
        self.shared.pauses.fetch_add(1, Ordering::Relaxed);
        self.shared.paused.store(true, Ordering::Release);
        self.thread.unpark();
    }

    /// Reads and sends again.
    pub fn resume(&self) {
        self.shared.paused.store(false, Ordering::Release);
        self.thread.unpark();
    }

    /// Prepares the coming frames for this much loss, in percent.
    pub fn set_expected_loss(&self, percent: u8) {
        self.shared.expected_loss.store(percent, Ordering::Relaxed);
    }

    /// Aims for this many bits a second with the coming frames.
    pub fn set_bitrate(&self, bitrate: u32) {
        self.shared.bitrate.store(bitrate, Ordering::Relaxed);
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// What the handle and the thread have in common.
#[derive(Debug)]
struct Shared {
    frames: Queue<Captured>,
    paused: AtomicBool,
    /// Counted before `paused` is set.
    pauses: AtomicU64,
    stopped: AtomicBool,
    expected_loss: AtomicU8,
    bitrate: AtomicU32,
}

/// The source, and what becomes of it while paused.
enum Slot {
    /// Open all the time.
    Kept(Box<dyn AudioSource>),
    /// A microphone: open only while it is on.
    Mic {
        name: Option<String>,
        open: Option<Box<dyn AudioSource>>,
    },
    /// Nothing is ever sent.
    Nothing,
}

impl Slot {
    fn open(input: Input, options: CaptureOptions) -> Result<Self, AudioError> {
        Ok(match input {
            Input::File(path) => Self::Kept(Box::new(FileSource::open(
                &path,
                options.encoder.channels,
                options.repeat,
            )?)),
            Input::Tone(hertz) => Self::Kept(Box::new(Tone::new(hertz)?)),
            Input::Source(source) => Self::Kept(source),
            Input::Mic(name) => Self::Mic { name, open: None },
            Input::None => Self::Nothing,
        })
    }

    fn is_live(&self) -> bool {
        match self {
            Self::Kept(source) => source.kind() == SourceKind::Live,
            Self::Mic { .. } => true,
            Self::Nothing => false,
        }
    }

    /// The source, opened if need be; `None` when there is none.
    fn source(&mut self) -> Result<Option<&mut Box<dyn AudioSource>>, AudioError> {
        match self {
            Self::Kept(source) => Ok(Some(source)),
            Self::Mic { name, open } => {
                if open.is_none() {
                    *open = Some(Box::new(MicSource::open(name.as_deref())?));
                }
                Ok(open.as_mut())
            }
            Self::Nothing => Ok(None),
        }
    }

    /// Lets go of a microphone.
    fn release(&mut self) {
        if let Self::Mic { open, .. } = self {
            *open = None;
        }
    }
}

/// The thread.
struct Worker {
    slot: Slot,
    voice: Voice,
    encoder: Box<dyn Encoder>,
    frame: Vec<f32>,
    /// The frame after it, read ahead from a recorded source, so that the last one is known as such.
    next_frame: Vec<f32>,
    next: Option<Fill>,
    expected_loss: u8,
    bitrate: u32,
    schedule: Schedule,
    start: Instant,
    /// Of a live source: the tick of its last frame and when that came.
    live: Option<(u64, Duration)>,
    /// When a microphone that went away was last given up for another.
    reopened_at: Option<Duration>,
    /// The tick of the last frame sent.
    last_tick: Option<u64>,
    /// That frame's spurt is not closed.
    in_spurt: bool,
    /// The pause last told.
    pauses: u64,
    /// The pause since which the source was last told to be open.
    opened: Option<u64>,
    shared: Arc<Shared>,
}

/// Whether the thread goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    GoOn,
    Over,
}

impl Worker {
    fn run(mut self) {
        while !self.shared.stopped.load(Ordering::Acquire) {
            if self.shared.paused.load(Ordering::Acquire) {
                self.rest();
                continue;
            }
            match self.advance() {
                Ok(Flow::GoOn) => {}
                Ok(Flow::Over) => {
                    self.shared.frames.push(Captured::Finished);
                    break;
                }
                Err(_) if self.may_reopen() => self.slot.release(),
                Err(error) => {
                    let retry = matches!(self.slot, Slot::Mic { .. });
                    if retry {
                        self.shared.paused.store(true, Ordering::Release);
                        self.opened = None;
                    }
                    self.shared.frames.push(Captured::Failed(error));
                    if !retry {
                        break;
                    }
                }
            }
        }
        self.shared.frames.close();
    }

    /// Whether the source is a microphone that went away: the system may have another by now, and the next
    /// frame tries it. Not over and over.
    fn may_reopen(&mut self) -> bool {
        let now = self.start.elapsed();
        let patient = self
            .reopened_at
            .is_none_or(|at| now.saturating_sub(at) > REOPEN_AFTER);
        let lost = matches!(self.slot, Slot::Mic { open: Some(_), .. });
        if lost && patient {
            self.reopened_at = Some(now);
        }
        lost && patient
    }

    /// Paused: closes the spurt, says so, lets go of the microphone, sleeps until woken.
    fn rest(&mut self) {
        let pauses = self.shared.pauses.load(Ordering::Relaxed);
        self.slot.release();
        self.voice.close();
        self.live = None;
        if self.in_spurt {
            self.close_spurt();
        }
        if pauses != self.pauses {
            self.pauses = pauses;
            self.shared.frames.push(Captured::Paused(pauses));
        }
        std::thread::park_timeout(PAUSED_NAP);
        self.schedule.skip_to(self.start.elapsed());
    }

    /// One frame, or the wait for it.
    fn advance(&mut self) -> Result<Flow, AudioError> {
        let loss = self.shared.expected_loss.load(Ordering::Relaxed);
        if loss != self.expected_loss {
            self.encoder.set_expected_loss(loss)?;
            self.expected_loss = loss;
        }
        let bitrate = self.shared.bitrate.load(Ordering::Relaxed);
        if bitrate != self.bitrate {
            self.encoder.set_bitrate(bitrate)?;
            self.bitrate = bitrate;
        }
        match &self.slot {
            Slot::Nothing => {
                std::thread::park_timeout(PAUSED_NAP);
                Ok(Flow::GoOn)
            }
            slot if slot.is_live() => self.advance_live(),
            _ => self.advance_recorded(),
        }
    }

    fn advance_recorded(&mut self) -> Result<Flow, AudioError> {
        let tick = match self.schedule.step(self.start.elapsed()) {
            Step::Wait(time) => {
                std::thread::park_timeout(time);
                return Ok(Flow::GoOn);
            }
            Step::Run { tick, .. } => tick,
        };
        if self.next.is_none() {
            self.next = Some(self.read_ahead()?);
        }
        core::mem::swap(&mut self.frame, &mut self.next_frame);
        match self.next.take() {
            Some(Fill::End) => Ok(Flow::Over),
            Some(Fill::NotYet) | None => Ok(Flow::GoOn),
            Some(Fill::Frame) => {
                let next = self.read_ahead()?;
                self.next = Some(next);
                self.send(tick, next == Fill::End)?;
                Ok(if next == Fill::End { Flow::Over } else { Flow::GoOn })
            }
        }
    }

    fn read_ahead(&mut self) -> Result<Fill, AudioError> {
        let channels = self.encoder.channels();
        match self.slot.source()? {
            Some(source) => source.read_frame(channels, &mut self.next_frame),
            None => Ok(Fill::End),
        }
    }

    fn advance_live(&mut self) -> Result<Flow, AudioError> {
        let channels = self.encoder.channels();
        let pauses = self.shared.pauses.load(Ordering::Relaxed);
        let Some(source) = self.slot.source()? else {
            return Ok(Flow::Over);
        };
        if self.opened != Some(pauses) {
            self.opened = Some(pauses);
            self.voice.open();
            self.shared.frames.push(Captured::Opened(pauses));
        }
        match source.read_frame(channels, &mut self.frame)? {
            Fill::NotYet => Ok(Flow::GoOn),
            Fill::End => Ok(Flow::Over),
            // The microphone may have been switched off while we waited for this frame.
            Fill::Frame if self.shared.paused.load(Ordering::Acquire) => Ok(Flow::GoOn),
            Fill::Frame => {
                let tick = self.live_tick(self.start.elapsed());
                self.send(tick, false)?;
                Ok(Flow::GoOn)
            }
        }
    }

    /// The tick of a live frame that came at `now`: the one after the last, unless sound was lost between.
    fn live_tick(&mut self, now: Duration) -> u64 {
        let by_clock = Schedule::tick_at(now);
        let tick = match self.live {
            Some((last, at)) if now.saturating_sub(at) < LIVE_GAP => last + 1,
            Some((last, _)) => by_clock.max(last + 1),
            None => self.last_tick.map_or(by_clock, |last| by_clock.max(last + 1)),
        };
        self.live = Some((tick, now));
        tick
    }

    /// Takes the frame of this tick, and encodes and sends what is to be sent now. `last`: it is the source's last.
    fn send(&mut self, tick: u64, last: bool) -> Result<(), AudioError> {
        for Timed { tick, samples, last } in self.voice.take(tick, &self.frame, last) {
            let encoded = self.encoder.encode(&samples)?;
            self.push(
                tick,
                EncodedFrame {
                    time: tick as u32,
                    payload: encoded.payload,
                    level: level_of(&samples),
                    end_of_spurt: last,
                },
            );
        }
        Ok(())
    }

    /// Sends one frame of digital silence that says the spurt is over.
    fn close_spurt(&mut self) {
        self.in_spurt = false;
        let Some(last) = self.last_tick else { return };
        self.frame.fill(0.0);
        // The codec took the frames before it; should it refuse this one, the spurt just stays open.
        if let Ok(encoded) = self.encoder.encode(&self.frame) {
            self.push(
                last + 1,
                EncodedFrame {
                    time: (last + 1) as u32,
                    payload: encoded.payload,
                    level: SILENCE_LEVEL,
                    end_of_spurt: true,
                },
            );
            self.schedule.skip_to(Schedule::due(last + 2));
        }
    }

    fn push(&mut self, tick: u64, frame: EncodedFrame) {
        self.last_tick = Some(tick);
        self.in_spurt = !frame.end_of_spurt;
        self.shared.frames.push(Captured::Frame(frame));
    }
}

#[cfg(test)]
mod tests;
