//! Speaking: from captured frames to signed packets in the media plane, in a task that waits for nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use majlis_protocol::{
    media::{Draft, Header, Losses, Redundancy},
    member::OnStage,
    person::PersonKey,
    room::{AudioSettings, Profile, RoomId},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::AbortHandle,
    time,
};

use crate::{
    audio::{Capture, Captured, EncodedFrame, codec::EncoderSettings},
    event::{Event, Stamped},
    media::RoomMedia,
};

use super::{ActError, EventSender};

/// How long the end of what was said may take to be on its way. A microphone gives its frame within 100 ms; longer would
/// make the room wait for a device that hangs.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// News of the source that wait for the room. There are a few for each time that it is turned on.
const NEWS: usize = 16;

/// Most who wait for a microphone to open. They are the requests of one person's own programs.
const MOST_WAITING: usize = 32;

/// Frames between two told levels: ten a second, as others' levels are told.
const LEVEL_EVERY: u32 = 5;

/// What became of the source.
#[derive(Debug)]
pub(super) enum News {
    /// It is open since the pause of this number.
    Opened(u64),
    /// It has come to its end.
    Over,
    /// It failed; why and what to do, for people.
    Failed(String),
}

/// A person's own sound: its source, and the task that sends it.
#[derive(Debug)]
pub(super) struct Speaking {
    capture: Arc<Capture>,
    is_microphone: bool,
    stage: watch::Sender<Option<OnStage>>,
    sent: Arc<AtomicU64>,
    copies: Arc<AtomicU8>,
    /// What the room misses, and how many listen.
    losses: watch::Sender<(Losses, u32)>,
    /// The newest pause before which everything has been sent.
    closed: watch::Receiver<u64>,
    /// Whether it was turned on, or off, since the stage was taken.
    touched: bool,
    /// Whether a microphone's device is open. Anything else is, from the start.
    is_open: bool,
    /// Whether it has come to its end, and nothing more can be sent.
    is_over: bool,
    /// Who waits for the microphone to open.
    waiting: Vec<oneshot::Sender<Result<(), ActError>>>,
    news: mpsc::Receiver<News>,
    task: AbortHandle,
}

/// In whose name, and to where.
pub(super) struct Voice {
    pub(super) key: Arc<PersonKey>,
    pub(super) room: RoomId,
    pub(super) media: Arc<RoomMedia>,
    /// The newest log entry here.
    pub(super) head: Arc<AtomicU32>,
    pub(super) events: EventSender,
    /// What the encoder is set to when the room misses nothing.
    pub(super) encoder: EncoderSettings,
}

/// What the task needs.
struct Speaker {
    capture: Arc<Capture>,
    stage: watch::Receiver<Option<OnStage>>,
    losses: watch::Receiver<(Losses, u32)>,
    redundancy: Redundancy,
    /// How many copies each frame is sent in, as the room is told.
    copies: Arc<AtomicU8>,
    started: Instant,
    voice: Voice,
    sent: Arc<AtomicU64>,
    closed: watch::Sender<u64>,
    news: mpsc::Sender<News>,
}

/// Where a stream of packets has come to.
#[derive(Debug, Clone, Copy)]
struct Progress {
    epoch: u32,
    next_sequence: u32,
    /// The capture's time at the epoch's first frame.
    began: u32,
}

impl Speaking {
    /// Starts with nobody on the stage; the source is to be paused.
    pub(super) fn start(capture: Capture, is_microphone: bool, voice: Voice) -> Self {
        let capture = Arc::new(capture);
        let sent = Arc::new(AtomicU64::new(0));
        let (stage, receiver) = watch::channel(None);
        let (closed, is_closed) = watch::channel(capture.pauses());
        let (news, is_news) = mpsc::channel(NEWS);
        let copies = Arc::new(AtomicU8::new(0));
        let (losses, are_lost) = watch::channel((Losses::default(), 0));
        let speaker = Speaker {
            capture: Arc::clone(&capture),
            stage: receiver,
            losses: are_lost,
            redundancy: Redundancy::new(voice.encoder.bitrate),
            copies: Arc::clone(&copies),
            started: Instant::now(),
            voice,
            sent: Arc::clone(&sent),
            closed,
            news,
        };
        let task = tokio::spawn(speaker.run()).abort_handle();
        Self {
            capture,
            is_microphone,
            stage,
            sent,
            copies,
            losses,
            closed: is_closed,
            touched: false,
            is_open: !is_microphone,
            is_over: false,
            waiting: Vec::new(),
            news: is_news,
            task,
        }
    }

