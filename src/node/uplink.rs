//! What a line carries up, as a person says it: `5mbit`.

use std::{fmt, str::FromStr};

/// Most bits a second that are believed: a terabit. More is a slip of the finger.
const MOST: f64 = 1e12;

/// The speed of a line towards the network, in bits a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uplink(u64);

/// What was written is no speed. The writer's fault; the text says what to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no uplink: write a number above 0 with kbit or mbit, for example 800kbit or 5mbit")]
pub struct UplinkError(String);

impl Uplink {
    /// So many bits a second.
    #[must_use]
    pub fn bits_per_second(self) -> u64 {
        self.0
    }
}

impl FromStr for Uplink {
    type Err = UplinkError;

    fn from_str(text: &str) -> Result<Self, UplinkError> {
        let error = || UplinkError(text.to_owned());
        let word = text.trim().to_ascii_lowercase();
        let word = word.strip_suffix("/s").unwrap_or(&word);
        let units = [("kbit", 1e3), ("mbit", 1e6), ("gbit", 1e9)];
        let (number, unit) = units
            .iter()
            .find_map(|(name, unit)| Some((word.strip_suffix(name)?, unit)))
            .ok_or_else(error)?;
        let number: f64 = number.trim_end().parse().map_err(|_| error())?;
        let bits = (number * unit).round();
        // Not a number is none of both.
        if !(1.0..=MOST).contains(&bits) {
            return Err(error());
        }
        Ok(Self(bits as u64))
    }
}

impl fmt::Display for Uplink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1_000_000) {
            write!(f, "{}mbit", self.0 / 1_000_000)
        } else {
            write!(f, "{}kbit", self.0 as f64 / 1e3)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_number_and_a_unit() {
        for (text, bits, shown) in [
            ("5mbit", 5_000_000, "5mbit"),
            ("2.5Mbit", 2_500_000, "2500kbit"),
            ("800 kbit/s", 800_000, "800kbit"),
            ("1gbit", 1_000_000_000, "1000mbit"),
        ] {
            let uplink: Uplink = text.parse().expect(text);
            assert_eq!(
                (uplink.bits_per_second(), uplink.to_string().as_str()),
                (bits, shown)
            );
        }
    }

    #[test]
    fn what_is_no_speed_is_refused_with_what_to_write() {
        for text in [
            "", "5", "mbit", "0mbit", "-1mbit", "NaNmbit", "infmbit", "1e30mbit", "5mbyte", "fast",
        ] {
            let error = text.parse::<Uplink>().expect_err(text).to_string();
            assert!(error.contains("5mbit"), "{text}: {error}");
        }
    }
}
