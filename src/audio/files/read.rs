//! A WAV file as a source: any usual sample format, rate and number of channels, streamed.
//!
//! Invariant: memory does not grow with the file, and nothing that a file contains can panic. A file whose
//! end is missing plays as far as it goes.

use crate::{
    audio::{AudioError, AudioSource, Channels, Fill, Resampler, SAMPLE_RATE, SourceKind},
    regular_file,
};
use hound::{SampleFormat, WavIntoSamples, WavReader};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};

/// Most channels a file may have. Real files have up to 24 or so; the bound keeps one moment small.
const MAX_FILE_CHANNELS: u16 = 64;

/// Moments (one sample of each channel) read from the file at once: about 10 ms.
const READ_AHEAD: usize = 480;

/// A WAV file that plays once, or over and over.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    repeat: bool,
    channels: Channels,
    samples: Samples,
    file_channels: usize,
    resampler: Option<Resampler>,
    /// 48 kHz samples in the room's channels, waiting to be asked for: a few blocks at most.
    ready: VecDeque<f32>,
    /// Reused for what is read and converted.
    read: Vec<f32>,
    converted: Vec<f32>,
    /// Whether this pass through the file gave anything: an empty file is not repeated forever.
    gave_any: bool,
    ended: bool,
}

impl FileSource {
    /// Opens a file for a room with `channels`. With `repeat` it starts over at its end.
    pub fn open(path: &Path, channels: Channels, repeat: bool) -> Result<Self, AudioError> {
        let reader = open(path)?;
        let spec = reader.spec();
        if spec.channels == 0 || spec.channels > MAX_FILE_CHANNELS {
            return Err(not_wav(path, format!("{} channels", spec.channels)));
        }
        let resampler = if spec.sample_rate == SAMPLE_RATE {
            None
        } else {
            let resampler = Resampler::to_48k(spec.sample_rate, channels.count())
                .map_err(|error| not_wav(path, error.to_string()))?;
            Some(resampler)
        };
        Ok(Self {
            path: path.to_owned(),
            repeat,
            channels,
            samples: Samples::new(reader),
            file_channels: usize::from(spec.channels),
            resampler,
            ready: VecDeque::new(),
            read: Vec::new(),
            converted: Vec::new(),
            gave_any: false,
            ended: false,
        })
    }

    /// Reads a little more of the file into `ready`; starts over or ends at its end.
    fn read_more(&mut self) -> Result<(), AudioError> {
        self.read.clear();
        let mut at_end = false;
        for _ in 0..READ_AHEAD {
            match self.samples.next_moment(self.file_channels, self.channels) {
                Ok(Some(moment)) => self.read.extend(&moment[..self.channels.count()]),
                Ok(None) => {
                    at_end = true;
                    break;
                }
                Err(error) => return Err(failed(&self.path, error)),
            }
        }
        self.gave_any |= !self.read.is_empty();
        match &mut self.resampler {
            Some(resampler) => {
                self.converted.clear();
                resampler.push(&self.read, &mut self.converted);
                if at_end && !(self.repeat && self.gave_any) {
                    resampler.finish(&mut self.converted);
                }
                self.ready.extend(&self.converted);
            }
            None => self.ready.extend(&self.read),
        }
        if at_end {
            self.start_over()?;
        }
        Ok(())
    }

    fn start_over(&mut self) -> Result<(), AudioError> {
        if !self.repeat || !self.gave_any {
            self.ended = true;
            return Ok(());
        }
        let reader = open(&self.path)?;
        let spec = reader.spec();
        if usize::from(spec.channels) != self.file_channels {
            return Err(not_wav(&self.path, "it changed while playing".into()));
        }
        self.samples = Samples::new(reader);
        self.gave_any = false;
        Ok(())
    }
}

impl AudioSource for FileSource {
    fn kind(&self) -> SourceKind {
        SourceKind::Recorded
    }

    fn read_frame(&mut self, channels: Channels, frame: &mut [f32]) -> Result<Fill, AudioError> {
        if channels != self.channels {
            return Err(AudioError::Plugged(
                "the file was opened for another number of channels".into(),
            ));
        }
        while self.ready.len() < frame.len() && !self.ended {
            self.read_more()?;
        }
        if self.ready.is_empty() {
            return Ok(Fill::End);
        }
        let available = frame.len().min(self.ready.len());
        for (slot, sample) in frame.iter_mut().zip(self.ready.drain(..available)) {
            *slot = sample;
        }
        frame[available..].fill(0.0);
        Ok(Fill::Frame)
    }
}

/// The samples of a file, one by one, scaled to ±1.0.
enum Samples {
    Whole {
        samples: WavIntoSamples<BufReader<File>, i32>,
        scale: f32,
    },
    Float(WavIntoSamples<BufReader<File>, f32>),
}

