//! Opus (RFC 6716) through libopus.
//!
//! Invariant: what [`OpusDecoder::decode`] makes, rounded by [`crate::audio::to_i16`], equals libopus' own
//! 16-bit decoder as long as the signal stays under full scale (above it libopus bends the peaks, and so
//! does our mixer). Payloads of any other length than one 20 ms frame are refused before they touch the
//! decoder's state.

use super::{Channels, CodecError, Decoder, Encoded, Encoder, EncoderSettings, MAX_PAYLOAD};
use crate::audio::FRAME_SAMPLES;
use audiopus::coder::GenericCtl;
use audiopus::packet::{Packet, nb_samples};
use audiopus::{Application, Bitrate, MutSignals, SampleRate, coder};
use bytes::Bytes;

/// Bits of precision the encoder may assume. Files and sound cards give 16; a fixed value keeps the
/// payloads equal to those of any other encoder that is fed 16-bit samples.
const PRECISION_BITS: u8 = 16;

/// The longest payload libopus makes, plus one. The room it is given shapes what it makes, so this keeps
/// payloads equal to those of any other encoder that gives it enough.
const AMPLE_ROOM: usize = 1_276;

/// The longest packet of Opus, in samples of one channel: 120 ms.
const LONGEST: usize = 5_760;

/// Up to this bitrate the encoder gets [`AMPLE_ROOM`]: its rate control keeps a frame far below
/// [`MAX_PAYLOAD`] then, which is six times the average. Above, the bound is imposed.
const AMPLE_UP_TO: u32 = 64_000;

/// libopus' Opus encoder at 48 kHz, frames of 20 ms.
#[derive(Debug)]
pub struct OpusEncoder {
    inner: coder::Encoder,
    channels: Channels,
    buffer: Vec<u8>,
}

impl OpusEncoder {
    /// An encoder for one stream. Fails only on settings that Opus does not have.
    pub fn new(settings: EncoderSettings) -> Result<Self, CodecError> {
        let application = if settings.speech {
            Application::Voip
        } else {
            Application::Audio
        };
        let mut inner = coder::Encoder::new(SampleRate::Hz48000, native(settings.channels), application)
            .map_err(setting)?;
        inner.set_inband_fec(settings.speech).map_err(setting)?;
        inner.set_lsb_depth(PRECISION_BITS).map_err(setting)?;
        let room = if settings.bitrate <= AMPLE_UP_TO {
            AMPLE_ROOM
        } else {
            MAX_PAYLOAD
        };
        let mut encoder = Self {
            inner,
            channels: settings.channels,
            buffer: vec![0; room],
        };
        encoder.set_bitrate(settings.bitrate)?;
        encoder.set_expected_loss(settings.expected_loss)?;
        Ok(encoder)
    }
}

impl Encoder for OpusEncoder {
    fn channels(&self) -> Channels {
        self.channels
    }

    fn encode(&mut self, frame: &[f32]) -> Result<Encoded, CodecError> {
        check_length(frame.len(), self.channels)?;
        let len = self
            .inner
            .encode_float(frame, &mut self.buffer)
            .map_err(setting)?;
        if len > MAX_PAYLOAD {
            return Err(CodecError::Settings(format!("a frame took {len} bytes")));
        }
        Ok(Encoded {
            payload: Bytes::copy_from_slice(&self.buffer[..len]),
        })
    }

    fn set_bitrate(&mut self, bitrate: u32) -> Result<(), CodecError> {
        let wanted = i32::try_from(bitrate).map_err(|_| CodecError::Settings(format!("{bitrate} bit/s")))?;
        self.inner
            .set_bitrate(Bitrate::BitsPerSecond(wanted))
            .map_err(setting)
    }

    fn set_expected_loss(&mut self, percent: u8) -> Result<(), CodecError> {
        self.inner.set_packet_loss_perc(percent.min(100)).map_err(setting)
    }

    fn delay(&self) -> Result<u16, CodecError> {
        let samples = self.inner.lookahead().map_err(setting)?;
        u16::try_from(samples).map_err(|_| CodecError::Settings(format!("a delay of {samples} samples")))
    }
}

