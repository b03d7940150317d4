//! The recording of a room, which its host's own node makes while the room's log says that it is recorded.

use std::{collections::BTreeSet, path::PathBuf};

use jiff::{Timestamp, tz::TimeZone};
use majlis_protocol::person::Person;

use crate::{
    audio::{AudioError, Channels, Recording, RecordingFeed, engine::SpeakerKey},
    clock,
    home::{HomeError, RoomLog},
};

/// A recording under way.
#[derive(Debug)]
pub(super) struct Tape {
    recording: Recording,
    folder: PathBuf,
    introduced: BTreeSet<Person>,
}

/// Why a room is not recorded.
#[derive(Debug, thiserror::Error)]
pub(super) enum TapeError {
    #[error(transparent)]
    Folder(#[from] HomeError),
    #[error(transparent)]
    Audio(#[from] AudioError),
}

impl Tape {
    /// Begins one in a new folder beside the room's log, named after the time. Waits for the disk.
    pub(super) fn start(log: &RoomLog, channels: Channels, title: &str) -> Result<Self, TapeError> {
        let folder = log.make_recording_folder(&stamp())?;
        Ok(Self {
            recording: Recording::start(&folder, channels, title)?,
            folder,
            introduced: BTreeSet::new(),
        })
    }

    /// Where packets go.
    pub(super) fn feed(&self) -> RecordingFeed {
        self.recording.feed()
    }

    /// Whether it was said how this person is called.
    pub(super) fn knows(&self, person: Person) -> bool {
        self.introduced.contains(&person)
    }

    /// Says how a person is called whose file may be next.
    pub(super) fn introduce(&mut self, person: Person, name: &str) {
        if self.introduced.insert(person) {
            self.recording.introduce(SpeakerKey(person.0), name);
        }
    }

    /// Whether it ended by itself.
    pub(super) fn has_failed(&self) -> bool {
        self.recording.has_failed()
    }

    /// Ends its files; where they are. Waits for the disk.
    pub(super) fn finish(self) -> Result<PathBuf, TapeError> {
        self.recording.finish()?;
        Ok(self.folder)
    }
}

/// The time by this machine's clock, in a form that sorts and that any file system takes.
fn stamp() -> String {
    let seconds = i64::try_from(clock::unix_seconds()).unwrap_or(0);
    let now = Timestamp::from_second(seconds).unwrap_or_default();
    let local = now.to_zoned(TimeZone::system());
    local.strftime("%Y-%m-%d-%H%M%S").to_string()
}