impl Samples {
    fn new(reader: WavReader<BufReader<File>>) -> Self {
        let spec = reader.spec();
        match spec.sample_format {
            SampleFormat::Float => Self::Float(reader.into_samples()),
            SampleFormat::Int => Self::Whole {
                samples: reader.into_samples(),
                // A power of two, so that 16-bit samples stay exact.
                scale: 1.0 / 2f32.powi(i32::from(spec.bits_per_sample) - 1),
            },
        }
    }

    /// One sample of each of the file's channels, as left and right of a room with `channels`. A moment
    /// that the file breaks off counts as its end.
    fn next_moment(
        &mut self,
        file_channels: usize,
        channels: Channels,
    ) -> Result<Option<[f32; 2]>, hound::Error> {
        let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
        for index in 0..file_channels {
            let Some(sample) = self.next_sample()? else {
                return Ok(None);
            };
            sum += sample;
            match index {
                0 => first = sample,
                1 => second = sample,
                _ => {}
            }
        }
        let middle = sum / file_channels as f32;
        Ok(Some(match (channels, file_channels) {
            (Channels::Stereo, 2) => [first, second],
            _ => [middle, middle],
        }))
    }

    fn next_sample(&mut self) -> Result<Option<f32>, hound::Error> {
        let sample = match self {
            Self::Whole { samples, scale } => samples
                .next()
                .map(|sample| sample.map(|value| value as f32 * *scale)),
            Self::Float(samples) => samples.next(),
        };
        match sample {
            None => Ok(None),
            Some(Ok(value)) if value.is_finite() => Ok(Some(value.clamp(-1.0, 1.0))),
            Some(Ok(_)) => Ok(Some(0.0)),
            Some(Err(error)) if is_torn(&error) => Ok(None),
            Some(Err(error)) => Err(error),
        }
    }
}

impl core::fmt::Debug for Samples {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Samples")
    }
}

fn open(path: &Path) -> Result<WavReader<BufReader<File>>, AudioError> {
    let file = regular_file::open(path).map_err(|source| AudioError::ReadInput {
        path: path.to_owned(),
        source,
    })?;
    WavReader::new(BufReader::new(file)).map_err(|error| failed(path, error))
}

/// Whether the file ends before its header says: a recorder was killed. What there is can be played.
fn is_torn(error: &hound::Error) -> bool {
    match error {
        hound::Error::IoError(error) => {
            // hound makes an error of kind `Other` for a sample that is cut short.
            matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::Other)
        }
        _ => false,
    }
}

fn failed(path: &Path, error: hound::Error) -> AudioError {
    match error {
        hound::Error::IoError(source) if !is_eof(&source) => AudioError::ReadInput {
            path: path.to_owned(),
            source,
        },
        other => not_wav(path, other.to_string()),
    }
}

fn is_eof(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::Other)
}

