//! The beacon, once a second from the chair, and the room clock that members read from it (SPEC.md section 8).
//!
//! The beacon is the room's only clock, the only proof of freshness and the only sign that the chair lives.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    domain, limits,
    log::action::Head,
    person::{Peer, Person, Signature},
    room::RoomId,
    signed::{Malformed, Signed, Statement, StatementError, VERSION, Verified, encode},
};

/// What the chair says once a second and after each entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beacon {
    /// Always 1.
    pub version: u8,
    /// The room.
    pub room: RoomId,
    /// Who signs.
    pub chair: Person,
    /// The chair's term.
    pub term: u32,
    /// Rises by one with each beacon of a term.
    pub number: u32,
    /// Room clock in milliseconds.
    pub clock: u64,
    /// The newest entry.
    pub head: Head,
    /// Where sound enters the tree.
    pub root: Peer,
    /// The peer that speakers feed as well.
    pub fallback: Option<Peer>,
    /// Zero; ignored.
    pub reserved: [u8; 32],
}

/// What of a beacon is not in the one before: all that changes in most seconds. The signature is the beacon's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// The beacon's number.
    pub number: u32,
    /// Its clock.
    pub clock: u64,
    /// What its chair has signed it with.
    pub signature: Signature,
}

/// Why a beacon was dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BeaconError {
    /// The bytes are no beacon: the sender is at fault.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It is another room's: the sender is at fault.
    #[error("the beacon belongs to another room")]
    WrongRoom,
    /// Somebody else than the chair made it: forged, or from a chair that our log does not know yet.
    #[error("the beacon was not made by the chair")]
    NotTheChair,
    /// The signature is not the chair's: forged.
    #[error("the beacon is not signed by its chair")]
    Signature,
}

/// The newest beacon that a member has heard.
#[derive(Debug, Clone, Default)]
pub struct NewestBeacon(Option<Verified<Beacon>>);

/// The room clock as this machine estimates it. It never runs backwards.
///
/// For a member it follows the newest beacon: its clock plus the time since it came. When that lies behind what was
/// read before, the clock stands until it has caught up, so that a local clock that runs fast is corrected by every
/// beacon. The chair's own clock is the same type without beacons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomClock {
    /// What the room clock was at `at`, in milliseconds.
    clock: u64,
    /// Local monotonic time.
    at: Duration,
    /// What the clock has shown or may have shown before `at`.
    floor: u64,
}

impl Beacon {
    /// The root that a chair names when it leaves and nobody takes its place.
    pub const NOBODY: Peer = Peer([0; 32]);

    /// A beacon for its chair to sign, with no fallback.
    #[must_use]
    pub fn new(
        room: RoomId,
        chair: Person,
        (term, number): (u32, u32),
        clock_ms: u64,
        head: Head,
        root: Peer,
    ) -> Self {
        Self {
            version: VERSION,
            room,
            chair,
            term,
            number,
            clock: clock_ms,
            head,
            root,
            fallback: None,
            reserved: [0; 32],
        }
    }

    /// Its place among all beacons of the room: the greater is the newer.
    #[must_use]
    pub fn order(&self) -> (u32, u32) {
        (self.term, self.number)
    }

    /// Whether its chair leaves and names nobody in its place.
    #[must_use]
    pub fn is_farewell(&self) -> bool {
        self.root == Self::NOBODY
    }

    /// Whether it replaces another.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        self.order() > other.order()
    }
}

impl Statement for Beacon {
    const DOMAIN: &'static [u8] = domain::BEACON;
    const MAX: usize = limits::BEACON;
    const NAME: &'static str = "beacon";

    fn version(&self) -> u8 {
        self.version
    }

    fn signer(&self) -> Person {
        self.chair
    }

    fn validate(&self) -> Result<(), Malformed> {
        Ok(())
    }
}

impl Tick {
    /// What is new in a beacon for whoever has the one before; `None` when more than the time has changed, or when its
    /// chair has encoded it otherwise than its receiver would.
    #[must_use]
    pub fn between(before: &Beacon, beacon: &Verified<Beacon>) -> Option<Self> {
        let tick = Self {
            number: beacon.number,
            clock: beacon.clock,
            signature: *beacon.signed().signature(),
        };
        (tick.clone().onto(before) == *beacon.signed()).then_some(tick)
    }

    /// The whole beacon, put together again from the one before, not yet believed.
    #[must_use]
    pub fn onto(self, before: &Beacon) -> Signed<Beacon> {
        let beacon = Beacon {
            number: self.number,
            clock: self.clock,
            ..before.clone()
        };
        Signed::from_parts(encode(&beacon), self.signature)
    }
}

