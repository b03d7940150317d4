//! A line that is being typed below the events: what it is for, and what it is so far.

use std::time::Duration;

use majlis_protocol::person::Person;

use super::keys::Key;

/// Most bytes that are taken: more than any line of the room may have, so that the room itself says what is too long.
const MOST: usize = 1_024;

/// Whom something is about to be done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Whom {
    /// Who.
    pub(super) key: Person,
    /// What they are called.
    pub(super) name: String,
}

/// What a line is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Everyone reads it.
    Chat,
    /// The room is called so.
    Title,
    /// Why somebody is put out.
    Kick(Whom),
    /// For how long somebody is kept out.
    BanTime(Whom),
    /// Why.
    Ban(Whom, Option<Duration>),
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Typing {
    /// What for.
    pub(super) purpose: Purpose,
    /// What was typed.
    pub(super) line: String,
}

/// What a key did to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Typed {
    /// It goes on.
    More,
    /// It is done.
    Done,
    /// It is given up.
    GivenUp,
}

impl Typing {
    pub(super) fn new(purpose: Purpose) -> Self {
        let line = String::new();
        Self { purpose, line }
    }

    /// What stands before the line.
    pub(super) fn label(&self) -> String {
        match &self.purpose {
            Purpose::Chat => "chat: ".to_owned(),
            Purpose::Title => "title: ".to_owned(),
            Purpose::Kick(whom) => format!("kick {}; why (Esc: do not): ", whom.name),
            Purpose::BanTime(whom) => format!("ban {}; for 2h, 7d or (Enter) until lifted: ", whom.name),
            Purpose::Ban(whom, _) => format!("ban {}; why: ", whom.name),
        }
    }

    pub(super) fn press(&mut self, key: Key) -> Typed {
        match key {
            Key::Char(character) => self.paste(character.encode_utf8(&mut [0; 4])),
            Key::Backspace => {
                self.line.pop();
            }
            Key::Ctrl('u') => self.line.clear(),
            Key::Ctrl('w') => {
                let kept = self.line.trim_end().rfind(' ').map_or(0, |at| at + 1);
                self.line.truncate(kept);
            }
            Key::Enter => return Typed::Done,
            Key::Esc => return Typed::GivenUp,
            Key::Ctrl(_) => {}
        }
        Typed::More
    }

    /// Adds a text, as one line.
    pub(super) fn paste(&mut self, text: &str) {
        let line = text.split(['\r', '\n']).filter(|part| !part.is_empty());
        let line = line.collect::<Vec<_>>().join(" ");
        if self.line.len() + line.len() <= MOST {
            self.line += &line;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: impl IntoIterator<Item = Key>) -> (String, Typed) {
        let mut typing = Typing::new(Purpose::Chat);
        let last = keys.into_iter().map(|key| typing.press(key)).last();
        (typing.line, last.expect("a key"))
    }

    #[test]
    fn a_line_is_typed_corrected_and_ended() {
        let word = |text: &str| text.chars().map(Key::Char).collect::<Vec<_>>();
        let keys = [word("أهلا x"), vec![Key::Backspace, Key::Backspace]].concat();
        assert_eq!(typed(keys), ("أهلا".to_owned(), Typed::More));
        let keys = [word("one two "), vec![Key::Ctrl('w'), Key::Enter]].concat();
        assert_eq!(typed(keys), ("one ".to_owned(), Typed::Done));
        let keys = [word("one"), vec![Key::Ctrl('u'), Key::Ctrl('x'), Key::Esc]].concat();
        assert_eq!(typed(keys), (String::new(), Typed::GivenUp));
    }

    #[test]
    fn what_is_pasted_is_one_line_and_has_a_bound() {
        let mut typing = Typing::new(Purpose::Chat);
        typing.paste("one\r\ntwo\n");
        assert_eq!(typing.line, "one two");
        typing.paste(&"x".repeat(MOST));
        assert_eq!(typing.line, "one two");
    }
}