    /// Frames sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// How often each frame is sent once more.
    pub(super) fn copies(&self) -> u8 {
        self.copies.load(Ordering::Relaxed)
    }

    /// Whether sound goes out: a microphone's device is open, a file is not at its end.
    pub(super) fn is_on(&self) -> bool {
        self.is_open && !self.is_over && !self.capture.is_paused()
    }

    /// Whether the source has come to its end.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// What becomes of the source next; for ever nothing once it is gone.
    pub(super) async fn next_news(&mut self) -> News {
        match self.news.recv().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }

    /// Takes in that the source is open since a pause; whether sound goes out from now on.
    pub(super) fn opened(&mut self, since: u64) -> bool {
        let is_wanted = !self.capture.is_paused() && since == self.capture.pauses();
        if !self.is_microphone || self.is_open || !is_wanted {
            return false;
        }
        self.is_open = true;
        self.answer(|| Ok(()));
        true
    }

    /// Takes in that the source is at its end; whether sound went out until now.
    pub(super) fn end(&mut self) -> bool {
        let was_on = self.is_on();
        self.is_over = true;
        was_on
    }

    /// Takes in that the source has failed; whether sound went out until now. A microphone may be tried again.
    pub(super) fn fail(&mut self, why: &str) -> bool {
        let was_on = self.is_open && !self.is_over;
        if self.is_microphone {
            self.is_open = false;
        } else {
            self.is_over = true;
        }
        self.answer(|| Err(ActError::Device(why.to_owned())));
        was_on
    }

    /// Answers once the microphone is open, or is known not to open.
    pub(super) fn answer_once_open(&mut self, reply: oneshot::Sender<Result<(), ActError>>) {
        if self.is_on() {
            // Who asked may have stopped waiting.
            let _ = reply.send(Ok(()));
        } else if self.waiting.len() < MOST_WAITING {
            self.waiting.push(reply);
        }
    }

    fn answer(&mut self, answer: impl Fn() -> Result<(), ActError>) {
        for reply in self.waiting.drain(..) {
            // As above.
            let _ = reply.send(answer());
        }
    }

    /// Whether sound goes out to the room.
    pub(super) fn is_sounding(&self) -> bool {
        self.is_on() && self.is_on_stage()
    }

    /// Whether this person is on the stage.
    pub(super) fn is_on_stage(&self) -> bool {
        self.stage.borrow().is_some()
    }

    /// Takes or leaves the stage, or begins another epoch on it. Off the stage the source is paused.
    pub(super) fn set_stage(&mut self, stage: Option<OnStage>) {
        if stage.is_none() {
            self.turn(false);
        }
        let tag = |stage: &Option<OnStage>| stage.as_ref().map(|stage| stage.tag);
        if tag(&stage) != tag(&self.stage.borrow()) {
            self.touched = false;
        }
        self.stage.send_replace(stage);
    }

    /// The room misses so much of what is said, so many members being there: what is sent twice follows.
    pub(super) fn set_losses(&self, losses: Losses, members: u32) {
        self.losses.send_replace((losses, members));
    }

    /// Starts what needs nobody to turn it on: everything but a microphone. Whether it started.
    pub(super) fn start_by_itself(&mut self) -> bool {
        let may = !self.is_microphone && !self.touched && self.is_on_stage();
        may && self.turn(true)
    }

    /// Turns the source on or off; whether sound goes out by that, or no longer does. A microphone opens later.
    pub(super) fn turn(&mut self, on: bool) -> bool {
        self.touched = true;
        let was_on = self.is_on();
        match (on, self.capture.is_paused()) {
            (true, true) => self.capture.resume(),
            (false, false) => self.capture.pause(),
            _ => {}
        }
        if !on {
            self.is_open = !self.is_microphone;
            self.answer(|| Err(ActError::TurnedOff));
        }
        was_on != self.is_on()
    }

