//! The relay against a naive reference, under random histories of speech, attack and change.
//!
//! The reference keeps everything and looks it up; it shares no code with the relay but the packets' layout. After
//! each step both must say the same, and over the whole history what was heard is genuine, granted, and heard once.

mod reference;

use core::time::Duration;

use majlis_protocol::{
    media::{Check, Draft, Dropped, Genuine, Header, Relay, Tag},
    neighbour::Neighbour,
    person::PersonKey,
    room::RoomId,
};
use proptest::prelude::*;

use self::reference::{Reference, Spoken, Verdict};

const ROOM: RoomId = RoomId([7; 32]);
const OTHER_ROOM: RoomId = RoomId([8; 32]);
const BITRATE: u32 = 32_000;

const PARENT: Neighbour = Neighbour(1);
const STRANGER: Neighbour = Neighbour(2);
const CHILDREN: [Neighbour; 3] = [Neighbour(3), Neighbour(4), SOURCE_AND_CHILD];
/// A child that is also the own link of the speaker of stay 0.
const SOURCE_AND_CHILD: Neighbour = Neighbour(10);

/// Stays that may ever be granted; stay `n` is that of person `n`.
const STAYS: u8 = 3;

fn key(stay: u8) -> PersonKey {
    PersonKey::from_seed(&[stay + 1; 32])
}

fn tag(stay: u8) -> Tag {
    Tag([0xaa, 0xbb, 0xcc, stay])
}

fn source(stay: u8) -> Neighbour {
    Neighbour(10 + u64::from(stay))
}

/// One thing that happens to a relay.
#[derive(Debug, Clone)]
enum Step {
    /// A packet comes.
    Say(Say),
    /// A speaker sends in one moment what takes a second to speak, or more.
    Flood {
        say: Say,
        packets: u32,
    },
    /// An earlier packet comes again.
    Replay {
        which: prop::sample::Index,
        from: Neighbour,
    },
    /// A packet comes whose verification takes until `Finish`.
    SayLate(Say),
    /// The verifications under way end, the last one first.
    Finish,
    Grant {
        stay: u8,
    },
    Revoke {
        stay: u8,
    },
    /// The log grows here, and the held packets are taken out.
    Head {
        by: u32,
    },
    Release,
    Wait {
        ms: u64,
    },
}

#[derive(Debug, Clone)]
struct Say {
    stay: u8,
    epoch: u32,
    sequence: u32,
    log: u32,
    frames: usize,
    bytes: usize,
    from: Neighbour,
    defect: Option<Defect>,
}

#[derive(Debug, Clone)]
enum Defect {
    /// Signed by someone else.
    Impostor,
    /// Signed for another room.
    OtherRoom,
    /// One bit of it flipped.
    Altered(prop::sample::Index, u8),
    /// Cut short.
    Truncated(prop::sample::Index),
}

fn neighbour() -> impl Strategy<Value = Neighbour> {
    prop_oneof![
        6 => Just(PARENT),
        1 => Just(STRANGER),
        1 => Just(CHILDREN[0]),
        3 => (0..STAYS).prop_map(source),
    ]
}

