//! The actor's ear and voice: opened once the room is joined, turned on and off with the stage.

use std::{sync::Arc, time::Duration};

use majlis_protocol::{log::Act, member::OnStage, person::Person};
use tokio::{sync::oneshot, time};

use super::{ActError, Actor, Event, Input, Listening, MemberInput, RoomError, Speaking};
use crate::{
    audio::{Capture, CaptureOptions},
    room::{
        RoomAction,
        speaking::{self, News, Voice},
    },
};

/// How much earlier than the word that we leave the last packet goes. The two take different ways through a neighbour,
/// which takes no packet from who has left; more than that difference is only waiting.
const LAST_PACKET_LEAD: Duration = Duration::from_millis(40);

impl Actor {
    /// Opens the output, and the input if there is one; `false` when that failed and the room is left.
    pub(super) fn open_sound(&mut self) -> bool {
        match self.try_open_sound() {
            Ok(()) => true,
            Err(error) => {
                self.fail(error);
                self.input(MemberInput::Leave);
                false
            }
        }
    }

    fn try_open_sound(&mut self) -> Result<(), RoomError> {
        let Some(log) = self.member.log() else {
            return Ok(());
        };
        let audio = log.genesis().audio;
        if let Some(output) = self.output.take() {
            let listening = Listening::start(output, audio, self.treatment.leveling, self.started)?;
            for (person, percent) in self.volumes.all() {
                listening.set_volume(person, percent);
            }
            self.media.listen(listening.feed());
            self.listening = Some(listening);
        }
        if let Some(input) = self.input.take().filter(|input| !matches!(input, Input::None)) {
            let encoder = speaking::encoder_settings(audio);
            let mut options = CaptureOptions::new(encoder);
            options.paused = true;
            options.repeat = self.repeat;
            options.discontinuous = self.treatment.discontinuous(audio);
            let is_microphone = matches!(input, Input::Mic(_));
            if is_microphone {
                options.voice = self.treatment.voice(audio);
            }
            let far_end = self.listening.as_ref().map(Listening::far_end);
            let capture = Capture::start_beside(input, options, far_end.unwrap_or_default())?;
            let voice = Voice {
                key: Arc::clone(&self.key),
                room: self.link.room,
                media: Arc::clone(&self.media),
                head: Arc::clone(&self.head),
                events: self.events.clone(),
                encoder,
            };
            self.speaking = Some(Speaking::start(capture, is_microphone, voice));
        }
        Ok(())
    }

    /// Brings what hangs on the links' round trips up to date.
    pub(super) fn follow_links(&mut self) {
        self.media.measure();
        if let Some(listening) = &mut self.listening {
            listening.set_floor(self.media.delay_floor());
        }
    }

    pub(super) fn take_stage(&mut self, stage: Option<OnStage>) {
        self.on_stage = stage;
        if let Some(listening) = &mut self.listening {
            listening.set_on_stage(stage.is_some());
        }
        let Some(speaking) = &mut self.speaking else {
            return;
        };
        let was_on = speaking.is_on();
        speaking.set_stage(stage);
        if was_on && !speaking.is_on() {
            self.tell(Event::Microphone { on: false });
        }
        self.start_input_if_due();
    }

    /// Turns the input off and lets the end of what was said go out. For what ends our stay on the stage or in the room:
    /// afterwards nobody would take it from us, and every listener would hear a gap. Whether it was on.
    pub(super) async fn fall_silent(&mut self) -> bool {
        let Some(speaking) = &mut self.speaking else {
            return false;
        };
        let was_on = speaking.close().await;
        if was_on {
            self.tell(Event::Microphone { on: false });
        }
        was_on
    }

    /// Falls silent before the room is left, which no entry of the log tells to those who listen.
    pub(super) async fn fall_silent_and_pass(&mut self) {
        let spoke = self.fall_silent().await;
        // What is at its end may have ended a moment ago.
        if spoke || self.speaking.as_ref().is_some_and(Speaking::is_over) {
            time::sleep(LAST_PACKET_LEAD).await;
        }
    }

    /// Whether an action takes us off the stage, as far as we can know. Should the chair refuse it, the input stays off:
    /// who wanted to be heard no more is not to be heard.
    pub(super) fn takes_the_stage_from_us(&self, action: &RoomAction) -> bool {
        let act = match action {
            RoomAction::LeaveStage => Act::Move { subject: self.me },
            RoomAction::End => Act::End,
            _ => return false,
        };
        let log = self.member.log();
        self.on_stage.is_some()
            && log.is_some_and(|log| {
                let state = log.state();
                state.check(self.me, &act, state.clock()).is_ok()
            })
    }

