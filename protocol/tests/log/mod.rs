//! The room log: what it takes, what it refuses, and what it makes of a room.

mod cover;
mod entries;
mod file;
mod moderation;
mod policy;
mod properties;
mod roles;
mod schedule;
mod succession;
mod vectors;

use majlis_protocol::{
    log::{Act, Action, ActionError, Applied, Entry, Head, Log},
    person::{Person, PersonKey},
    room::Genesis,
    signed::{Signed, Statement, Verified},
    text::Text,
};

/// A room seen by its chair, with a host and guests whose keys grow from small numbers.
struct Room {
    log: Log,
    host: PersonKey,
    /// Room clock in milliseconds; each act takes one second.
    clock: u64,
}

fn key(seed: u8) -> PersonKey {
    PersonKey::from_seed(&[seed; 32])
}

fn person(seed: u8) -> Person {
    key(seed).person()
}

fn title(text: &str) -> Act {
    Act::Title {
        title: Text::clean(text),
    }
}

fn genesis() -> Verified<Genesis> {
    let host = key(1);
    Genesis::new(host.person(), "neighbours", [5; 16])
        .sign(&host)
        .unwrap()
}

/// The statement with its last byte changed: the end of the signature.
fn forged<T: Statement>(signed: &Signed<T>) -> Signed<T> {
    let mut bytes = signed.to_bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    Signed::from_bytes(&bytes).unwrap()
}

impl Room {
    fn open() -> Self {
        Self {
            log: Log::new(genesis()),
            host: key(1),
            clock: 0,
        }
    }

    /// The action as `author` would send it now.
    fn action(&self, author: &PersonKey, act: &Act) -> Signed<Action> {
        let action = Action::new(self.log.room(), author.person(), self.log.head(), self.clock, act);
        Verified::sign(action, author).unwrap().signed().clone()
    }

    /// Asks the chair for it.
    fn ask(&mut self, author: &PersonKey, act: &Act) -> Result<Applied, ActionError> {
        self.clock += 1_000;
        let action = self.action(author, act);
        self.log.append(action, &self.host, self.clock)
    }

    /// Asks the chair for what it must grant.
    fn does(&mut self, author: &PersonKey, act: &Act) -> Applied {
        self.ask(author, act).unwrap()
    }

    /// Invites a guest, who accepts.
    fn seat(&mut self, guest: &PersonKey) -> Applied {
        let host = key(1);
        let invite = self.does(
            &host,
            &Act::Invite {
                subject: guest.person(),
            },
        );
        self.does(guest, &Act::Accept { invite: invite.hash })
    }

    /// What a chair would write that checks nothing.
    fn unchecked(&self, action: &Signed<Action>) -> Entry {
        Entry::new(
            self.log.room(),
            self.log.head(),
            self.log.term(),
            self.host.person(),
            self.clock,
            action,
        )
    }

    fn sign(&self, entry: Entry) -> Signed<Entry> {
        Verified::sign(entry, &self.host).unwrap().signed().clone()
    }

    fn entries(&self) -> Vec<Signed<Entry>> {
        self.log
            .entries_after(0, usize::MAX)
            .iter()
            .map(|entry| entry.signed().clone())
            .collect()
    }

    /// A member that holds all of this log.
    fn member(&self) -> Log {
        let mut member = Log::new(self.log.genesis().clone());
        for entry in self.entries() {
            member.handle_entry(entry).unwrap();
        }
        member
    }

    fn head(&self) -> Head {
        self.log.head()
    }
}