fn say() -> impl Strategy<Value = Say> {
    let sequence = prop_oneof![
        6 => 0_u32..200,
        2 => 500_u32..600,
        1 => 1000_u32..1100,
        1 => u32::MAX - 40..=u32::MAX - 3,
    ];
    let defect = prop_oneof![
        16 => Just(None),
        1 => Just(Some(Defect::Impostor)),
        1 => Just(Some(Defect::OtherRoom)),
        1 => (any::<prop::sample::Index>(), 0_u8..8).prop_map(|(at, bit)| Some(Defect::Altered(at, bit))),
        1 => any::<prop::sample::Index>().prop_map(|at| Some(Defect::Truncated(at))),
    ];
    let bytes = prop_oneof![4 => 1_usize..90, 1 => 200_usize..330];
    let epoch = prop_oneof![40 => Just(0_u32), 1 => 1_u32..3];
    let log = prop_oneof![8 => Just(0_u32), 1 => 1_u32..4];
    (
        0..STAYS,
        epoch,
        sequence,
        log,
        1_usize..=3,
        bytes,
        neighbour(),
        defect,
    )
        .prop_map(|(stay, epoch, sequence, log, frames, bytes, from, defect)| Say {
            stay,
            epoch,
            sequence,
            log,
            frames,
            bytes,
            from,
            defect,
        })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => say().prop_map(Step::Say),
        6 => (any::<prop::sample::Index>(), neighbour())
            .prop_map(|(which, from)| Step::Replay { which, from }),
        1 => (say(), 5_u32..25).prop_map(|(say, packets)| Step::Flood { say, packets }),
        4 => say().prop_map(Step::SayLate),
        2 => Just(Step::Finish),
        3 => (0..STAYS).prop_map(|stay| Step::Grant { stay }),
        1 => (0..STAYS).prop_map(|stay| Step::Revoke { stay }),
        2 => (1_u32..3).prop_map(|by| Step::Head { by }),
        2 => Just(Step::Release),
        // Short waits reach the budget, long ones outlast what is held.
        3 => (1_u64..40).prop_map(|ms| Step::Wait { ms }),
        1 => (300_u64..600).prop_map(|ms| Step::Wait { ms }),
    ]
}