fn not_wav(path: &Path, reason: String) -> AudioError {
    AudioError::NotWav {
        path: path.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hound::{WavSpec, WavWriter};
    use proptest::prelude::*;

    const SECOND: usize = 48_000;

    fn write<S: hound::Sample + Copy>(path: &Path, spec: WavSpec, samples: &[S]) {
        let mut writer = WavWriter::create(path, spec).unwrap();
        for &sample in samples {
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
    }

    const fn spec(
        channels: u16,
        sample_rate: u32,
        bits_per_sample: u16,
        sample_format: SampleFormat,
    ) -> WavSpec {
        WavSpec {
            channels,
            sample_rate,
            bits_per_sample,
            sample_format,
        }
    }

    fn read_all(source: &mut FileSource, limit: usize) -> Vec<f32> {
        let mut sound = Vec::new();
        let mut frame = vec![0.0; source.channels.frame_len()];
        for _ in 0..limit {
            match source.read_frame(source.channels, &mut frame).unwrap() {
                Fill::Frame => sound.extend_from_slice(&frame),
                Fill::End => break,
                Fill::NotYet => panic!("a file is never late"),
            }
        }
        sound
    }

    fn sine(n: usize, rate: u32) -> f32 {
        (n as f32 * 440.0 * core::f32::consts::TAU / rate as f32).sin() * 0.5
    }

    #[test]
    fn sixteen_bit_mono_at_48_khz_is_read_unchanged() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in.wav");
        let samples: Vec<i16> = (0..2_000).map(|n| (n * 7 - 5_000) as i16).collect();
        write(&path, spec(1, 48_000, 16, SampleFormat::Int), &samples);
        let mut source = FileSource::open(&path, Channels::Mono, false).unwrap();
        let sound = read_all(&mut source, 10);
        assert_eq!(sound.len(), 2_880, "the last frame is filled up");
        for (read, written) in sound.iter().zip(&samples) {
            assert_eq!(crate::audio::to_i16(*read), *written);
        }
        assert!(sound[2_000..].iter().all(|&sample| sample == 0.0));
    }

    #[test]
    fn every_sample_format_rate_and_channel_count_gives_the_same_sound() {
        let dir = tempfile::tempdir().unwrap();
        for rate in [16_000u32, 44_100, 48_000] {
            for channels in [1u16, 2, 6] {
                for bits in [8u16, 16, 24, 32, 0] {
                    let path = dir.path().join(format!("{rate}-{channels}-{bits}.wav"));
                    let sound: Vec<f32> = (0..rate as usize)
                        .flat_map(|n| vec![sine(n, rate); usize::from(channels)])
                        .collect();
                    if bits == 0 {
                        write(&path, spec(channels, rate, 32, SampleFormat::Float), &sound);
                    } else {
                        let full = 2f64.powi(i32::from(bits) - 1);
                        let whole: Vec<i32> = sound.iter().map(|&x| (f64::from(x) * full) as i32).collect();
                        write(&path, spec(channels, rate, bits, SampleFormat::Int), &whole);
                    }
                    let mut source = FileSource::open(&path, Channels::Mono, false).unwrap();
                    let read = read_all(&mut source, 100);
                    assert_eq!(read.len(), SECOND, "{path:?}");
                    let worst = (960..SECOND - 960)
                        .map(|n| (read[n] - sine(n, 48_000)).abs())
                        .fold(0.0, f32::max);
                    let allowed = if bits == 8 { 0.012 } else { 0.003 };
                    assert!(worst < allowed, "{path:?} is off by {worst}");
                }
            }
        }
    }

    #[test]
    fn stereo_stays_stereo_in_a_stereo_room() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in.wav");
        let samples: Vec<i16> = (0..960).flat_map(|n| [n, -n]).collect();
        write(&path, spec(2, 48_000, 16, SampleFormat::Int), &samples);
        let mut source = FileSource::open(&path, Channels::Stereo, false).unwrap();
        let sound = read_all(&mut source, 10);
        let back: Vec<i16> = sound.iter().map(|&x| crate::audio::to_i16(x)).collect();
        assert_eq!(back, samples);
    }

    #[test]
    fn a_repeated_file_goes_on_without_a_gap() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in.wav");
        let samples = vec![1_000i16; 1_500];
        write(&path, spec(1, 48_000, 16, SampleFormat::Int), &samples);
        let mut source = FileSource::open(&path, Channels::Mono, true).unwrap();
        let sound = read_all(&mut source, 50);
        assert_eq!(sound.len(), 50 * 960);
        assert!(sound.iter().all(|&sample| sample == sound[0]));
    }

    #[test]
    fn an_empty_file_ends_even_when_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in.wav");
        write::<i16>(&path, spec(1, 44_100, 16, SampleFormat::Int), &[]);
        let mut source = FileSource::open(&path, Channels::Mono, true).unwrap();
        assert!(read_all(&mut source, 10).is_empty());
    }

    #[test]
    fn a_torn_file_plays_as_far_as_it_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in.wav");
        write(
            &path,
            spec(1, 48_000, 16, SampleFormat::Int),
            &vec![500i16; SECOND],
        );
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() / 2 + 1]).unwrap();
        let mut source = FileSource::open(&path, Channels::Mono, false).unwrap();
        let sound = read_all(&mut source, 100);
        assert!(sound.len() >= SECOND / 2 - 960, "{}", sound.len());
    }

    #[test]
    fn what_is_not_a_wav_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = FileSource::open(&dir.path().join("no.wav"), Channels::Mono, false);
        assert!(matches!(missing, Err(AudioError::ReadInput { .. })));
        let text = dir.path().join("text.wav");
        std::fs::write(&text, "this is no sound").unwrap();
        let error = FileSource::open(&text, Channels::Mono, false).unwrap_err();
        assert!(error.to_string().contains("text.wav"), "{error}");
        assert!(matches!(error, AudioError::NotWav { .. }));
    }

    #[test]
    fn floats_that_are_no_numbers_become_silence() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in.wav");
        let samples = [f32::NAN, f32::INFINITY, 7.0, -7.0, 0.5];
        write(&path, spec(1, 48_000, 32, SampleFormat::Float), &samples);
        let mut source = FileSource::open(&path, Channels::Mono, false).unwrap();
        assert_eq!(read_all(&mut source, 2)[..5], [0.0, 0.0, 1.0, -1.0, 0.5]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn no_header_makes_reading_panic(
            edits in proptest::collection::vec((0usize..60, any::<u8>()), 1..6),
            length in 0usize..400,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("in.wav");
            write(&path, spec(1, 48_000, 16, SampleFormat::Int), &[1i16; 200]);
            let mut bytes = std::fs::read(&path).unwrap();
            for (at, byte) in edits {
                if let Some(slot) = bytes.get_mut(at) {
                    *slot = byte;
                }
            }
            bytes.truncate(length);
            std::fs::write(&path, bytes).unwrap();
            if let Ok(mut source) = FileSource::open(&path, Channels::Mono, true) {
                let mut frame = vec![0.0; 960];
                for _ in 0..4 {
                    if source.read_frame(Channels::Mono, &mut frame).is_err() {
                        break;
                    }
                    prop_assert!(frame.iter().all(|sample| sample.abs() <= 1.0));
                }
            }
        }
    }
}