    /// Turns the source off and waits until the packet that ends the spurt is on its way; whether it was on.
    pub(super) async fn close(&mut self) -> bool {
        let was_on = self.turn(false);
        let pauses = self.capture.pauses();
        let closing = self.closed.wait_for(|closed| *closed >= pauses);
        // A source at its end has closed by itself; one that hangs has nothing to say.
        let _ = time::timeout(LAST_WORDS, closing).await;
        was_on
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Speaker {
    async fn run(mut self) {
        let mut progress: Option<Progress> = None;
        while let Some(captured) = self.capture.next().await {
            match captured {
                Captured::Frame(frame) => {
                    let stage = *self.stage.borrow();
                    if let Some(stage) = stage {
                        progress = Some(self.send(stage, progress, &frame));
                    }
                }
                Captured::Paused(number) => drop(self.closed.send_replace(number)),
                Captured::Opened(since) => self.pass_on(News::Opened(since)).await,
                Captured::Finished => self.pass_on(News::Over).await,
                Captured::Failed(error) => self.pass_on(News::Failed(error.to_string())).await,
            }
        }
    }

    /// Sends one frame as a packet of its own, and says where the stream has come to.
    fn send(&mut self, stage: OnStage, progress: Option<Progress>, frame: &EncodedFrame) -> Progress {
        let progress = progress.filter(|progress| progress.epoch == stage.epoch);
        let copies = self.accompany(progress.is_none(), frame);
        let redundant: Vec<(u8, &[u8])> = copies.iter().map(|(back, copy)| (*back, &copy[..])).collect();
        let progress = progress.unwrap_or(Progress {
            epoch: stage.epoch,
            next_sequence: 0,
            began: frame.time,
        });
        let header = Header {
            tag: stage.tag,
            epoch: stage.epoch,
            sequence: progress.next_sequence,
            time: frame.time.wrapping_sub(progress.began),
            log: self.voice.head.load(Ordering::Relaxed),
            level: frame.level,
            end_of_spurt: frame.end_of_spurt,
        };
        // The last of a spurt, too, or the level would stand still until the next.
        if progress.next_sequence.is_multiple_of(LEVEL_EVERY) || frame.end_of_spurt {
            let (key, level) = (self.voice.key.person(), frame.level);
            self.tell(Event::Level { key, level });
        }
        match (Draft {
            header,
            frames: &[&frame.payload],
            redundant: &redundant,
        })
        .sign(self.voice.room, &self.voice.key)
        {
            Ok(own) => {
                self.voice.media.send(own);
                self.sent.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => tracing::error!(%error, "a frame does not fit a packet"),
        }
        Progress {
            next_sequence: progress.next_sequence.wrapping_add(1),
            ..progress
        }
    }

    /// What goes with a frame of what was sent before, by what the room misses; and has the encoder make room for it.
    fn accompany(&mut self, is_first: bool, frame: &EncodedFrame) -> Vec<(u8, Bytes)> {
        let now = self.started.elapsed();
        if self.losses.has_changed().is_ok_and(|changed| changed) {
            let (losses, members) = *self.losses.borrow_and_update();
            self.redundancy.handle_losses(losses, members, now);
        }
        if is_first {
            self.redundancy.restart();
        }
        let copies = self
            .redundancy
            .accompany(frame.time, &frame.payload, frame.end_of_spurt, now);
        self.copies
            .store(self.redundancy.copies().count(), Ordering::Relaxed);
        let advice = self.redundancy.advice(self.voice.encoder.expected_loss);
        self.capture.set_bitrate(advice.bitrate);
        self.capture.set_expected_loss(advice.expected_loss);
        copies
    }

    async fn pass_on(&self, news: News) {
        // The room may be over.
        let _ = self.news.send(news).await;
    }

    fn tell(&self, event: Event) {
        // Nobody may be listening.
        let _ = self.voice.events.send(Stamped::now(event));
    }
}

/// What a room's settings ask of the encoder.
pub(super) fn encoder_settings(audio: AudioSettings) -> EncoderSettings {
    let usual = match audio.profile {
        Profile::Speech => EncoderSettings::speech(),
        Profile::Music => EncoderSettings::music(),
    };
    EncoderSettings {
        bitrate: audio.bitrate,
        ..usual
    }
}
