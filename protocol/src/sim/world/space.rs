//! Where members are and what they can do: drawn from the seed and the member's number alone, before the world begins.

use alloc::{format, sync::Arc, vec, vec::Vec};
use core::time::Duration;

use crate::{
    link::Address,
    person::{Peer, PersonKey},
    sim::{Deed, Scenario, draws::SplitMix64},
    wire::message::Candidate,
};

/// Separate streams of draws for separate properties, so that a change of one leaves the others as they were.
const PLACES: u64 = 0x706c_6163;
const KEYS: u64 = 0x6b65_7973;
const GROUPS: u64 = 0x6772_6f75;
const DEEDS: u64 = 0x6465_6564;

/// Bytes of a peer that hold its number; the others are drawn.
const NUMBER: core::ops::Range<usize> = 28..32;

/// How much of its uplink a member gives to children: what is left carries its answers, its own control and what else
/// the household does.
const CAPACITY: (u64, u64) = (7, 10);

/// Speakers at a time that a place must carry.
const SPEAKERS: u64 = 3;

/// Bytes that QUIC, UDP and IP put around a datagram's items: header with an 8-byte connection id, frame, tag.
pub(super) const AROUND: u64 = 60;

/// Bytes of a media packet around its frames, its length and the alias.
const PACKET: u64 = 92;

/// One member's place on the network.
#[derive(Debug, Clone)]
pub(super) struct Body {
    /// In microseconds of one-way time.
    x: u32,
    y: u32,
    access: u32,
    /// Bits a second; 0 is without limit.
    pub(super) bits: u64,
    /// Whether others can dial it.
    pub(super) reachable: bool,
}

impl Body {
    /// The body of a member. Those on the stage, who have the first numbers, can be dialled.
    pub(super) fn draw(scenario: &Scenario, number: u32) -> Self {
        let mut draws = SplitMix64::of(scenario.seed ^ PLACES, u64::from(number));
        let latency = &scenario.latency;
        let side = micros(latency.side).into();
        let (x, y) = (narrow(draws.up_to(side)), narrow(draws.up_to(side)));
        let access = draws.log_normal(f64::from(micros(latency.access)), latency.spread);
        let unreachable = draws.chance(scenario.unreachable);
        let mut rest = draws.unit();
        let uplink = scenario.uplinks.iter().find(|uplink| {
            rest -= uplink.share;
            rest < 0.0
        });
        Self {
            x,
            y,
            // A float that is too large becomes the largest integer.
            access: access as u32,
            bits: uplink.or(scenario.uplinks.last()).map_or(0, |uplink| uplink.bits),
            reachable: number < scenario.on_stage() || !unreachable,
        }
    }

    /// One-way time to another, in nanoseconds, jitter aside.
    pub(super) fn delay(&self, other: &Self, least: u64) -> u64 {
        let (dx, dy) = (self.x.abs_diff(other.x), self.y.abs_diff(other.y));
        let square = u64::from(dx).pow(2) + u64::from(dy).pow(2);
        let micros = square.isqrt() + u64::from(self.access) + u64::from(other.access);
        (micros * 1_000).max(least)
    }

    /// How many children it may have.
    pub(super) fn max_children(&self, scenario: &Scenario, number: u32) -> usize {
        let most = if number == 0 {
            scenario.host_fan_out
        } else {
            scenario.fan_out
        };
        if !self.reachable {
            return 0;
        }
        if self.bits == 0 {
            return most;
        }
        let packets = 50 / u64::from(scenario.stage.frames);
        let bytes = 50 * scenario.stage.frame_bytes as u64 + packets * (PACKET + AROUND);
        let (share, of) = CAPACITY;
        let fits = self.bits * share / of / (bytes * 8 * SPEAKERS);
        most.min(usize::try_from(fits).unwrap_or(most))
    }

    /// What others are told to dial.
    pub(super) fn addresses(&self, number: u32) -> Vec<Address> {
        if self.reachable {
            vec![address(number)]
        } else {
            Vec::new()
        }
    }
}

/// A member as others name it, whether or not it can be dialled, or is there at all.
pub(super) fn candidate(seed: u64, number: u32) -> Candidate {
    Candidate {
        peer: peer(seed, number),
        addresses: vec![address(number)],
    }
}

