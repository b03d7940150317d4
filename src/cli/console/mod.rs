//! The console of `majlis host` and `majlis join`: single keys where there is a terminal, and two rows below the events.
//!
//! [`keys`] says what a key means, [`screen`] what is shown; here is the loop between the terminal, the room and them. All
//! that is done goes through [`RoomHandle`], as it does from `majlis ctl`.

mod keys;
mod mic;
mod person;
mod pick;
#[cfg(test)]
mod samples;
mod screen;
mod talk;
pub(crate) mod terminal;
mod typing;

use std::{
    io,
    time::{Duration, Instant},
};

use crossterm::event::{Event as Input, EventStream as Inputs, KeyCode, KeyEvent, KeyEventKind};
use futures::StreamExt;
use majlis::{
    event::Event,
    room::{ActError, AudiencePage, RoomAction, RoomHandle, RoomInfo},
};
use tokio::sync::{mpsc, oneshot};

use self::{
    keys::{Effect, Key, Mode},
    mic::Microphone,
    pick::Pick,
    screen::Scene,
    talk::Talk,
    terminal::Terminal,
};
use super::{
    aside::Aside,
    printer::Print,
    show::{self, Foot, Names, Status},
    signals::Continued,
    stay::until,
};

/// Answers that wait to be shown: nobody presses more keys meanwhile.
const ANSWERS: usize = 32;

/// How soon a key that opens and closes the microphone comes again when it is held: it is meant once.
const REPEATED: Duration = Duration::from_millis(150);

/// What was heard of a room: from before it was reached on.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    names: Names,
    status: Status,
}

/// A console in a room.
#[derive(Debug)]
pub(crate) struct Console {
    room: RoomHandle,
    // Before the terminal is given back, nothing is printed through the console any more.
    _aside: Aside,
    terminal: Terminal,
    /// None, until it is known what the terminal can do, and once it is gone.
    inputs: Option<Inputs>,
    tells_release: bool,
    continued: Continued,
    /// Whether the terminal was given back, and the program is about to be stopped.
    is_paused: bool,
    mode: Mode,
    heard: Heard,
    info: Option<RoomInfo>,
    /// Whether the room is being asked for what it is, and has changed since.
    is_asking: bool,
    is_stale: bool,
    talk: Talk,
    microphone: Microphone,
    /// When the key for it came last.
    switched: Option<Instant>,
    tell: mpsc::Sender<Told>,
    told: mpsc::Receiver<Told>,
    shown: Foot,
}

/// What the console waits for beside keys.
#[derive(Debug)]
enum Told {
    /// Whether the terminal tells when a key is let go.
    Release(bool),
    /// What the room is.
    Info(Option<Box<RoomInfo>>),
    /// Who listens.
    Audience(Result<AudiencePage, ActError>),
    /// Something was refused, or went wrong.
    Words(String),
    /// The microphone did not open.
    Silent(Option<String>),
    /// The program was stopped and goes on.
    GoesOn,
}

/// What the console asks of whoever runs it.
#[derive(Debug)]
pub(crate) enum Wish {
    /// To print this.
    Print(Print),
    /// To leave the room.
    Leave,
}

/// Why a wait of the console ended.
enum Woken {
    Input(Option<io::Result<Input>>),
    Told(Told),
    Continued,
    LetGo,
}

impl Heard {
    /// Takes what an event says.
    pub(crate) fn learn(&mut self, event: &Event) {
        self.names.learn(event);
        self.status.learn(event);
    }
}

impl Console {
    /// Takes the keys of the terminal for a room; what others write to stderr meanwhile is printed by way of `prints`.
    pub(crate) fn begin(room: RoomHandle, heard: Heard, prints: mpsc::Sender<Print>) -> io::Result<Self> {
        let terminal = Terminal::enter()?;
        let (tell, told) = mpsc::channel(ANSWERS);
        let answer = tell.clone();
        tokio::task::spawn_blocking(move || {
            // Nobody waits for it once the console is gone.
            let _ = answer.blocking_send(Told::Release(Terminal::can_tell_release()));
        });
        let mut console = Self {
            microphone: Microphone::new(room.clone(), tell.clone()),
            room,
            _aside: Aside::begin(prints),
            terminal,
            inputs: None,
            tells_release: false,
            continued: Continued::new()?,
            is_paused: false,
            mode: Mode::Room,
            heard,
            info: None,
            is_asking: false,
            is_stale: true,
            talk: Talk::default(),
            switched: None,
            tell,
            told,
            shown: Foot::default(),
        };
        console.ask_if_stale();
        Ok(console)
    }

