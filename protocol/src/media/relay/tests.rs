//! The verdict on every kind of packet, honest and hostile, and the order of the checks.

use alloc::vec;

use super::*;
use crate::{
    media::{BadPacket, Draft, HELD_FOR, HELD_PACKETS, Header},
    person::PersonKey,
};

const ROOM: RoomId = RoomId([7; 32]);
const BITRATE: u32 = 32_000;
const HEAD: u32 = 5;
const TAG: Tag = Tag([1, 2, 3, 4]);
const OTHER_TAG: Tag = Tag([5, 6, 7, 8]);

const PARENT: Neighbour = Neighbour(1);
const SPEAKER: Neighbour = Neighbour(2);
const CHILD: Neighbour = Neighbour(3);
const OTHER_CHILD: Neighbour = Neighbour(4);
const STRANGER: Neighbour = Neighbour(9);

const NOW: Duration = Duration::from_secs(100);

fn key() -> PersonKey {
    PersonKey::from_seed(&[1; 32])
}

fn other_key() -> PersonKey {
    PersonKey::from_seed(&[2; 32])
}

/// A member with a parent, two children and a speaker's own link, and one stay on the stage.
fn relay() -> Relay {
    let mut relay = Relay::new(ROOM, BITRATE);
    relay.set_head(HEAD);
    relay.grant(TAG, key().person()).expect("a key");
    relay.set_parent(Some(PARENT));
    relay.add_uplink(PARENT);
    relay.set_source(TAG, Some(SPEAKER));
    relay.add_child(CHILD);
    relay.add_child(OTHER_CHILD);
    relay
}

fn header(sequence: u32) -> Header {
    Header {
        tag: TAG,
        epoch: 50,
        sequence,
        time: sequence,
        log: HEAD,
        level: 40,
        end_of_spurt: false,
    }
}

fn sign(header: Header, key: &PersonKey) -> Own {
    Draft {
        header,
        frames: &[b"salam"],
        redundant: &[],
    }
    .sign(ROOM, key)
    .expect("a valid draft")
}

fn spoken(sequence: u32) -> Bytes {
    with(header(sequence))
}

fn with(header: Header) -> Bytes {
    sign(header, &key()).packet().bytes().clone()
}

fn forged(header: Header) -> Bytes {
    sign(header, &other_key()).packet().bytes().clone()
}

/// What became of a packet.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Delivered(Vec<Neighbour>),
    Dropped(Dropped),
    Held,
    Forged,
}

fn give_at(relay: &mut Relay, from: Neighbour, bytes: &Bytes, now: Duration) -> Outcome {
    let candidate = match relay.check(from, bytes.clone(), now) {
        Ok(Check::Verify(candidate)) => candidate,
        Ok(Check::Held) => return Outcome::Held,
        Err(dropped) => return Outcome::Dropped(dropped),
    };
    let genuine = match candidate.verify() {
        Ok(genuine) => genuine,
        Err(forged) => {
            assert_eq!(relay.note_forged(forged), None);
            return Outcome::Forged;
        }
    };
    match relay.commit(genuine, now) {
        Ok(delivery) => {
            assert_eq!(delivery.packet.bytes(), bytes, "what is passed on is what came");
            Outcome::Delivered(delivery.to)
        }
        Err(dropped) => Outcome::Dropped(dropped),
    }
}

fn give(relay: &mut Relay, from: Neighbour, bytes: &Bytes) -> Outcome {
    give_at(relay, from, bytes, NOW)
}

fn is_delivered(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Delivered(_))
}

fn genuine(relay: &mut Relay, bytes: Bytes) -> Genuine {
    match relay.check(PARENT, bytes, NOW) {
        Ok(Check::Verify(candidate)) => candidate.verify().expect("genuine"),
        other => panic!("expected a candidate, got {other:?}"),
    }
}

mod whom_it_goes_to {
    use super::*;

    #[test]
    fn sound_that_comes_down_goes_to_every_child_but_the_speaker() {
        let mut relay = relay();
        relay.add_child(SPEAKER);
        assert_eq!(
            give(&mut relay, PARENT, &spoken(0)),
            Outcome::Delivered(vec![CHILD, OTHER_CHILD]),
            "a speaker does not get their own sound back"
        );
    }

