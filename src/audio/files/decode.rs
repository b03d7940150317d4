//! What a sound file contains, whatever its format: samples at its own rate and in its own channels.
//!
//! Invariants: memory does not grow with the file. What is damaged in the middle is left out, and a file whose end is
//! missing gives what it has. A panic of a decoder is an error like any other: a hostile file may find one.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use symphonia::core::{
    codecs::audio::{AudioCodecParameters, AudioDecoder, well_known::CODEC_ID_OPUS},
    errors::Error,
    formats::{FormatReader, TrackType, probe::Hint},
    io::MediaSourceStream,
    packet::Packet,
};

use crate::{
    audio::{AudioError, Channels, SAMPLE_RATE, codec::OpusPackets},
    regular_file,
};

/// Most channels a file may have. Real files have up to 24 or so; the bound keeps one packet small.
const MAX_CHANNELS: usize = 64;

/// Damaged packets in a row after which the rest of a file is given up.
const MAX_DAMAGED: u32 = 100;

/// An open file, read from its start to its end.
pub(super) struct SoundFile {
    path: PathBuf,
    format: Box<dyn FormatReader>,
    track: u32,
    decoder: Decoder,
    shape: Shape,
}

/// How a file's samples are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Samples a second of each channel.
    pub(super) rate: u32,
    /// Channels, interleaved.
    pub(super) channels: usize,
}

/// Turns a packet into samples.
enum Decoder {
    /// Whatever is not Opus.
    Plain(Box<dyn AudioDecoder>),
    /// Opus, by the codec that rooms use.
    Opus(OpusStream),
}

/// Opus in Ogg (RFC 7845).
struct OpusStream {
    packets: OpusPackets,
    channels: Channels,
    /// Samples a channel of the encoder's delay, still to be left out.
    to_skip: usize,
}

impl SoundFile {
    /// Opens a file and looks at what it is.
    ///
    /// # Errors
    /// [`AudioError::ReadInput`] where it cannot be read, [`AudioError::NotPlayable`] where it holds no sound that this
    /// program knows.
    pub(super) fn open(path: &Path) -> Result<Self, AudioError> {
        let file = regular_file::open(path).map_err(|source| AudioError::ReadInput {
            path: path.to_owned(),
            source,
        })?;
        let stream = MediaSourceStream::new(Box::new(file), Default::default());
        let mut hint = Hint::new();
        if let Some(extension) = path.extension().and_then(|extension| extension.to_str()) {
            hint.with_extension(extension);
        }
        let format = unharmed(|| {
            symphonia::default::get_probe().probe(&hint, stream, Default::default(), Default::default())
        })
        .map_err(|error| failed(path, error))?;
        let (track, decoder, shape) = first_track(path, &*format)?;
        Ok(Self {
            path: path.to_owned(),
            format,
            track,
            decoder,
            shape,
        })
    }

    /// How the samples are laid out; the same up to the end.
    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// Appends the samples of the next packet, scaled to ±1.0; false at the end. A packet may give none.
    pub(super) fn read(&mut self, samples: &mut Vec<f32>) -> Result<bool, AudioError> {
        let mut damaged = 0;
        loop {
            let done = match unharmed(|| self.format.next_packet()) {
                Ok(None) => return Ok(false),
                Ok(Some(packet)) if packet.track_id != self.track => continue,
                Ok(Some(packet)) => unharmed(|| self.decoder.decode(&packet, self.shape, samples)),
                Err(error) => Err(error),
            };
            match done {
                Ok(()) => return Ok(true),
                Err(Error::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Ok(false);
                }
                Err(Error::ResetRequired) => self.go_on()?,
                Err(Error::DecodeError(_)) if damaged < MAX_DAMAGED => damaged += 1,
                Err(error) => return Err(failed(&self.path, error)),
            }
        }
    }

    /// Takes what follows in a chain of streams, as long as it sounds alike.
    fn go_on(&mut self) -> Result<(), AudioError> {
        let (track, decoder, shape) = first_track(&self.path, &*self.format)?;
        if shape != self.shape {
            return Err(not_playable(
                &self.path,
                "its rate or channels change in the middle",
            ));
        }
        (self.track, self.decoder) = (track, decoder);
        Ok(())
    }
}

impl core::fmt::Debug for SoundFile {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SoundFile")
            .field("path", &self.path)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}

