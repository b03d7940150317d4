//! The listening half in its thread: one for each joined room, from packets to a file or loudspeakers.
//!
//! The thread only keeps time and writes; everything that decides is in [`Engine`]. Ticks have absolute
//! deadlines on a monotonic clock. A tick that runs late still works with the time it was due, so that a
//! stall of the machine is neither heard in a file nor learnt from by a jitter buffer; late ticks are
//! caught up at twice the pace, which gives the network's tasks time to read what had been waiting.
//! A sink that paces itself, as a loudspeaker does, is followed instead.

use super::engine::{Engine, EngineEvent, SpeakerKey, SpeechPacket, StreamStats};
use super::live::SpeakerSink;
use super::pace::{Schedule, Step};
use super::process::FarEnd;
use super::{AudioError, AudioSink, Channels, FRAME, Output, files};
use crate::queue::Queue;
use core::time::Duration;
use majlis_protocol::jitter::DelayGoal;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::oneshot;

/// Packets between the network and the thread. It is emptied every 20 ms; the bound holds 5 s of four
/// speakers, the longest stall that is caught up.
const PACKET_QUEUE: usize = 1_000;

/// Events between the thread and the room: some seconds of a full stage's levels.
const EVENT_QUEUE: usize = 1_024;

/// The room kept between ticks that are caught up: half of real time. Less, and a stalled process plays
/// before its network tasks have read what waited; more, and it stays behind for longer.
const CATCH_UP_SPACING: Duration = Duration::from_millis(10);

/// A tick that runs this late is a stall. Below, it is the usual unpunctuality of a busy machine, which
/// the jitter buffers' least delay covers.
const STALL: Duration = Duration::from_millis(40);

/// A sink that paces itself and asks this late for its next frame has run dry, or stands still. Sound cards
/// ask for several frames at once and then for none for a while; shorter would take that for a standstill.
const UNDERRUN: Duration = Duration::from_millis(60);

/// How often loudspeakers that went away are looked for. Opening a device takes some time, so not at every
/// tick; longer, and who plugs the headphones back in wonders.
const SEARCH_EVERY: Duration = Duration::from_secs(2);

/// The most sound that is played out when a room ends: the jitter buffers' largest delay twice over.
const MAX_PLAY_OUT: Duration = Duration::from_secs(1);

/// How a room's sound is to be played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlaybackOptions {
    /// The room's channels.
    pub channels: Channels,
    /// What the jitter buffers' delay is chosen for.
    pub goal: DelayGoal,
    /// Whether all speakers are brought to one loudness.
    pub leveling: bool,
}

impl PlaybackOptions {
    /// Options for a room with `channels`, in which each speaker is as loud as it was sent.
    pub const fn new(channels: Channels, goal: DelayGoal) -> Self {
        Self {
            channels,
            goal,
            leveling: false,
        }
    }
}

/// What a running playback tells.
#[derive(Debug)]
#[non_exhaustive]
pub enum PlaybackEvent {
    /// Something about a speaker.
    Speaker(EngineEvent),
    /// The output broke, for instance because the disk is full. Sound is decoded and counted on without it;
    /// loudspeakers that went away are looked for again every other second.
    OutputFailed(AudioError),
    /// Loudspeakers that had gone are back, or others have taken their place.
    OutputRestored,
}

/// What has been counted so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlaybackStats {
    /// Each speaker heard since joining.
    pub streams: Vec<StreamStats>,
    /// Packets dropped because the thread did not come to take them, or because too many spoke.
    pub overflow_dropped: u64,
    /// How often the thread was woken more than 40 ms late. Not counted with a sink that paces itself.
    pub stalls: u64,
}

/// How to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// At once: the person leaves.
    Now,
    /// After playing what has arrived: the room has ended, and its last words are still in the buffers.
    PlayOut,
}

/// What a playback leaves behind.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct FinalReport {
    /// The final counts.
    pub stats: PlaybackStats,
    /// Why the output could not be closed, if it could not.
    pub failure: Option<AudioError>,
}

/// Starts playbacks.
#[derive(Debug)]
pub struct Playback;

impl Playback {
    /// Opens the output and starts the thread. Dropping the handle stops it.
    pub fn start(output: Output, options: PlaybackOptions) -> Result<PlaybackHandle, AudioError> {
        Self::start_ready(ReadyOutput::of(output)?, options)
    }