    #[test]
    fn sound_that_comes_up_goes_to_the_other_children_and_not_to_the_parent() {
        let mut relay = relay();
        relay.add_child(SPEAKER);
        assert_eq!(
            give(&mut relay, SPEAKER, &spoken(0)),
            Outcome::Delivered(vec![CHILD, OTHER_CHILD])
        );
    }

    #[test]
    fn nobody_is_sent_what_they_sent() {
        let mut relay = relay();
        relay.add_child(PARENT);
        assert_eq!(
            give(&mut relay, PARENT, &spoken(0)),
            Outcome::Delivered(vec![CHILD, OTHER_CHILD]),
            "not even where two take each other for their parent"
        );
    }

    #[test]
    fn a_speaker_hears_the_others() {
        let mut relay = relay();
        relay.add_child(SPEAKER);
        relay.grant(OTHER_TAG, other_key().person()).expect("a key");
        let theirs = forged(Header {
            tag: OTHER_TAG,
            ..header(0)
        });
        assert_eq!(
            give(&mut relay, PARENT, &theirs),
            Outcome::Delivered(vec![SPEAKER, CHILD, OTHER_CHILD])
        );
    }

    #[test]
    fn ones_own_sound_goes_to_the_parent_and_the_children_and_is_a_duplicate_when_it_returns() {
        let mut relay = relay();
        relay.set_source(TAG, None);
        let own = sign(header(0), &key());
        let bytes = own.packet().bytes().clone();
        let delivery = relay.commit_own(own, NOW).expect("on the stage");
        assert_eq!(delivery.to, [PARENT, CHILD, OTHER_CHILD]);
        assert_eq!(
            give(&mut relay, PARENT, &bytes),
            Outcome::Dropped(Dropped::Duplicate)
        );
        assert_eq!(
            relay.counters(),
            &Counters {
                own: 1,
                duplicate: 1,
                ..Counters::default()
            }
        );
    }

    #[test]
    fn ones_own_sound_stays_here_when_the_stay_is_over_or_not_ones_own() {
        let mut relay = relay();
        assert_eq!(
            relay.commit_own(sign(header(0), &other_key()), NOW),
            Err(Dropped::Refused)
        );
        let elsewhere = Draft {
            header: header(0),
            frames: &[b"x"],
            redundant: &[],
        };
        let elsewhere = elsewhere.sign(RoomId([8; 32]), &key()).expect("a valid draft");
        assert_eq!(relay.commit_own(elsewhere, NOW), Err(Dropped::Refused));
        relay.revoke(TAG);
        assert_eq!(
            relay.commit_own(sign(header(0), &key()), NOW),
            Err(Dropped::Refused)
        );
        assert_eq!(
            relay.counters(),
            &Counters {
                refused: 3,
                ..Counters::default()
            }
        );
    }

    #[test]
    fn a_child_that_left_gets_nothing_more() {
        let mut relay = relay();
        relay.remove_child(CHILD);
        assert_eq!(
            give(&mut relay, PARENT, &spoken(0)),
            Outcome::Delivered(vec![OTHER_CHILD])
        );
    }

    #[test]
    fn a_neighbour_that_is_gone_is_forgotten_everywhere() {
        let mut relay = relay();
        let ahead = with(Header {
            log: HEAD + 1,
            ..header(0)
        });
        assert_eq!(give(&mut relay, SPEAKER, &ahead), Outcome::Held);
        for neighbour in [PARENT, SPEAKER, CHILD, OTHER_CHILD] {
            relay.forget(neighbour);
        }
        relay.set_head(HEAD + 1);
        assert_eq!(relay.take_released(NOW), []);
        for from in [PARENT, SPEAKER] {
            assert_eq!(
                give(&mut relay, from, &spoken(0)),
                Outcome::Dropped(Dropped::Refused)
            );
        }
        relay.set_parent(Some(STRANGER));
        assert_eq!(give(&mut relay, STRANGER, &spoken(0)), Outcome::Delivered(vec![]));
    }
}

mod where_it_may_come_from {
    use super::*;

