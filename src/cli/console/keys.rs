//! What a key means: from the mode that the console is in and what is known of the room to what is to be done.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use majlis::room::{RoomAction, RoomInfo};
use majlis_protocol::stage::{REACTIONS, Reactions};

use super::{
    person::{self, What},
    pick::Pick,
    screen,
    typing::{Purpose, Typed, Typing, Whom},
};
use crate::cli::{ctl, show};

/// A key, as far as the console knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Ctrl(char),
    Enter,
    Esc,
    Backspace,
}

/// What keys mean now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mode {
    /// What is done in the room, and by oneself.
    Room,
    /// A list was shown: a number picks one of it. Until then all else is as in the room.
    Picking(Pick),
    /// A line is typed.
    Typing(Typing),
    /// Something that cannot be undone waits for a yes.
    Sure(Sure),
    /// A number is a reaction.
    Reacting,
}

/// What waits for a yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sure {
    /// To leave.
    Quit,
    /// To end the room.
    End,
    /// To ban somebody.
    Ban(Whom, RoomAction),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    /// Show this.
    Say(String),
    /// Do this in the room.
    Act(RoomAction),
    /// Open the microphone, or close it.
    Microphone,
    /// The key of push-to-talk is down.
    Talk,
    /// Show this page of those who listen.
    Audience(u32),
    /// Leave the room.
    Leave,
    /// Stop the program, as Ctrl-Z does.
    Suspend,
}

/// What is done in the room by one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Microphone,
    Talk,
    Accept,
    Decline,
    Hand,
    StepDown,
    Hands,
    People,
    Stage,
    Audience,
    Info,
    Chat,
    React,
    Title,
    Lock,
    End,
    Help,
    Quit,
}

/// A key of the room.
pub(super) struct RoomKey {
    pub(super) command: Command,
    /// As it is shown.
    pub(super) key: &'static str,
    pub(super) brief: &'static str,
    pub(super) help: &'static str,
}

/// The keys of the room, those first that are wanted most.
pub(super) static ROOM: [RoomKey; 18] = [
    room_key(
        Command::Accept,
        "a",
        "accept",
        "accept the invitation to the stage",
    ),
    room_key(Command::Decline, "d", "decline", "decline it"),
    room_key(
        Command::Microphone,
        "m",
        "mic",
        "open the microphone, or close it; Enter does so too",
    ),
    room_key(
        Command::Talk,
        "Space",
        "talk",
        "open the microphone while you hold it",
    ),
    room_key(
        Command::Hand,
        "r",
        "raise hand",
        "raise your hand to ask for the word, or lower it",
    ),
    room_key(
        Command::Hands,
        "w",
        "who waits",
        "who has raised a hand, in order",
    ),
    room_key(
        Command::People,
        "p",
        "people",
        "who is here, as far as this node knows, and who is kept out",
    ),
    room_key(Command::Stage, "o", "stage", "who is on the stage"),
    room_key(
        Command::Audience,
        "n",
        "names",
        "the names of all who listen, 16 a page",
    ),
    room_key(Command::Info, "i", "info", "what the room is, with its link"),
    room_key(
        Command::Chat,
        "c",
        "chat",
        "write a line that everyone reads; / does so too",
    ),
    room_key(Command::React, "e", "react", "react"),
    room_key(Command::StepDown, "s", "step down", "leave the stage"),
    room_key(Command::Lock, "l", "lock", "let in nobody new, or everyone again"),
    room_key(Command::Title, "t", "title", "call the room otherwise"),
    room_key(Command::End, "x", "end", "end the room for everyone"),
    room_key(Command::Help, "?", "all keys", "show this; h does so too"),
    room_key(
        Command::Quit,
        "q",
        "quit",
        "leave, as Ctrl-C does at once; a host hands the room over",
    ),
];

const fn room_key(command: Command, key: &'static str, brief: &'static str, help: &'static str) -> RoomKey {
    RoomKey {
        command,
        key,
        brief,
        help,
    }
}

impl Key {
    /// The key of an event of the terminal.
    pub(super) fn of(event: &KeyEvent) -> Option<Self> {
        let is_control = event.modifiers.contains(KeyModifiers::CONTROL);
        // With Alt a character is no letter of a text, but for those that some layouts write with AltGr.
        let is_alt = event.modifiers == KeyModifiers::ALT;
        Some(match event.code {
            KeyCode::Char(character) if is_control => Self::Ctrl(character.to_ascii_lowercase()),
            KeyCode::Char(_) if is_alt => return None,
            KeyCode::Char(character) if event.modifiers.contains(KeyModifiers::SHIFT) => {
                Self::Char(character.to_uppercase().next().unwrap_or(character))
            }
            KeyCode::Char(character) => Self::Char(character),
            KeyCode::Enter => Self::Enter,
            KeyCode::Esc => Self::Esc,
            KeyCode::Backspace => Self::Backspace,
            _ => return None,
        })
    }
}