/// libopus' Opus decoder at 48 kHz, frames of 20 ms.
#[derive(Debug)]
pub struct OpusDecoder {
    inner: coder::Decoder,
    channels: Channels,
}

impl OpusDecoder {
    /// A decoder for one stream. Fails only when memory does.
    pub fn new(channels: Channels) -> Result<Self, CodecError> {
        let inner = coder::Decoder::new(SampleRate::Hz48000, native(channels)).map_err(setting)?;
        Ok(Self { inner, channels })
    }

    fn run(&mut self, payload: Option<&[u8]>, frame: &mut [f32], correct: bool) -> Result<(), CodecError> {
        check_length(frame.len(), self.channels)?;
        let packet = payload.map(whole_frame).transpose()?;
        let signals = MutSignals::try_from(&mut *frame).map_err(refused)?;
        let decoded = self
            .inner
            .decode_float(packet, signals, correct)
            .map_err(refused)?;
        if decoded != FRAME_SAMPLES {
            return Err(CodecError::Payload(format!("{decoded} samples")));
        }
        for sample in frame.iter_mut().filter(|sample| !sample.is_finite()) {
            *sample = 0.0;
        }
        Ok(())
    }
}

impl Decoder for OpusDecoder {
    fn decode(&mut self, payload: &[u8], frame: &mut [f32]) -> Result<(), CodecError> {
        self.run(Some(payload), frame, false)
    }

    fn recover(&mut self, next: &[u8], frame: &mut [f32]) -> Result<(), CodecError> {
        self.run(Some(next), frame, true)
    }

    fn conceal(&mut self, frame: &mut [f32]) -> Result<(), CodecError> {
        self.run(None, frame, false)
    }

    fn reset(&mut self) -> Result<(), CodecError> {
        self.inner.reset_state().map_err(setting)
    }
}

/// libopus' decoder at 48 kHz for the packets of a file, which have any length that Opus allows.
#[derive(Debug)]
pub(in crate::audio) struct OpusPackets {
    inner: coder::Decoder,
    channels: Channels,
    samples: Vec<f32>,
}

impl OpusPackets {
    /// A decoder that makes everything louder by `gain`, in 256ths of a decibel.
    pub(in crate::audio) fn new(channels: Channels, gain: i16) -> Result<Self, CodecError> {
        let inner = coder::Decoder::new(SampleRate::Hz48000, native(channels)).map_err(setting)?;
        inner.set_gain(i32::from(gain)).map_err(setting)?;
        Ok(Self {
            inner,
            channels,
            samples: vec![0.0; LONGEST * channels.count()],
        })
    }

    /// Decodes one packet; its samples, channels interleaved.
    pub(in crate::audio) fn decode(&mut self, packet: &[u8]) -> Result<&[f32], CodecError> {
        let packet = Packet::try_from(packet).map_err(refused)?;
        let signals = MutSignals::try_from(&mut self.samples[..]).map_err(refused)?;
        let made = self
            .inner
            .decode_float(Some(packet), signals, false)
            .map_err(refused)?;
        Ok(&self.samples[..made * self.channels.count()])
    }
}

/// Whether a payload is one frame of 20 ms, as far as can be told without decoding it.
pub(in crate::audio) fn is_frame(payload: &[u8]) -> bool {
    whole_frame(payload).is_ok()
}

/// A packet of 20 ms that holds nothing, in the mode of the one before it: decoders conceal it.
pub(in crate::audio) fn stand_in(before: &[u8]) -> Bytes {
    /// How many frames a packet holds: here one.
    const COUNT: u8 = 0b11;
    match before.first() {
        Some(mode) if mode & COUNT == 0 => Bytes::copy_from_slice(&[*mode]),
        _ => silence(),
    }
}

/// A packet of 20 ms of silence (RFC 6716: one frame of the mode that codes the full band, with its silence flag set).
pub(in crate::audio) const fn silence() -> Bytes {
    Bytes::from_static(&[31 << 3, 0xff, 0xfe])
}