    #[test]
    fn a_child_that_is_not_the_speaker_is_refused_before_its_packet_is_read() {
        let mut relay = relay();
        for from in [CHILD, STRANGER] {
            assert_eq!(
                give(&mut relay, from, &spoken(0)),
                Outcome::Dropped(Dropped::Refused)
            );
            assert_eq!(
                give(&mut relay, from, &Bytes::from_static(b"garbage")),
                Outcome::Dropped(Dropped::Refused)
            );
        }
        assert_eq!(relay.counters().malformed, 0);
    }

    #[test]
    fn a_speaker_may_not_bring_up_the_sound_of_another() {
        let mut relay = relay();
        relay.grant(OTHER_TAG, other_key().person()).expect("a key");
        let theirs = forged(Header {
            tag: OTHER_TAG,
            ..header(0)
        });
        assert_eq!(
            give(&mut relay, SPEAKER, &theirs),
            Outcome::Dropped(Dropped::Refused)
        );
        assert!(is_delivered(&give(&mut relay, PARENT, &theirs)));
    }

    #[test]
    fn a_former_parent_is_a_stranger() {
        let mut relay = relay();
        relay.set_parent(Some(STRANGER));
        assert_eq!(
            give(&mut relay, PARENT, &spoken(0)),
            Outcome::Dropped(Dropped::Refused)
        );
        assert!(is_delivered(&give(&mut relay, STRANGER, &spoken(0))));
    }
}

mod the_stage {
    use super::*;

    #[test]
    fn nobody_is_heard_who_is_not_on_it() {
        let mut relay = relay();
        let unknown = with(Header {
            tag: OTHER_TAG,
            ..header(0)
        });
        assert_eq!(
            give(&mut relay, PARENT, &unknown),
            Outcome::Dropped(Dropped::Refused)
        );
        relay.revoke(TAG);
        for from in [PARENT, SPEAKER] {
            assert_eq!(
                give(&mut relay, from, &spoken(0)),
                Outcome::Dropped(Dropped::Refused)
            );
        }
    }

    #[test]
    fn a_packet_that_is_being_verified_when_its_stay_ends_is_refused() {
        let mut relay = relay();
        let genuine = genuine(&mut relay, spoken(0));
        relay.revoke(TAG);
        assert_eq!(relay.commit(genuine, NOW), Err(Dropped::Refused));
        assert_eq!(
            relay.counters(),
            &Counters {
                refused: 1,
                ..Counters::default()
            }
        );
    }

    #[test]
    fn what_the_muted_say_is_dropped_by_name_whoever_brings_it() {
        let mut relay = relay();
        assert!(is_delivered(&give(&mut relay, SPEAKER, &spoken(0))));
        relay.mute(TAG);
        for (from, bytes) in [(SPEAKER, spoken(1)), (PARENT, spoken(2)), (PARENT, spoken(0))] {
            assert_eq!(give(&mut relay, from, &bytes), Outcome::Dropped(Dropped::Muted));
        }
        assert_eq!(
            relay.commit_own(sign(header(3), &key()), NOW),
            Err(Dropped::Muted)
        );
        assert_eq!(relay.counters().muted, 4);
    }

    #[test]
    fn what_was_spoken_into_a_mute_stays_unheard_when_it_is_lifted() {
        let mut relay = relay();
        relay.mute(TAG);
        relay.set_head(HEAD + 2);
        relay.unmute(TAG, HEAD + 2);
        let knew = |log, sequence| {
            with(Header {
                log,
                ..header(sequence)
            })
        };
        for log in [HEAD, HEAD + 1] {
            let outcome = give(&mut relay, SPEAKER, &knew(log, log));
            assert_eq!(outcome, Outcome::Dropped(Dropped::Muted));
        }
        assert!(is_delivered(&give(&mut relay, SPEAKER, &knew(HEAD + 2, 20))));
    }

    #[test]
    fn a_packet_that_is_being_verified_when_its_speaker_is_muted_is_dropped() {
        let mut relay = relay();
        let genuine = genuine(&mut relay, spoken(0));
        relay.mute(TAG);
        assert_eq!(relay.commit(genuine, NOW), Err(Dropped::Muted));
    }

    #[test]
    fn a_tag_that_changes_hands_during_verification_carries_nothing_over() {
        let mut relay = relay();
        let genuine = genuine(&mut relay, spoken(0));
        relay.grant(TAG, other_key().person()).expect("a key");
        assert_eq!(relay.commit(genuine, NOW), Err(Dropped::Refused));
    }

