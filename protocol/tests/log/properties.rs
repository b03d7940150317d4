//! What holds for every sequence of requests, entries and bytes.

use std::sync::LazyLock;

use bytes::Bytes;
use majlis_protocol::{
    log::{Act, Action, Entry, Head, Log, Role, State, kind, record, verify},
    person::Person,
    room::RoomId,
    signed::{Attested, Signed, Verified},
    text::Text,
};
use proptest::prelude::*;

use super::{Room, forged, genesis, key, person};

/// What somebody asks for, before it is known which entries there will be.
#[derive(Debug, Clone)]
enum Wish {
    Title(String),
    Invite(u8),
    /// With the invitation of this person, if there is one.
    Accept(u8),
    Decline(u8),
    Move(u8),
    End,
    Grant(u8, Role),
    Revoke(u8),
    Mute(u8),
    Unmute(u8),
    Kick(u8),
    Ban(u8, Option<u64>),
    Unban(u8),
    Unknown(u16),
}

fn wish() -> impl Strategy<Value = Wish> {
    let anyone = 1_u8..10;
    prop_oneof![
        2 => "[a-z]{1,20}".prop_map(Wish::Title),
        6 => anyone.clone().prop_map(Wish::Invite),
        6 => anyone.clone().prop_map(Wish::Accept),
        2 => anyone.clone().prop_map(Wish::Decline),
        4 => anyone.clone().prop_map(Wish::Move),
        4 => (anyone.clone(), prop_oneof![Just(Role::Moderator), Just(Role::CoHost)])
            .prop_map(|(subject, role)| Wish::Grant(subject, role)),
        2 => anyone.clone().prop_map(Wish::Revoke),
        4 => anyone.clone().prop_map(Wish::Mute),
        2 => anyone.clone().prop_map(Wish::Unmute),
        2 => anyone.clone().prop_map(Wish::Kick),
        2 => (anyone.clone(), prop::option::of(1_u64..5_000)).prop_map(|(subject, lasts)| Wish::Ban(subject, lasts)),
        2 => anyone.prop_map(Wish::Unban),
        1 => Just(Wish::End),
        1 => any::<u16>().prop_map(Wish::Unknown),
    ]
}

impl Wish {
    fn act(&self, state: &State) -> Act {
        let invitation = |of: u8| state.invited().get(&person(of)).copied().unwrap_or([of; 32]);
        match self {
            Self::Title(text) => Act::Title {
                title: Text::clean(text),
            },
            Self::Invite(subject) => Act::Invite {
                subject: person(*subject),
            },
            Self::Accept(of) => Act::Accept {
                invite: invitation(*of),
            },
            Self::Decline(of) => Act::Decline {
                invite: invitation(*of),
            },
            Self::Move(subject) => Act::Move {
                subject: person(*subject),
            },
            Self::End => Act::End,
            Self::Grant(subject, role) => Act::Grant {
                subject: person(*subject),
                role: *role,
            },
            Self::Ban(subject, lasts_ms) => Act::Ban {
                subject: person(*subject),
                lasts_ms: *lasts_ms,
                reason: Text::clean("spam"),
            },
            Self::Revoke(subject) => moderation(kind::REVOKE, *subject),
            Self::Mute(subject) => moderation(kind::MUTE, *subject),
            Self::Unmute(subject) => moderation(kind::UNMUTE, *subject),
            Self::Kick(subject) => moderation(kind::KICK, *subject),
            Self::Unban(subject) => moderation(kind::UNBAN, *subject),
            Self::Unknown(kind) => Act::Unknown {
                kind: *kind,
                body: Bytes::new(),
            },
        }
    }
}

/// An act that names a person and a reason.
fn moderation(kind: u16, subject: u8) -> Act {
    let (subject, reason) = (person(subject), Text::clean("order"));
    match kind {
        kind::REVOKE => Act::Revoke { subject, reason },
        kind::MUTE => Act::Mute { subject, reason },
        kind::UNMUTE => Act::Unmute { subject, reason },
        kind::KICK => Act::Kick { subject, reason },
        _ => Act::Unban { subject, reason },
    }
}

