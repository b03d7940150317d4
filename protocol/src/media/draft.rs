//! Packets of one's own: from frames to signed bytes.
//!
//! A draft is written and then read back by the same parser that judges the packets of others, so no program of
//! ours can sign what its neighbours would refuse.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use bytes::Bytes;

use super::{
    Header, Packet,
    packet::{BadPacket, HEADER, KIND_AND_VERSION, SIGNATURE, flags, signed_message},
};
use crate::{
    limits,
    person::{Person, PersonKey},
    room::RoomId,
    wire::varint,
};

/// A media packet before it is signed.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// What it says about its sound.
    pub header: Header,
    /// 1 to 3 Opus frames of 20 ms in a row, each of 1 to 1,000 bytes.
    pub frames: &'a [&'a [u8]],
    /// At most 3 frames of the same spurt that were sent before: how many frames back of the header's sequence
    /// (1 to 50), and the frame.
    pub redundant: &'a [(u8, &'a [u8])],
}

/// A packet that was signed here: the only one that needs no verification.
#[derive(Debug, Clone)]
pub struct Own {
    packet: Packet,
    person: Person,
    room: RoomId,
}

impl Draft<'_> {
    /// Signs the draft as something that the key's person says in `room`.
    ///
    /// # Errors
    /// [`BadPacket`] when the draft breaks the rules of a packet; a smaller or corrected draft helps.
    pub fn sign(&self, room: RoomId, key: &PersonKey) -> Result<Own, BadPacket> {
        let body = self.body()?;
        let mut message = signed_message(&room, &body, SIGNATURE);
        let signature = key.sign(&message);
        let start = message.len() - body.len();
        message.extend_from_slice(&signature.to_bytes());
        let packet = Packet::parse(Bytes::from(message).slice(start..))?;
        Ok(Own {
            packet,
            person: key.person(),
            room,
        })
    }

    /// Every byte before the signature.
    fn body(&self) -> Result<Vec<u8>, BadPacket> {
        let primary = count(self.frames.len(), 1..=limits::PRIMARY_FRAMES)?;
        let redundant = count(self.redundant.len(), 0..=limits::REDUNDANT_FRAMES)?;
        let header = &self.header;
        let mut body = Vec::with_capacity(HEADER + self.frames_size());
        body.extend_from_slice(&[KIND_AND_VERSION, flags(primary, redundant, header.end_of_spurt)]);
        body.extend_from_slice(&header.tag.0);
        for number in [header.epoch, header.sequence, header.time, header.log] {
            body.extend_from_slice(&number.to_be_bytes());
        }
        body.push(header.level);
        for frame in self.frames {
            put_frame(&mut body, frame)?;
        }
        for (back, frame) in self.redundant {
            body.push(*back);
            put_frame(&mut body, frame)?;
        }
        Ok(body)
    }

    fn frames_size(&self) -> usize {
        let redundant = self.redundant.iter().map(|(_, frame)| frame);
        self.frames
            .iter()
            .chain(redundant)
            .map(|frame| frame.len() + 3)
            .sum()
    }
}

impl Own {
    /// The packet, to be sent.
    #[must_use]
    pub fn packet(&self) -> &Packet {
        &self.packet
    }

    /// Whose key signed it.
    #[must_use]
    pub fn person(&self) -> Person {
        self.person
    }

    /// The room it was signed for.
    #[must_use]
    pub fn room(&self) -> RoomId {
        self.room
    }

    pub(super) fn into_packet(self) -> Packet {
        self.packet
    }
}

fn count(frames: usize, allowed: RangeInclusive<usize>) -> Result<u8, BadPacket> {
    u8::try_from(frames)
        .ok()
        .filter(|_| allowed.contains(&frames))
        .ok_or(BadPacket::FrameCount)
}