    #[test]
    fn a_grant_told_twice_does_not_open_the_window_again() {
        let mut relay = relay();
        assert!(is_delivered(&give(&mut relay, PARENT, &spoken(0))));
        relay.grant(TAG, key().person()).expect("a key");
        assert_eq!(
            give(&mut relay, PARENT, &spoken(0)),
            Outcome::Dropped(Dropped::Duplicate)
        );
    }

    #[test]
    fn a_tag_of_another_stay_does_not_verify() {
        let mut relay = relay();
        relay.grant(OTHER_TAG, other_key().person()).expect("a key");
        let mut altered = spoken(0).to_vec();
        altered[2..6].copy_from_slice(&OTHER_TAG.0);
        assert_eq!(give(&mut relay, PARENT, &altered.into()), Outcome::Forged);
    }

    #[test]
    fn a_key_that_is_no_key_gets_no_stay() {
        let not_a_point = Person([2; 32]);
        assert_eq!(relay().grant(OTHER_TAG, not_a_point), Err(BadSignature));
    }
}

mod forgery {
    use super::*;

    #[test]
    fn a_forged_packet_from_the_far_future_does_not_silence_the_speaker() {
        let mut relay = relay();
        assert!(is_delivered(&give(&mut relay, PARENT, &spoken(0))));
        for (epoch, sequence) in [(50, u32::MAX), (u32::MAX, 0), (u32::MAX, u32::MAX)] {
            let future = forged(Header {
                epoch,
                sequence,
                ..header(0)
            });
            assert_eq!(give(&mut relay, PARENT, &future), Outcome::Forged);
        }
        for sequence in 1..5 {
            assert!(
                is_delivered(&give(&mut relay, PARENT, &spoken(sequence))),
                "frame {sequence}"
            );
        }
        assert_eq!(
            relay.counters(),
            &Counters {
                delivered: 5,
                forged: 3,
                ..Counters::default()
            }
        );
    }

    #[test]
    fn a_forged_copy_does_not_stop_the_genuine_packet() {
        let mut relay = relay();
        assert_eq!(give(&mut relay, PARENT, &forged(header(3))), Outcome::Forged);
        assert!(is_delivered(&give(&mut relay, PARENT, &spoken(3))));
    }

    #[test]
    fn forged_packets_do_not_use_up_the_speakers_budget() {
        let mut relay = relay();
        for sequence in 0..FORGED_BOUND - 1 {
            assert_eq!(
                give(&mut relay, PARENT, &forged(header(sequence))),
                Outcome::Forged
            );
        }
        for sequence in 0..60 {
            assert!(
                is_delivered(&give(&mut relay, PARENT, &spoken(sequence))),
                "frame {sequence}"
            );
        }
    }

    #[test]
    fn an_altered_byte_anywhere_is_never_heard() {
        let bytes = spoken(7);
        for at in 0..bytes.len() {
            let mut relay = relay();
            let mut altered = bytes.to_vec();
            altered[at] ^= 0x04;
            let outcome = give(&mut relay, PARENT, &altered.into());
            assert!(!is_delivered(&outcome), "byte {at} changed and it was heard");
            assert!(
                is_delivered(&give(&mut relay, PARENT, &bytes)),
                "byte {at} changed and silenced"
            );
        }
    }

    #[test]
    fn a_packet_of_another_room_is_forged_here() {
        let draft = Draft {
            header: header(0),
            frames: &[b"salam"],
            redundant: &[],
        };
        let elsewhere = draft.sign(RoomId([8; 32]), &key()).expect("a valid draft");
        assert_eq!(
            give(&mut relay(), PARENT, elsewhere.packet().bytes()),
            Outcome::Forged
        );
    }

