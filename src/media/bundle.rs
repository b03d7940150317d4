//! What leaves together: packets that passed at the same moment go out as one datagram a receiver.
//!
//! A bundle is a concatenation of unchanged signed packets (SPEC.md section 10). It is built once for all receivers that
//! chose the same alias and are to get the same packets. Invariant: nothing waits here for what is still to come.

use std::collections::BTreeMap;

use bytes::Bytes;
use majlis_protocol::{
    limits,
    media::{Delivery, Packet},
    neighbour::Neighbour,
    wire::{datagram::Builder, message::Alias},
};

/// Most bytes of a bundle: what one packet of the largest size takes, with its alias and its length. So much fits the
/// first datagrams of every connection, before it is known what the path carries, and six packets of ordinary speech
/// fit in it. To verify those takes a third of a millisecond, which is the most that the first of them waits.
const BUNDLE: usize = ALIAS + LENGTH + limits::MEDIA_PACKET;

/// Bytes of the alias before the packets, and most bytes of the length before each.
const ALIAS: usize = 2;
const LENGTH: usize = 2;

/// Most packets in a bundle: one for each bit of a [`Selection`]. A packet has its signature and its header, so no
/// more would fit.
const PACKETS: usize = u16::BITS as usize;

/// How much of a bundle is taken.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Space {
    packets: usize,
    bytes: usize,
}

/// Deliveries that leave together.
#[derive(Debug)]
pub(super) struct Bundle<'a> {
    deliveries: &'a [Delivery],
    built: Vec<((Alias, Selection), Bytes)>,
}

/// Which packets of a bundle a receiver gets: bit `i` for packet `i`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Selection(u16);

impl Space {
    /// Takes space for a packet. False, and nothing changes, when there is too little: send the others first. A packet
    /// of a size that a packet may have always finds it in an empty bundle.
    #[must_use]
    pub(super) fn take(&mut self, packet: &[u8]) -> bool {
        let bytes = self.bytes + LENGTH + packet.len();
        let fits = self.packets < PACKETS && ALIAS + bytes <= BUNDLE;
        if fits {
            *self = Self {
                packets: self.packets + 1,
                bytes,
            };
        }
        fits
    }
}

impl<'a> Bundle<'a> {
    /// Of deliveries that found [`Space`] together.
    pub(super) fn new(deliveries: &'a [Delivery]) -> Self {
        Self {
            deliveries,
            built: Vec::new(),
        }
    }

    /// Everyone who is to get something, and what.
    pub(super) fn receivers(&self) -> Vec<(Neighbour, Selection)> {
        let [first, others @ ..] = self.deliveries else {
            return Vec::new();
        };
        if others.iter().all(|other| other.to == first.to) {
            let all = (0..self.deliveries.len()).fold(Selection::default(), Selection::with);
            return first.to.iter().map(|to| (*to, all)).collect();
        }
        let mut selections: BTreeMap<Neighbour, Selection> = BTreeMap::new();
        for (index, delivery) in self.deliveries.iter().enumerate() {
            for to in &delivery.to {
                let selection = selections.entry(*to).or_default();
                *selection = selection.with(index);
            }
        }
        selections.into_iter().collect()
    }

    /// The datagram of those who call the room so and are to get these packets.
    pub(super) fn datagram(&mut self, alias: Alias, selection: Selection) -> Bytes {
        let known = self.built.iter().find(|(key, _)| *key == (alias, selection));
        if let Some((_, datagram)) = known {
            return datagram.clone();
        }
        let mut builder = Builder::new(alias.0, BUNDLE);
        for packet in self.packets(selection) {
            let fits = builder.push(packet.bytes());
            debug_assert!(fits, "no packet is empty, and space was taken for each");
        }
        let datagram = builder.finish();
        self.built.push(((alias, selection), datagram.clone()));
        datagram
    }

    fn packets(&self, selection: Selection) -> impl Iterator<Item = &'a Packet> {
        let chosen = move |(index, _): &(usize, &Delivery)| selection.has(*index);
        self.deliveries
            .iter()
            .enumerate()
            .filter(chosen)
            .map(|(_, delivery)| &delivery.packet)
    }
}