    /// Starts the thread on an output that was made ready before.
    pub fn start_ready(output: ReadyOutput, options: PlaybackOptions) -> Result<PlaybackHandle, AudioError> {
        let (sink, speakers) = output.open(options.channels)?;
        let shared = Arc::new(Shared {
            start: Instant::now(),
            packets: Queue::new(PACKET_QUEUE),
            events: Queue::new(EVENT_QUEUE),
            orders: Mutex::new(Orders::default()),
            stats: Mutex::new(PlaybackStats::default()),
        });
        let mut engine = Engine::new(options.channels, options.goal);
        engine.set_leveling(options.leveling);
        let far_end = FarEnd::default();
        let worker = Worker {
            engine,
            far_end: far_end.clone(),
            channels: options.channels,
            sink,
            speakers,
            next_search: Duration::ZERO,
            next_due: Duration::ZERO,
            stalls: 0,
            shared: Arc::clone(&shared),
        };
        std::thread::Builder::new()
            .name("majlis-playback".into())
            .spawn(move || worker.run())
            .map_err(AudioError::Thread)?;
        Ok(PlaybackHandle {
            feed: PlaybackFeed { shared },
            far_end,
        })
    }
}

/// An output that will work, before it is known how the room sounds: loudspeakers are open, a file can be created.
#[derive(Debug)]
pub struct ReadyOutput(Ready);

#[derive(Debug)]
enum Ready {
    /// Open loudspeakers, and the name they were asked for by.
    Speakers(Box<SpeakerSink>, Option<String>),
    /// What needs no device.
    Other(Output),
}

/// The sink of an output, if it has one, and the name of loudspeakers that are to be looked for again when they go away.
type Opened = (Option<Box<dyn AudioSink>>, Option<Option<String>>);

impl ReadyOutput {
    /// Opens loudspeakers, and looks whether a file can be written.
    ///
    /// # Errors
    /// [`AudioError`] says what to use instead.
    pub fn of(output: Output) -> Result<Self, AudioError> {
        Ok(Self(match output {
            Output::Speakers(name) => Ready::Speakers(Box::new(SpeakerSink::open(name.as_deref())?), name),
            Output::File(path) => {
                files::check(&path)?;
                Ready::Other(Output::File(path))
            }
            other => Ready::Other(other),
        }))
    }

    fn open(self, channels: Channels) -> Result<Opened, AudioError> {
        let sink: Box<dyn AudioSink> = match self.0 {
            Ready::Speakers(sink, name) => return Ok((Some(sink), Some(name))),
            Ready::Other(Output::File(path)) => files::create(&path, channels)?,
            Ready::Other(Output::Sink(sink)) => sink,
            Ready::Other(Output::None | Output::Speakers(_)) => return Ok((None, None)),
        };
        Ok((Some(sink), None))
    }
}

/// Gives packets to a playback; clones give to the same one.
#[derive(Debug, Clone)]
pub struct PlaybackFeed {
    shared: Arc<Shared>,
}

impl PlaybackFeed {
    /// Hands over a verified packet that came off the network at `arrived`. Never waits.
    pub fn push(&self, packet: SpeechPacket, arrived: Instant) {
        self.shared.packets.push((packet, arrived));
    }
}

/// A running playback; dropping it stops the thread and closes the output.
#[derive(Debug)]
pub struct PlaybackHandle {
    feed: PlaybackFeed,
    far_end: FarEnd,
}

impl PlaybackHandle {
    /// Another way to [`PlaybackHandle::push`], for those who may only do that.
    pub fn feed(&self) -> PlaybackFeed {
        self.feed.clone()
    }

    /// What the loudspeaker plays, for the echo canceller of the microphone beside it.
    pub fn far_end(&self) -> FarEnd {
        self.far_end.clone()
    }

    /// What has been counted, at most a tenth of a second old.
    pub fn stats(&self) -> PlaybackStats {
        lock(&self.shared().stats).clone()
    }

    /// Hands over a verified packet that came off the network at `arrived`. Never waits.
    pub fn push(&self, packet: SpeechPacket, arrived: Instant) {
        self.feed.push(packet, arrived);
    }

    /// Forgets what is buffered of a speaker, as a mute asks. What is pushed afterwards is played.
    pub fn flush(&self, speaker: SpeakerKey) {
        self.forget(speaker);
        lock(&self.shared().orders).flush.insert(speaker);
    }

    /// A speaker has left the stage. What is pushed afterwards is played all the same.
    pub fn remove(&self, speaker: SpeakerKey) {
        self.forget(speaker);
        lock(&self.shared().orders).remove.insert(speaker);
    }

    /// A speaker has stopped by itself. What was pushed before is played, and silence after it is no gap.
    pub fn end(&self, speaker: SpeakerKey) {
        lock(&self.shared().orders).end.insert(speaker);
    }