    #[test]
    fn a_neighbour_that_sends_too_many_is_to_be_left_and_not_listened_to() {
        let mut relay = relay();
        let mut left = vec![];
        for sequence in 0..FORGED_BOUND {
            match relay.check(SPEAKER, forged(header(sequence)), NOW) {
                Ok(Check::Verify(candidate)) => {
                    left.extend(relay.note_forged(candidate.verify().expect_err("forged")));
                }
                other => panic!("expected a candidate, got {other:?}"),
            }
            assert_eq!(left.is_empty(), sequence + 1 < FORGED_BOUND);
        }
        assert_eq!(left, [SPEAKER]);
        assert_eq!(
            give(&mut relay, SPEAKER, &spoken(0)),
            Outcome::Dropped(Dropped::Refused)
        );
        assert!(
            is_delivered(&give(&mut relay, PARENT, &spoken(0))),
            "the same speaker by an honest path"
        );
        relay.forget(SPEAKER);
        relay.set_source(TAG, Some(SPEAKER));
        assert!(
            is_delivered(&give(&mut relay, SPEAKER, &spoken(1))),
            "a new link begins anew"
        );
    }

    #[test]
    fn a_forged_packet_of_a_neighbour_that_left_meanwhile_is_only_counted() {
        let mut relay = relay();
        let Ok(Check::Verify(candidate)) = relay.check(PARENT, forged(header(0)), NOW) else {
            panic!("expected a candidate");
        };
        relay.forget(PARENT);
        assert_eq!(relay.note_forged(candidate.verify().expect_err("forged")), None);
        assert_eq!(relay.counters().forged, 1);
        assert!(relay.forged.is_empty());
    }
}

mod replay {
    use super::*;

    #[test]
    fn a_packet_is_heard_once_whatever_link_it_comes_on() {
        let mut relay = relay();
        assert!(is_delivered(&give(&mut relay, SPEAKER, &spoken(0))));
        for from in [PARENT, SPEAKER, PARENT] {
            assert_eq!(
                give(&mut relay, from, &spoken(0)),
                Outcome::Dropped(Dropped::Duplicate)
            );
        }
    }

    #[test]
    fn of_two_copies_verified_at_the_same_time_one_is_heard_and_paid_for() {
        let mut relay = relay();
        let (first, second) = (genuine(&mut relay, spoken(0)), genuine(&mut relay, spoken(0)));
        assert!(relay.commit(first, NOW).is_ok());
        assert_eq!(relay.commit(second, NOW), Err(Dropped::Duplicate));
        assert!((1..60).all(|sequence| is_delivered(&give(&mut relay, PARENT, &spoken(sequence)))));
    }

    #[test]
    fn an_epoch_that_is_over_and_what_lies_far_behind_are_stale() {
        let mut relay = relay();
        assert!(is_delivered(&give(&mut relay, PARENT, &spoken(1000))));
        assert_eq!(
            give(&mut relay, PARENT, &spoken(487)),
            Outcome::Dropped(Dropped::Stale)
        );
        assert!(is_delivered(&give(&mut relay, PARENT, &spoken(488))));
        let next = with(Header {
            epoch: 51,
            ..header(0)
        });
        assert!(is_delivered(&give(&mut relay, PARENT, &next)));
        assert_eq!(
            give(&mut relay, PARENT, &spoken(1001)),
            Outcome::Dropped(Dropped::Stale)
        );
        assert_eq!(relay.counters().stale, 2);
    }

    #[test]
    fn a_signed_jump_forward_is_the_speakers_own_affair() {
        let mut relay = relay();
        assert!(is_delivered(&give(&mut relay, PARENT, &spoken(0))));
        assert!(is_delivered(&give(&mut relay, PARENT, &spoken(u32::MAX))));
        assert_eq!(
            give(&mut relay, PARENT, &spoken(1)),
            Outcome::Dropped(Dropped::Stale)
        );
        assert!(is_delivered(&give(&mut relay, PARENT, &spoken(u32::MAX - 1))));
    }

    #[test]
    fn out_of_order_is_heard() {
        let mut relay = relay();
        for sequence in [4, 2, 0, 3, 1] {
            assert!(
                is_delivered(&give(&mut relay, PARENT, &spoken(sequence))),
                "frame {sequence}"
            );
        }
    }
}

mod budgets {
    use super::*;

    #[test]
    fn a_speaker_who_floods_is_cut_at_the_rooms_budget_and_others_are_not() {
        let mut relay = relay();
        relay.grant(OTHER_TAG, other_key().person()).expect("a key");
        let heard = (0..100)
            .filter(|&n| is_delivered(&give(&mut relay, PARENT, &spoken(n))))
            .count();
        assert_eq!(heard, 60);
        assert_eq!(relay.counters().budget, 40);
        let theirs = forged(Header {
            tag: OTHER_TAG,
            ..header(0)
        });
        assert!(is_delivered(&give(&mut relay, PARENT, &theirs)));
        let later = NOW + Duration::from_millis(17);
        assert!(is_delivered(&give_at(&mut relay, PARENT, &spoken(100), later)));
    }

