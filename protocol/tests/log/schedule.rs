//! A room that is announced ahead: its host changes what is planned, or cancels it, until it opens.

use majlis_protocol::{
    log::{Act, ActionError, Log, Plan, record, verify},
    reason::Reason,
    room::Genesis,
    signed::Signed,
    text::Text,
};

use super::{Room, key, title};

const STARTS: u64 = 1_900_000_000;

fn planned() -> Room {
    let host = key(1);
    let genesis = Genesis {
        starts: Some(STARTS),
        description: Text::clean("as it was"),
        ..Genesis::new(host.person(), "neighbours", [5; 16])
    };
    Room {
        log: Log::new(genesis.sign(&host).unwrap()),
        host,
        clock: 0,
    }
}

fn plan(starts: u64, description: &str) -> Act {
    Act::Schedule {
        plan: Plan {
            starts,
            description: Text::clean(description),
        },
    }
}

fn cancel(starts: u64, reason: &str) -> Act {
    Act::Cancel {
        starts,
        reason: Text::clean(reason),
    }
}

fn refused(room: &mut Room, act: &Act) -> Reason {
    match room.ask(&key(1), act) {
        Err(ActionError::Refused(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_host_changes_what_is_planned_until_the_room_opens() {
    let mut room = planned();
    let host = key(1);
    room.does(&host, &plan(STARTS + 60, "as it is"));
    room.does(&host, &plan(STARTS - 60, "as it is"));
    room.does(&host, &title("friends"));
    let now = room.log.state().planned().unwrap().clone();
    assert_eq!(
        (now.plan().starts, now.plan().description.as_str()),
        (STARTS - 60, "as it is")
    );
    assert_eq!((now.latest_start(), now.entry()), (STARTS + 60, Some(2)));
    assert!(now.is_pending());
    assert_eq!(room.member().state(), room.log.state());
    assert_eq!(
        refused(&mut room, &plan(STARTS - 60, "as it is")),
        Reason::NoSuchSubject
    );

    room.log.claim(&host, room.clock, true).unwrap();
    assert!(!room.log.state().planned().unwrap().is_pending());
    assert_eq!(refused(&mut room, &plan(STARTS, "late")), Reason::NotAllowed);
    assert_eq!(
        refused(&mut room, &cancel(STARTS - 60, "late")),
        Reason::NotAllowed
    );
}

#[test]
fn a_cancelled_room_is_over_and_its_file_says_why() {
    let mut room = planned();
    let host = key(1);
    assert_eq!(
        refused(&mut room, &cancel(STARTS + 1, "ill")),
        Reason::NoSuchSubject
    );
    let applied = room.does(&host, &cancel(STARTS, "ill"));
    assert_eq!(applied.act.reason().map(Text::as_str), Some("ill"));
    assert!(room.log.state().ended());
    assert_eq!(refused(&mut room, &plan(STARTS + 1, "again")), Reason::Ended);
    assert!(room.log.claim(&host, room.clock, true).is_err());

    let genesis = record(room.log.genesis().signed());
    let file = [genesis, record(applied.entry.signed())].concat();
    let report = verify(&file).unwrap();
    assert_eq!(report.lines[0].action, "cancel");
    assert!(report.lines[0].to_string().ends_with("cancel: ill"));
}

#[test]
fn nothing_is_planned_of_a_room_that_opened_as_it_was_made() {
    let mut room = Room::open();
    assert_eq!(refused(&mut room, &plan(STARTS, "")), Reason::NotAllowed);
    assert_eq!(refused(&mut room, &cancel(STARTS, "")), Reason::NotAllowed);
}

#[test]
fn nobody_but_the_host_changes_a_plan() {
    let mut room = planned();
    let stranger = key(2);
    for act in [plan(STARTS + 1, ""), cancel(STARTS, "")] {
        let refused = room.ask(&stranger, &act);
        assert_eq!(refused.err(), Some(ActionError::Refused(Reason::NotAllowed)));
    }
}

#[test]
fn a_description_or_reason_that_is_too_long_is_refused_by_name() {
    let long = "x".repeat(2_001);
    for act in [plan(STARTS, &long), cancel(STARTS, &long)] {
        let mut room = planned();
        assert!(matches!(
            room.ask(&key(1), &act),
            Err(ActionError::Malformed(error)) if error.to_string().contains("longer than")
        ));
    }
}

#[test]
fn an_altered_change_of_plan_is_noticed() {
    let mut room = planned();
    let applied = room.does(&key(1), &plan(STARTS + 60, "as it is"));
    let member = planned().log;
    let bytes = applied.entry.signed().to_bytes();
    for at in 0..bytes.len() {
        let mut altered = bytes.to_vec();
        altered[at] ^= 1;
        let Ok(signed) = Signed::from_bytes(&altered) else {
            continue;
        };
        assert!(member.clone().handle_entry(signed).is_err(), "byte {at}");
    }
}