fn address(number: u32) -> Address {
    let [_, a, b, c] = number.to_be_bytes();
    format!("/ip4/10.{a}.{b}.{c}/udp/4001/quic-v1")
        .parse()
        .expect("a short text that begins with a slash is an address")
}

/// A member's person.
pub(super) fn key(seed: u64, number: u32) -> Arc<PersonKey> {
    let draws = &mut SplitMix64::of(seed ^ KEYS, u64::from(number));
    Arc::new(PersonKey::from_seed(&draws.bytes()))
}

/// A member's peer, which holds its number.
pub(super) fn peer(seed: u64, number: u32) -> Peer {
    let draws = &mut SplitMix64::of(seed ^ KEYS, !u64::from(number));
    let mut bytes = draws.bytes();
    bytes[NUMBER].copy_from_slice(&number.to_be_bytes());
    Peer(bytes)
}

/// The number of a member by its peer.
pub(super) fn number(peer: Peer) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&peer.0[NUMBER]);
    u32::from_be_bytes(bytes)
}

/// Whether a member is in the smaller part of a partition. The host never is.
pub(super) fn is_apart(scenario: &Scenario, partition: usize, number: u32) -> bool {
    let seed = scenario.seed ^ GROUPS ^ partition as u64;
    let share = scenario.partitions.get(partition).map_or(0.0, |cut| cut.share);
    number != 0 && SplitMix64::of(seed, u64::from(number)).chance(share)
}

/// What a listener does against the rules; `None` for the honest. Two whose numbers differ in the last bit are alike.
pub(super) fn deed(scenario: &Scenario, number: u32) -> Option<Deed> {
    if number < scenario.on_stage() || scenario.villains.is_empty() {
        return None;
    }
    let mut rest = SplitMix64::of(scenario.seed ^ DEEDS, u64::from(number / 2)).unit();
    let villain = scenario.villains.iter().find(|villain| {
        rest -= villain.share;
        rest < 0.0
    });
    villain.map(|villain| villain.deed)
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

fn narrow(micros: u64) -> u32 {
    u32::try_from(micros).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Uplink;

    #[test]
    fn a_peer_names_its_number() {
        for number_ in [0, 1, 77_777, u32::MAX] {
            assert_eq!(number(peer(9, number_)), number_);
        }
    }

    #[test]
    fn the_default_round_trips_are_those_of_two_continents() {
        let scenario = Scenario::default();
        let bodies: Vec<Body> = (0..400).map(|number| Body::draw(&scenario, number)).collect();
        let mut trips: Vec<u64> = bodies
            .iter()
            .zip(bodies.iter().skip(1))
            .map(|(a, b)| 2 * a.delay(b, 0) / 1_000_000)
            .collect();
        trips.sort_unstable();
        let (median, p95) = (trips[trips.len() / 2], trips[trips.len() * 19 / 20]);
        assert!((85..115).contains(&median), "median {median} ms");
        assert!((140..220).contains(&p95), "p95 {p95} ms");
    }

    #[test]
    fn shares_of_uplinks_and_of_the_unreachable_are_met_and_weak_ones_take_few_children() {
        let scenario = Scenario {
            unreachable: 0.3,
            uplinks: vec![
                Uplink {
                    share: 0.25,
                    bits: 1_000_000,
                },
                Uplink {
                    share: 0.75,
                    bits: 100_000_000,
                },
            ],
            ..Scenario::default()
        };
        let bodies: Vec<Body> = (0..2000).map(|number| Body::draw(&scenario, number)).collect();
        let weak = bodies.iter().filter(|body| body.bits == 1_000_000).count();
        assert!((430..570).contains(&weak), "{weak} of 2000");
        let hidden = bodies.iter().filter(|body| !body.reachable).count();
        assert!((540..660).contains(&hidden), "{hidden} of 2000");
        for body in &bodies {
            let children = body.max_children(&scenario, 5);
            let expected = match (body.reachable, body.bits) {
                (false, _) => 0,
                (true, 1_000_000) => 2,
                (true, _) => 8,
            };
            assert_eq!(children, expected, "{body:?}");
        }
    }
}
