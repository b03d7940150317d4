//! A WAV file as an output: 48 kHz, 16 bit.
//!
//! Invariant: from the first frame on, the file on disk is a valid WAV file at every moment: samples are
//! written before the header that counts them, and the header is refreshed once a second. So a killed
//! process loses at most the last second.

use crate::audio::{AudioError, AudioSink, Channels, SAMPLE_RATE, to_i16};
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes before the first sample: RIFF, `fmt ` and the start of `data`.
const HEADER_LEN: u64 = 44;

/// Frames between two refreshes of the header: one second. More often costs two seeks each time; more
/// rarely loses more when the process is killed.
const FRAMES_PER_REFRESH: u32 = 50;

/// A WAV file that grows with every frame.
#[derive(Debug)]
pub struct WavSink {
    path: PathBuf,
    file: File,
    channels: Channels,
    /// Bytes of whole frames in the file.
    data_len: u64,
    /// Frames since the header was written; `None` before it was written at all.
    since_refresh: Option<u32>,
    buffer: Vec<u8>,
}

impl WavSink {
    /// Creates the file, or empties one that is there.
    pub fn create(path: &Path, channels: Channels) -> Result<Self, AudioError> {
        let file = File::create(path).map_err(|source| AudioError::WriteOutput {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            channels,
            data_len: 0,
            since_refresh: None,
            buffer: Vec::with_capacity(channels.frame_len() * 2),
        })
    }

    fn append(&mut self, frame: &[f32]) -> io::Result<()> {
        if self.since_refresh.is_none() {
            self.write_header()?;
        }
        self.buffer.clear();
        for &sample in frame {
            self.buffer.extend_from_slice(&to_i16(sample).to_le_bytes());
        }
        self.file.write_all(&self.buffer)?;
        self.data_len += self.buffer.len() as u64;
        match &mut self.since_refresh {
            Some(frames) if *frames + 1 < FRAMES_PER_REFRESH => *frames += 1,
            _ => self.write_header()?,
        }
        Ok(())
    }

    /// Writes the header for what is in the file and returns to its end.
    fn write_header(&mut self) -> io::Result<()> {
        let header = header(self.channels, self.data_len);
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header)?;
        self.file.seek(SeekFrom::Start(HEADER_LEN + self.data_len))?;
        self.since_refresh = Some(0);
        Ok(())
    }

    fn failure(&self, source: io::Error) -> AudioError {
        AudioError::WriteOutput {
            path: self.path.clone(),
            source,
        }
    }
}

impl AudioSink for WavSink {
    fn write_frame(&mut self, channels: Channels, frame: &[f32]) -> Result<(), AudioError> {
        if channels != self.channels {
            return Err(AudioError::Plugged(
                "the file was created for another number of channels".into(),
            ));
        }
        self.append(frame).map_err(|error| self.failure(error))
    }

    fn finish(&mut self) -> Result<(), AudioError> {
        self.write_header()
            .and_then(|()| self.file.flush())
            .map_err(|error| self.failure(error))
    }
}

impl Drop for WavSink {
    fn drop(&mut self) {
        // Nobody is left to tell; what can be saved is.
        let _ = self.write_header();
    }
}

/// A header for `data_len` bytes of samples. Beyond what 32 bits can count, after twelve hours of mono,
/// it says the most it can, which players take for "to the end of the file".
fn header(channels: Channels, data_len: u64) -> [u8; HEADER_LEN as usize] {
    let data = u32::try_from(data_len).unwrap_or(u32::MAX);
    let riff = u32::try_from(data_len + HEADER_LEN - 8).unwrap_or(u32::MAX);
    let count = channels.count() as u16;
    let block = count * 2;
    let mut header = [0; HEADER_LEN as usize];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        header[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(b"RIFF");
    put(&riff.to_le_bytes());
    put(b"WAVEfmt ");
    put(&16u32.to_le_bytes());
    put(&1u16.to_le_bytes()); // PCM
    put(&count.to_le_bytes());
    put(&SAMPLE_RATE.to_le_bytes());
    put(&(SAMPLE_RATE * u32::from(block)).to_le_bytes());
    put(&block.to_le_bytes());
    put(&16u16.to_le_bytes());
    put(b"data");
    put(&data.to_le_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(channels: Channels) -> Vec<f32> {
        (0..channels.frame_len())
            .map(|n| (n as f32 - 480.0) / 32_768.0)
            .collect()
    }

    fn read(path: &Path) -> (hound::WavSpec, Vec<i16>) {
        let mut reader = hound::WavReader::open(path).unwrap();
        let spec = reader.spec();
        (spec, reader.samples().map(Result::unwrap).collect())
    }

    #[test]
    fn a_finished_file_holds_every_sample() {
        let dir = tempfile::tempdir().unwrap();
        for channels in [Channels::Mono, Channels::Stereo] {
            let path = dir.path().join("out.wav");
            let mut sink = WavSink::create(&path, channels).unwrap();
            for _ in 0..7 {
                sink.write_frame(channels, &ramp(channels)).unwrap();
            }
            sink.finish().unwrap();
            let (spec, samples) = read(&path);
            assert_eq!(usize::from(spec.channels), channels.count());
            assert_eq!((spec.sample_rate, spec.bits_per_sample), (48_000, 16));
            assert_eq!(samples.len(), 7 * channels.frame_len());
            assert_eq!((samples[0], samples[1]), (-480, -479));
        }
    }

    #[test]
    fn a_file_whose_writer_vanished_is_valid_but_for_the_last_second() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.wav");
        let mut sink = WavSink::create(&path, Channels::Mono).unwrap();
        for written in 1..=120 {
            sink.write_frame(Channels::Mono, &ramp(Channels::Mono)).unwrap();
            let (_, samples) = read(&path);
            let counted = samples.len() / 960;
            assert!(counted <= written && written - counted < 50, "{written}");
        }
        // As SIGKILL does: no destructor runs.
        std::mem::forget(sink);
        assert_eq!(read(&path).1.len(), 100 * 960);
    }

    #[test]
    fn a_path_that_cannot_be_created_is_named() {
        let error = WavSink::create(Path::new("/no/such/place.wav"), Channels::Mono).unwrap_err();
        assert!(error.to_string().contains("/no/such/place.wav"), "{error}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_that_says_so() {
        let mut sink = WavSink::create(Path::new("/dev/full"), Channels::Mono).unwrap();
        let error = sink
            .write_frame(Channels::Mono, &ramp(Channels::Mono))
            .unwrap_err();
        assert!(error.to_string().contains("free some space"), "{error}");
    }

    #[test]
    fn a_header_says_the_most_it_can_for_a_very_long_file() {
        let header = header(Channels::Mono, 5_000_000_000);
        assert_eq!(header[40..44], u32::MAX.to_le_bytes());
        assert_eq!(header[4..8], u32::MAX.to_le_bytes());
    }
}
