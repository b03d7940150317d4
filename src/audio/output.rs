//! Where sound goes: the word a user writes, and the trait behind it.

use super::{AudioError, Channels, word};
use core::fmt;
use core::str::FromStr;
use std::path::PathBuf;

/// A place for the mix, written frame by frame by [`super::Playback`]. Implement it to take a room's sound
/// elsewhere.
pub trait AudioSink: Send {
    /// Takes 20 ms at 48 kHz: `channels.frame_len()` samples, channels interleaved, within ±1.0. After an
    /// error it is not called again, except for `finish`.
    fn write_frame(&mut self, channels: Channels, frame: &[f32]) -> Result<(), AudioError>;

    /// Whether writing itself waits until the frame is wanted, as a loudspeaker does. Otherwise frames come
    /// at the pace of real time, and faster for a moment after a stall.
    fn paces_itself(&self) -> bool {
        false
    }

    /// No more frames come.
    fn finish(&mut self) -> Result<(), AudioError> {
        Ok(())
    }
}

/// What `--output` can be.
#[non_exhaustive]
pub enum Output {
    /// Loudspeakers or headphones: the system's default, or the first whose name contains the given one.
    Speakers(Option<String>),
    /// A file of the mix: Ogg Opus where its name ends in `.opus` or `.ogg`, else WAV, 48 kHz, 16 bit.
    File(PathBuf),
    /// Nowhere; everything is decoded and counted all the same.
    None,
    /// A sink of the caller's own.
    Sink(Box<dyn AudioSink>),
}

impl FromStr for Output {
    type Err = AudioError;

    fn from_str(word: &str) -> Result<Self, AudioError> {
        match word::split(word) {
            ("speakers", name) => Ok(Self::Speakers(name.map(Into::into))),
            ("file", Some(path)) => sound_path(path.into()),
            ("none", None) => Ok(Self::None),
            _ => Err(word::unknown(
                word,
                "output",
                "speakers, speakers:NAME, file:PATH.wav, file:PATH.opus or none",
            )),
        }
    }
}

/// Refuses a name that promises a format which is not written.
fn sound_path(path: PathBuf) -> Result<Output, AudioError> {
    let known = ["wav", "opus", "ogg"];
    match path.extension() {
        Some(extension) if !known.iter().any(|known| extension.eq_ignore_ascii_case(known)) => {
            Err(AudioError::Usage(format!(
                "sound is written as WAV or Ogg Opus; write file:{} or file:{}",
                path.with_extension("wav").display(),
                path.with_extension("opus").display()
            )))
        }
        _ => Ok(Output::File(path)),
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Speakers(name) => f.debug_tuple("Speakers").field(name).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::None => f.write_str("None"),
            Self::Sink(_) => f.write_str("Sink(..)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_contract_is_understood() {
        let understood = |word: &str| format!("{:?}", word.parse::<Output>().unwrap());
        assert_eq!(understood("speakers"), "Speakers(None)");
        assert_eq!(understood("speakers:HDMI"), "Speakers(Some(\"HDMI\"))");
        assert_eq!(understood("file:a.WAV"), "File(\"a.WAV\")");
        assert_eq!(understood("file:a.opus"), "File(\"a.opus\")");
        assert_eq!(understood("file:/dev/null"), "File(\"/dev/null\")");
        assert_eq!(understood("none"), "None");
    }

    #[test]
    fn any_other_word_is_answered_with_what_to_write_instead() {
        for (word, advice) in [
            ("", "write speakers"),
            ("file:", "write speakers"),
            ("speakers:", "write speakers"),
            ("loud", "write speakers"),
            ("none:x", "write speakers"),
            ("file:talk.mp3", "write file:talk.wav or file:talk.opus"),
        ] {
            let error = word.parse::<Output>().unwrap_err().to_string();
            assert!(error.contains(advice), "{word}: {error}");
        }
    }
}
