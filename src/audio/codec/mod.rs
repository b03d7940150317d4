//! The codec behind two small traits, so that another one can take Opus' place.
//!
//! A frame is always 20 ms at 48 kHz, its channels interleaved. A payload comes from the network: a
//! decoder answers a payload it can't use with an error and stays usable, so that the caller can conceal.

mod opus;

pub use opus::{OpusDecoder, OpusEncoder};
pub(super) use opus::{OpusPackets, is_frame, silence, stand_in};

use super::Channels;
use bytes::Bytes;

/// Longest payload an encoder makes, in bytes. A media packet may have 1,100 bytes with its header,
/// lengths and signature; at 128 kbit/s a frame has 320 bytes on average, so the bound is met in practice
/// only by a burst, which then loses a little quality and nothing else.
pub const MAX_PAYLOAD: usize = 1_000;

/// How much loss the encoder expects until it is told better, in percent. It makes the in-band copy of
/// the previous frame that lets a listener fill a single hole; below about 5 libopus leaves it out.
pub const DEFAULT_EXPECTED_LOSS: u8 = 10;

/// What an encoder is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncoderSettings {
    /// Channels of the frames that will be given to it.
    pub channels: Channels,
    /// Bits a second, on average.
    pub bitrate: u32,
    /// Whether the sound is speech; music otherwise.
    pub speech: bool,
    /// Loss to prepare for, in percent, 0 to 100.
    pub expected_loss: u8,
}

impl EncoderSettings {
    /// Mono speech at 32 kbit/s with forward error correction in band.
    pub const fn speech() -> Self {
        Self {
            channels: Channels::Mono,
            bitrate: 32_000,
            speech: true,
            expected_loss: DEFAULT_EXPECTED_LOSS,
        }
    }

    /// Stereo music at 128 kbit/s. Opus has no in-band correction for music, so no loss is expected.
    pub const fn music() -> Self {
        Self {
            channels: Channels::Stereo,
            bitrate: 128_000,
            speech: false,
            expected_loss: 0,
        }
    }
}

/// One encoded frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The codec's bytes, at most [`MAX_PAYLOAD`].
    pub payload: Bytes,
}

/// Why a frame could not be encoded or decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// A setting is outside what the codec allows: the caller's fault.
    #[error("a setting is out of range: {0}")]
    Settings(String),
    /// A slice has not the length of one frame: the caller's fault.
    #[error("a frame has {expected} samples, not {actual}")]
    FrameLength {
        /// Samples of one frame, all channels.
        expected: usize,
        /// Samples that were given.
        actual: usize,
    },
    /// The payload is not one 20 ms frame of this codec: its speaker's fault. The decoder goes on with the next.
    #[error("a payload is not a 20 ms frame: {0}")]
    Payload(String),
}

/// Turns frames into payloads. Keeps state between frames: one encoder a stream.
pub trait Encoder: Send {
    /// Channels of the frames it takes.
    fn channels(&self) -> Channels;

    /// Encodes one frame of `channels().frame_len()` samples.
    fn encode(&mut self, frame: &[f32]) -> Result<Encoded, CodecError>;

    /// Aims for this many bits a second from the next frame on. The bound of a payload stays.
    fn set_bitrate(&mut self, bitrate: u32) -> Result<(), CodecError>;

    /// Prepares for this much loss from the next frame on, in percent; more than 100 counts as 100.
    fn set_expected_loss(&mut self, percent: u8) -> Result<(), CodecError>;

    /// Samples of one channel by which what is decoded lags what was encoded.
    fn delay(&self) -> Result<u16, CodecError>;
}

/// Turns payloads into frames. Keeps state between frames: one decoder a stream, and calls in play order.
///
/// Each call fills all of `frame`, which has the length of one frame. After an error its content is
/// unspecified.
pub trait Decoder: Send {
    /// Decodes one payload.
    fn decode(&mut self, payload: &[u8], frame: &mut [f32]) -> Result<(), CodecError>;

    /// Fills a hole of one frame from the copy that the payload after it carries, or conceals the hole
    /// when it carries none. `next` itself is decoded afterwards as usual.
    fn recover(&mut self, next: &[u8], frame: &mut [f32]) -> Result<(), CodecError>;

    /// Fills a hole of one frame from what went before it; fades out by itself when holes go on.
    fn conceal(&mut self, frame: &mut [f32]) -> Result<(), CodecError>;

    /// Forgets all state, as for a new stream.
    fn reset(&mut self) -> Result<(), CodecError>;
}

/// The encoder of this build.
pub fn encoder(settings: EncoderSettings) -> Result<Box<dyn Encoder>, CodecError> {
    Ok(Box::new(OpusEncoder::new(settings)?))
}

/// The decoder of this build. A stereo payload in a mono room is mixed down, and the other way round.
pub fn decoder(channels: Channels) -> Result<Box<dyn Decoder>, CodecError> {
    Ok(Box::new(OpusDecoder::new(channels)?))
}