impl NewestBeacon {
    /// The beacon, if any was heard.
    #[must_use]
    pub fn get(&self) -> Option<&Verified<Beacon>> {
        self.0.as_ref()
    }

    /// Takes a beacon from a neighbour. `Ok(None)`: not newer than what is here; drop it and do not pass it on.
    /// `Ok(Some(_))`: the newest now; pass it on.
    ///
    /// # Errors
    /// [`BeaconError`] says what is wrong; the newest stays.
    pub fn handle(
        &mut self,
        signed: Signed<Beacon>,
        room: RoomId,
        chair: Person,
    ) -> Result<Option<&Verified<Beacon>>, BeaconError> {
        let beacon = signed.peek()?;
        if beacon.room != room {
            return Err(BeaconError::WrongRoom);
        }
        if beacon.chair != chair {
            return Err(BeaconError::NotTheChair);
        }
        if self
            .0
            .as_ref()
            .is_some_and(|newest| !beacon.is_newer_than(newest))
        {
            return Ok(None);
        }
        let beacon = signed.verify().map_err(|error| match error {
            StatementError::Malformed(malformed) => malformed.into(),
            StatementError::Signature(_) => BeaconError::Signature,
        })?;
        Ok(Some(self.0.insert(beacon)))
    }
}

impl RoomClock {
    /// A clock that shows `clock_ms` at local time `now`: for a member that of its newest entry (0 at the genesis),
    /// for a chair where it goes on.
    #[must_use]
    pub fn new(clock_ms: u64, now: Duration) -> Self {
        Self {
            clock: clock_ms,
            at: now,
            floor: clock_ms,
        }
    }

    /// What it shows at local time `now`, in milliseconds.
    #[must_use]
    pub fn now_ms(&self, now: Duration) -> u64 {
        let elapsed = u64::try_from(now.saturating_sub(self.at).as_millis()).unwrap_or(u64::MAX);
        self.clock
            .saturating_add(elapsed)
            .max(self.floor)
            .min(limits::CLOCK_MS)
    }

    /// Follows a beacon that is newer than all before it and came at local time `now`.
    pub fn handle_beacon(&mut self, beacon: &Verified<Beacon>, now: Duration) {
        *self = Self {
            clock: beacon.clock,
            at: now,
            floor: self.now_ms(now),
        };
    }