impl Selection {
    /// How many packets.
    pub(super) fn count(self) -> u64 {
        u64::from(self.0.count_ones())
    }

    fn with(self, index: usize) -> Self {
        Self(self.0 | 1 << index)
    }

    fn has(self, index: usize) -> bool {
        self.0 & 1 << index != 0
    }
}

#[cfg(test)]
mod tests {
    use majlis_protocol::{
        media::{Draft, Header, Tag},
        person::PersonKey,
        room::RoomId,
        wire::datagram::{Datagram, Item},
    };

    use super::*;

    /// A packet of somebody, to these.
    fn delivery(sequence: u32, bytes: usize, to: &[u64]) -> Delivery {
        let key = PersonKey::from_seed(&[1; 32]);
        let frame = vec![7; bytes];
        let draft = Draft {
            header: Header {
                tag: Tag([1; 4]),
                epoch: 1,
                sequence,
                time: sequence,
                log: 0,
                level: 127,
                end_of_spurt: false,
            },
            frames: &[&frame],
            redundant: &[],
        };
        let own = draft.sign(RoomId([2; 32]), &key).expect("a valid draft");
        Delivery {
            packet: own.packet().clone(),
            speaker: key.person(),
            to: to.iter().map(|to| Neighbour(*to)).collect(),
            repaired: false,
        }
    }

    fn sequences(datagram: Bytes) -> Vec<u32> {
        let items = Datagram::parse(datagram).expect("a datagram").items;
        items
            .map(|item| match item {
                Ok(Item::Media(packet)) => Packet::parse(packet).expect("a packet").header().sequence,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn everyone_gets_just_the_packets_that_are_for_them() {
        let deliveries = [
            delivery(1, 80, &[10, 11, 12]),
            delivery(2, 80, &[11, 12]),
            delivery(3, 80, &[10, 12]),
        ];
        let mut bundle = Bundle::new(&deliveries);
        let receivers = bundle.receivers();
        let got: Vec<(u64, u64, Vec<u32>)> = receivers
            .into_iter()
            .map(|(to, selection)| {
                (
                    to.0,
                    selection.count(),
                    sequences(bundle.datagram(Alias(3), selection)),
                )
            })
            .collect();
        assert_eq!(
            got,
            [(10, 2, vec![1, 3]), (11, 2, vec![1, 2]), (12, 3, vec![1, 2, 3])]
        );
    }

    #[test]
    fn receivers_with_one_alias_share_a_datagram_and_others_have_their_own() {
        let deliveries = [delivery(1, 80, &[10, 11]), delivery(2, 80, &[10, 11])];
        let mut bundle = Bundle::new(&deliveries);
        let [(_, one), (_, other)] = bundle.receivers()[..] else {
            panic!("two receivers");
        };
        assert_eq!(one, other);
        let shared = bundle.datagram(Alias(3), one);
        assert_eq!(shared.as_ptr(), bundle.datagram(Alias(3), other).as_ptr());
        let own = bundle.datagram(Alias(4), other);
        assert_eq!(Datagram::parse(own.clone()).expect("a datagram").alias, 4);
        assert_eq!(sequences(own), [1, 2]);
    }

    #[test]
    fn a_bundle_has_room_for_one_packet_of_the_largest_size_or_many_of_the_smallest() {
        let mut space = Space::default();
        assert!(space.take(&[0; limits::MEDIA_PACKET]));
        assert!(!space.take(&[0; 1]));
        let smallest = delivery(1, 1, &[10]);
        let mut space = Space::default();
        let taken = (0..).take_while(|_| space.take(smallest.packet.bytes())).count();
        let deliveries = vec![smallest; taken];
        let mut bundle = Bundle::new(&deliveries);
        let (_, all) = bundle.receivers()[0];
        assert_eq!(all.count(), taken as u64);
        assert_eq!(sequences(bundle.datagram(Alias(0), all)).len(), taken);
        assert!((6..=PACKETS).contains(&taken), "{taken}");
    }
}