/// A room with a muted speaker (2), an invited listener (3), a moderator (8) and a banned person (9); 4 to 7 are nobody.
fn room() -> Room {
    let mut room = Room::open();
    room.seat(&key(2));
    room.does(&key(1), &moderation(kind::MUTE, 2));
    room.does(
        &key(1),
        &Act::Grant {
            subject: person(8),
            role: Role::Moderator,
        },
    );
    room.does(
        &key(1),
        &Act::Ban {
            subject: person(9),
            lasts_ms: None,
            reason: Text::clean("spam"),
        },
    );
    room.does(&key(1), &Act::Invite { subject: person(3) });
    room
}

fn fold(entries: &[Signed<Entry>]) -> Log {
    let mut log = Log::new(genesis());
    for entry in entries {
        log.handle_entry(entry.clone()).unwrap();
    }
    log
}

/// A log of some length, made once.
static STORY: LazyLock<Vec<Signed<Entry>>> = LazyLock::new(|| {
    let mut room = room();
    room.does(&key(1), &super::title("one"));
    room.does(&key(2), &Act::Move { subject: person(2) });
    room.seat(&key(4));
    room.does(&key(1), &super::title("two"));
    room.does(&key(1), &Act::End);
    room.entries()
});

fn check_invariants(log: &Log) {
    let state = log.state();
    assert!(
        state.ended() || state.stage().contains_key(&state.host()),
        "the host is on the stage"
    );
    assert!(
        state
            .stage()
            .keys()
            .all(|person| !state.invited().contains_key(person))
    );
    assert_eq!(state.role(state.host()), Role::Host, "nobody removes the host");
    for (person, _) in state.exclusions(state.clock()) {
        assert_eq!(state.role(*person), Role::Listener, "who is out has no role");
        assert!(!state.invited().contains_key(person));
    }
    for (person, stay) in state.stage() {
        assert_eq!(state.stay(stay.tag), Some((*person, true)));
    }
}

