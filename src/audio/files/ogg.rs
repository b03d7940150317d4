//! Opus packets in an Ogg file (RFC 7845): 48 kHz, 20 ms a packet.
//!
//! Invariant: after each second the file on disk is one that players open, up to that second. Only [`OggOpus::finish`]
//! marks its end, and cuts it to the length that was asked for.

use std::{
    fs::File,
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use ogg::{PacketWriteEndInfo, PacketWriter};

use crate::audio::{AudioError, Channels, FRAME_SAMPLES, SAMPLE_RATE};

/// Packets in a page: a second.
const PAGE: u64 = 50;

/// An Ogg Opus file that grows.
pub(in crate::audio) struct OggOpus {
    path: PathBuf,
    pages: PacketWriter<'static, BufWriter<File>>,
    serial: u32,
    /// Samples of one channel that players leave out at the start: the delay of whoever encoded.
    pre_skip: u16,
    /// Packets before `held`.
    written: u64,
    /// The newest packet, which may be the last.
    held: Option<Bytes>,
}

impl OggOpus {
    /// Creates the file, or empties one that is there. `tags` are Vorbis comments, such as `("TITLE", "Evening talk")`.
    pub(in crate::audio) fn create(
        path: &Path,
        channels: Channels,
        pre_skip: u16,
        tags: &[(&str, &str)],
    ) -> Result<Self, AudioError> {
        let failed = |source| AudioError::WriteOutput {
            path: path.to_owned(),
            source,
        };
        let file = File::create(path).map_err(failed)?;
        let serial = getrandom::u32().map_err(|error| failed(io::Error::other(error)))?;
        let mut pages = PacketWriter::new(BufWriter::new(file));
        for header in [head(channels, pre_skip), comments(tags)] {
            pages
                .write_packet(header, serial, PacketWriteEndInfo::EndPage, 0)
                .map_err(failed)?;
        }
        Ok(Self {
            path: path.to_owned(),
            pages,
            serial,
            pre_skip,
            written: 0,
            held: None,
        })
    }

    /// Appends a packet of 20 ms.
    pub(in crate::audio) fn push(&mut self, packet: Bytes) -> Result<(), AudioError> {
        let Some(before) = self.held.replace(packet) else {
            return Ok(());
        };
        self.written += 1;
        let is_page = self.written.is_multiple_of(PAGE);
        let how = if is_page {
            PacketWriteEndInfo::EndPage
        } else {
            PacketWriteEndInfo::NormalPacket
        };
        let position = self.written * FRAME_SAMPLES as u64;
        let done = self.write(before, how, position);
        done.and_then(|()| {
            if is_page {
                self.pages.inner_mut().flush()
            } else {
                Ok(())
            }
        })
        .map_err(|error| self.failure(error))
    }

    /// Ends the file: it plays for as many samples of each channel, where it has as many.
    pub(in crate::audio) fn finish(&mut self, samples: u64) -> Result<(), AudioError> {
        let Some(last) = self.held.take() else {
            return Ok(());
        };
        self.written += 1;
        let all = self.written * FRAME_SAMPLES as u64;
        let position = all.min(samples + u64::from(self.pre_skip));
        self.write(last, PacketWriteEndInfo::EndStream, position)
            .and_then(|()| self.pages.inner_mut().flush())
            .map_err(|error| self.failure(error))
    }

    fn write(&mut self, packet: Bytes, how: PacketWriteEndInfo, position: u64) -> io::Result<()> {
        self.pages
            .write_packet(Vec::from(packet), self.serial, how, position)
    }

    fn failure(&self, source: io::Error) -> AudioError {
        AudioError::WriteOutput {
            path: self.path.clone(),
            source,
        }
    }
}

impl core::fmt::Debug for OggOpus {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OggOpus")
            .field("path", &self.path)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

/// The identification header.
fn head(channels: Channels, pre_skip: u16) -> Vec<u8> {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(channels.count() as u8);
    head.extend(pre_skip.to_le_bytes());
    head.extend(SAMPLE_RATE.to_le_bytes());
    // No gain, and the one or two channels as they are.
    head.extend([0, 0, 0]);
    head
}

/// The comment header.
fn comments(tags: &[(&str, &str)]) -> Vec<u8> {
    let mut header = b"OpusTags".to_vec();
    let mut put = |text: &str| {
        header.extend((text.len() as u32).to_le_bytes());
        header.extend(text.as_bytes());
    };
    put(concat!("majlis ", env!("CARGO_PKG_VERSION")));
    let comments: Vec<String> = tags
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    header.extend((comments.len() as u32).to_le_bytes());
    for comment in comments {
        header.extend((comment.len() as u32).to_le_bytes());
        header.extend(comment.as_bytes());
    }
    header
}