fn spoken(say: &Say) -> Spoken {
    let header = Header {
        tag: tag(say.stay),
        epoch: say.epoch,
        sequence: say.sequence,
        time: say.sequence,
        log: say.log,
        level: 40,
        end_of_spurt: false,
    };
    let frame = vec![0x5a; say.bytes];
    let frames = vec![&frame[..]; say.frames];
    let draft = Draft {
        header,
        frames: &frames,
        redundant: &[],
    };
    let room = if matches!(say.defect, Some(Defect::OtherRoom)) {
        OTHER_ROOM
    } else {
        ROOM
    };
    let signer = if matches!(say.defect, Some(Defect::Impostor)) {
        STAYS
    } else {
        say.stay
    };
    let own = draft.sign(room, &key(signer)).expect("a valid draft");
    let mut bytes = own.packet().bytes().to_vec();
    match &say.defect {
        Some(Defect::Altered(at, bit)) => {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        Some(Defect::Truncated(at)) => bytes.truncate(at.index(bytes.len())),
        Some(Defect::Impostor | Defect::OtherRoom) | None => {}
    }
    Spoken {
        bytes: bytes.into(),
        genuine: say.defect.is_none(),
    }
}

/// The relay and its reference, side by side.
struct World {
    relay: Relay,
    reference: Reference,
    now: Duration,
    head: u32,
    said: Vec<Spoken>,
    under_way: Vec<(Genuine, Neighbour, Spoken)>,
}

impl World {
    fn new() -> Self {
        let mut relay = Relay::new(ROOM, BITRATE);
        relay.set_parent(Some(PARENT));
        CHILDREN.into_iter().for_each(|child| relay.add_child(child));
        let reference = Reference::new(PARENT, CHILDREN.to_vec(), BITRATE);
        let now = Duration::from_secs(1);
        Self {
            relay,
            reference,
            now,
            head: 0,
            said: vec![],
            under_way: vec![],
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Say(say) => {
                let spoken = spoken(&say);
                self.said.push(spoken.clone());
                self.give(say.from, &spoken);
            }
            Step::Flood { say, packets } => {
                for packet in 0..packets {
                    let sequence = say.sequence.saturating_sub(3 * packet);
                    let say = Say {
                        sequence,
                        ..say.clone()
                    };
                    self.give(say.from, &spoken(&say));
                }
            }
            Step::Replay { which, from } => {
                if !self.said.is_empty() {
                    let spoken = self.said[which.index(self.said.len())].clone();
                    self.give(from, &spoken);
                }
            }
            Step::SayLate(say) => {
                let spoken = spoken(&say);
                if let Some(genuine) = self.check(say.from, &spoken) {
                    self.under_way.push((genuine, say.from, spoken));
                }
            }
            Step::Finish => {
                while let Some((genuine, from, spoken)) = self.under_way.pop() {
                    self.commit(genuine, from, &spoken);
                }
            }
            Step::Grant { stay } => {
                if self.reference.grant(tag(stay), source(stay)) {
                    self.relay.grant(tag(stay), key(stay).person()).expect("a key");
                    self.relay.set_source(tag(stay), Some(source(stay)));
                }
            }
            Step::Revoke { stay } => {
                self.reference.revoke(tag(stay));
                self.relay.revoke(tag(stay));
            }
            Step::Head { by } => {
                self.head += by;
                self.relay.set_head(self.head);
                self.reference.head = self.head;
                self.release();
            }
            Step::Release => self.release(),
            Step::Wait { ms } => self.now += Duration::from_millis(ms),
        }
    }

    fn give(&mut self, from: Neighbour, spoken: &Spoken) {
        if let Some(genuine) = self.check(from, spoken) {
            self.commit(genuine, from, spoken);
        }
    }

    /// Up to the signature, which must hold for exactly the packets that are genuine.
    fn check(&mut self, from: Neighbour, spoken: &Spoken) -> Option<Genuine> {
        let expected = self.reference.check(from, spoken, self.now);
        let said = self.relay.check(from, spoken.bytes.clone(), self.now);
        let candidate = match said {
            Ok(Check::Verify(candidate)) => candidate,
            Ok(Check::Held) => {
                assert_eq!(expected, Verdict::Held);
                return None;
            }
            Err(dropped) => {
                assert_eq!(Verdict::of(dropped), expected);
                return None;
            }
        };
        assert_eq!(expected, Verdict::Verify);
        match candidate.verify() {
            Ok(genuine) => {
                assert!(
                    spoken.genuine,
                    "a packet was believed that its speaker did not make"
                );
                Some(genuine)
            }
            Err(forged) => {
                assert!(!spoken.genuine, "a genuine packet was not believed");
                assert_eq!(self.relay.note_forged(forged), None);
                None
            }
        }
    }

    fn commit(&mut self, genuine: Genuine, from: Neighbour, spoken: &Spoken) {
        let expected = self.reference.commit(from, spoken, self.now);
        match self.relay.commit(genuine, self.now) {
            Ok(delivery) => {
                assert_eq!(delivery.packet.bytes(), &spoken.bytes);
                assert_eq!(Ok(delivery.to), expected);
            }
            Err(dropped) => assert_eq!(Err(Verdict::of(dropped)), expected),
        }
    }

    fn release(&mut self) {
        let expected = self.reference.release(self.now);
        let released = self.relay.take_released(self.now);
        let bytes: Vec<_> = expected
            .iter()
            .map(|(from, spoken)| (*from, spoken.bytes.clone()))
            .collect();
        assert_eq!(released, bytes);
        for (from, spoken) in expected {
            self.give(from, &spoken);
        }
    }
}

impl Verdict {
    fn of(dropped: Dropped) -> Self {
        match dropped {
            Dropped::Refused => Self::Refused,
            Dropped::Malformed(_) => Self::Malformed,
            Dropped::Budget => Self::Budget,
            Dropped::Stale => Self::Stale,
            Dropped::Duplicate => Self::Duplicate,
            other => panic!("a reason that the reference does not know: {other}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_heard_is_genuine_granted_and_heard_once(steps in prop::collection::vec(step(), 1..250)) {
        let mut world = World::new();
        for stay in 0..STAYS - 1 {
            world.apply(Step::Grant { stay });
        }
        for step in steps {
            world.apply(step);
        }
        world.apply(Step::Finish);
        let counters = *world.relay.counters();
        let reference = &world.reference;
        prop_assert_eq!(counters.delivered, reference.heard.len() as u64);
        prop_assert_eq!(counters.held_expired, reference.expired);
        prop_assert_eq!(counters.held_overflow, reference.overflowed);
        for (nth, one) in reference.heard.iter().enumerate() {
            prop_assert!(one.genuine && one.granted);
            prop_assert!(!reference.heard[..nth].iter().any(|other| other.bytes == one.bytes));
        }
    }
}
