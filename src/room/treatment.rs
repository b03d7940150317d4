//! What is done to sound on its way out and in, as a person wants it and as the room asks for it.

use majlis_protocol::room::{AudioSettings, Profile};

use crate::audio::process::VoiceOptions;

/// What a person wants done to sound. What is `None` follows the room: in one for speech a microphone's sound is worked
/// on and silence is hardly sent; in one for music all is sent as it is. A file or tone is never worked on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Treatment {
    /// Whether rumble below the voice is cut off.
    pub high_pass: Option<bool>,
    /// Whether what the loudspeaker plays is taken out of the microphone's sound.
    pub echo_cancel: Option<bool>,
    /// Whether steady noise is held down.
    pub noise_suppression: Option<bool>,
    /// Whether a soft voice is raised.
    pub auto_gain: Option<bool>,
    /// Whether silence is hardly sent. Where it is `None` a file or tone is sent whole.
    pub discontinuous: Option<bool>,
    /// Whether all speakers are heard equally loud. Without it a single one is heard sample for sample as it was decoded.
    pub leveling: bool,
}

impl Treatment {
    /// What is done to a microphone in a room with these settings.
    pub(super) fn voice(self, audio: AudioSettings) -> VoiceOptions {
        let usual = audio.profile == Profile::Speech;
        VoiceOptions {
            high_pass: self.high_pass.unwrap_or(usual),
            echo_cancel: self.echo_cancel.unwrap_or(usual),
            noise_suppression: self.noise_suppression.unwrap_or(usual),
            auto_gain: self.auto_gain.unwrap_or(usual),
        }
    }

    /// Whether silence is hardly sent in such a room; `None` for that of a microphone alone.
    pub(super) fn discontinuous(self, audio: AudioSettings) -> Option<bool> {
        self.discontinuous
            .or((audio.profile == Profile::Music).then_some(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPEECH: AudioSettings = AudioSettings {
        profile: Profile::Speech,
        bitrate: 32_000,
    };
    const MUSIC: AudioSettings = AudioSettings {
        profile: Profile::Music,
        bitrate: 128_000,
    };

    #[test]
    fn speech_is_worked_on_and_music_is_not_unless_somebody_wants_it_otherwise() {
        let usual = Treatment::default();
        assert_eq!(usual.voice(SPEECH), VoiceOptions::ON);
        assert_eq!(usual.voice(MUSIC), VoiceOptions::OFF);
        assert_eq!(
            (usual.discontinuous(SPEECH), usual.discontinuous(MUSIC)),
            (None, Some(false))
        );
        let chosen = Treatment {
            echo_cancel: Some(false),
            noise_suppression: Some(true),
            discontinuous: Some(true),
            ..usual
        };
        assert!(!chosen.voice(SPEECH).echo_cancel && chosen.voice(SPEECH).auto_gain);
        assert!(chosen.voice(MUSIC).noise_suppression && !chosen.voice(MUSIC).auto_gain);
        assert_eq!(chosen.discontinuous(MUSIC), Some(true));
    }
}
