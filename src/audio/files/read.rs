//! A file as a source: WAV, FLAC, MP3 or Ogg, of any usual rate and number of channels, streamed.
//!
//! Invariant: memory does not grow with the file, and nothing that a file contains can panic. A file whose
//! end is missing plays as far as it goes.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::decode::{Shape, SoundFile, not_playable};
use crate::audio::{AudioError, AudioSource, Channels, Fill, Resampler, SAMPLE_RATE, SourceKind};

/// A sound file that plays once, or over and over.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    repeat: bool,
    channels: Channels,
    file: SoundFile,
    shape: Shape,
    resampler: Option<Resampler>,
    /// 48 kHz samples in the room's channels, waiting to be asked for: a few packets at most.
    ready: VecDeque<f32>,
    /// Reused for what is read, laid out as the room wants it, and converted.
    read: Vec<f32>,
    laid_out: Vec<f32>,
    converted: Vec<f32>,
    /// Whether this pass through the file gave anything: an empty file is not repeated forever.
    gave_any: bool,
    ended: bool,
}

impl FileSource {
    /// Opens a file for a room with `channels`. With `repeat` it starts over at its end.
    pub fn open(path: &Path, channels: Channels, repeat: bool) -> Result<Self, AudioError> {
        let file = SoundFile::open(path)?;
        let shape = file.shape();
        let resampler = if shape.rate == SAMPLE_RATE {
            None
        } else {
            let resampler = Resampler::to_48k(shape.rate, channels.count())
                .map_err(|error| not_playable(path, error.to_string()))?;
            Some(resampler)
        };
        Ok(Self {
            path: path.to_owned(),
            repeat,
            channels,
            file,
            shape,
            resampler,
            ready: VecDeque::new(),
            read: Vec::new(),
            laid_out: Vec::new(),
            converted: Vec::new(),
            gave_any: false,
            ended: false,
        })
    }

    /// Reads a little more of the file into `ready`; starts over or ends at its end.
    fn read_more(&mut self) -> Result<(), AudioError> {
        self.read.clear();
        let at_end = !self.file.read(&mut self.read)?;
        self.lay_out();
        self.gave_any |= !self.laid_out.is_empty();
        match &mut self.resampler {
            Some(resampler) => {
                self.converted.clear();
                resampler.push(&self.laid_out, &mut self.converted);
                if at_end && !(self.repeat && self.gave_any) {
                    resampler.finish(&mut self.converted);
                }
                self.ready.extend(&self.converted);
            }
            None => self.ready.extend(&self.laid_out),
        }
        if at_end {
            self.start_over()?;
        }
        Ok(())
    }

    /// What was read, in the room's channels: two stay two, and of any other number the mean is taken.
    fn lay_out(&mut self) {
        self.laid_out.clear();
        let channels = self.shape.channels;
        for moment in self.read.chunks_exact(channels) {
            let sound = |sample: f32| {
                if sample.is_finite() {
                    sample.clamp(-1.0, 1.0)
                } else {
                    0.0
                }
            };
            match (self.channels, moment) {
                (Channels::Stereo, &[left, right]) => self.laid_out.extend([sound(left), sound(right)]),
                (room, _) => {
                    let middle = moment.iter().copied().map(sound).sum::<f32>() / channels as f32;
                    self.laid_out.extend(std::iter::repeat_n(middle, room.count()));
                }
            }
        }
    }

    fn start_over(&mut self) -> Result<(), AudioError> {
        if !self.repeat || !self.gave_any {
            self.ended = true;
            return Ok(());
        }
        self.file = SoundFile::open(&self.path)?;
        if self.file.shape() != self.shape {
            return Err(not_playable(&self.path, "it changed while playing"));
        }
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
            // Resampling goes a little beyond peaks.
            *slot = sample.clamp(-1.0, 1.0);
        }
        frame[available..].fill(0.0);
        Ok(Fill::Frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hound::{SampleFormat, WavSpec, WavWriter};
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

    fn sound(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/sounds")
            .join(name)
    }

    #[test]
    fn flac_mp3_vorbis_and_opus_give_the_sound_that_they_were_made_from() {
        for (name, allowed) in [
            ("tone.flac", 0.003),
            ("tone.mp3", 0.03),
            ("tone.ogg", 0.02),
            ("tone.opus", 0.02),
        ] {
            let mut source = FileSource::open(&sound(name), Channels::Mono, false).unwrap();
            let read = read_all(&mut source, 100);
            assert_eq!(read.len(), SECOND, "{name}: neither delay nor padding is heard");
            let worst = (1_920..SECOND - 1_920)
                .map(|n| (read[n] - sine(n, 48_000)).abs())
                .fold(0.0, f32::max);
            assert!(worst < allowed, "{name} is off by {worst}");
        }
    }

    #[test]
    fn a_name_says_nothing_about_what_a_file_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tone.wav");
        std::fs::copy(sound("tone.opus"), &path).unwrap();
        let mut source = FileSource::open(&path, Channels::Stereo, false).unwrap();
        assert_eq!(read_all(&mut source, 100).len(), 2 * SECOND);
    }

    #[test]
    fn a_wav_that_was_streamed_plays_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("in.wav");
        write(
            &path,
            spec(1, 48_000, 16, SampleFormat::Int),
            &vec![500i16; SECOND],
        );
        let mut bytes = std::fs::read(&path).unwrap();
        // Who writes to a pipe cannot come back to say how much there was.
        bytes[4..8].fill(0xff);
        bytes[40..44].fill(0xff);
        std::fs::write(&path, bytes).unwrap();
        let mut source = FileSource::open(&path, Channels::Mono, false).unwrap();
        assert_eq!(read_all(&mut source, 100).len(), SECOND);
    }

    #[test]
    fn what_is_no_sound_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = FileSource::open(&dir.path().join("no.wav"), Channels::Mono, false);
        assert!(matches!(missing, Err(AudioError::ReadInput { .. })));
        let text = dir.path().join("text.wav");
        std::fs::write(&text, "this is no sound").unwrap();
        let error = FileSource::open(&text, Channels::Mono, false).unwrap_err();
        assert!(error.to_string().contains("text.wav"), "{error}");
        assert!(matches!(error, AudioError::NotPlayable { .. }));
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

        #[test]
        fn no_damage_makes_reading_panic(
            which in 0usize..4,
            edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..20),
            cut in any::<proptest::sample::Index>(),
        ) {
            let name = ["tone.flac", "tone.mp3", "tone.ogg", "tone.opus"][which];
            let mut bytes = std::fs::read(sound(name)).unwrap();
            // Headers are where most can go wrong.
            for (at, (index, byte)) in edits.iter().enumerate() {
                let reach = if at % 2 == 0 { 200 } else { bytes.len() };
                let slot = index.index(reach);
                bytes[slot] = *byte;
            }
            bytes.truncate(1 + cut.index(bytes.len() * 3));
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            if let Ok(mut source) = FileSource::open(&path, Channels::Mono, false) {
                let mut frame = vec![0.0; 960];
                for _ in 0..60 {
                    match source.read_frame(Channels::Mono, &mut frame) {
                        Ok(Fill::Frame) => prop_assert!(frame.iter().all(|sample| sample.abs() <= 1.0)),
                        Ok(_) | Err(_) => break,
                    }
                }
            }
        }
    }
}
