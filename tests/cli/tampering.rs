//! A room's log that somebody has worked on: each way of changing it is found, by the entry that is wrong.
//!
//! The room is real, held by processes. Who tampers may have the chair's own key: then the entry is signed anew, and what
//! is found is the rule that it breaks.

use std::{fs, path::Path};

use majlis::home::Home;
use majlis_protocol::{
    log::{Act, Action, Entry, Head, records},
    person::PersonKey,
    room::{Genesis, RoomId},
    signed::{Signed, Statement, Verified},
    text::Text,
};

use super::program::{fails, host, id_of, join, succeeds};

/// A room's log, the keys of the two who matter, and where they lie.
struct Room {
    /// The genesis, then each entry.
    records: Vec<Vec<u8>>,
    host: PersonKey,
    /// A listener, who was put out.
    noisy: PersonKey,
}

/// What was done to a log: its name, the log afterwards, the record that is wrong, and a word of why.
type Tampering = (&'static str, Vec<Vec<u8>>, usize, &'static str);

/// The entry that bans the noisy listener, with a reason.
const BAN: usize = 3;

#[test]
fn whatever_is_changed_in_a_rooms_log_is_found_and_the_entry_named() {
    let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let room = Room::held([0, 1, 2].map(|n| homes[n].path()));
    let file = homes[0].path().join("tampered");
    let name = file.to_str().unwrap();
    let verify = |records: &[Vec<u8>]| {
        fs::write(&file, bytes(records)).unwrap();
        fails(homes[0].path(), &["log", "verify", name])
    };
    fs::write(&file, bytes(&room.records)).unwrap();
    let whole = &succeeds(homes[0].path(), &["log", "verify", name])[0];
    assert_eq!(
        (&whole["entries"], &whole["torn"]),
        (&(room.records.len() - 1).into(), &false.into())
    );
    for (how, records, wrong, why) in room.on_the_way().into_iter().chain(room.by_the_chair()) {
        assert_ne!(records, room.records, "{how}");
        let said = verify(&records);
        let named = if wrong == 0 {
            "the genesis".to_owned()
        } else {
            format!("entry {wrong},")
        };
        assert!(
            said.contains("is not valid") && said.contains(&named) && said.contains(why),
            "{how}: {said}"
        );
    }
}

impl Room {
    /// A host opens it, makes a moderator, and the moderator puts out somebody; then it is called otherwise.
    fn held([a, b, c]: [&Path; 3]) -> Self {
        let (mut chair, link) = host(a, &[]);
        let (mut moderator, hers) = join(b, &link, &["--nick", "salma"]);
        let (mut noisy, his) = join(c, &link, &["--nick", "noise"]);
        let [hers, his] = [&hers, &his].map(|joined| joined["key"].as_str().unwrap());
        succeeds(a, &["ctl", "title", "A quiet room"]);
        succeeds(a, &["ctl", "grant", hers, "moderator"]);
        moderator.until_that("role", |event| event["role"] == "moderator");
        succeeds(b, &["ctl", "ban", his, "--for", "2h", "--reason", "noise"]);
        assert_eq!(noisy.until("left")["reason"], "banned");
        succeeds(a, &["ctl", "title", "A quiet room again"]);
        succeeds(a, &["ctl", "end"]);
        assert_eq!((chair.finish().0, moderator.finish().0), (Some(0), Some(0)));
        noisy.finish();
        let log = fs::read(a.join("rooms").join(id_of(&link)).join("log")).unwrap();
        let key = |home| Home::open(home).unwrap().person_key().unwrap();
        Self {
            records: records(&log).map(|record| record.unwrap().to_vec()).collect(),
            host: key(a),
            noisy: key(c),
        }
    }

