//! The media packet as it came: layout checked, signature not (SPEC.md section 9).
//!
//! Parsing copies no sound: a packet keeps the exact bytes and remembers where each frame lies in them. A packet
//! has one encoding, so the bytes that were checked are the bytes that are passed on.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::Tag;
use crate::{
    domain, limits,
    person::{BadSignature, Signature, Verifier},
    room::RoomId,
    wire::varint::{self, BadVarint},
};

/// How long one frame sounds, and what one step of `time` is.
pub const FRAME_TIME: Duration = Duration::from_millis(20);

/// Bytes of a packet around its frames and their lengths: header and signature.
pub const OVERHEAD: usize = HEADER + SIGNATURE;

pub(super) const HEADER: usize = 23;
pub(super) const SIGNATURE: usize = 64;

/// Kind 1 in the high four bits, version 1 in the low.
pub(super) const KIND_AND_VERSION: u8 = 0x11;

/// The smallest packet: one frame of one byte.
const SMALLEST: usize = OVERHEAD + 2;

const FLAG_PRIMARY: u8 = 0b0000_0011;
const FLAG_END_OF_SPURT: u8 = 0b0000_0100;
const FLAG_REDUNDANT: u8 = 0b0001_1000;
const FLAG_SEALED: u8 = 0b0010_0000;
const FLAG_RESERVED: u8 = 0b1100_0000;

/// Highest level: silence, 127 dB below overload.
const QUIETEST: u8 = 127;

/// What a packet says about its sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The stay on the stage.
    pub tag: Tag,
    /// Room clock in seconds when the speaker's program took the stage, and above any it used before.
    pub epoch: u32,
    /// Sequence of the first primary frame: frames sent in this epoch before it.
    pub sequence: u32,
    /// Time of the first primary frame, in steps of [`FRAME_TIME`] since the epoch began.
    pub time: u32,
    /// Sequence of the newest log entry that the speaker had applied.
    pub log: u32,
    /// Level of the primary frames in -dBov: 0 is the loudest, 127 is silence.
    pub level: u8,
    /// The last packet of a spurt: silence follows, and no frame is missed until the next.
    pub end_of_spurt: bool,
}

/// One Opus frame, and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Frames sent in the epoch before this one.
    pub sequence: u32,
    /// When it sounds, in steps of [`FRAME_TIME`] since the epoch began.
    pub time: u32,
    /// The frame, shared with the packet it came in.
    pub opus: Bytes,
}

/// A media packet whose layout was checked and whose signature was not. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    bytes: Bytes,
    header: Header,
    primary: Spans<{ limits::PRIMARY_FRAMES }>,
    redundant: Spans<{ limits::REDUNDANT_FRAMES }>,
}

/// Bytes that are no media packet. Their sender is at fault, or newer than we are; a retry does not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadPacket {
    /// Longer than [`limits::MEDIA_PACKET`].
    #[error("the media packet is longer than {} bytes", limits::MEDIA_PACKET)]
    TooLong,
    /// Shorter than a packet with one frame of one byte.
    #[error("the media packet is shorter than {SMALLEST} bytes")]
    TooShort,
    /// The first four bits do not say media packet.
    #[error("not a media packet")]
    Kind,
    /// A version that this program does not know; an update may help.
    #[error("the media packet has a version that this program does not know")]
    Version,
    /// A reserved flag is set.
    #[error("the media packet sets a reserved flag")]
    Flags,
    /// A sealed packet of a private room; an update helps.
    #[error("the media packet is sealed: private rooms need a newer version of this program")]
    Sealed,
    /// No primary frame, or, in a draft, more frames than the flags can count.
    #[error("a media packet has 1 to 3 primary and 0 to 3 redundant frames")]
    FrameCount,
    /// The level is above 127.
    #[error("the level is above {QUIETEST}")]
    Level,
    /// The sequence or time of a frame would pass the range of a `u32`.
    #[error("the sequence or time of a frame is out of range")]
    Range,
    /// The length of a frame is not a varint in its shortest form.
    #[error("the length of a frame is not a varint in its shortest form")]
    Varint,
    /// A frame is empty, or longer than [`limits::OPUS_FRAME`].
    #[error("a frame has 1 to {} bytes", limits::OPUS_FRAME)]
    FrameLength,
    /// A frame runs into the signature.
    #[error("a frame runs into the signature")]
    Truncated,
    /// A redundant frame lies 0 or more than [`limits::REDUNDANT_OFFSET`] frames back, or before the epoch.
    #[error("a redundant frame lies too far back, or nowhere")]
    Offset,
    /// Something stands between the last frame and the signature.
    #[error("bytes are left over after the last frame")]
    LeftOver,
}

