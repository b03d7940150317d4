//! Listening: the playback of a room, and its counts in the words of events.

use std::time::{Duration, Instant};

use majlis_protocol::{
    jitter::{AUDIENCE_MIN, DelayGoal, Stats},
    media::{Grade, Hearing},
    person::Person,
    room::{AudioSettings, Profile},
};

use crate::{
    audio::{
        AudioError, Channels, Finish, Playback, PlaybackEvent, PlaybackFeed, PlaybackHandle, PlaybackOptions,
        PlaybackStats, ReadyOutput,
        engine::{EngineEvent, SpeakerKey},
        process::FarEnd,
    },
    event::{Event, StreamStats},
    home::USUAL_VOLUME,
};

/// The least change of the audience's floor that is followed: less is the wobble of a measurement.
const FLOOR_STEP: Duration = Duration::from_millis(10);

/// A room's playback.
#[derive(Debug)]
pub(super) struct Listening {
    playback: PlaybackHandle,
    on_stage: bool,
    /// The audience's least delay: what the failover of a relay needs to go unheard.
    floor: Duration,
    hearing: Hearing,
    /// Frames of all speakers that were expected and lost when it was judged last.
    judged: (u64, u64),
    /// What `first_audio` counts from. It is told once for each epoch of a speaker.
    started: Instant,
}

impl Listening {
    /// Opens the output and starts to play whatever is fed.
    pub(super) fn start(
        output: ReadyOutput,
        audio: AudioSettings,
        leveling: bool,
        started: Instant,
    ) -> Result<Self, AudioError> {
        let floor = AUDIENCE_MIN;
        let mut options = PlaybackOptions::new(channels(audio), DelayGoal::Audience { floor });
        options.leveling = leveling;
        Ok(Self {
            playback: Playback::start_ready(output, options)?,
            on_stage: false,
            floor,
            hearing: Hearing::default(),
            judged: (0, 0),
            started,
        })
    }

    /// Where packets go.
    pub(super) fn feed(&self) -> PlaybackFeed {
        self.playback.feed()
    }

    /// What the loudspeaker plays.
    pub(super) fn far_end(&self) -> FarEnd {
        self.playback.far_end()
    }

    /// Plays a person this loud, in percent.
    pub(super) fn set_volume(&self, person: Person, percent: u16) {
        self.playback
            .set_volume(SpeakerKey(person.0), f32::from(percent) / f32::from(USUAL_VOLUME));
    }

    /// What was counted so far.
    pub(super) fn stats(&self) -> PlaybackStats {
        self.playback.stats()
    }

    /// How well the room was heard when it was judged last.
    pub(super) fn grade(&self) -> Grade {
        self.hearing.grade()
    }

    /// Judges how well the room is heard.
    pub(super) fn judge(&mut self, now: Duration) -> Grade {
        let stats = self.playback.stats();
        let of_all =
            |of: fn(&Stats) -> u64| stats.streams.iter().map(|stream| of(&stream.jitter)).sum::<u64>();
        let (expected, lost) = (of_all(Stats::expected), of_all(|stats| stats.lost));
        // Streams of those who left are forgotten when there are many.
        let expected_since = expected.saturating_sub(self.judged.0);
        let lost_since = lost.saturating_sub(self.judged.1);
        self.judged = (expected, lost);
        self.hearing.note(expected_since, lost_since, now)
    }

    /// The people on the stage talk to each other: their delay is as small as their links allow.
    pub(super) fn set_on_stage(&mut self, on_stage: bool) {
        self.on_stage = on_stage;
        self.follow_goal();
    }

    /// The audience waits as long as a repair on the present links takes.
    pub(super) fn set_floor(&mut self, floor: Duration) {
        if floor.abs_diff(self.floor) >= FLOOR_STEP {
            self.floor = floor;
            self.follow_goal();
        }
    }

    /// What was buffered of someone who was taken off the stage is not played.
    pub(super) fn remove(&self, speaker: Person) {
        self.playback.remove(SpeakerKey(speaker.0));
    }

    /// Who has left the stage by itself is heard out.
    pub(super) fn end(&self, speaker: Person) {
        self.playback.end(SpeakerKey(speaker.0));
    }

    fn follow_goal(&self) {
        self.playback.set_goal(if self.on_stage {
            DelayGoal::Stage
        } else {
            DelayGoal::Audience { floor: self.floor }
        });
    }

    /// The next news as an event; never, when playback has ended.
    pub(super) async fn next_event(&self) -> Event {
        let event = match self.playback.next_event().await {
            Some(event) => event,
            None => std::future::pending().await,
        };
        match event {
            PlaybackEvent::Speaker(EngineEvent::FirstAudio {
                speaker,
                epoch,
                sequence,
            }) => {
                let ms = millis(self.started.elapsed());
                Event::FirstAudio {
                    ms,
                    speaker: Person(speaker.0),
                    epoch,
                    seq: sequence,
                }
            }
            PlaybackEvent::Speaker(EngineEvent::Level { speaker, level }) => Event::Level {
                key: Person(speaker.0),
                level,
            },
            PlaybackEvent::OutputRestored => Event::Warning {
                text: "the output is back".into(),
            },
            PlaybackEvent::OutputFailed(error) => Event::Warning {
                text: format!("{error}; the room goes on without this output"),
            },
        }
    }

    /// Ends the playback and closes the output; the final counts and what went wrong at the end.
    pub(super) async fn finish(self, play_out: bool) -> (PlaybackStats, Option<AudioError>) {
        let report = self
            .playback
            .finish(if play_out { Finish::PlayOut } else { Finish::Now })
            .await;
        (report.stats, report.failure)
    }
}

/// How many channels a room's sound has.
pub(super) fn channels(audio: AudioSettings) -> Channels {
    match audio.profile {
        Profile::Speech => Channels::Mono,
        Profile::Music => Channels::Stereo,
    }
}

/// A stream's counts in the words of events.
pub(super) fn stream_stats(stats: &PlaybackStats) -> Vec<StreamStats> {
    let stream = |stream: &crate::audio::engine::StreamStats| StreamStats {
        speaker: Person(stream.speaker.0),
        received: stream.jitter.received,
        expected: stream.jitter.received + stream.jitter.lost,
        lost: stream.jitter.lost,
        repaired: stream.jitter.repaired,
        fec: stream.jitter.fec,
        concealed: stream.jitter.concealed,
        late: stream.jitter.late,
        longest_gap_ms: millis(stream.jitter.longest_gap),
        delay_ms: millis(stream.jitter.delay),
    };
    stats.streams.iter().map(stream).collect()
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