    /// Takes what an event of the room says.
    pub(crate) fn learn(&mut self, event: &Event) {
        self.heard.learn(event);
        match event {
            // It changes what is shown, and not what the room is.
            Event::Level { .. } => return,
            Event::Microphone { on } => self.microphone.is(*on),
            _ => {}
        }
        self.is_stale = true;
        self.ask_if_stale();
    }

    /// What is to stand below the events, if something else stands there.
    pub(crate) fn newer_foot(&self) -> Option<Foot> {
        let scene = Scene {
            info: self.info.as_ref(),
            names: &self.heard.names,
            status: &self.heard.status,
            mode: &self.mode,
            is_opening: self.microphone.is_wanted(),
        };
        let foot = screen::foot(&scene, show::columns());
        (foot != self.shown).then_some(foot)
    }

    /// This stands there now.
    pub(crate) fn shows(&mut self, foot: Foot) {
        self.shown = foot;
    }

    /// Waits for the next thing that happens at the terminal, and does what it asks for. It can be cancelled.
    pub(crate) async fn next(&mut self) -> Vec<Wish> {
        let woken = tokio::select! {
            input = next_of(&mut self.inputs) => Woken::Input(input),
            Some(told) = self.told.recv() => Woken::Told(told),
            () = self.continued.next() => Woken::Continued,
            () = until(self.talk.due()) => Woken::LetGo,
        };
        match woken {
            Woken::Input(Some(Ok(input))) => self.input(input),
            // The terminal is gone: what it was to end the program by comes as a signal.
            Woken::Input(Some(Err(_)) | None) => {
                self.inputs = None;
                self.let_go();
                Vec::new()
            }
            Woken::Told(told) => self.take(told),
            Woken::Continued if self.is_paused => Vec::new(),
            Woken::Continued => {
                let mut wishes = self.go_on();
                wishes.push(Wish::Print(Print::Afresh));
                wishes
            }
            Woken::LetGo => {
                self.let_go();
                Vec::new()
            }
        }
    }

    fn take(&mut self, told: Told) -> Vec<Wish> {
        match told {
            Told::Release(tells) => {
                self.tells_release = tells;
                self.inputs = Some(Inputs::new());
                self.spell_keys();
            }
            Told::Info(info) => {
                self.is_asking = false;
                self.info = info.map(|info| *info).or(self.info.take());
                self.ask_if_stale();
            }
            Told::Audience(Ok(page)) => {
                let (text, pick) = Pick::audience(&page);
                let is_free = matches!(self.mode, Mode::Room | Mode::Picking(_));
                if is_free && !pick.is_empty() {
                    self.mode = Mode::Picking(pick);
                }
                return vec![say(text)];
            }
            Told::Audience(Err(error)) => return vec![warn(&error.to_string())],
            Told::Words(text) => return vec![warn(&text)],
            Told::Silent(text) => {
                self.microphone.is(false);
                self.talk.release();
                return text.iter().map(|text| warn(text)).collect();
            }
            Told::GoesOn => {
                self.is_paused = false;
                return self.go_on();
            }
        }
        Vec::new()
    }

