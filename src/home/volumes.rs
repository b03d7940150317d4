//! How loud this person wants others: a factor in percent for each key, kept in the home.
//!
//! Whom is not in the file is as loud as everybody. What is not readable is forgotten: it can be set again.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use majlis_protocol::person::Person;

use super::{HomeError, atomic};
use crate::regular_file;

/// The volume of whom nothing is said about, in percent.
pub const USUAL_VOLUME: u16 = 100;

/// The loudest that one can be made, in percent: 12 dB more.
pub const MOST_VOLUME: u16 = 400;

/// Most people whose volume is kept: more than anybody meets who needs it.
const MOST_KEPT: usize = 4_096;

/// Most bytes of a line: a key, a space, three digits and the end of the line.
const LINE: usize = 64;

/// The volumes of a home; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Volumes {
    path: PathBuf,
    kept: Arc<Mutex<BTreeMap<Person, u16>>>,
}

impl Volumes {
    /// Reads what an earlier run has kept.
    pub(super) fn load(home: &Path) -> Self {
        let path = home.join("volumes");
        let mut text = String::new();
        let read = regular_file::open(&path)
            .and_then(|file| file.take((MOST_KEPT * LINE) as u64).read_to_string(&mut text));
        if let Err(error) = read
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the volumes that were kept cannot be read");
        }
        let kept = text.lines().filter_map(parsed).take(MOST_KEPT).collect();
        Self {
            path,
            kept: Arc::new(Mutex::new(kept)),
        }
    }

    /// Everybody whose volume is not the usual one.
    pub(crate) fn all(&self) -> Vec<(Person, u16)> {
        self.kept()
            .iter()
            .map(|(&person, &percent)| (person, percent))
            .collect()
    }

    /// How loud a person is to be, in percent.
    pub(crate) fn of(&self, person: Person) -> u16 {
        self.kept().get(&person).copied().unwrap_or(USUAL_VOLUME)
    }

    /// Keeps how loud a person is to be, at most [`MOST_VOLUME`], and writes it down; waits for the disk.
    pub(crate) fn set(&self, person: Person, percent: u16) -> Result<(), HomeError> {
        let text: String = {
            let mut kept = self.kept();
            if percent == USUAL_VOLUME {
                kept.remove(&person);
            } else if kept.len() < MOST_KEPT || kept.contains_key(&person) {
                kept.insert(person, percent.min(MOST_VOLUME));
            }
            kept.iter()
                .map(|(person, percent)| format!("{person} {percent}\n"))
                .collect()
        };
        atomic::write(&self.path, text.as_bytes())
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<Person, u16>> {
        // Entries are put in and taken out whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parsed(line: &str) -> Option<(Person, u16)> {
    let (person, percent) = line.split_once(' ')?;
    let percent: u16 = percent.parse().ok()?;
    Some((person.parse().ok()?, percent.min(MOST_VOLUME)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Person = Person([1; 32]);
    const OTHER: Person = Person([2; 32]);

    #[test]
    fn what_was_set_is_there_in_the_next_run_and_the_usual_needs_no_line() {
        let home = tempfile::tempdir().expect("a directory");
        let volumes = Volumes::load(home.path());
        assert_eq!((volumes.of(ONE), volumes.all()), (USUAL_VOLUME, Vec::new()));
        volumes.set(ONE, 50).expect("written");
        volumes.set(OTHER, 0).expect("written");
        let next = Volumes::load(home.path());
        assert_eq!((next.of(ONE), next.of(OTHER)), (50, 0));
        next.set(ONE, USUAL_VOLUME).expect("written");
        assert_eq!(Volumes::load(home.path()).all(), [(OTHER, 0)]);
    }

    #[test]
    fn lines_that_are_none_are_passed_over_and_nobody_is_louder_than_the_most() {
        let home = tempfile::tempdir().expect("a directory");
        let text = format!("nonsense\n{ONE} 70000\n{ONE}\n{OTHER} 999\n{OTHER} loud\n");
        std::fs::write(home.path().join("volumes"), text).expect("written");
        assert_eq!(Volumes::load(home.path()).all(), [(OTHER, MOST_VOLUME)]);
    }
}
