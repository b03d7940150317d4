//! Log files: whole, torn, damaged and forged.

use majlis_protocol::{
    limits,
    log::{Act, Broken, BrokenReason, EntryError, RecordError, Report, Role, record, records, verify},
    signed::StatementError,
    text::Text,
};

use super::{Room, forged, key, person, title};

fn room() -> Room {
    let mut room = Room::open();
    room.does(&key(1), &title("ours"));
    room.seat(&key(2));
    room.does(&key(1), &Act::Move { subject: person(2) });
    room
}

fn file(room: &Room) -> Vec<u8> {
    let mut bytes = record(room.log.genesis().signed());
    for entry in room.entries() {
        bytes.extend(record(&entry));
    }
    bytes
}

fn broken(bytes: &[u8]) -> Broken {
    verify(bytes).expect_err("broken")
}

#[test]
fn a_file_gives_back_the_log_and_what_happened() {
    let room = room();
    let bytes = file(&room);
    let report = verify(&bytes).unwrap();
    assert_eq!(report.log.head(), room.head());
    assert_eq!(report.log.state(), room.log.state());
    assert_eq!((report.whole_bytes, report.torn), (bytes.len(), false));
    let actions: Vec<_> = report.lines.iter().map(|line| line.action).collect();
    assert_eq!(actions, ["title", "invite", "accept", "move"]);
    let last = &report.lines[3];
    assert_eq!(
        (last.sequence, last.author, last.subject),
        (4, person(1), Some(person(2)))
    );
    let shown = last.to_string();
    assert_eq!(
        shown,
        format!("    4  00:00:04  {} (host) move {}", person(1), person(2))
    );
}

#[test]
fn a_line_says_in_which_role_for_how_long_and_why() {
    let mut room = Room::open();
    let host = key(1);
    room.does(
        &host,
        &Act::Grant {
            subject: person(2),
            role: Role::Moderator,
        },
    );
    room.does(
        &key(2),
        &Act::Ban {
            subject: person(3),
            lasts_ms: Some(90_000),
            reason: Text::clean("spam"),
        },
    );
    let report = verify(&file(&room)).unwrap();
    let shown: Vec<String> = report.lines.iter().map(ToString::to_string).collect();
    let (a, b, c) = (person(1), person(2), person(3));
    assert_eq!(
        shown,
        [
            format!("    1  00:00:01  {a} (host) grant {b} as moderator"),
            format!("    2  00:00:02  {b} (moderator) ban {c} for 90 s: spam"),
        ]
    );
}

#[test]
fn a_file_cut_at_any_byte_is_read_up_to_its_last_whole_record() {
    let room = room();
    let bytes = file(&room);
    let ends: Vec<usize> = records(&bytes)
        .map(|record| record.unwrap().len() + 4)
        .scan(0, |end, size| {
            *end += size;
            Some(*end)
        })
        .collect();
    for cut in ends[0]..bytes.len() {
        let Report {
            log,
            whole_bytes,
            torn,
            ..
        } = verify(&bytes[..cut]).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(log.head().sequence as usize, whole - 1);
        assert_eq!((whole_bytes, torn), (ends[whole - 1], cut != ends[whole - 1]));
    }
    for cut in 0..ends[0] {
        assert_eq!(broken(&bytes[..cut]).reason, BrokenReason::NoGenesis);
    }
}

#[test]
fn zeroes_after_the_last_record_are_a_torn_write() {
    let mut bytes = file(&room());
    let whole = bytes.len();
    bytes.extend([0; 40]);
    let report = verify(&bytes).unwrap();
    assert_eq!((report.whole_bytes, report.torn), (whole, true));
    let mut all = records(&bytes);
    assert_eq!(
        all.by_ref().last(),
        Some(Err(RecordError::Torn { offset: whole }))
    );
    assert_eq!((all.next(), all.offset()), (None, whole));
    bytes.push(1);
    assert_eq!(
        broken(&bytes).record,
        5,
        "zeroes with something behind them are damage"
    );
}

#[test]
fn a_changed_byte_anywhere_is_noticed() {
    let room = room();
    let bytes = file(&room);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut altered = bytes.clone();
            altered[at] ^= 1 << bit;
            assert!(verify(&altered).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn a_record_longer_than_any_is_named() {
    let mut bytes = file(&room());
    let offset = bytes.len();
    let length = limits::ENTRY as u32 + 68;
    bytes.extend(length.to_be_bytes());
    assert_eq!(
        records(&bytes).last(),
        Some(Err(RecordError::TooLong { offset, length }))
    );
    assert_eq!(
        broken(&bytes),
        Broken {
            record: 5,
            offset,
            reason: BrokenReason::TooLong { length }
        }
    );
}

#[test]
fn forged_missing_and_repeated_records_are_named() {
    let room = room();
    let (genesis, entries) = (room.log.genesis().signed(), room.entries());
    let with = |records: &[Vec<u8>]| broken(&records.concat());

    let error = with(&[record(&forged(genesis))]);
    assert_eq!(
        error.reason,
        BrokenReason::Genesis(StatementError::Signature("genesis"))
    );
    let error = with(&[record(genesis), record(&forged(&entries[0]))]);
    assert_eq!(
        (error.record, &error.reason),
        (1, &BrokenReason::Entry(Box::new(EntryError::Signature)))
    );
    let error = with(&[record(genesis), record(&entries[0]), record(&entries[2])]);
    let gap = EntryError::Gap {
        after: 1,
        sequence: 3,
    };
    assert_eq!(error.reason, BrokenReason::Entry(Box::new(gap)));
    assert_eq!(error.offset, record(genesis).len() + record(&entries[0]).len());
    let error = with(&[record(genesis), record(&entries[0]), record(&entries[0])]);
    assert_eq!((error.record, error.reason), (2, BrokenReason::Repeated));
    let error = with(&[record(genesis), vec![0, 0, 0, 1, 7]]);
    assert!(matches!(error.reason, BrokenReason::Malformed(_)), "{error}");
    let error = with(&[record(&entries[0])]);
    assert!(matches!(error.reason, BrokenReason::Genesis(_)), "{error}");
}

#[test]
fn a_file_that_needs_an_update_says_so() {
    let room = room();
    let unknown = Act::Unknown {
        kind: 0x803f,
        body: vec![].into(),
    };
    let entry = room.sign(room.unchecked(&room.action(&key(1), &unknown)));
    let error = broken(&[file(&room), record(&entry)].concat());
    assert!(error.to_string().contains("an update is needed"), "{error}");
}
