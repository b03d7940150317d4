//! The room log: files as they are found on a disk, and chains that a chair of any mind may write.

use std::sync::OnceLock;

use majlis_protocol::{
    limits,
    log::{self, Act, Action, Entry, GuestList, Log, Role},
    person::PersonKey,
    room::{Chat, Genesis, Hands, RoomId},
    signed::{Signed, Verified},
    text::Text,
};

use super::script::Script;

/// A log file.
pub fn log_file(data: &[u8]) -> bool {
    let Ok(report) = log::verify(data) else {
        return false;
    };
    let whole = &data[..report.whole_bytes];
    assert_eq!(report.lines.len(), report.log.head().sequence as usize);
    assert_eq!(log::records(whole).count(), report.lines.len() + 1);
    let again = log::verify(whole).expect("what is whole is valid");
    assert!(!again.torn);
    assert_eq!(again.log.head(), report.log.head());
    for line in &report.lines {
        assert!(!line.to_string().is_empty());
    }
    replays(&report.log);
    true
}

/// Acts, and entries that are partly wrong, signed by whom they name.
pub fn log_chain(data: &[u8]) -> bool {
    let mut script = Script::new(data);
    let mut log = Log::new(genesis().clone());
    let mut clock = 0_u64;
    let mut grown = false;
    while !script.is_over() {
        clock = clock.saturating_add(u64::from(script.number()));
        let before = log.head();
        let taken = match script.below(4) {
            0 | 1 => {
                let action = action(&mut script, &log, clock);
                let chair = key(1 + script.below(8) / 7);
                log.append(action, &chair, clock).is_ok()
            }
            2 => {
                let entry = entry(&mut script, &log, clock);
                log.handle_entry(entry).is_ok_and(|applied| applied.is_some())
            }
            _ => {
                let mut bytes = entry(&mut script, &log, clock).to_bytes().to_vec();
                script.spoil(&mut bytes);
                Signed::from_bytes(&bytes)
                    .is_ok_and(|entry| log.handle_entry(entry).is_ok_and(|a| a.is_some()))
            }
        };
        let grew = log.head().sequence - before.sequence;
        assert_eq!(grew, u32::from(taken));
        assert!(taken || log.head() == before);
        grown |= taken;
        holds(&log);
    }
    replays(&log);
    grown
}

/// What is true of every room, whoever wrote its log.
fn holds(log: &Log) {
    let state = log.state();
    let host = log.genesis().host;
    assert_eq!(
        (state.host(), state.chair(), state.role(host)),
        (host, host, Role::Host)
    );
    assert_eq!(
        state.stage().contains_key(&host),
        !state.ended(),
        "the host is on the stage until the end"
    );
    assert!(state.stage().len() <= limits::STAGE && state.invited().len() <= limits::INVITATIONS);
    assert!(state.rules().pins().len() <= limits::PINS && state.rules().guests().len() <= limits::GUESTS);
    assert!(
        state
            .invited()
            .keys()
            .all(|person| !state.stage().contains_key(person))
    );
    for (person, stay) in state.stage() {
        assert_eq!(
            state.stay(stay.tag),
            Some((*person, true)),
            "a tag names one stay"
        );
    }
}

/// The state is a fold over the entries: another member and an auditor make the same of them.
fn replays(log: &Log) {
    let mut member = Log::new(log.genesis().clone());
    let mut file = log::record(log.genesis().signed());
    for entry in log.entries_after(0, usize::MAX) {
        file.extend(log::record(entry.signed()));
        let applied = member.handle_entry(entry.signed().clone());
        assert!(matches!(applied, Ok(Some(_))), "{applied:?}");
        assert!(matches!(member.handle_entry(entry.signed().clone()), Ok(None)));
    }
    assert_eq!(member.state(), log.state());
    assert_eq!(member.head(), log.head());
    let report = log::verify(&file).expect("a log that was written is valid");
    assert_eq!(report.log.state(), log.state());
    assert_eq!((report.whole_bytes, report.torn), (file.len(), false));
}

