//! The host's node records the room while its log says so: beginning, ending, and what is told of it.

use majlis_protocol::{
    log::Log,
    member::{Command, CommandId, Input},
    person::Person,
};

use super::{Actor, Event};
use crate::room::{
    listening,
    recording::{Tape, TapeError},
};

impl Actor {
    /// Tells whether the room is recorded, and begins or ends it here where the log says so now.
    pub(super) async fn follow_recording(&mut self) {
        let me = self.me;
        let is_ours = |log: &Log| log.state().host() == me;
        let log = self.member.log().filter(|_| self.ready.is_none());
        let is_recorded = log.is_some_and(|log| log.state().rules().is_recorded());
        let is_on = is_recorded && log.is_some_and(is_ours) && self.left.is_none();
        if is_recorded != self.told_recorded {
            self.told_recorded = is_recorded;
            self.tell(Event::Recording { on: is_recorded });
        }
        if !is_recorded {
            self.is_unrecordable = false;
        }
        match &self.tape {
            Some(tape) if !is_on || tape.has_failed() => self.end_recording().await,
            Some(_) => self.introduce_speakers(),
            None if is_on && !self.is_unrecordable => self.begin_recording().await,
            None => {}
        }
    }

    /// Ends the recording, if there is one.
    pub(super) async fn end_recording(&mut self) {
        let Some(tape) = self.tape.take() else { return };
        self.media.record(None);
        match tokio::task::spawn_blocking(move || tape.finish()).await {
            Ok(Ok(folder)) => self.tell(Event::Recorded {
                folder: folder.display().to_string(),
            }),
            Ok(Err(error)) => self.give_recording_up(&error),
            Err(error) => tracing::error!(%error, "the recording's thread is gone"),
        }
    }

    async fn begin_recording(&mut self) {
        let (Some(log), Some(room)) = (self.log.take(), self.member.log()) else {
            return;
        };
        let channels = listening::channels(room.genesis().audio);
        let title = room.state().title().to_string();
        let started = tokio::task::spawn_blocking(move || {
            let tape = Tape::start(&log, channels, &title);
            (log, tape)
        });
        let tape: Result<Tape, TapeError> = match started.await {
            Ok((log, tape)) => {
                self.log = Some(log);
                tape
            }
            Err(error) => {
                tracing::error!(%error, "the log's thread is gone");
                return;
            }
        };
        match tape {
            Ok(tape) => {
                let feed = tape.feed();
                self.tape = Some(tape);
                // Before the first packet, since files are called by their names.
                self.introduce_speakers();
                self.media.record(Some(feed));
            }
            Err(error) => self.give_recording_up(&error),
        }
    }

    /// Nobody is to believe that the room is recorded. It is not tried again before the log says that it is not.
    fn give_recording_up(&mut self, error: &TapeError) {
        self.is_unrecordable = true;
        let text = format!("{error}; the room is not recorded any more");
        self.tell(Event::Warning { text });
        let id = CommandId(self.next_command);
        self.next_command += 1;
        let command = Command::Record { on: false };
        self.input(Input::Command { id, command });
    }

    fn introduce_speakers(&mut self) {
        let (Some(tape), Some(log)) = (&self.tape, self.member.log()) else {
            return;
        };
        let on_stage = log.state().stage().keys().copied();
        let unknown: Vec<Person> = on_stage.filter(|person| !tape.knows(*person)).collect();
        for person in unknown {
            let nick = self.nick_of(person).unwrap_or_default();
            let name = format!("{nick}#{}", person.tag());
            if let Some(tape) = &mut self.tape {
                tape.introduce(person, &name);
            }
        }
    }
}
