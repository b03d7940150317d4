//! Why a microphone or loudspeaker does not work, in words that say what to do next.

use core::fmt;

/// Which way sound goes through a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From a microphone.
    Input,
    /// To loudspeakers or headphones.
    Output,
}

impl Direction {
    /// What takes the place of a device, as a command-line flag.
    fn instead(self) -> &'static str {
        match self {
            Self::Input => "--input file:PATH (or --input none to listen only)",
            Self::Output => "--output file:PATH.wav or --output none",
        }
    }

    /// The flag that names a device.
    fn by_name(self) -> &'static str {
        match self {
            Self::Input => "--input mic:NAME",
            Self::Output => "--output speakers:NAME",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Input => "microphone",
            Self::Output => "loudspeaker",
        })
    }
}

/// Why a device can't be opened or went silent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The machine has none, or none that its sound server shows us. A retry helps once one is plugged in.
    #[error("no {0} found; connect one, or use {instead}", instead = .0.instead())]
    None(Direction),
    /// No device's name contains the one asked for: the user's word. A retry needs another name.
    #[error("no {direction} is called '{name}'; {}", known_names(*.direction, .known))]
    Unknown {
        /// Which kind was asked for.
        direction: Direction,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// Another program holds the device. A retry helps once that program lets go.
    #[error(
        "the {0} is in use by another program; close that program, or use {instead}",
        instead = .0.instead()
    )]
    Busy(Direction),
    /// The system does not let this program use it. A retry helps once its owner allows it.
    #[error("the system denies the use of the {0}; allow it in the system's privacy settings (on Linux, \
             join the group 'audio'), or use {instead}", instead = .0.instead())]
    Denied(Direction),
    /// The device was there and is gone: unplugged, or its sound server stopped. Opening again finds the
    /// system's new default, if it has one.
    #[error("the {0} went away; plug it in again, choose another with {by_name}, or use {instead}",
            by_name = .0.by_name(), instead = .0.instead())]
    Lost(Direction),
    /// The device offers no form of sound that this program can use. A retry needs another device.
    #[error("the {direction} can't be used ({reason}); choose another with {by_name}, or use {instead}",
            by_name = .direction.by_name(), instead = .direction.instead())]
    Unsupported {
        /// Which kind was asked for.
        direction: Direction,
        /// What is wrong with it.
        reason: String,
    },
    /// The system's sound library failed in a way of its own. A retry may help.
    #[error("the {direction} failed: {reason}; try again, or use {instead}", instead = .direction.instead())]
    System {
        /// Which kind was asked for.
        direction: Direction,
        /// What the library said.
        reason: String,
    },
    /// This program was built without the feature `device`. A retry does not help.
    #[error("this majlis was built without support for a {0}; use {instead}", instead = .0.instead())]
    NotBuilt(Direction),
}

fn known_names(direction: Direction, known: &[String]) -> String {
    if known.is_empty() {
        format!("there is none; connect one, or use {}", direction.instead())
    } else {
        format!(
            "there are: {}; choose one with {}",
            known.join(", "),
            direction.by_name()
        )
    }
}