    /// What playback tells: whoever is heard is shown.
    pub(super) fn hear(&mut self, event: Event) {
        if let Event::Level { key, .. } = event
            && self
                .member
                .log()
                .is_some_and(|log| log.state().stage().contains_key(&key))
        {
            let shown = self.mics.heard(key, self.epoch.elapsed());
            self.tell_mics(shown);
        }
        self.tell(event);
    }

    /// Shows as closed whose microphone is, and who was heard nevertheless and is no more.
    pub(super) fn follow_mics(&mut self) {
        for shown in self.mics.fade(self.epoch.elapsed()) {
            self.tell_mics(Some(shown));
        }
    }

    pub(super) fn tell_mics(&self, shown: Option<(Person, bool)>) {
        if let Some((key, on)) = shown {
            self.tell(Event::Mic { key, on });
        }
    }

    /// Tells the room whether sound of ours goes out, whatever opened or closed it. The member says it once.
    pub(super) fn tell_own_microphone(&mut self) {
        let on = self.speaking.as_ref().is_some_and(Speaking::is_sounding);
        if on != self.told_on {
            self.told_on = on;
            self.input(MemberInput::Microphone { on });
        }
    }

    /// Another has muted us: nothing more goes out until that is lifted and the input is turned on again.
    pub(super) fn be_muted(&mut self) {
        if self
            .speaking
            .as_mut()
            .is_some_and(|speaking| speaking.turn(false))
        {
            self.tell(Event::Microphone { on: false });
        }
    }

    fn is_muted(&self) -> bool {
        let log = self.member.log();
        log.is_some_and(|log| log.state().mutes().contains_key(&self.me))
    }

    /// A file or a tone starts by itself, once enough listeners are there to hear it. A microphone never does.
    pub(super) fn start_input_if_due(&mut self) {
        // The root counts its own tree, and the others hear of it.
        let listeners = match self.member.parent() {
            Some(_) => self.member.listeners(),
            None => self.member.tree().members().saturating_sub(1),
        };
        let may = self.wait_listeners <= listeners && !self.is_muted();
        let Some(speaking) = self.speaking.as_mut().filter(|_| may) else {
            return;
        };
        if speaking.start_by_itself() {
            self.tell(Event::Microphone { on: true });
        }
    }

    /// Turns the input on or off, and answers once that is so: a microphone is on once its device is open.
    pub(super) fn turn_microphone(&mut self, on: bool, reply: oneshot::Sender<Result<(), ActError>>) {
        let may = self.may_turn(on);
        let (Some(speaking), Ok(())) = (&mut self.speaking, &may) else {
            // Who asked may have stopped waiting.
            let _ = reply.send(may);
            return;
        };
        let changed = speaking.turn(on);
        if on {
            speaking.answer_once_open(reply);
        } else {
            // As above.
            let _ = reply.send(Ok(()));
        }
        if changed {
            self.tell(Event::Microphone { on });
        }
    }

    fn may_turn(&self, on: bool) -> Result<(), ActError> {
        let speaking = self.speaking.as_ref().ok_or(ActError::NoInput)?;
        match on {
            true if !speaking.is_on_stage() => Err(ActError::NotOnStage),
            true if self.is_muted() => Err(ActError::Muted),
            true if speaking.is_over() => Err(ActError::InputOver),
            _ => Ok(()),
        }
    }

    /// Tells the room how well it is heard here, and whoever speaks here what the room misses.
    pub(super) fn follow_losses(&mut self) {
        let now = self.epoch.elapsed();
        if let Some(listening) = &mut self.listening {
            let before = listening.grade();
            let grade = listening.judge(now);
            if grade != before {
                self.input(MemberInput::Hearing(grade));
            }
        }
        if let Some(speaking) = &self.speaking {
            speaking.set_losses(self.member.losses(now), self.member.listeners());
        }
    }

    /// Takes in what became of the own microphone, file or tone.
    pub(super) fn handle_own_sound(&mut self, news: News) {
        let Some(speaking) = &mut self.speaking else {
            return;
        };
        match news {
            News::Opened(since) => {
                if speaking.opened(since) {
                    self.tell(Event::Microphone { on: true });
                }
            }
            News::Over => {
                let was_on = speaking.end();
                self.tell(Event::InputEnded);
                if was_on {
                    self.tell(Event::Microphone { on: false });
                }
            }
            News::Failed(text) => {
                let was_on = speaking.fail(&text);
                self.tell(Event::Warning { text });
                if was_on {
                    self.tell(Event::Microphone { on: false });
                }
            }
        }
    }
}
