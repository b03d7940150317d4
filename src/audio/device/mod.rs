//! Microphones and loudspeakers.
//!
//! Both speak mono at 48 kHz in frames of 20 ms, whatever the device runs at: its rate is converted here and its
//! channels are mixed or filled alike. Between the system's real-time callback and our threads lies a ring buffer
//! without locks; the callback neither allocates, frees, locks nor logs.
//!
//! Invariants: a device is held exactly as long as its value lives; it never gives or plays a sample that is not a
//! number; where sound runs out it fades instead of breaking off.
//!
//! Without the feature `device` the same names exist, and opening says so.

#[cfg(not(feature = "device"))]
mod absent;
mod error;
#[cfg(feature = "device")]
mod open;
#[cfg(test)]
#[cfg(all(feature = "device", target_os = "linux"))]
mod pulse_tests;
#[cfg(feature = "device")]
mod ring;

#[cfg(not(feature = "device"))]
pub use absent::{Loudspeaker, Microphone, inputs, outputs};
pub use error::{DeviceError, Direction};
#[cfg(feature = "device")]
pub use open::{Loudspeaker, Microphone, inputs, outputs};

/// What reading from a microphone gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// The frame is full.
    Full,
    /// The next 20 ms are not over yet: the frame is as it was; ask again.
    NotYet,
}

/// What writing to a loudspeaker did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The frame will be played.
    Taken,
    /// Enough is waiting to be played: the frame was not taken; offer it again.
    Full,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_not_there_is_answered_with_the_flag_to_use_instead() {
        let name = Some("a name that no device has ever had");
        let input = Microphone::open(name)
            .expect_err("no such microphone")
            .to_string();
        assert!(input.contains("--input"), "{input}");
        let output = Loudspeaker::open(name)
            .expect_err("no such loudspeaker")
            .to_string();
        assert!(output.contains("--output"), "{output}");
    }

    #[test]
    fn every_error_says_what_to_do_next() {
        for direction in [Direction::Input, Direction::Output] {
            let reason = "a reason".to_owned();
            let (name, known) = ("deck".to_owned(), vec!["one".to_owned(), "two".to_owned()]);
            for error in [
                DeviceError::None(direction),
                DeviceError::Unknown {
                    direction,
                    name: name.clone(),
                    known: vec![],
                },
                DeviceError::Unknown {
                    direction,
                    name,
                    known,
                },
                DeviceError::Busy(direction),
                DeviceError::Denied(direction),
                DeviceError::Lost(direction),
                DeviceError::Unsupported {
                    direction,
                    reason: reason.clone(),
                },
                DeviceError::System { direction, reason },
                DeviceError::NotBuilt(direction),
            ] {
                let text = error.to_string();
                let flag = if direction == Direction::Input {
                    "--input"
                } else {
                    "--output"
                };
                assert!(
                    text.contains(flag) && text.contains(&direction.to_string()),
                    "{text}"
                );
            }
        }
    }
}