/// The payload as a packet, if it holds exactly one frame's time.
fn whole_frame(payload: &[u8]) -> Result<Packet<'_>, CodecError> {
    let samples = Packet::try_from(payload)
        .and_then(|packet| nb_samples(packet, SampleRate::Hz48000))
        .map_err(refused)?;
    if samples != FRAME_SAMPLES {
        return Err(CodecError::Payload(format!("{samples} samples")));
    }
    Packet::try_from(payload).map_err(refused)
}

fn check_length(actual: usize, channels: Channels) -> Result<(), CodecError> {
    let expected = channels.frame_len();
    if actual == expected {
        Ok(())
    } else {
        Err(CodecError::FrameLength { expected, actual })
    }
}

const fn native(channels: Channels) -> audiopus::Channels {
    match channels {
        Channels::Mono => audiopus::Channels::Mono,
        Channels::Stereo => audiopus::Channels::Stereo,
    }
}

fn setting(error: audiopus::Error) -> CodecError {
    CodecError::Settings(error.to_string())
}

fn refused(error: audiopus::Error) -> CodecError {
    CodecError::Payload(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::testing::{frames, speech_files};
    use crate::audio::{level_of, to_i16};
    use proptest::prelude::*;

    fn encode_all(samples: &[i16]) -> Vec<Bytes> {
        let mut encoder = OpusEncoder::new(EncoderSettings::speech()).unwrap();
        frames(samples)
            .map(|frame| encoder.encode(&frame).unwrap().payload)
            .collect()
    }

    #[test]
    fn speech_rounds_to_exactly_what_libopus_decodes_to_sixteen_bit() {
        for (name, samples) in speech_files() {
            let mut ours = OpusDecoder::new(Channels::Mono).unwrap();
            let theirs = &mut coder::Decoder::new(SampleRate::Hz48000, audiopus::Channels::Mono).unwrap();
            let mut frame = vec![0.0; FRAME_SAMPLES];
            let mut reference = vec![0i16; FRAME_SAMPLES];
            for (index, payload) in encode_all(&samples).iter().enumerate() {
                ours.decode(payload, &mut frame).unwrap();
                theirs
                    .decode(
                        Some(Packet::try_from(&payload[..]).unwrap()),
                        MutSignals::try_from(&mut reference[..]).unwrap(),
                        false,
                    )
                    .unwrap();
                let rounded: Vec<i16> = frame.iter().map(|&sample| to_i16(sample)).collect();
                assert_eq!(rounded, reference, "{name}, frame {index}");
            }
        }
    }

    #[test]
    fn payloads_equal_those_of_an_encoder_fed_sixteen_bit_samples() {
        let (name, samples) = speech_files().swap_remove(0);
        let mut theirs =
            coder::Encoder::new(SampleRate::Hz48000, audiopus::Channels::Mono, Application::Voip).unwrap();
        theirs.set_bitrate(Bitrate::BitsPerSecond(32_000)).unwrap();
        theirs.enable_inband_fec().unwrap();
        theirs.set_packet_loss_perc(DEFAULT_LOSS).unwrap();
        let ours = encode_all(&samples);
        let mut buffer = vec![0; 4_000];
        for (index, chunk) in samples.chunks_exact(FRAME_SAMPLES).enumerate() {
            let len = theirs.encode(chunk, &mut buffer).unwrap();
            assert_eq!(ours[index], buffer[..len], "{name}, frame {index}");
        }
    }
    const DEFAULT_LOSS: u8 = super::super::DEFAULT_EXPECTED_LOSS;

    #[test]
    fn no_sound_makes_a_payload_longer_than_the_bound() {
        let profiles = [EncoderSettings::speech(), EncoderSettings::music()];
        let widest = EncoderSettings {
            bitrate: AMPLE_UP_TO,
            ..EncoderSettings::music()
        };
        for settings in profiles.into_iter().chain([widest]) {
            let mut encoder = OpusEncoder::new(settings).unwrap();
            let mut seed = 1u32;
            for turn in 0..200 {
                let noise: Vec<f32> = (0..settings.channels.frame_len())
                    .map(|_| {
                        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        let loud = if turn % 7 == 0 { 1.0 } else { 0.01 };
                        (seed >> 8) as f32 / 8_388_608.0 * loud - loud
                    })
                    .collect();
                assert!(encoder.encode(&noise).unwrap().payload.len() <= MAX_PAYLOAD);
            }
        }
    }

    #[test]
    fn a_hole_is_filled_from_the_copy_in_the_next_payload() {
        let (_, samples) = speech_files().swap_remove(0);
        let payloads = encode_all(&samples);
        let mut whole = OpusDecoder::new(Channels::Mono).unwrap();
        let mut holed = OpusDecoder::new(Channels::Mono).unwrap();
        let mut concealed = OpusDecoder::new(Channels::Mono).unwrap();
        let (mut a, mut b, mut c) = (
            vec![0.0; FRAME_SAMPLES],
            vec![0.0; FRAME_SAMPLES],
            vec![0.0; FRAME_SAMPLES],
        );
        let (mut recovered_error, mut concealed_error) = (0.0, 0.0);
        for (index, payload) in payloads.iter().enumerate() {
            whole.decode(payload, &mut a).unwrap();
            match payloads.get(index + 1) {
                Some(next) if index % 5 == 4 => {
                    holed.recover(next, &mut b).unwrap();
                    concealed.conceal(&mut c).unwrap();
                    recovered_error += distance(&a, &b);
                    concealed_error += distance(&a, &c);
                }
                _ => {
                    holed.decode(payload, &mut b).unwrap();
                    concealed.decode(payload, &mut c).unwrap();
                }
            }
        }
        assert!(
            recovered_error < concealed_error * 0.8,
            "recovered {recovered_error}, concealed {concealed_error}"
        );
    }

    fn distance(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
    }

    #[test]
    fn lasting_concealment_fades_to_silence() {
        let (_, samples) = speech_files().swap_remove(0);
        let mut decoder = OpusDecoder::new(Channels::Mono).unwrap();
        let mut frame = vec![0.0; FRAME_SAMPLES];
        for payload in &encode_all(&samples)[..100] {
            decoder.decode(payload, &mut frame).unwrap();
        }
        for _ in 0..50 {
            decoder.conceal(&mut frame).unwrap();
        }
        assert!(level_of(&frame) > 50, "{}", level_of(&frame));
    }

    #[test]
    fn payloads_of_another_length_in_time_are_refused() {
        let mut decoder = OpusDecoder::new(Channels::Mono).unwrap();
        let mut frame = vec![0.0; FRAME_SAMPLES];
        // Table of contents bytes of RFC 6716: 10 ms and 60 ms SILK, and two 20 ms frames in one payload.
        for payload in [&[0x00u8, 1, 2][..], &[0x18, 1, 2], &[0x09, 1, 2], &[]] {
            assert!(matches!(
                decoder.decode(payload, &mut frame),
                Err(CodecError::Payload(_))
            ));
        }
    }

    #[test]
    fn a_stereo_payload_plays_in_a_mono_room_and_the_other_way_round() {
        let settings = EncoderSettings::music();
        let mut encoder = OpusEncoder::new(settings).unwrap();
        let tone: Vec<f32> = (0..FRAME_SAMPLES * 2)
            .map(|n| ((n / 2) as f32 * 0.06).sin() * 0.1)
            .collect();
        let mut mono = OpusDecoder::new(Channels::Mono).unwrap();
        let mut frame = vec![0.0; FRAME_SAMPLES];
        for _ in 0..5 {
            let payload = encoder.encode(&tone).unwrap().payload;
            mono.decode(&payload, &mut frame).unwrap();
        }
        assert!((20..26).contains(&level_of(&frame)), "{}", level_of(&frame));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic_or_leave_the_finite(
            payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 1..8)
        ) {
            let mut decoder = OpusDecoder::new(Channels::Stereo).unwrap();
            let mut frame = vec![0.0; FRAME_SAMPLES * 2];
            for payload in &payloads {
                if decoder.decode(payload, &mut frame).is_ok() {
                    prop_assert!(frame.iter().all(|sample| sample.is_finite()));
                }
                if decoder.recover(payload, &mut frame).is_err() {
                    decoder.conceal(&mut frame).unwrap();
                }
                prop_assert!(frame.iter().all(|sample| sample.is_finite()));
            }
        }
    }
}