    /// How loud this listener wants a speaker: a factor from 0, which mutes it here, to [`super::MAX_VOLUME`].
    pub fn set_volume(&self, speaker: SpeakerKey, volume: f32) {
        lock(&self.shared().orders).volumes.insert(speaker, volume);
    }

    /// Aims for another delay, with all speakers.
    pub fn set_goal(&self, goal: DelayGoal) {
        lock(&self.shared().orders).goal = Some(goal);
    }

    /// The next event; `None` once the thread has ended.
    pub async fn next_event(&self) -> Option<PlaybackEvent> {
        self.shared().events.pop().await
    }

    /// The next event, if there is one.
    pub fn try_next_event(&self) -> Option<PlaybackEvent> {
        self.shared().events.try_pop()
    }

    /// Ends the playback, closes the output, and returns the final counts.
    pub async fn finish(self, how: Finish) -> FinalReport {
        let (reply, report) = oneshot::channel();
        lock(&self.shared().orders).finish = Some((how, Some(reply)));
        // The thread answers before it ends; should it have been torn down, the last snapshot is what there is.
        report.await.unwrap_or_else(|_| FinalReport {
            stats: self.stats(),
            failure: None,
        })
    }

    fn shared(&self) -> &Shared {
        &self.feed.shared
    }

    fn forget(&self, speaker: SpeakerKey) {
        self.shared()
            .packets
            .retain(|(packet, _)| packet.speaker != speaker);
    }
}

impl Drop for PlaybackHandle {
    fn drop(&mut self) {
        let mut orders = lock(&self.shared().orders);
        if orders.finish.is_none() {
            orders.finish = Some((Finish::Now, None));
        }
    }
}

/// What the handle and the thread have in common.
#[derive(Debug)]
struct Shared {
    /// Time zero of the engine's clock.
    start: Instant,
    packets: Queue<(SpeechPacket, Instant)>,
    events: Queue<PlaybackEvent>,
    orders: Mutex<Orders>,
    stats: Mutex<PlaybackStats>,
}

/// What the handle wants done with the next tick. Equal wishes fall together, so it stays small.
#[derive(Debug, Default)]
struct Orders {
    goal: Option<DelayGoal>,
    flush: BTreeSet<SpeakerKey>,
    remove: BTreeSet<SpeakerKey>,
    end: BTreeSet<SpeakerKey>,
    volumes: BTreeMap<SpeakerKey, f32>,
    finish: Option<Ending>,
}

/// The thread.
struct Worker {
    engine: Engine,
    /// Where an echo canceller hears what the loudspeaker plays.
    far_end: FarEnd,
    channels: Channels,
    /// `None` when sound goes nowhere, or after a failure.
    sink: Option<Box<dyn AudioSink>>,
    /// The name of the loudspeakers, if the output is some: they are looked for again when they go away.
    speakers: Option<Option<String>>,
    /// When to look for them next.
    next_search: Duration,
    /// When the tick after the last one is due, on the engine's clock.
    next_due: Duration,
    stalls: u64,
    shared: Arc<Shared>,
}

/// How to end, and who waits for the report.
type Ending = (Finish, Option<oneshot::Sender<FinalReport>>);

/// Why ticking stopped.
enum Stop {
    /// The handle wants it.
    Ending(Ending),
    /// The sink is another now, or none, and may want another pace.
    OtherSink,
}

impl Worker {
    fn run(mut self) {
        let (how, reply) = loop {
            let stop = match &self.sink {
                Some(sink) if sink.paces_itself() => self.follow_sink(),
                _ => self.follow_clock(),
            };
            match stop {
                Stop::Ending(ending) => break ending,
                Stop::OtherSink => {}
            }
        };
        if how == Finish::PlayOut {
            self.take_packets();
            self.engine.end_all();
            self.play_out();
        }
        let failure = match &mut self.sink {
            Some(sink) => sink.finish().err(),
            None => None,
        };
        drop(self.sink.take());
        self.publish();
        let stats = lock(&self.shared.stats).clone();
        self.shared.packets.close();
        self.shared.events.close();
        if let Some(reply) = reply {
            // Nobody waits any more when the room's task was cancelled; then nobody needs the report.
            let _ = reply.send(FinalReport { stats, failure });
        }
    }