    #[test]
    fn bytes_count_as_well_as_frames() {
        let mut relay = relay();
        let large = |sequence| {
            let draft = Draft {
                header: header(sequence),
                frames: &[&[1; 1000]],
                redundant: &[],
            };
            draft
                .sign(ROOM, &key())
                .expect("a valid draft")
                .packet()
                .bytes()
                .clone()
        };
        let heard = (0..20)
            .filter(|&n| is_delivered(&give(&mut relay, PARENT, &large(n))))
            .count();
        assert_eq!(heard, 6, "48 kbit fit in a burst at 1.5 times 32 kbit/s");
    }
}

mod held {
    use super::*;

    fn ahead(sequence: u32, log: u32) -> Bytes {
        with(Header {
            log,
            ..header(sequence)
        })
    }

    fn give_released(relay: &mut Relay, now: Duration) -> Vec<Outcome> {
        let released = relay.take_released(now);
        released
            .iter()
            .map(|(from, bytes)| give_at(relay, *from, bytes, now))
            .collect()
    }

    #[test]
    fn the_first_words_of_a_new_speaker_wait_for_their_entry() {
        let mut relay = relay();
        let words: Vec<_> = (0..3)
            .map(|n| {
                forged(Header {
                    tag: OTHER_TAG,
                    log: HEAD + 1,
                    ..header(n)
                })
            })
            .collect();
        for word in &words {
            assert_eq!(give(&mut relay, PARENT, word), Outcome::Held);
        }
        assert_eq!(relay.take_released(NOW), []);
        relay.grant(OTHER_TAG, other_key().person()).expect("a key");
        relay.set_head(HEAD + 1);
        let outcomes = give_released(&mut relay, NOW);
        assert_eq!(outcomes.len(), 3);
        assert!(outcomes.iter().all(is_delivered), "{outcomes:?}");
        assert_eq!(
            relay.counters(),
            &Counters {
                delivered: 3,
                ..Counters::default()
            }
        );
    }

    #[test]
    fn sound_under_an_entry_that_withdraws_the_stage_is_refused_once_it_has_come() {
        let mut relay = relay();
        assert_eq!(give(&mut relay, PARENT, &ahead(0, HEAD + 1)), Outcome::Held);
        relay.revoke(TAG);
        relay.set_head(HEAD + 1);
        assert_eq!(
            give_released(&mut relay, NOW),
            [Outcome::Dropped(Dropped::Refused)]
        );
    }

    #[test]
    fn what_waits_too_long_is_forgotten_and_counted_and_is_not_forged() {
        let mut relay = relay();
        assert_eq!(give(&mut relay, PARENT, &ahead(0, HEAD + 1)), Outcome::Held);
        relay.set_head(HEAD + 1);
        assert_eq!(relay.take_released(NOW + HELD_FOR), []);
        assert_eq!(
            relay.counters(),
            &Counters {
                held_expired: 1,
                ..Counters::default()
            }
        );
    }

    #[test]
    fn too_many_push_out_the_oldest_and_are_counted() {
        let mut relay = relay();
        for sequence in 0..40 {
            assert_eq!(
                give(&mut relay, PARENT, &ahead(sequence, u32::MAX)),
                Outcome::Held
            );
        }
        assert_eq!(relay.counters().held_overflow, 40 - HELD_PACKETS as u64);
        relay.set_head(u32::MAX);
        let released = relay.take_released(NOW);
        assert_eq!(released.first(), Some(&(PARENT, ahead(15, u32::MAX))));
    }

    #[test]
    fn a_flood_from_the_future_does_not_touch_sound_that_is_now() {
        let mut relay = relay();
        for sequence in 0..30 {
            assert_eq!(
                give(
                    &mut relay,
                    SPEAKER,
                    &forged(Header {
                        log: u32::MAX,
                        ..header(sequence)
                    })
                ),
                Outcome::Held
            );
            assert!(
                is_delivered(&give(&mut relay, PARENT, &spoken(sequence))),
                "frame {sequence}"
            );
        }
    }
}