/// Where the frames of one kind lie in the packet: the first `count` are filled, the others are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spans<const N: usize> {
    spans: [Span; N],
    count: u8,
}

/// Where one frame lies in the packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Span {
    /// How far behind the packet's sequence a redundant frame is; 0 for primary frames.
    back: u8,
    start: u16,
    length: u16,
}

impl Packet {
    /// Checks the layout of a packet and finds its frames.
    ///
    /// # Errors
    /// [`BadPacket`] names the first thing that is wrong.
    pub fn parse(bytes: Bytes) -> Result<Self, BadPacket> {
        if bytes.len() > limits::MEDIA_PACKET {
            return Err(BadPacket::TooLong);
        }
        if bytes.len() < SMALLEST {
            return Err(BadPacket::TooShort);
        }
        let mut reader = Reader {
            body: &bytes[..bytes.len() - SIGNATURE],
            at: 0,
        };
        let (header, counts) = reader.header()?;
        let primary = reader.primary(counts.primary)?;
        let redundant = reader.redundant(counts.redundant, &header)?;
        if reader.at != reader.body.len() {
            return Err(BadPacket::LeftOver);
        }
        Ok(Self {
            bytes,
            header,
            primary,
            redundant,
        })
    }

    /// The tag that a packet claims, before anything else about it is known; nothing when it is too short.
    #[must_use]
    pub fn peek_tag(bytes: &[u8]) -> Option<Tag> {
        bytes.get(2..6).and_then(|tag| tag.try_into().ok()).map(Tag)
    }

    /// What the packet says about its sound.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The exact bytes that came, and that are passed on.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// How many primary frames it has: 1 to 3.
    #[must_use]
    pub fn frame_count(&self) -> u32 {
        u32::from(self.primary.count)
    }

    /// Bytes of Opus in all its frames, primary and redundant: what a stay's bit rate counts.
    #[must_use]
    pub fn opus_bytes(&self) -> u32 {
        self.primary
            .iter()
            .chain(self.redundant.iter())
            .map(|span| u32::from(span.length))
            .sum()
    }

    /// The primary frames, in order.
    pub fn frames(&self) -> impl Iterator<Item = Frame> + '_ {
        (0..).zip(self.primary.iter()).map(|(index, span)| Frame {
            sequence: self.header.sequence + index,
            time: self.header.time + index,
            opus: self.opus(span),
        })
    }

    /// The redundant frames, as the speaker put them: frames of this spurt that were sent before.
    pub fn redundant(&self) -> impl Iterator<Item = Frame> + '_ {
        self.redundant.iter().map(|span| Frame {
            sequence: self.header.sequence - u32::from(span.back),
            time: self.header.time - u32::from(span.back),
            opus: self.opus(span),
        })
    }

    /// Checks the signature: that this speaker said this, in this room.
    ///
    /// # Errors
    /// [`BadSignature`] when it is forged, altered, or from another room.
    pub fn verify(&self, room: &RoomId, speaker: &Verifier) -> Result<(), BadSignature> {
        let (body, signature) = self.bytes.split_at(self.bytes.len() - SIGNATURE);
        let signature = signature.try_into().map_err(|_| BadSignature)?;
        speaker.verify(&signed_message(room, body, 0), &Signature::from_bytes(signature))
    }

    fn opus(&self, span: &Span) -> Bytes {
        let start = usize::from(span.start);
        self.bytes.slice(start..start + usize::from(span.length))
    }
}

/// What a packet's signature covers: domain, room and every byte before the signature. `spare` bytes of room are
/// left behind it.
pub(super) fn signed_message(room: &RoomId, body: &[u8], spare: usize) -> Vec<u8> {
    let mut message = Vec::with_capacity(domain::MEDIA.len() + room.0.len() + body.len() + spare);
    message.extend_from_slice(domain::MEDIA);
    message.extend_from_slice(&room.0);
    message.extend_from_slice(body);
    message
}

/// The flags byte for these numbers of frames, each at most 3.
pub(super) fn flags(primary: u8, redundant: u8, end_of_spurt: bool) -> u8 {
    let end = if end_of_spurt { FLAG_END_OF_SPURT } else { 0 };
    primary | end | redundant << FLAG_REDUNDANT.trailing_zeros()
}