    /// Ticks by the monotonic clock.
    fn follow_clock(&mut self) -> Stop {
        let mut schedule = Schedule::new(CATCH_UP_SPACING);
        // After a sink that paced itself broke, the clock goes on from here and not from the start.
        schedule.skip_to(self.next_due);
        let mut behind = false;
        loop {
            if let Some(ending) = self.obey() {
                return Stop::Ending(ending);
            }
            match schedule.step(self.shared.start.elapsed()) {
                Step::Wait(time) => std::thread::sleep(time.min(FRAME)),
                Step::Run { tick, late } => {
                    let now = Schedule::due(tick);
                    if late > STALL {
                        self.stalls += u64::from(!behind);
                        self.engine.handle_stall(now, now + late + CATCH_UP_SPACING);
                    }
                    behind = late > STALL;
                    self.take_packets();
                    self.tick(now, true);
                    self.publish_sometimes(tick);
                    if self.find_speakers() {
                        return Stop::OtherSink;
                    }
                }
            }
        }
    }

    /// Ticks whenever the sink wants a frame.
    fn follow_sink(&mut self) -> Stop {
        self.next_due = self.shared.start.elapsed();
        let mut tick = 0;
        loop {
            if let Some(ending) = self.obey() {
                return Stop::Ending(ending);
            }
            self.take_packets();
            let now = self.shared.start.elapsed();
            if now.saturating_sub(self.next_due) > UNDERRUN {
                // The sink ran dry or stood still: what was to be heard meanwhile is left out, not delayed.
                while self.next_due + FRAME <= now {
                    self.tick(self.next_due, false);
                }
            }
            self.tick(now, true);
            tick += 1;
            self.publish_sometimes(tick);
            if self.sink.is_none() {
                return Stop::OtherSink;
            }
        }
    }

    /// Carries out what the handle asked for; says how to end once it is time.
    fn obey(&mut self) -> Option<Ending> {
        let orders = core::mem::take(&mut *lock(&self.shared.orders));
        if let Some(goal) = orders.goal {
            self.engine.set_goal(goal);
        }
        for speaker in orders.flush {
            self.engine.flush(speaker);
        }
        for speaker in orders.remove {
            self.engine.remove(speaker);
        }
        for speaker in orders.end {
            self.engine.end(speaker);
        }
        for (speaker, volume) in orders.volumes {
            self.engine.set_volume(speaker, volume);
        }
        orders.finish
    }

    fn take_packets(&mut self) {
        while let Some((packet, arrived)) = self.shared.packets.try_pop() {
            let arrived = arrived.saturating_duration_since(self.shared.start);
            self.engine.handle_packet(packet, arrived);
        }
    }

    fn tick(&mut self, now: Duration, heard: bool) {
        self.next_due = now + FRAME;
        let frame = self.engine.tick(now);
        if heard && self.sink.as_ref().is_some_and(|sink| sink.paces_itself()) {
            // Before the write, which waits for the device: an echo never comes before what made it.
            self.far_end.play(self.channels, frame);
        }
        if heard
            && let Some(sink) = &mut self.sink
            && let Err(error) = sink.write_frame(self.channels, frame)
        {
            // Closing it saves what was written; the failure that is told is the first.
            let _ = sink.finish();
            self.sink = None;
            self.next_search = now;
            self.shared.events.push(PlaybackEvent::OutputFailed(error));
        }
        while let Some(event) = self.engine.poll_event() {
            self.shared.events.push(PlaybackEvent::Speaker(event));
        }
    }

    /// Plays what has arrived, as fast as the sink takes it; silence at the end is left away.
    fn play_out(&mut self) {
        let end = self.next_due + MAX_PLAY_OUT;
        while self.next_due < end && self.engine.has_more() {
            self.tick(self.next_due, true);
        }
    }

    /// Looks for loudspeakers that went away, now and then; says whether some were found.
    fn find_speakers(&mut self) -> bool {
        let (None, Some(name)) = (&self.sink, &self.speakers) else {
            return false;
        };
        if self.next_due < self.next_search {
            return false;
        }
        self.next_search = self.next_due + SEARCH_EVERY;
        let Ok(sink) = SpeakerSink::open(name.as_deref()) else {
            return false;
        };
        self.sink = Some(Box::new(sink));
        self.shared.events.push(PlaybackEvent::OutputRestored);
        true
    }

    fn publish_sometimes(&mut self, tick: u64) {
        if tick.is_multiple_of(5) {
            self.publish();
        }
    }

    fn publish(&mut self) {
        let stats = PlaybackStats {
            streams: self.engine.stats(),
            overflow_dropped: self.shared.packets.dropped() + self.engine.refused(),
            stalls: self.stalls,
        };
        *lock(&self.shared.stats) = stats;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whatever is under a lock here is replaced or inserted whole, so a panic elsewhere leaves it usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