mod order {
    use super::*;

    /// What may be wrong with a packet, in the order in which it is noticed.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Defect {
        Link,
        Layout,
        Ahead,
        OffStage,
        Budget,
        Stale,
        Duplicate,
        Forged,
    }

    const DEFECTS: [Defect; 8] = [
        Defect::Link,
        Defect::Layout,
        Defect::Ahead,
        Defect::OffStage,
        Defect::Budget,
        Defect::Stale,
        Defect::Duplicate,
        Defect::Forged,
    ];

    impl Defect {
        fn outcome(self) -> Outcome {
            match self {
                Self::Link | Self::OffStage => Outcome::Dropped(Dropped::Refused),
                Self::Layout => Outcome::Dropped(Dropped::Malformed(BadPacket::Flags)),
                Self::Ahead => Outcome::Held,
                Self::Budget => Outcome::Dropped(Dropped::Budget),
                Self::Stale => Outcome::Dropped(Dropped::Stale),
                Self::Duplicate => Outcome::Dropped(Dropped::Duplicate),
                Self::Forged => Outcome::Forged,
            }
        }
    }

    /// A relay that has heard 60 frames up to sequence 1059 at `NOW`, and a packet with these defects in it.
    fn scene(defects: &[Defect]) -> (Relay, Neighbour, Bytes, Duration) {
        let has = |defect| defects.contains(&defect);
        let mut relay = relay();
        for sequence in (1000..1060).step_by(3) {
            let draft = Draft {
                header: header(sequence),
                frames: &[b"x"; 3].map(|x| &x[..]),
                redundant: &[],
            };
            let own = draft.sign(ROOM, &key()).expect("a valid draft");
            let _sent = relay.commit_own(own, NOW).expect("within the budget");
        }
        let sequence = if has(Defect::Stale) {
            3
        } else if has(Defect::Duplicate) {
            1000
        } else {
            1060
        };
        let log = if has(Defect::Ahead) { HEAD + 1 } else { HEAD };
        let header = Header {
            log,
            ..header(sequence)
        };
        let mut bytes = if has(Defect::Forged) {
            forged(header)
        } else {
            with(header)
        }
        .to_vec();
        if has(Defect::Layout) {
            bytes[1] |= 0x80;
        }
        if has(Defect::OffStage) {
            relay.revoke(TAG);
        }
        let from = if has(Defect::Link) { STRANGER } else { PARENT };
        let now = if has(Defect::Budget) {
            NOW
        } else {
            NOW + Duration::from_secs(2)
        };
        (relay, from, bytes.into(), now)
    }

    #[test]
    fn each_check_hides_every_later_one() {
        for set in 0..1_u32 << DEFECTS.len() {
            let defects: Vec<Defect> = DEFECTS
                .into_iter()
                .enumerate()
                .filter(|(i, _)| set & 1 << i != 0)
                .map(|(_, d)| d)
                .collect();
            let (mut relay, from, bytes, now) = scene(&defects);
            let outcome = give_at(&mut relay, from, &bytes, now);
            match defects.first() {
                Some(first) => assert_eq!(outcome, first.outcome(), "{defects:?}"),
                None => assert!(is_delivered(&outcome), "{outcome:?}"),
            }
        }
    }

    #[test]
    fn each_packet_is_counted_once_under_the_name_of_its_first_defect() {
        for defect in DEFECTS {
            let (mut relay, from, bytes, now) = scene(&[defect]);
            let before = Counters {
                own: 20,
                ..Counters::default()
            };
            assert_eq!(relay.counters(), &before);
            give_at(&mut relay, from, &bytes, now);
            let expected = match defect {
                Defect::Link | Defect::OffStage => Counters { refused: 1, ..before },
                Defect::Layout => Counters {
                    malformed: 1,
                    ..before
                },
                Defect::Ahead => before,
                Defect::Budget => Counters { budget: 1, ..before },
                Defect::Stale => Counters { stale: 1, ..before },
                Defect::Duplicate => Counters {
                    duplicate: 1,
                    ..before
                },
                Defect::Forged => Counters { forged: 1, ..before },
            };
            assert_eq!(relay.counters(), &expected, "{defect:?}");
        }
    }
}