impl Command {
    fn of(key: Key) -> Option<Self> {
        let character = match key {
            Key::Char(character) => character.to_ascii_lowercase(),
            Key::Enter => return Some(Self::Microphone),
            _ => return None,
        };
        Some(match character {
            ' ' => Self::Talk,
            '/' => Self::Chat,
            'h' => Self::Help,
            character => {
                let mut keys = ROOM.iter();
                let is_it = |room: &RoomKey| room.key.chars().eq([character]);
                return keys.find(|room| is_it(room)).map(|room| room.command);
            }
        })
    }

    /// What it is in the room, where roles have a part in it.
    fn action(self, info: &RoomInfo) -> Option<RoomAction> {
        Some(match self {
            Self::Title => RoomAction::Title(String::new()),
            Self::Lock => RoomAction::Lock(!info.rules.locked),
            Self::End => RoomAction::End,
            Self::StepDown => RoomAction::LeaveStage,
            Self::Accept => RoomAction::Accept,
            Self::Decline => RoomAction::Decline,
            _ => return None,
        })
    }

    /// Whether there is a use for it now.
    pub(super) fn is_offered(self, info: &RoomInfo) -> bool {
        let me = info.people.iter().find(|one| one.me);
        let (on_stage, invited) = me.map_or((false, false), |me| (me.on_stage, me.invited));
        let may = self.action(info).is_none_or(|action| info.may(&action));
        may && match self {
            Self::Accept | Self::Decline => invited,
            Self::Microphone | Self::Talk | Self::StepDown => on_stage,
            Self::Hand => !on_stage && !invited,
            _ => true,
        }
    }
}

/// What a key does, as far as anything is known of the room; and what keys mean from then on.
pub(super) fn press(mode: Mode, key: Key, info: &RoomInfo, tells_release: bool) -> (Mode, Vec<Effect>) {
    match key {
        Key::Ctrl('c') => return (Mode::Room, vec![Effect::Leave]),
        Key::Ctrl('z') => return (mode, vec![Effect::Suspend]),
        _ => {}
    }
    match mode {
        Mode::Room => in_the_room(key, info, tells_release),
        Mode::Picking(pick) => picking(pick, key, info, tells_release),
        Mode::Typing(typing) => typed(typing, key, info),
        Mode::Sure(sure) => sured(sure, key),
        Mode::Reacting => reacting(key),
    }
}

fn in_the_room(key: Key, info: &RoomInfo, tells_release: bool) -> (Mode, Vec<Effect>) {
    if let Key::Char(character) = key
        && let Some(digit) = character.to_digit(10)
    {
        let (text, mut pick) = Pick::hands(info);
        return if pick.digit(digit as usize) {
            (Mode::Picking(pick), Vec::new())
        } else {
            (Mode::Room, vec![Effect::Say(text)])
        };
    }
    let Some(command) = Command::of(key) else {
        let stray = matches!(key, Key::Char(_));
        let say = stray.then(|| Effect::Say("no such key; ? shows all".to_owned()));
        return (Mode::Room, say.into_iter().collect());
    };
    // What the table of roles refuses is not begun.
    let refused = command.action(info).filter(|action| !info.may(action));
    if let Some(why) = refused.and_then(|action| info.why_not(&action)) {
        return (Mode::Room, vec![Effect::Say(why)]);
    }
    let list = |(text, pick): (String, Pick)| {
        let mode = if pick.is_empty() {
            Mode::Room
        } else {
            Mode::Picking(pick)
        };
        (mode, vec![Effect::Say(text)])
    };
    let act = |action| (Mode::Room, vec![Effect::Act(action)]);
    match command {
        Command::Microphone => (Mode::Room, vec![Effect::Microphone]),
        Command::Talk => (Mode::Room, vec![Effect::Talk]),
        Command::Accept => act(RoomAction::Accept),
        Command::Decline => act(RoomAction::Decline),
        Command::Hand => {
            let me = info.people.iter().find(|one| one.me).map(|me| me.key);
            let is_up = info.hands.iter().any(|hand| Some(hand.key) == me);
            act(RoomAction::Hand { raised: !is_up })
        }
        Command::StepDown => act(RoomAction::LeaveStage),
        Command::Lock => act(RoomAction::Lock(!info.rules.locked)),
        Command::Hands => list(Pick::hands(info)),
        Command::People => list(Pick::people(info, false)),
        Command::Stage => list(Pick::people(info, true)),
        Command::Audience => (Mode::Room, vec![Effect::Audience(1)]),
        Command::Info => {
            let info = serde_json::to_value(info).unwrap_or_default();
            (Mode::Room, vec![Effect::Say(show::room::info(&info))])
        }
        Command::Chat => (Mode::Typing(Typing::new(Purpose::Chat)), Vec::new()),
        Command::Title => {
            let mut typing = Typing::new(Purpose::Title);
            typing.paste(&info.title);
            (Mode::Typing(typing), Vec::new())
        }
        Command::React => (Mode::Reacting, Vec::new()),
        Command::End => (Mode::Sure(Sure::End), Vec::new()),
        Command::Quit => (Mode::Sure(Sure::Quit), Vec::new()),
        Command::Help => (Mode::Room, vec![Effect::Say(screen::help(info, tells_release))]),
    }
}