    fn input(&mut self, input: Input) -> Vec<Wish> {
        match input {
            Input::Key(key) => self.key(&key),
            Input::Paste(text) => {
                match &mut self.mode {
                    Mode::Typing(typing) => typing.paste(&text),
                    // Letters that were not meant as keys.
                    _ => return vec![warn("what is pasted goes into a line: c first, for the chat")],
                }
                Vec::new()
            }
            // Nobody would tell any more that the key is let go.
            Input::FocusLost => {
                self.let_go();
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn key(&mut self, key: &KeyEvent) -> Vec<Wish> {
        if key.kind == KeyEventKind::Release {
            if key.code == KeyCode::Char(' ') {
                self.let_go();
            }
            return Vec::new();
        }
        let is_typing = matches!(self.mode, Mode::Typing(_));
        let is_repeated = key.kind == KeyEventKind::Repeat && !is_typing && key.code != KeyCode::Char(' ');
        let (Some(key), Some(info), false) = (Key::of(key), self.info.as_ref(), is_repeated) else {
            // Before anything is known of the room one can still leave it.
            let leaves = self.info.is_none() && Key::of(key) == Some(Key::Ctrl('c'));
            return leaves.then_some(Wish::Leave).into_iter().collect();
        };
        let mode = std::mem::replace(&mut self.mode, Mode::Room);
        let (mode, effects) = keys::press(mode, key, info, self.tells_release);
        self.mode = mode;
        self.spell_keys();
        effects
            .into_iter()
            .filter_map(|effect| self.carry_out(effect))
            .collect()
    }

    fn carry_out(&mut self, effect: Effect) -> Option<Wish> {
        match effect {
            Effect::Say(text) => return Some(say(text)),
            Effect::Leave => return Some(Wish::Leave),
            Effect::Act(action) => self.act(action),
            Effect::Microphone => {
                let before = self.switched.replace(Instant::now());
                if before.is_none_or(|before| before.elapsed() > REPEATED) {
                    self.talk.release();
                    self.microphone.want(!self.microphone.is_wanted());
                }
            }
            Effect::Talk => {
                let is_open = self.microphone.is_wanted() && !self.talk.is_held();
                if !is_open && self.talk.press(self.tells_release, Instant::now()) {
                    self.microphone.want(true);
                }
            }
            Effect::Audience(page) => {
                let (room, tell) = (self.room.clone(), self.tell.clone());
                tokio::spawn(async move {
                    let page = room.audience(page).await;
                    let _ = tell.send(Told::Audience(page)).await;
                });
            }
            Effect::Suspend => {
                let (done, goes_on) = oneshot::channel();
                let tell = self.tell.clone();
                self.let_go();
                self.inputs = None;
                self.is_paused = true;
                tokio::spawn(async move {
                    let _ = goes_on.await;
                    let _ = tell.send(Told::GoesOn).await;
                });
                let then = terminal::suspend;
                return Some(Wish::Print(Print::Pause { then, done }));
            }
        }
        None
    }

    /// Does something in the room; what is refused is told. What was done is told by the room's own events.
    fn act(&self, action: RoomAction) {
        let (room, tell) = (self.room.clone(), self.tell.clone());
        tokio::spawn(async move {
            if let Err(error) = room.act(action.clone()).await {
                let words = room.explain(&action, &error).await;
                let _ = tell.send(Told::Words(words)).await;
            }
        });
    }

    /// The key of push-to-talk was let go.
    fn let_go(&mut self) {
        if self.talk.release() {
            self.microphone.want(false);
        }
    }

    /// Has the terminal tell when keys are let go, but while a line is typed.
    fn spell_keys(&mut self) {
        let is_typing = matches!(self.mode, Mode::Typing(_));
        if is_typing {
            self.let_go();
        }
        self.terminal.tell_release(self.tells_release && !is_typing);
    }

    /// The program was stopped, and goes on: whoever had the terminal meanwhile may have left it otherwise.
    fn go_on(&mut self) -> Vec<Wish> {
        self.shown = Foot::default();
        if let Err(error) = self.terminal.resume() {
            return vec![warn(&format!("keys are not read any more: {error}"))];
        }
        self.inputs.get_or_insert_with(Inputs::new);
        self.spell_keys();
        Vec::new()
    }

    /// Asks the room what it is now, once at a time.
    fn ask_if_stale(&mut self) {
        if self.is_asking || !std::mem::take(&mut self.is_stale) {
            return;
        }
        self.is_asking = true;
        let (room, tell) = (self.room.clone(), self.tell.clone());
        tokio::spawn(async move {
            let info = room.info().await.map(Box::new);
            let _ = tell.send(Told::Info(info)).await;
        });
    }
}

fn say(text: String) -> Wish {
    Wish::Print(Print::Text(text))
}

fn warn(text: &str) -> Wish {
    say(show::warning(text))
}

/// The next thing from the terminal; never, while it is not listened to.
async fn next_of(inputs: &mut Option<Inputs>) -> Option<io::Result<Input>> {
    match inputs {
        Some(inputs) => inputs.next().await,
        None => std::future::pending().await,
    }
}