/// An entry behind the head, with some of its fields of the script's choice.
fn entry(script: &mut Script<'_>, log: &Log, clock: u64) -> Signed<Entry> {
    let action = action(script, log, clock);
    let signer = key(1 + script.below(8) / 7);
    let mut entry = Entry::new(
        log.room(),
        log.head(),
        log.term(),
        signer.person(),
        clock,
        &action,
    );
    match script.below(16) {
        0 => entry.room = RoomId(script.array()),
        1 => entry.sequence = script.number().max(1),
        2 => entry.previous = script.array(),
        3 => entry.term = script.number(),
        4 => entry.clock = script.u64(),
        5 => entry.action = script.bytes(300),
        _ => {}
    }
    Verified::sign(entry, &signer)
        .expect("within its limits")
        .signed()
        .clone()
}

/// An action by one of a few persons to one of a few others.
fn action(script: &mut Script<'_>, log: &Log, clock: u64) -> Signed<Action> {
    let author = key(1 + script.below(4));
    let act = act(script, log, &author);
    let mut action = Action::new(log.room(), author.person(), log.head(), clock, &act);
    match script.below(16) {
        0 => action.room = RoomId(script.array()),
        1 => action.expires = script.u64(),
        2 => action.kind = script.u16(),
        3 => action.body = script.bytes(60),
        _ => {}
    }
    Verified::sign(action, &author)
        .expect("within its limits")
        .signed()
        .clone()
}

/// An act that may well fit the room.
pub fn act(script: &mut Script<'_>, log: &Log, author: &PersonKey) -> Act {
    let invite = || {
        log.state()
            .invited()
            .get(&author.person())
            .copied()
            .unwrap_or_default()
    };
    match script.below(12) {
        0 => Act::Title {
            title: Text::clean(&String::from_utf8_lossy(&script.bytes(12))),
        },
        1..=4 => Act::Invite {
            subject: key(1 + script.below(40)).person(),
        },
        5..=7 => Act::Accept { invite: invite() },
        8 => Act::Decline { invite: invite() },
        9 => Act::Move {
            subject: key(1 + script.below(4)).person(),
        },
        10 if script.below(8) == 0 => Act::End,
        10 => policy(script),
        _ => Act::Unknown {
            kind: script.u16() & 0x7fff,
            body: script.bytes(4),
        },
    }
}

/// One of a few links.
fn link(script: &mut Script<'_>) -> Text {
    Text::clean(&format!("https://example.org/{}", script.below(16)))
}

/// An act about what the room lets people do.
fn policy(script: &mut Script<'_>) -> Act {
    let subject = key(1 + script.below(40)).person();
    match script.below(13) {
        0 => Act::Hands {
            who: [Hands::Anyone, Hands::Nobody][usize::from(script.below(2))],
        },
        1 => Act::Lock,
        2 => Act::Unlock,
        3 => Act::Guest { subject },
        4 => Act::Unguest { subject },
        5 => Act::GuestList {
            list: [GuestList::Off, GuestList::Enter, GuestList::Speak][usize::from(script.below(3))],
        },
        6 => Act::Speakers {
            most: 1 + script.below(32),
        },
        7 => Act::Chat {
            who: [Chat::Anyone, Chat::Stage, Chat::Nobody][usize::from(script.below(3))],
        },
        8 => Act::SpeakingTime {
            seconds: script.u16().min(*limits::SPEAKING_TIME_S.end()),
        },
        9 => Act::Pin { link: link(script) },
        10 => Act::Unpin { link: link(script) },
        11 => Act::Record {
            on: script.byte() & 1 == 1,
        },
        _ => Act::SlowMode {
            seconds: script.u16().min(limits::SLOW_MODE_S),
        },
    }
}

/// The room of all chains.
pub fn genesis() -> &'static Verified<Genesis> {
    static GENESIS: OnceLock<Verified<Genesis>> = OnceLock::new();
    GENESIS.get_or_init(|| {
        Genesis::new(key(1).person(), "neighbours", [5; 16])
            .sign(&key(1))
            .expect("a valid genesis")
    })
}

pub fn key(seed: u8) -> PersonKey {
    PersonKey::from_seed(&[seed; 32])
}
