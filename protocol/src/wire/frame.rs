//! Control frames: length, version, kind, body (SPEC.md section 11).
//!
//! A frame reader holds at most one frame of one link, whatever the other end sends.

use alloc::vec::Vec;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::{limits, signed::Malformed};

/// The version byte of control frames.
const VERSION: u8 = 1;

/// Bytes of the length that stands before a frame.
const LENGTH: usize = 4;

/// Bytes of version and kind.
const HEAD: usize = 3;

/// Message kinds from here on end the substream of those who do not know them.
pub const CRITICAL: u16 = 0x8000;

/// One frame: a message's kind and its body, not yet decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The message's kind.
    pub kind: u16,
    /// Its body.
    pub body: Bytes,
}

/// Cuts a stream of bytes into frames.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: BytesMut,
}

impl Frame {
    /// The frame as it stands on the wire.
    ///
    /// # Errors
    /// [`Malformed::TooLong`] when the body does not fit a frame.
    pub fn encode(&self) -> Result<Bytes, Malformed> {
        let len = HEAD + self.body.len();
        if len > limits::CONTROL_FRAME {
            return Err(Malformed::TooLong {
                what: "a control frame",
                max: limits::CONTROL_FRAME,
            });
        }
        let mut bytes = Vec::with_capacity(LENGTH + len);
        bytes.put_u32(len as u32);
        bytes.put_u8(VERSION);
        bytes.put_u16(self.kind);
        bytes.put_slice(&self.body);
        Ok(bytes.into())
    }
}

impl FrameReader {
    /// Takes in what came from the substream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that wait for the rest of their frame.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The next whole frame.
    ///
    /// # Errors
    /// [`Malformed`] when the frame is too long, too short or of another version. The stream cannot be read on.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Malformed> {
        let Some(length) = self.buffer.first_chunk::<LENGTH>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > limits::CONTROL_FRAME {
            return Err(Malformed::TooLong {
                what: "a control frame",
                max: limits::CONTROL_FRAME,
            });
        }
        if length < HEAD {
            return Err(Malformed::Encoding {
                what: "a control frame",
            });
        }
        if let Some(&version) = self.buffer.get(LENGTH).filter(|version| **version != VERSION) {
            return Err(Malformed::Version {
                what: "a control frame",
                version,
            });
        }
        if self.buffer.len() < LENGTH + length {
            return Ok(None);
        }
        self.buffer.advance(LENGTH + 1);
        let mut frame = self.buffer.split_to(length - 1).freeze();
        let kind = frame.get_u16();
        Ok(Some(Frame { kind, body: frame }))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u16, len: usize) -> Frame {
        Frame {
            kind,
            body: vec![kind as u8; len].into(),
        }
    }

    #[test]
    fn oversized_undersized_and_newer_frames_are_refused_at_their_head() {
        let read = |head: &[u8]| {
            let mut reader = FrameReader::default();
            reader.push(head);
            reader.next_frame()
        };
        assert_eq!(
            read(&[0, 1, 0, 1]),
            Err(Malformed::TooLong {
                what: "a control frame",
                max: limits::CONTROL_FRAME
            })
        );
        assert_eq!(
            read(&[0, 0, 0, 2]),
            Err(Malformed::Encoding {
                what: "a control frame"
            })
        );
        assert_eq!(
            read(&[0, 0, 0, 9, 2]),
            Err(Malformed::Version {
                what: "a control frame",
                version: 2
            })
        );
        assert_eq!(read(&[0, 0, 0]), Ok(None));
    }

    #[test]
    fn the_largest_frame_passes_and_one_more_byte_does_not() {
        assert!(frame(1, limits::CONTROL_FRAME - HEAD).encode().is_ok());
        assert!(frame(1, limits::CONTROL_FRAME - HEAD + 1).encode().is_err());
    }

    proptest! {
        #[test]
        fn frames_survive_any_fragmentation(
            lens in prop::collection::vec(0usize..600, 1..6),
            cut in 1usize..97,
        ) {
            let frames: Vec<Frame> = lens.iter().zip(1u16..).map(|(len, kind)| frame(kind, *len)).collect();
            let wire: Vec<u8> = frames.iter().flat_map(|f| f.encode().expect("small")).collect();
            let mut reader = FrameReader::default();
            let mut read = Vec::new();
            for chunk in wire.chunks(cut) {
                reader.push(chunk);
                while let Some(frame) = reader.next_frame().expect("well-formed") {
                    read.push(frame);
                }
            }
            prop_assert_eq!(read, frames);
            prop_assert_eq!(reader.buffered(), 0);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut reader = FrameReader::default();
            reader.push(&bytes);
            while let Ok(Some(_)) = reader.next_frame() {}
        }
    }
}