fn picking(mut pick: Pick, key: Key, info: &RoomInfo, tells_release: bool) -> (Mode, Vec<Effect>) {
    let digit = match key {
        Key::Char(character) => character.to_digit(10),
        _ => None,
    };
    if let Some(digit) = digit {
        let is_one = pick.digit(digit as usize);
        let say = (!is_one).then(|| Effect::Say("there is no such number in the list".to_owned()));
        return (Mode::Picking(pick), say.into_iter().collect());
    }
    match (key, pick.picked().cloned(), pick.next_page) {
        (Key::Char(' '), ..) => (Mode::Picking(pick), vec![Effect::Talk]),
        (Key::Esc, None, _) => (Mode::Room, Vec::new()),
        (Key::Esc | Key::Backspace, Some(_), _) => {
            pick.back();
            (Mode::Picking(pick), Vec::new())
        }
        (Key::Char('n' | 'N'), None, Some(page)) => (Mode::Room, vec![Effect::Audience(page)]),
        (key, None, _) => in_the_room(key, info, tells_release),
        (Key::Char(character), Some(whom), _) => picked(pick, whom, character.to_ascii_lowercase(), info),
        (_, Some(_), _) => (Mode::Picking(pick), Vec::new()),
    }
}

/// A key while somebody is picked.
fn picked(pick: Pick, whom: Whom, key: char, info: &RoomInfo) -> (Mode, Vec<Effect>) {
    let Some(deed) = person::meant(info, whom.key, key) else {
        let text = "that is done with nobody; Esc goes back".to_owned();
        return (Mode::Picking(pick), vec![Effect::Say(text)]);
    };
    let action = deed.action(whom.key);
    if !info.may(&action)
        && let Some(why) = info.why_not(&action)
    {
        return (Mode::Picking(pick), vec![Effect::Say(why)]);
    }
    if deed.is(What::Kick) {
        (Mode::Typing(Typing::new(Purpose::Kick(whom))), Vec::new())
    } else if deed.is(What::Ban) {
        (Mode::Typing(Typing::new(Purpose::BanTime(whom))), Vec::new())
    } else {
        (Mode::Room, vec![Effect::Act(action)])
    }
}

fn typed(mut typing: Typing, key: Key, info: &RoomInfo) -> (Mode, Vec<Effect>) {
    let act = |action| (Mode::Room, vec![Effect::Act(action)]);
    match typing.press(key) {
        Typed::More => return (Mode::Typing(typing), Vec::new()),
        Typed::GivenUp => return (Mode::Room, Vec::new()),
        Typed::Done => {}
    }
    let line = typing.line.trim().to_owned();
    match typing.purpose {
        Purpose::Chat if line.is_empty() => (Mode::Room, Vec::new()),
        Purpose::Chat => act(RoomAction::Say(line)),
        Purpose::Title if line == info.title => (Mode::Room, Vec::new()),
        Purpose::Title => act(RoomAction::Title(line)),
        Purpose::Kick(whom) => act(RoomAction::Kick {
            person: whom.key,
            reason: line,
        }),
        Purpose::BanTime(whom) if line.is_empty() => {
            (Mode::Typing(Typing::new(Purpose::Ban(whom, None))), Vec::new())
        }
        Purpose::BanTime(whom) => match ctl::span(&line) {
            Ok(time) => (
                Mode::Typing(Typing::new(Purpose::Ban(whom, Some(time)))),
                Vec::new(),
            ),
            Err(why) => {
                let again = Typing::new(Purpose::BanTime(whom));
                (Mode::Typing(again), vec![Effect::Say(why)])
            }
        },
        Purpose::Ban(whom, lasts) => {
            let (person, reason) = (whom.key, line);
            let action = RoomAction::Ban {
                person,
                lasts,
                reason,
            };
            (Mode::Sure(Sure::Ban(whom, action)), Vec::new())
        }
    }
}

fn sured(sure: Sure, key: Key) -> (Mode, Vec<Effect>) {
    if !matches!(key, Key::Char('y' | 'Y')) {
        return (Mode::Room, Vec::new());
    }
    let effect = match sure {
        Sure::Quit => Effect::Leave,
        Sure::End => Effect::Act(RoomAction::End),
        Sure::Ban(_, action) => Effect::Act(action),
    };
    (Mode::Room, vec![effect])
}

fn reacting(key: Key) -> (Mode, Vec<Effect>) {
    let Key::Char(character) = key else {
        return (Mode::Room, Vec::new());
    };
    let at = character
        .to_digit(10)
        .and_then(|digit| (digit as usize).checked_sub(1));
    let reaction = at
        .and_then(|at| REACTIONS.get(at))
        .and_then(|(sign, _)| Reactions::one(sign));
    match reaction {
        Some(reaction) => (Mode::Room, vec![Effect::Act(RoomAction::React(reaction))]),
        None => (
            Mode::Room,
            vec![Effect::Say("there is no such reaction".to_owned())],
        ),
    }
}

#[cfg(test)]
mod tests;
