//! What people are called: always a nickname and the tag of the key, since nicknames are free to take.

use std::collections::BTreeMap;

use majlis::event::Event;
use majlis_protocol::person::Person;

/// Most nicknames that are remembered: more than a stage holds. Beyond them people go by their tag alone.
const NAMES: usize = 1_024;

/// The nickname of someone who has not told it.
const NAMELESS: &str = "someone";

/// The nicknames that were heard of.
#[derive(Debug, Default)]
pub(crate) struct Names {
    nicks: BTreeMap<Person, String>,
    own: Option<Person>,
}

impl Names {
    /// Takes the names out of an event.
    pub(crate) fn learn(&mut self, event: &Event) {
        match event {
            Event::Profile { key, nick, .. }
            | Event::Chat { key, nick, .. }
            | Event::Hand { key, nick, .. }
                if self.nicks.len() < NAMES || self.nicks.contains_key(key) =>
            {
                self.nicks.insert(*key, nick.clone());
            }
            Event::Listening { key, .. } => self.own = Some(*key),
            _ => {}
        }
    }

    /// `nick#tag`; oneself is `you`.
    pub(crate) fn of(&self, person: &Person) -> String {
        if self.own.as_ref() == Some(person) {
            return "you".to_owned();
        }
        let nick = self.nicks.get(person).map_or(NAMELESS, String::as_str);
        format!("{nick}#{}", person.tag())
    }

    /// Whether this is oneself.
    pub(crate) fn is_own(&self, person: &Person) -> bool {
        self.own.as_ref() == Some(person)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_stands_without_the_tag_of_its_key() {
        let (a, b) = (Person([1; 32]), Person([2; 32]));
        let mut names = Names::default();
        for key in [a, b] {
            names.learn(&Event::Profile {
                key,
                nick: "salma".into(),
                tag: key.tag(),
            });
        }
        assert_eq!(names.of(&a), format!("salma#{}", a.tag()));
        assert_ne!(names.of(&a), names.of(&b));
        let stranger = Person([3; 32]);
        assert_eq!(names.of(&stranger), format!("someone#{}", stranger.tag()));
    }

    #[test]
    fn a_flood_of_names_is_bounded() {
        let mut names = Names::default();
        for n in 0..2 * NAMES {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&(n as u64).to_be_bytes());
            names.learn(&Event::Profile {
                key: Person(key),
                nick: "x".into(),
                tag: String::new(),
            });
        }
        assert_eq!(names.nicks.len(), NAMES);
    }
}
