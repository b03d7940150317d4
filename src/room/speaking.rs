//! Speaking: from captured frames to signed packets in the media plane, in a task that waits for nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use majlis_protocol::{
    media::{Draft, Header},
    member::OnStage,
    person::PersonKey,
    room::{AudioSettings, Profile, RoomId},
};
use tokio::{sync::watch, task::AbortHandle, time};

use crate::{
    audio::{Capture, Captured, EncodedFrame, codec::EncoderSettings},
    event::{Event, Stamped},
    media::RoomMedia,
};

use super::EventSender;

/// How long the end of what was said may take to be on its way. A microphone gives its frame within 100 ms; longer would
/// make the room wait for a device that hangs.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// A person's own sound: its source, and the task that sends it.
#[derive(Debug)]
pub(super) struct Speaking {
    capture: Arc<Capture>,
    is_microphone: bool,
    stage: watch::Sender<Option<OnStage>>,
    sent: Arc<AtomicU64>,
    /// Whether the source is at its end.
    over: Arc<AtomicBool>,
    /// The newest pause before which everything has been sent.
    closed: watch::Receiver<u64>,
    /// Whether it was turned on, or off, since the stage was taken.
    touched: bool,
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
}

/// What the task needs.
struct Speaker {
    capture: Arc<Capture>,
    stage: watch::Receiver<Option<OnStage>>,
    voice: Voice,
    sent: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    closed: watch::Sender<u64>,
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
        let over = Arc::new(AtomicBool::new(false));
        let (stage, receiver) = watch::channel(None);
        let (closed, is_closed) = watch::channel(capture.pauses());
        let speaker = Speaker {
            capture: Arc::clone(&capture),
            stage: receiver,
            voice,
            sent: Arc::clone(&sent),
            over: Arc::clone(&over),
            closed,
        };
        let task = tokio::spawn(speaker.run()).abort_handle();
        Self {
            capture,
            is_microphone,
            stage,
            sent,
            over,
            closed: is_closed,
            touched: false,
            task,
        }
    }

    /// Frames sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Whether sound goes out. A microphone that failed has turned itself off.
    pub(super) fn is_on(&self) -> bool {
        !self.capture.is_paused()
    }

    /// Whether sound goes out, and the source is not at its end.
    pub(super) fn is_sounding(&self) -> bool {
        self.is_on() && self.is_on_stage() && !self.over.load(Ordering::Relaxed)
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

    /// Starts what needs nobody to turn it on: everything but a microphone. Whether it started.
    pub(super) fn start_by_itself(&mut self) -> bool {
        let may = !self.is_microphone && !self.touched && self.is_on_stage();
        may && self.turn(true)
    }

    /// Turns the source on or off; whether that changed anything.
    pub(super) fn turn(&mut self, on: bool) -> bool {
        self.touched = true;
        if self.is_on() == on {
            return false;
        }
        if on {
            self.capture.resume()
        } else {
            self.capture.pause()
        }
        true
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
    async fn run(self) {
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
                Captured::Finished => {
                    self.over.store(true, Ordering::Relaxed);
                    self.tell(Event::InputEnded);
                }
                Captured::Failed(error) => {
                    self.tell(Event::Warning {
                        text: error.to_string(),
                    });
                    if self.capture.is_paused() {
                        self.tell(Event::Microphone { on: false });
                    }
                }
            }
        }
    }

    /// Sends one frame as a packet of its own, and says where the stream has come to.
    fn send(&self, stage: OnStage, progress: Option<Progress>, frame: &EncodedFrame) -> Progress {
        let progress = progress
            .filter(|progress| progress.epoch == stage.epoch)
            .unwrap_or(Progress {
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
        match (Draft {
            header,
            frames: &[&frame.payload],
            redundant: &[],
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