/// How many frames the flags promise.
struct Counts {
    primary: u8,
    redundant: u8,
}

/// Reads the part of a packet before its signature.
struct Reader<'a> {
    body: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn header(&mut self) -> Result<(Header, Counts), BadPacket> {
        let [kind, flags] = self.array()?;
        if kind >> 4 != KIND_AND_VERSION >> 4 {
            return Err(BadPacket::Kind);
        }
        if kind != KIND_AND_VERSION {
            return Err(BadPacket::Version);
        }
        if flags & FLAG_RESERVED != 0 {
            return Err(BadPacket::Flags);
        }
        if flags & FLAG_SEALED != 0 {
            return Err(BadPacket::Sealed);
        }
        let counts = Counts {
            primary: flags & FLAG_PRIMARY,
            redundant: (flags & FLAG_REDUNDANT) >> FLAG_REDUNDANT.trailing_zeros(),
        };
        let header = Header {
            tag: Tag(self.array()?),
            epoch: self.number()?,
            sequence: self.number()?,
            time: self.number()?,
            log: self.number()?,
            level: u8::from_be_bytes(self.array()?),
            end_of_spurt: flags & FLAG_END_OF_SPURT != 0,
        };
        if counts.primary == 0 {
            return Err(BadPacket::FrameCount);
        }
        if header.level > QUIETEST {
            return Err(BadPacket::Level);
        }
        let last = u32::from(counts.primary) - 1;
        if header.sequence.checked_add(last).is_none() || header.time.checked_add(last).is_none() {
            return Err(BadPacket::Range);
        }
        Ok((header, counts))
    }

    fn primary<const N: usize>(&mut self, count: u8) -> Result<Spans<N>, BadPacket> {
        let mut spans = Spans {
            spans: [Span::default(); N],
            count,
        };
        for span in spans.spans.iter_mut().take(usize::from(count)) {
            *span = self.frame(0)?;
        }
        Ok(spans)
    }

    fn redundant<const N: usize>(&mut self, count: u8, header: &Header) -> Result<Spans<N>, BadPacket> {
        let mut spans = Spans {
            spans: [Span::default(); N],
            count,
        };
        for span in spans.spans.iter_mut().take(usize::from(count)) {
            let [back] = self.array()?;
            let sent = u32::from(back) <= header.sequence.min(header.time);
            if !(1..=limits::REDUNDANT_OFFSET).contains(&back) || !sent {
                return Err(BadPacket::Offset);
            }
            *span = self.frame(back)?;
        }
        Ok(spans)
    }

    fn frame(&mut self, back: u8) -> Result<Span, BadPacket> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let (length, prefix) = varint::take(rest).map_err(|error| match error {
            BadVarint::Truncated => BadPacket::Truncated,
            BadVarint::Form => BadPacket::Varint,
        })?;
        if !(1..=limits::OPUS_FRAME).contains(&usize::from(length)) {
            return Err(BadPacket::FrameLength);
        }
        let start = self.at + prefix;
        self.at = start + usize::from(length);
        if self.at > self.body.len() {
            return Err(BadPacket::Truncated);
        }
        let start = u16::try_from(start).map_err(|_| BadPacket::TooLong)?;
        Ok(Span { back, start, length })
    }

    fn number(&mut self) -> Result<u32, BadPacket> {
        self.array().map(u32::from_be_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadPacket> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let array = rest.first_chunk().ok_or(BadPacket::Truncated)?;
        self.at += N;
        Ok(*array)
    }
}

impl<const N: usize> Spans<N> {
    fn iter(&self) -> impl Iterator<Item = &Span> {
        self.spans.iter().take(usize::from(self.count))
    }
}

impl BadPacket {
    /// The reason's name in the test vectors and in what is shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TooLong => "too-long",
            Self::TooShort => "too-short",
            Self::Kind => "kind",
            Self::Version => "version",
            Self::Flags => "flags",
            Self::Sealed => "sealed",
            Self::FrameCount => "frame-count",
            Self::Level => "level",
            Self::Range => "range",
            Self::Varint => "varint",
            Self::FrameLength => "frame-length",
            Self::Truncated => "truncated",
            Self::Offset => "offset",
            Self::LeftOver => "left-over",
        }
    }
}
