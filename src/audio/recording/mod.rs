//! Recording a room: each speaker's packets in an Ogg Opus file of their own, as they were sent, and the mix in another.

mod recorder;
mod track;

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use recorder::Recorder;

use super::{
    AudioError, Channels,
    codec::EncoderSettings,
    engine::{SpeakerKey, SpeechPacket},
};
use crate::queue::Queue;

/// Packets that wait for the thread: five seconds of a full stage.
const WAITING: usize = 1_024;

/// How often the thread looks: rarely enough to cost nothing, often enough for the queue.
const PAUSE: Duration = Duration::from_millis(200);

/// A recording under way; dropping it ends the files as they are.
#[derive(Debug)]
pub struct Recording {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<(), AudioError>>>,
}

/// Gives packets to a recording; clones give to the same one.
#[derive(Debug, Clone)]
pub struct RecordingFeed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    start: Instant,
    packets: Queue<(SpeechPacket, Instant)>,
    names: Mutex<Vec<(SpeakerKey, String)>>,
    is_over: AtomicBool,
    has_failed: AtomicBool,
}

impl Recording {
    /// Begins a recording of a room with `channels` in an empty folder that is there.
    ///
    /// # Errors
    /// [`AudioError::WriteOutput`] where nothing can be written.
    pub fn start(folder: &Path, channels: Channels, title: &str) -> Result<Self, AudioError> {
        let recorder = Recorder::create(folder, channels, title)?;
        let shared = Arc::new(Shared {
            start: Instant::now(),
            packets: Queue::new(WAITING),
            names: Mutex::default(),
            is_over: AtomicBool::new(false),
            has_failed: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("majlis-record".into())
            .spawn(move || {
                let done = run(recorder, &of_thread);
                of_thread.has_failed.store(done.is_err(), Ordering::Release);
                // Whoever feeds it need not go on.
                of_thread.packets.close();
                done
            })
            .map_err(AudioError::Thread)?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Where packets go.
    pub fn feed(&self) -> RecordingFeed {
        RecordingFeed(Arc::clone(&self.shared))
    }

    /// Says how a speaker is called, before its first packet: its file is named so.
    pub fn introduce(&self, speaker: SpeakerKey, name: &str) {
        let mut names = self.shared.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.push((speaker, name.to_owned()));
    }

    /// Whether it ended by itself, since nothing more could be written. [`Recording::finish`] says why.
    pub fn has_failed(&self) -> bool {
        self.shared.has_failed.load(Ordering::Acquire)
    }

    /// Ends the files. Waits for the thread, which takes a moment: call it where waiting is allowed.
    ///
    /// # Errors
    /// [`AudioError::WriteOutput`] with what kept a file from being written.
    pub fn finish(mut self) -> Result<(), AudioError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), AudioError> {
        self.shared.is_over.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        thread.thread().unpark();
        thread
            .join()
            .unwrap_or_else(|_| Err(AudioError::Plugged("the recording broke off".into())))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        // Nobody is left to tell.
        let _ = self.end();
    }
}

impl RecordingFeed {
    /// Hands over a packet that came off the network, or was sent from here, at `at`. Never waits.
    pub fn push(&self, packet: SpeechPacket, at: Instant) {
        self.0.packets.push((packet, at));
    }
}

fn run(mut recorder: Recorder, shared: &Shared) -> Result<(), AudioError> {
    loop {
        let is_over = shared.is_over.load(Ordering::Acquire);
        let names = std::mem::take(&mut *shared.names.lock().unwrap_or_else(PoisonError::into_inner));
        for (speaker, name) in names {
            recorder.introduce(speaker, &name);
        }
        while let Some((packet, at)) = shared.packets.try_pop() {
            recorder.handle_packet(&packet, at.saturating_duration_since(shared.start))?;
        }
        let now = shared.start.elapsed();
        if is_over {
            return recorder.finish(now);
        }
        recorder.advance(now)?;
        thread::park_timeout(PAUSE);
    }
}

/// What the speakers of a room with `channels` encode with.
fn room_settings(channels: Channels) -> EncoderSettings {
    match channels {
        Channels::Mono => EncoderSettings::speech(),
        Channels::Stereo => EncoderSettings::music(),
    }
}