impl Decoder {
    fn decode(&mut self, packet: &Packet, shape: Shape, samples: &mut Vec<f32>) -> Result<(), Error> {
        match self {
            Self::Opus(opus) => opus.decode(packet, samples),
            Self::Plain(decoder) => {
                let decoded = decoder.decode(packet)?;
                if decoded.num_planes() != shape.channels || decoded.spec().rate() != shape.rate {
                    return Err(Error::Unsupported("its rate or channels change in the middle"));
                }
                let start = samples.len();
                samples.resize(start + decoded.samples_interleaved(), 0.0);
                decoded.copy_to_slice_interleaved(&mut samples[start..]);
                Ok(())
            }
        }
    }
}

impl OpusStream {
    /// From the identification header, which the container keeps as it is.
    fn new(header: &[u8]) -> Result<Self, Error> {
        let byte = |at: usize| header.get(at).copied().unwrap_or(0);
        let channels = match (byte(9), byte(18)) {
            (1, 0) => Channels::Mono,
            (2, 0) => Channels::Stereo,
            _ => return Err(Error::Unsupported("Opus with more than two channels")),
        };
        let gain = i16::from_le_bytes([byte(16), byte(17)]);
        let packets = OpusPackets::new(channels, gain)
            .map_err(|_| Error::Unsupported("an Opus header with settings that there are none of"))?;
        Ok(Self {
            packets,
            channels,
            to_skip: usize::from(u16::from_le_bytes([byte(10), byte(11)])),
        })
    }

    fn decode(&mut self, packet: &Packet, samples: &mut Vec<f32>) -> Result<(), Error> {
        let decoded = self
            .packets
            .decode(&packet.data)
            .map_err(|_| Error::DecodeError("no Opus packet"))?;
        let channels = self.channels.count();
        let made = decoded.len() / channels;
        let skipped = made.min(self.to_skip);
        self.to_skip -= skipped;
        let padding = usize::try_from(packet.trim_end.get()).unwrap_or(usize::MAX);
        let end = made.saturating_sub(padding).max(skipped);
        samples.extend_from_slice(&decoded[skipped * channels..end * channels]);
        Ok(())
    }
}

/// The first track with sound, and what decodes it.
fn first_track(path: &Path, format: &dyn FormatReader) -> Result<(u32, Decoder, Shape), AudioError> {
    let track = format
        .default_track(TrackType::Audio)
        .ok_or_else(|| not_playable(path, "it has no sound"))?;
    let params = track
        .codec_params
        .as_ref()
        .and_then(|params| params.audio())
        .ok_or_else(|| not_playable(path, "its sound is of a kind that is not known"))?;
    let (decoder, shape) = decoder(params).map_err(|error| failed(path, error))?;
    if shape.channels == 0 || shape.channels > MAX_CHANNELS {
        return Err(not_playable(path, format!("{} channels", shape.channels)));
    }
    Ok((track.id, decoder, shape))
}

fn decoder(params: &AudioCodecParameters) -> Result<(Decoder, Shape), Error> {
    if params.codec == CODEC_ID_OPUS {
        let header = params.extra_data.as_deref().unwrap_or_default();
        let opus = OpusStream::new(header)?;
        let shape = Shape {
            rate: SAMPLE_RATE,
            channels: opus.channels.count(),
        };
        return Ok((Decoder::Opus(opus), shape));
    }
    let decoder = symphonia::default::get_codecs().make_audio_decoder(params, &Default::default())?;
    let missing = Error::Unsupported("a file that does not say its rate and channels");
    let (Some(rate), Some(channels)) = (params.sample_rate, params.channels.as_ref()) else {
        return Err(missing);
    };
    let channels = channels.count();
    Ok((Decoder::Plain(decoder), Shape { rate, channels }))
}

/// What a decoder makes of a file that may be hostile. After a panic it is not called again.
fn unharmed<T>(decode: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or(Err(Error::Unsupported(
        "it is damaged in a way that its decoder does not bear",
    )))
}

fn failed(path: &Path, error: Error) -> AudioError {
    match error {
        Error::IoError(source) if source.kind() != std::io::ErrorKind::UnexpectedEof => {
            AudioError::ReadInput {
                path: path.to_owned(),
                source,
            }
        }
        Error::IoError(_) => not_playable(path, "it ends before any sound"),
        other => not_playable(path, other.to_string()),
    }
}

pub(super) fn not_playable(path: &Path, reason: impl Into<String>) -> AudioError {
    AudioError::NotPlayable {
        path: path.to_owned(),
        reason: reason.into(),
    }
}
