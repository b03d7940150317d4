//! Extensions: the place that signed structures and control messages keep for later versions (SPEC.md section 1).

use alloc::vec::Vec;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{limits, signed::Malformed};

/// Kinds from here on must not be skipped by those who do not know them.
pub const CRITICAL: u16 = 0x8000;

/// In a `hello`: a pass, `signed Pass`, of whoever was in the room before.
pub const PASS: u16 = 1;

/// In a `hello`: what a banned person says to those who keep order.
pub const APPEAL: u16 = 2;

/// One extension: skipped when unknown, unless its kind is critical.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// What it is.
    pub kind: u16,
    /// At most 256 bytes.
    pub body: Bytes,
}

/// Checks a list of extensions.
///
/// # Errors
/// [`Malformed::NeedsExtension`] for a critical one, since version 1 knows none; or the limit that is broken.
pub fn validate(extensions: &[Extension]) -> Result<(), Malformed> {
    if extensions.len() > limits::EXTENSIONS {
        return Err(Malformed::TooMany {
            what: "extensions",
            max: limits::EXTENSIONS,
        });
    }
    if let Some(critical) = extensions.iter().find(|extension| extension.kind >= CRITICAL) {
        return Err(Malformed::NeedsExtension { kind: critical.kind });
    }
    if extensions
        .iter()
        .any(|extension| extension.body.len() > limits::EXTENSION)
    {
        return Err(Malformed::TooLong {
            what: "an extension",
            max: limits::EXTENSION,
        });
    }
    let kinds: Vec<u16> = extensions.iter().map(|extension| extension.kind).collect();
    if kinds.is_sorted_by(|a, b| a < b) {
        Ok(())
    } else {
        Err(Malformed::Invalid {
            what: "the order of extensions",
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn extension(kind: u16) -> Extension {
        Extension {
            kind,
            body: Bytes::from_static(b"later"),
        }
    }

    #[test]
    fn unknown_extensions_are_skipped_unless_critical() {
        assert_eq!(validate(&[extension(1), extension(7)]), Ok(()));
        assert_eq!(
            validate(&[extension(1), extension(0x8001)]),
            Err(Malformed::NeedsExtension { kind: 0x8001 })
        );
    }

    #[test]
    fn disorder_repetition_and_excess_are_refused() {
        assert!(validate(&[extension(2), extension(1)]).is_err());
        assert!(validate(&[extension(2), extension(2)]).is_err());
        assert!(validate(&(0..9).map(extension).collect::<Vec<_>>()).is_err());
        assert!(
            validate(&[Extension {
                kind: 1,
                body: vec![0; 257].into()
            }])
            .is_err()
        );
    }
}
