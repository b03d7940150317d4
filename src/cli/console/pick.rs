//! Lists of people with numbers, of whom one is picked by typing the number.
//!
//! Invariant: a number means whoever stood beside it when the list was shown, whatever has changed since.

use majlis::room::{AudiencePage, RoomInfo};
use majlis_protocol::person::Person;
use serde::Serialize;

use super::typing::Whom;
use crate::cli::show::room;

/// The people of a list, and the number that was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pick {
    people: Vec<Whom>,
    /// What was typed so far; 0 for nothing.
    number: usize,
    /// The next page of those who listen, where there is one.
    pub(super) next_page: Option<u32>,
}

impl Pick {
    /// Who is in the room as far as this node knows, and who is kept out; or only those on the stage.
    pub(super) fn people(info: &RoomInfo, on_stage: bool) -> (String, Self) {
        let people = info.people.iter().filter(|one| !on_stage || one.on_stage);
        let people = people.map(|one| {
            let line = line(one, room::person);
            (one.key, name(one.nick.as_deref(), &one.tag), you(line, one.me))
        });
        let out = info.kept_out.iter().filter(|_| !on_stage).map(|one| {
            let line = line(one, room::kept_out);
            (one.key, name(one.nick.as_deref(), &one.tag), line)
        });
        Self::numbered(people.chain(out), "nobody is known yet")
    }

    /// Who has raised a hand.
    pub(super) fn hands(info: &RoomInfo) -> (String, Self) {
        let hands = info.hands.iter().map(|hand| {
            let line = line(hand, room::hand);
            (hand.key, name(Some(&hand.nick), &hand.tag), line)
        });
        Self::numbered(hands, &room::hands(&serde_json::Value::Null))
    }

    /// A page of those who listen in the whole room.
    pub(super) fn audience(page: &AudiencePage) -> (String, Self) {
        let people = page.people.iter().map(|one| {
            let name = name(Some(&one.nick), &one.tag);
            (one.key, name.clone(), name)
        });
        let (mut text, mut pick) = Self::numbered(people, "nobody is on this page");
        if page.more {
            text += "\nthere may be more: n";
            pick.next_page = Some(page.page + 1);
        }
        (text, pick)
    }

    /// Who is picked, once the number is typed.
    pub(super) fn picked(&self) -> Option<&Whom> {
        self.people.get(self.number.checked_sub(1)?)
    }

    /// Adds a digit, or begins anew where there are not so many people. Whether anyone is picked by it.
    pub(super) fn digit(&mut self, digit: usize) -> bool {
        let longer = self.number * 10 + digit;
        let is_one = |number: usize| (1..=self.people.len()).contains(&number);
        let number = [longer, digit].into_iter().find(|number| is_one(*number));
        self.number = number.unwrap_or(0);
        number.is_some()
    }

    /// Takes the last digit back.
    pub(super) fn back(&mut self) {
        self.number /= 10;
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    pub(super) fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    fn numbered(people: impl Iterator<Item = (Person, String, String)>, nobody: &str) -> (String, Self) {
        let (mut lines, mut pick) = (Vec::new(), Self::default());
        for (key, name, line) in people {
            pick.people.push(Whom { key, name });
            lines.push(format!("{:>3}  {}", pick.people.len(), line.trim_end()));
        }
        if lines.is_empty() {
            lines.push(nobody.to_owned());
        }
        (lines.join("\n"), pick)
    }
}

/// The line that `majlis ctl` shows, without the key: a number stands for it here.
fn line(one: &impl Serialize, shown: fn(&serde_json::Value, &str) -> String) -> String {
    let value = serde_json::to_value(one).unwrap_or_default();
    shown(&value, "")
}

fn you(line: String, me: bool) -> String {
    if me {
        format!("{}  (you)", line.trim_end())
    } else {
        line
    }
}

fn name(nick: Option<&str>, tag: &str) -> String {
    format!("{}#{tag}", nick.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use majlis_protocol::log::Role;

    use super::{
        super::samples::{self, LISTENER, OUT, SPEAKER},
        *,
    };

    #[test]
    fn everyone_has_a_number_and_a_number_picks_them() {
        let (text, mut pick) = Pick::people(&samples::info(Role::Host), false);
        let lines: Vec<&str> = text.lines().collect();
        assert!(
            lines[0].starts_with("  1  amir#") && lines[0].ends_with("(you)"),
            "{text}"
        );
        assert!(
            lines[1].starts_with("  2  salma#") && lines[1].contains("on stage"),
            "{text}"
        );
        assert!(
            lines[3].starts_with("  4  #") && lines[3].contains("banned"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.chars().count() < 80), "{text}");
        assert!(pick.digit(2));
        assert_eq!(pick.picked().map(|whom| whom.key), Some(SPEAKER));
        // There is no 24: it begins anew.
        assert!(pick.digit(4));
        assert_eq!(pick.picked().map(|whom| whom.key), Some(OUT));
        assert!(!pick.digit(9));
        assert_eq!(pick.picked(), None);
        let (stage, _) = Pick::people(&samples::info(Role::Host), true);
        assert_eq!(stage.lines().count(), 2, "{stage}");
    }

    #[test]
    fn a_number_of_two_digits_is_typed_and_taken_back() {
        let one = |at: u8| majlis::room::ListenerInfo {
            key: Person([at; 32]),
            nick: "x".into(),
            tag: "t".into(),
        };
        let page = AudiencePage {
            page: 1,
            people: (1..=16).map(one).collect(),
            more: true,
        };
        let (text, mut pick) = Pick::audience(&page);
        assert!(text.ends_with("more: n") && pick.next_page == Some(2), "{text}");
        assert!(pick.digit(1) && pick.digit(6));
        assert_eq!(pick.picked().map(|whom| whom.key), Some(Person([16; 32])));
        pick.back();
        assert_eq!(pick.picked().map(|whom| whom.key), Some(Person([1; 32])));
    }

    #[test]
    fn hands_stand_in_their_order() {
        let (text, mut pick) = Pick::hands(&samples::info(Role::Host));
        assert!(text.starts_with("  1  noor#"), "{text}");
        assert!(pick.digit(1));
        assert_eq!(pick.picked().map(|whom| whom.key), Some(LISTENER));
        let mut info = samples::info(Role::Host);
        info.hands.clear();
        assert_eq!(Pick::hands(&info), ("no hand is up".to_owned(), Pick::default()));
    }
}