proptest! {
    #[test]
    fn no_sequence_of_requests_by_unprivileged_persons_changes_the_state(
        requests in prop::collection::vec((prop_oneof![4_u8..8, Just(9)], wish()), 1..12)
    ) {
        let mut room = room();
        let (state, head) = (room.log.state().clone(), room.head());
        let mut member = room.member();
        for (author, wish) in requests {
            let act = wish.act(room.log.state());
            prop_assert!(room.ask(&key(author), &act).is_err());
            // A chair in league with them can write it down; no member takes what it knows.
            if !matches!(act, Act::Unknown { .. }) {
                let entry = room.sign(room.unchecked(&room.action(&key(author), &act)));
                prop_assert!(member.handle_entry(entry).is_err());
            }
        }
        prop_assert_eq!(room.log.state(), &state);
        prop_assert_eq!((room.head(), member.head()), (head, head));
        prop_assert_eq!(member.state(), &state);
    }

    #[test]
    fn the_chair_and_every_member_see_the_same_room(
        requests in prop::collection::vec((prop_oneof![1_u8..6, Just(8)], wish()), 1..30)
    ) {
        let mut room = room();
        let mut member = room.member();
        for (author, wish) in requests {
            let act = wish.act(room.log.state());
            let allowed = room.log.state().check(person(author), &act, room.clock + 1_000);
            match room.ask(&key(author), &act) {
                Ok(applied) => {
                    prop_assert_eq!(allowed, Ok(()));
                    let taken = member.handle_entry(applied.entry.signed().clone()).unwrap();
                    prop_assert_eq!(taken, Some(applied));
                }
                Err(error) => prop_assert_eq!(allowed, Err(error.reason())),
            }
            check_invariants(&room.log);
        }
        prop_assert_eq!(member.state(), room.log.state());
        let mut file = record(room.log.genesis().signed());
        room.entries().iter().for_each(|entry| file.extend(record(entry)));
        let report = verify(&file).unwrap();
        prop_assert_eq!(report.log.state(), room.log.state());
    }

    #[test]
    fn no_order_of_entries_changes_the_prefix_that_is_accepted(
        order in prop::collection::vec((0..STORY.len(), any::<bool>()), 0..60)
    ) {
        let mut log = Log::new(genesis());
        for (at, is_forged) in order {
            let before = log.head().sequence as usize;
            let entry = if is_forged { forged(&STORY[at]) } else { STORY[at].clone() };
            let taken = matches!(log.handle_entry(entry), Ok(Some(_)));
            prop_assert_eq!(taken, at == before && !is_forged);
        }
        let accepted = &STORY[..log.head().sequence as usize];
        let folded = fold(accepted);
        prop_assert_eq!(log.state(), folded.state());
        let entries = log.entries_after(0, usize::MAX);
        prop_assert!(entries.iter().map(Attested::signed).eq(accepted));
    }

    #[test]
    fn no_changed_entry_is_taken_or_panics(
        at in 0..STORY.len(), flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4)
    ) {
        let mut log = fold(&STORY[..at]);
        let mut bytes = STORY[at].to_bytes().to_vec();
        for (index, flip) in flips {
            *index.get_mut(&mut bytes) ^= flip;
        }
        if let Ok(entry) = Signed::<Entry>::from_bytes(&bytes)
            && entry != STORY[at]
        {
            prop_assert!(log.handle_entry(entry).is_err());
            prop_assert_eq!(log.head().sequence as usize, at);
        }
    }

    #[test]
    fn no_entry_that_the_chair_signs_panics(
        place in (prop_oneof![1_u32..6, any::<u32>()], any::<[u8; 32]>(), prop_oneof![Just(0), any::<u32>()], any::<u64>()),
        right_place in any::<bool>(),
        (kind, body) in (prop_oneof![0x8000_u16..0x8010, any::<u16>()], prop::collection::vec(any::<u8>(), 0..80)),
        expires in prop_oneof![0_u64..100_000, any::<u64>()],
        author in 1_u8..5,
    ) {
        let room = room();
        let mut action = Action::new(room.log.room(), person(author), room.head(), 0, &Act::End);
        (action.kind, action.body, action.expires) = (kind, body.into(), expires);
        let action = Verified::sign(action, &key(author)).unwrap();
        let mut entry = room.unchecked(action.signed());
        if !right_place {
            (entry.sequence, entry.previous, entry.term, entry.clock) = place;
        }
        let Ok(entry) = Verified::sign(entry, &key(1)) else {
            return Ok(());
        };
        let mut member = room.member();
        let _ = member.handle_entry(entry.signed().clone());
        check_invariants(&member);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut log = Log::new(genesis());
        if let Ok(entry) = Signed::<Entry>::from_bytes(&bytes) {
            prop_assert!(log.handle_entry(entry).is_err());
        }
        if let Ok(action) = Signed::<Action>::from_bytes(&bytes) {
            prop_assert!(log.append(action, &key(1), 0).is_err());
        }
        prop_assert!(verify(&bytes).is_err());
        let file = [&record(genesis().signed())[..], &bytes].concat();
        if let Ok(report) = verify(&file) {
            prop_assert_eq!(report.log.head().sequence, 0);
        }
    }

    #[test]
    fn what_is_decoded_encodes_to_the_same_bytes(
        sequence in 1_u32.., hash in any::<[u8; 32]>(), term in any::<u32>(), clock in any::<u64>(),
        kind in any::<u16>(), body in prop::collection::vec(any::<u8>(), 0..300)
    ) {
        let (author, room) = (key(1), RoomId(hash));
        let action = Action {
            version: 1, room, author: author.person(), known: Head { sequence, hash }, expires: clock, kind, body: body.into(),
        };
        let action = Verified::sign(action, &author).unwrap();
        let entry = Entry::new(room, Head { sequence: sequence - 1, hash }, term, author.person(), clock, action.signed());
        let entry = Verified::sign(entry, &author).unwrap();
        let read = Signed::<Entry>::from_bytes(&entry.signed().to_bytes()).unwrap().verify().unwrap();
        prop_assert_eq!(&*read, &*entry);
        prop_assert_eq!(read.signed().to_bytes(), entry.signed().to_bytes());
        let inner = read.signed_action().unwrap().verify().unwrap();
        prop_assert_eq!(&*inner, &*action);
        prop_assert_eq!(Verified::sign((*inner).clone(), &author).unwrap(), action);
    }

    #[test]
    fn acts_read_back(kind in prop_oneof![Just(kind::TITLE), any::<u16>()], key in any::<[u8; 32]>(), text in "\\PC{1,40}") {
        let title = Text::clean(&text);
        prop_assume!(!title.is_empty());
        for act in [
            Act::Title { title },
            Act::Invite { subject: Person(key) },
            Act::Accept { invite: key },
            Act::Decline { invite: key },
            Act::Move { subject: Person(key) },
        ] {
            prop_assert_eq!(Act::decode(act.kind(), &act.encode()), Ok(act));
        }
        let body = Bytes::copy_from_slice(&key);
        if let Ok(act) = Act::decode(kind, &body) {
            prop_assert_eq!((act.kind(), act.encode()), (kind, body));
        }
    }
}