    /// Puts the clock at or above that of a logged entry: nothing in the room happens before what is logged.
    pub fn handle_entry(&mut self, clock_ms: u64, now: Duration) {
        if self.now_ms(now) < clock_ms {
            *self = Self::new(clock_ms, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::person::PersonKey;

    const ROOM: RoomId = RoomId([1; 32]);

    fn key() -> PersonKey {
        PersonKey::from_seed(&[1; 32])
    }

    fn beacon(order: (u32, u32), clock_ms: u64) -> Verified<Beacon> {
        let key = key();
        let beacon = Beacon::new(
            ROOM,
            key.person(),
            order,
            clock_ms,
            Head::genesis(ROOM),
            Peer([2; 32]),
        );
        Verified::sign(beacon, &key).unwrap()
    }

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_largest_beacon_fits_its_limit() {
        let mut largest = (*beacon((u32::MAX, u32::MAX), u64::MAX)).clone();
        largest.head = Head {
            sequence: u32::MAX,
            hash: [0xff; 32],
        };
        largest.fallback = Some(Peer([0xff; 32]));
        let signed = Verified::sign(largest, &key()).unwrap();
        assert_eq!(signed.signed().payload().len(), 219);
    }

    #[test]
    fn a_term_outranks_any_number() {
        let order = [(0, 0), (0, 1), (0, u32::MAX), (1, 0), (1, 7), (u32::MAX, 0)];
        for (i, older) in order.iter().enumerate() {
            for (j, newer) in order.iter().enumerate() {
                assert_eq!(beacon(*newer, 0).is_newer_than(&beacon(*older, 0)), j > i);
            }
        }
    }

    #[test]
    fn only_a_newer_beacon_of_the_chair_is_kept() {
        let mut newest = NewestBeacon::default();
        let mut handle = |beacon: Signed<Beacon>| {
            newest
                .handle(beacon, ROOM, key().person())
                .map(|kept| kept.map(|beacon| beacon.order()))
        };
        assert_eq!(handle(beacon((0, 5), 0).signed().clone()), Ok(Some((0, 5))));
        assert_eq!(handle(beacon((0, 5), 0).signed().clone()), Ok(None));
        assert_eq!(handle(beacon((0, 4), 0).signed().clone()), Ok(None));
        assert_eq!(handle(beacon((1, 0), 0).signed().clone()), Ok(Some((1, 0))));

        let mut bytes = beacon((2, 0), 0).signed().to_bytes().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(
            handle(Signed::from_bytes(&bytes).unwrap()),
            Err(BeaconError::Signature)
        );

        let other = PersonKey::from_seed(&[2; 32]);
        let impostor = Beacon {
            chair: other.person(),
            ..(*beacon((3, 0), 0)).clone()
        };
        let impostor = Verified::sign(impostor, &other).unwrap();
        assert_eq!(handle(impostor.signed().clone()), Err(BeaconError::NotTheChair));
        let elsewhere = Beacon {
            room: RoomId([9; 32]),
            ..(*beacon((3, 0), 0)).clone()
        };
        let elsewhere = Verified::sign(elsewhere, &key()).unwrap();
        assert_eq!(handle(elsewhere.signed().clone()), Err(BeaconError::WrongRoom));
        assert_eq!(newest.get().map(|beacon| beacon.order()), Some((1, 0)));
    }

    #[test]
    fn a_tick_makes_the_beacon_of_which_only_the_time_is_new_and_no_other() {
        let (first, second) = (beacon((0, 1), 1_000), beacon((0, 2), 2_000));
        let tick = Tick::between(&first, &second).expect("only the time is new");
        assert!(encode(&tick).len() < 80);
        assert_eq!(tick.clone().onto(&first), *second.signed());
        assert_eq!(tick.clone().onto(&second), *second.signed());
        let later = Tick { clock: 2_001, ..tick };
        assert!(later.onto(&first).verify().is_err());
        let mut moved = (*beacon((0, 3), 3_000)).clone();
        moved.root = Peer([3; 32]);
        let moved = Verified::sign(moved, &key()).expect("valid");
        assert_eq!(Tick::between(&second, &moved), None, "the root is new");
        assert_eq!(
            Tick::between(&second, &beacon((1, 0), 4_000)),
            None,
            "the term is new"
        );
    }

    #[test]
    fn the_clock_runs_on_between_beacons() {
        let mut clock = RoomClock::new(0, at(0));
        clock.handle_beacon(&beacon((0, 1), 60_000), at(500));
        assert_eq!(clock.now_ms(at(500)), 60_000);
        assert_eq!(clock.now_ms(at(1_700)), 61_200);
    }

    #[test]
    fn a_clock_that_ran_ahead_stands_until_the_room_has_caught_up() {
        let mut clock = RoomClock::new(0, at(0));
        clock.handle_beacon(&beacon((0, 1), 10_000), at(0));
        clock.handle_beacon(&beacon((0, 2), 10_900), at(1_000));
        assert_eq!(clock.now_ms(at(1_000)), 11_000);
        assert_eq!(clock.now_ms(at(1_100)), 11_000);
        assert_eq!(clock.now_ms(at(1_200)), 11_100);
    }

    #[test]
    fn the_clock_is_never_below_what_is_logged() {
        let mut clock = RoomClock::new(500, at(0));
        clock.handle_entry(2_000, at(100));
        assert_eq!(clock.now_ms(at(150)), 2_050);
        clock.handle_entry(1_000, at(160));
        assert_eq!(clock.now_ms(at(160)), 2_060);
        let last = limits::CLOCK_MS;
        assert_eq!(RoomClock::new(last, at(0)).now_ms(at(5)), last);
        assert_eq!(RoomClock::new(u64::MAX, at(0)).now_ms(at(5)), last);
    }

    proptest! {
        #[test]
        fn no_order_of_beacons_and_entries_turns_the_clock_back(
            steps in prop::collection::vec((0u64..5_000, any::<bool>(), prop_oneof![0u64..100_000, any::<u64>()]), 1..12)
        ) {
            let (mut now, mut clock, mut last) = (0, RoomClock::new(0, at(0)), 0);
            for (number, (wait, is_beacon, value)) in steps.into_iter().enumerate() {
                now += wait;
                let before = clock.now_ms(at(now));
                prop_assert!(before >= last);
                if is_beacon {
                    clock.handle_beacon(&beacon((0, number as u32), value), at(now));
                } else {
                    clock.handle_entry(value, at(now));
                    prop_assert!(clock.now_ms(at(now)) >= value.min(limits::CLOCK_MS));
                }
                last = clock.now_ms(at(now));
                prop_assert!(last >= before);
            }
        }
    }
}
