//! Where sound comes from: the word a user writes, and the trait behind it.

use super::{AudioError, Channels, word};
use core::fmt;
use core::str::FromStr;
use std::path::PathBuf;

/// A source of sound that [`super::Capture`] reads frame by frame. Implement it to give a room sound of
/// your own making.
pub trait AudioSource: Send {
    /// Who keeps the time, and what silence means.
    fn kind(&self) -> SourceKind;

    /// Fills `frame`, which has `channels.frame_len()` samples: the next 20 ms at 48 kHz, channels
    /// interleaved, full scale at 1.0. An error ends the capture.
    fn read_frame(&mut self, channels: Channels, frame: &mut [f32]) -> Result<Fill, AudioError>;
}

/// Who keeps the time of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// It has its next frame at once; capture asks every 20 ms and sends every frame, silent ones too.
    Recorded,
    /// It has a clock of its own, as a microphone does: reading waits for the frame, but never longer
    /// than about 100 ms, so that capture can be stopped. Silence is hardly sent.
    Live,
}

/// What [`AudioSource::read_frame`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// The frame is full.
    Frame,
    /// Nothing yet: ask again. For live sources only.
    NotYet,
    /// The source is at its end; the frame's content does not matter.
    End,
}

/// What `--input` can be.
#[non_exhaustive]
pub enum Input {
    /// A microphone: the system's default, or the first whose name contains the given one.
    Mic(Option<String>),
    /// A sound file (WAV, FLAC, MP3, Ogg), played in real time.
    File(PathBuf),
    /// A sine of this many hertz.
    Tone(f64),
    /// Nothing: the person only listens.
    None,
    /// A source of the caller's own.
    Source(Box<dyn AudioSource>),
}

impl FromStr for Input {
    type Err = AudioError;

    fn from_str(word: &str) -> Result<Self, AudioError> {
        match word::split(word) {
            ("mic", name) => Ok(Self::Mic(name.map(Into::into))),
            ("file", Some(path)) => Ok(Self::File(path.into())),
            ("tone", Some(hertz)) => {
                let hertz = hertz.parse().map_err(|_| {
                    AudioError::Usage(format!(
                        "'{hertz}' is no pitch; give hertz as a number, for example tone:440"
                    ))
                })?;
                super::Tone::new(hertz)?;
                Ok(Self::Tone(hertz))
            }
            ("none", None) => Ok(Self::None),
            _ => Err(word::unknown(
                word,
                "input",
                "mic, mic:NAME, file:PATH, tone:HERTZ or none",
            )),
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mic(name) => f.debug_tuple("Mic").field(name).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Tone(hertz) => f.debug_tuple("Tone").field(hertz).finish(),
            Self::None => f.write_str("None"),
            Self::Source(_) => f.write_str("Source(..)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_contract_is_understood() {
        let understood = |word: &str| format!("{:?}", word.parse::<Input>().unwrap());
        assert_eq!(understood("mic"), "Mic(None)");
        assert_eq!(understood("mic:USB: left"), "Mic(Some(\"USB: left\"))");
        assert_eq!(understood("file:a b.wav"), "File(\"a b.wav\")");
        assert_eq!(understood("file:C:\\x.wav"), "File(\"C:\\\\x.wav\")");
        assert_eq!(understood("tone:440"), "Tone(440.0)");
        assert_eq!(understood("none"), "None");
    }

    #[test]
    fn any_other_word_is_answered_with_what_to_write_instead() {
        for word in [
            "",
            "file",
            "file:",
            "mic:",
            "tone:",
            "microphone",
            "tone:loud",
            "tone:0",
            "none:1",
        ] {
            let error = word.parse::<Input>().unwrap_err().to_string();
            assert!(
                error.contains("write mic") || error.contains("tone:440"),
                "{word}: {error}"
            );
        }
    }
}