fn put_frame(body: &mut Vec<u8>, frame: &[u8]) -> Result<(), BadPacket> {
    let length = u16::try_from(frame.len()).map_err(|_| BadPacket::FrameLength)?;
    varint::put(body, length);
    body.extend_from_slice(frame);
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;
    use crate::media::Tag;

    const ROOM: RoomId = RoomId([7; 32]);

    fn key() -> PersonKey {
        PersonKey::from_seed(&[1; 32])
    }

    fn header() -> Header {
        Header {
            tag: Tag([1, 2, 3, 4]),
            epoch: 5,
            sequence: 600,
            time: 700,
            log: 8,
            level: 30,
            end_of_spurt: false,
        }
    }

    fn draft<'a>(frames: &'a [&'a [u8]], redundant: &'a [(u8, &'a [u8])]) -> Draft<'a> {
        Draft {
            header: header(),
            frames,
            redundant,
        }
    }

    /// Writes again what was read, from nothing but what the packet's public face tells.
    fn encode_again(packet: &Packet) -> Vec<u8> {
        let frames: Vec<Bytes> = packet.frames().map(|frame| frame.opus).collect();
        let frames: Vec<&[u8]> = frames.iter().map(|frame| &frame[..]).collect();
        let sequence = packet.header().sequence;
        let redundant: Vec<_> = packet
            .redundant()
            .map(|frame| ((sequence - frame.sequence) as u8, frame.opus))
            .collect();
        let redundant: Vec<(u8, &[u8])> = redundant.iter().map(|(back, opus)| (*back, &opus[..])).collect();
        let again = Draft {
            header: *packet.header(),
            frames: &frames,
            redundant: &redundant,
        };
        let signature = &packet.bytes()[packet.bytes().len() - SIGNATURE..];
        [
            &again.body().expect("what was parsed is within the limits"),
            signature,
        ]
        .concat()
    }

    fn reseal(body: &[u8]) -> Bytes {
        [body, &[0; SIGNATURE]].concat().into()
    }

    #[test]
    fn what_was_said_is_what_is_heard() {
        let own = draft(&[b"one", b"two"], &[(1, b"nil"), (50, b"old")])
            .sign(ROOM, &key())
            .expect("valid");
        let packet = Packet::parse(own.packet().bytes().clone()).expect("valid");
        assert_eq!(&packet, own.packet());
        assert_eq!(packet.header(), &header());
        let frames: Vec<_> = packet.frames().map(|f| (f.sequence, f.time, f.opus)).collect();
        assert_eq!(
            frames,
            [(600, 700, Bytes::from("one")), (601, 701, Bytes::from("two"))]
        );
        let redundant: Vec<_> = packet.redundant().map(|f| (f.sequence, f.time, f.opus)).collect();
        assert_eq!(
            redundant,
            [(599, 699, Bytes::from("nil")), (550, 650, Bytes::from("old"))]
        );
        assert_eq!((packet.frame_count(), packet.opus_bytes()), (2, 12));
        assert_eq!(
            packet.verify(&ROOM, &key().person().verifier().expect("a key")),
            Ok(())
        );
    }

    #[test]
    fn frames_are_not_copied_out_of_the_datagram() {
        let own = draft(&[b"one"], &[]).sign(ROOM, &key()).expect("valid");
        let bytes = own.packet().bytes();
        let frame = own.packet().frames().next().expect("one frame").opus;
        assert!(bytes.as_ptr_range().contains(&frame.as_ptr()));
    }

    #[test]
    fn a_changed_byte_is_malformed_or_does_not_verify() {
        let verifier = key().person().verifier().expect("a key");
        let own = draft(&[b"salam"], &[(2, b"before")])
            .sign(ROOM, &key())
            .expect("valid");
        for at in 0..own.packet().bytes().len() {
            let mut altered = own.packet().bytes().to_vec();
            altered[at] ^= 1;
            let heard = Packet::parse(altered.into()).is_ok_and(|p| p.verify(&ROOM, &verifier).is_ok());
            assert!(!heard, "byte {at} changed and nobody noticed");
        }
    }

    #[test]
    fn a_signature_holds_in_its_room_and_for_its_speaker_alone() {
        let packet = draft(&[b"x"], &[])
            .sign(ROOM, &key())
            .expect("valid")
            .into_packet();
        let verifier = |seed| {
            PersonKey::from_seed(&[seed; 32])
                .person()
                .verifier()
                .expect("a key")
        };
        assert_eq!(packet.verify(&ROOM, &verifier(1)), Ok(()));
        assert!(packet.verify(&RoomId([8; 32]), &verifier(1)).is_err());
        assert!(packet.verify(&ROOM, &verifier(2)).is_err());
    }

    #[test]
    fn a_truncated_or_longer_packet_is_malformed() {
        let own = draft(&[b"salam", b"dost"], &[(2, b"before")])
            .sign(ROOM, &key())
            .expect("valid");
        let bytes = own.packet().bytes();
        for length in 0..bytes.len() {
            assert!(Packet::parse(bytes.slice(..length)).is_err(), "{length} bytes");
        }
        assert_eq!(
            Packet::parse([&bytes[..], b"x"].concat().into()),
            Err(BadPacket::LeftOver)
        );
    }

    #[test]
    fn every_malformed_kind_has_its_name() {
        let body = draft(&[b"one"], &[(9, b"two")]).body().expect("valid");
        let malformed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut body = body.clone();
            change(&mut body);
            Packet::parse(reseal(&body)).expect_err("malformed").name()
        };
        let last_redundant = HEADER + 4;
        assert_eq!(malformed(&|b| b.resize(2000, 0)), "too-long");
        assert_eq!(malformed(&|b| b.truncate(HEADER + 1)), "too-short");
        assert_eq!(malformed(&|b| b[0] = 0x21), "kind");
        assert_eq!(malformed(&|b| b[0] = 0x12), "version");
        assert_eq!(malformed(&|b| b[1] |= 0x40), "flags");
        assert_eq!(malformed(&|b| b[1] |= 0x80), "flags");
        assert_eq!(malformed(&|b| b[1] |= 0x20), "sealed");
        assert_eq!(malformed(&|b| b[1] &= !3), "frame-count");
        assert_eq!(malformed(&|b| b[22] = 128), "level");
        assert_eq!(
            malformed(&|b| drop(b.splice(HEADER..=HEADER, [0x83, 0x00]))),
            "varint"
        );
        assert_eq!(
            malformed(&|b| drop(b.splice(HEADER..=HEADER, [0]))),
            "frame-length"
        );
        assert_eq!(
            malformed(&|b| drop(b.splice(HEADER..=HEADER, [0xe9, 0x07]))),
            "frame-length"
        );
        assert_eq!(malformed(&|b| b.truncate(b.len() - 1)), "truncated");
        assert_eq!(malformed(&|b| b.truncate(last_redundant + 1)), "truncated");
        assert_eq!(malformed(&|b| b.truncate(last_redundant)), "truncated");
        assert_eq!(malformed(&|b| b[last_redundant] = 0), "offset");
        assert_eq!(malformed(&|b| b[last_redundant] = 51), "offset");
        assert_eq!(
            malformed(&|b| b[10..14].copy_from_slice(&8_u32.to_be_bytes())),
            "offset"
        );
        assert_eq!(
            malformed(&|b| b[14..18].copy_from_slice(&8_u32.to_be_bytes())),
            "offset"
        );
        assert_eq!(malformed(&|b| b.push(0)), "left-over");
    }

    #[test]
    fn the_last_sequence_and_time_of_an_epoch_are_usable_and_nothing_is_beyond() {
        let sign = |sequence, time, frames: &[&[u8]]| {
            let header = Header {
                sequence,
                time,
                ..header()
            };
            Draft {
                header,
                frames,
                redundant: &[],
            }
            .sign(ROOM, &key())
            .map(Own::into_packet)
        };
        let last = sign(u32::MAX - 1, u32::MAX - 1, &[b"x", b"y"]).expect("valid");
        assert_eq!(
            last.frames().last().map(|f| (f.sequence, f.time)),
            Some((u32::MAX, u32::MAX))
        );
        assert_eq!(sign(u32::MAX, 0, &[b"x", b"y"]), Err(BadPacket::Range));
        assert_eq!(sign(0, u32::MAX - 1, &[b"x", b"y", b"z"]), Err(BadPacket::Range));
    }

    #[test]
    fn a_draft_that_neighbours_would_refuse_is_not_signed() {
        let sign = |frames: &[&[u8]], redundant: &[(u8, &[u8])]| {
            draft(frames, redundant)
                .sign(ROOM, &key())
                .map(|_| ())
                .expect_err("refused")
        };
        assert_eq!(sign(&[], &[]), BadPacket::FrameCount);
        assert_eq!(sign(&[&b"x"[..]; 4], &[]), BadPacket::FrameCount);
        assert_eq!(sign(&[&b"x"[..]; 259], &[]), BadPacket::FrameCount);
        assert_eq!(sign(&[b"x"], &[(1, &b"x"[..]); 4]), BadPacket::FrameCount);
        assert_eq!(sign(&[b"", b"xx"], &[]), BadPacket::FrameLength);
        assert_eq!(sign(&[&[0; 1001]], &[]), BadPacket::FrameLength);
        assert_eq!(sign(&[&[0; 70_000]], &[]), BadPacket::FrameLength);
        assert_eq!(sign(&[&[0; 600], &[0; 600]], &[]), BadPacket::TooLong);
        assert_eq!(sign(&[b"x"], &[(0, b"x")]), BadPacket::Offset);
    }

    #[test]
    fn the_largest_packet_is_accepted() {
        let frames: &[&[u8]] = &[&[1; 1000]];
        let own = draft(frames, &[(1, &[2; 8])]).sign(ROOM, &key()).expect("valid");
        assert_eq!(own.packet().bytes().len(), limits::MEDIA_PACKET - 1);
        let own = draft(frames, &[(1, &[2; 9])]).sign(ROOM, &key()).expect("valid");
        assert_eq!(own.packet().bytes().len(), limits::MEDIA_PACKET);
    }

    fn any_packet() -> impl Strategy<Value = Vec<u8>> {
        let frames = prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 1..=3);
        let redundant = prop::collection::vec((1_u8..=50, prop::collection::vec(any::<u8>(), 1..100)), 0..=3);
        (
            frames,
            redundant,
            any::<[u32; 4]>(),
            any::<[u8; 4]>(),
            0_u8..=127,
            any::<bool>(),
        )
            .prop_map(
                |(frames, redundant, [epoch, sequence, time, log], tag, level, end_of_spurt)| {
                    let header = Header {
                        tag: Tag(tag),
                        epoch,
                        sequence: sequence.clamp(50, u32::MAX - 2),
                        time: time.clamp(50, u32::MAX - 2),
                        log,
                        level,
                        end_of_spurt,
                    };
                    let frames: Vec<&[u8]> = frames.iter().map(|frame| &frame[..]).collect();
                    let redundant: Vec<_> = redundant
                        .iter()
                        .map(|(back, frame)| (*back, &frame[..]))
                        .collect();
                    let body = Draft {
                        header,
                        frames: &frames,
                        redundant: &redundant,
                    }
                    .body();
                    [&body.expect("within the limits"), &[9; SIGNATURE][..]].concat()
                },
            )
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = Packet::peek_tag(&bytes);
            let _ = Packet::parse(bytes.into());
        }

        #[test]
        fn what_is_decoded_encodes_to_the_same_bytes(bytes in any_packet()) {
            let packet = Packet::parse(bytes.clone().into()).expect("valid");
            prop_assert_eq!(encode_again(&packet), bytes);
        }

        #[test]
        fn altered_packets_do_not_panic_and_have_one_encoding(
            mut bytes in any_packet(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            for (at, value) in changes {
                let at = at.index(bytes.len().min(40));
                bytes[at] = value;
            }
            if let Ok(packet) = Packet::parse(bytes.clone().into()) {
                prop_assert_eq!(encode_again(&packet), bytes);
                prop_assert_eq!(packet.frames().count() as u32, packet.frame_count());
            }
        }
    }

    #[test]
    fn the_flags_count_frames_of_both_kinds() {
        assert_eq!(flags(3, 3, true), 0b0001_1111);
        assert_eq!(vec![flags(1, 0, false), flags(1, 1, false)], [0b01, 0b1001]);
    }
}