    /// What anybody can do who has the file.
    fn on_the_way(&self) -> Vec<Tampering> {
        let changed = |at: usize, change: &dyn Fn(&mut Vec<u8>)| {
            let mut records = self.records.clone();
            change(&mut records[at]);
            records
        };
        let moved = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
            let mut records = self.records.clone();
            change(&mut records);
            records
        };
        let stranger = PersonKey::from_seed(&[9; 32]);
        let mut theirs = self.entry(BAN);
        theirs.chair = stranger.person();
        let theirs = signed(theirs, &stranger);
        vec![
            (
                "a byte of a body is flipped",
                changed(2, &|record| record[60] ^= 1),
                2,
                "",
            ),
            (
                "a signature is another",
                changed(2, &|record| *record.last_mut().unwrap() ^= 1),
                2,
                "signed",
            ),
            (
                "a byte of the genesis is flipped",
                changed(0, &|record| *record.last_mut().unwrap() ^= 1),
                0,
                "not signed",
            ),
            (
                "two entries are swapped",
                moved(&|all| all.swap(2, BAN)),
                2,
                "ask for those between",
            ),
            (
                "an entry is taken out",
                moved(&|all| drop(all.remove(BAN))),
                BAN,
                "ask for those between",
            ),
            (
                "an entry stands twice",
                moved(&|all| all.insert(BAN, all[BAN].clone())),
                BAN + 1,
                "repeats",
            ),
            (
                "another key has signed an entry",
                changed(BAN, &|record| *record = theirs.clone()),
                BAN,
                "chair",
            ),
        ]
    }

    /// What only the chair can do, who signs what it has changed.
    fn by_the_chair(&self) -> Vec<Tampering> {
        let anew = |at: usize, change: &dyn Fn(&mut Entry)| {
            let mut records = self.records.clone();
            let mut entry = self.entry(at);
            change(&mut entry);
            records[at] = signed(entry, &self.host);
            records
        };
        let last = self.records.len() - 1;
        vec![
            (
                "the reason of a ban is another",
                anew(BAN, &|entry| {
                    entry.action = replaced(&entry.action, b"noise", b"voice")
                }),
                BAN,
                "action",
            ),
            (
                "the room was founded otherwise",
                self.founded_otherwise(),
                1,
                "another room",
            ),
            (
                "an entry belongs to another room",
                anew(BAN, &|entry| entry.room = RoomId([7; 32])),
                BAN,
                "another room",
            ),
            (
                "an entry follows another",
                anew(BAN, &|entry| entry.previous = [7; 32]),
                BAN,
                "another history",
            ),
            (
                "time runs backwards",
                anew(last, &|entry| entry.clock = 0),
                last,
                "lower",
            ),
            (
                "an entry is of a later term",
                anew(BAN, &|entry| entry.term += 1),
                BAN,
                "term",
            ),
            (
                "an action is done long after it was asked for",
                anew(BAN, &|entry| entry.clock += 600_000),
                BAN,
                "action",
            ),
            (
                "an action is done twice",
                anew(4, &|entry| entry.action = self.entry(1).action),
                4,
                "action",
            ),
            (
                "a listener bans the host's moderator",
                anew(last, &|entry| entry.action = self.of_a_listener(entry)),
                last,
                "action",
            ),
        ]
    }

    fn entry(&self, at: usize) -> Entry {
        Signed::<Entry>::from_bytes(&self.records[at])
            .unwrap()
            .peek()
            .unwrap()
    }

    /// A genesis with another title, rightly signed: it founds another room.
    fn founded_otherwise(&self) -> Vec<Vec<u8>> {
        let mut records = self.records.clone();
        let signed_genesis = Signed::<Genesis>::from_bytes(&records[0]).unwrap();
        let mut genesis = signed_genesis.peek().unwrap();
        genesis.title = Text::clean("A loud room");
        records[0] = signed(genesis, &self.host);
        records
    }

    /// A ban that nobody had the right to ask for, rightly signed by who asked.
    fn of_a_listener(&self, entry: &Entry) -> bytes::Bytes {
        let moderator = self.entry(BAN).signed_action().unwrap().peek().unwrap().author;
        let ban = Act::Ban {
            subject: moderator,
            lasts_ms: None,
            reason: Text::clean("revenge"),
        };
        let known = Head {
            sequence: entry.sequence - 1,
            hash: entry.previous,
        };
        let action = Action::new(entry.room, self.noisy.person(), known, entry.clock, &ban);
        Verified::sign(action, &self.noisy).unwrap().signed().to_bytes()
    }
}

fn signed<T: Statement>(statement: T, key: &PersonKey) -> Vec<u8> {
    Verified::sign(statement, key)
        .unwrap()
        .signed()
        .to_bytes()
        .to_vec()
}

/// The same bytes with a word of theirs in the place of another of the same length.
fn replaced(bytes: &[u8], word: &[u8], other: &[u8]) -> bytes::Bytes {
    let at = bytes.windows(word.len()).position(|part| part == word).unwrap();
    let mut bytes = bytes.to_vec();
    bytes[at..at + other.len()].copy_from_slice(other);
    bytes.into()
}

/// A file of these records.
fn bytes(records: &[Vec<u8>]) -> Vec<u8> {
    let record = |record: &Vec<u8>| {
        let length = u32::try_from(record.len()).unwrap();
        [&length.to_be_bytes(), &record[..]].concat()
    };
    records.iter().flat_map(record).collect()
}
