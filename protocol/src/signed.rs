//! Statements: what a person signs, and the proof that the signature was checked.
//!
//! A [`Signed`] is what came over the wire, exact bytes and all, believed by nobody. A [`Verified`] can only be had
//! by checking (or making) the signature, and keeps those exact bytes: they are what is hashed and passed on. An
//! [`Attested`] is in between: somebody else signed for these bytes.

use alloc::vec::Vec;
use core::{fmt, marker::PhantomData, ops::Deref};

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use crate::{
    person::{BadSignature, Person, PersonKey, Signature},
    reason::Reason,
};

/// The version byte that every signed structure begins with.
pub const VERSION: u8 = 1;

/// A structure that a person signs.
pub trait Statement: Serialize + DeserializeOwned {
    /// What the signature covers before the payload; see [`crate::domain`].
    const DOMAIN: &'static [u8];
    /// Most bytes of the payload.
    const MAX: usize;
    /// What it is called in errors.
    const NAME: &'static str;

    /// The version byte of this statement.
    fn version(&self) -> u8;

    /// The person whose signature it must bear.
    fn signer(&self) -> Person;

    /// Checks what the types alone do not: lengths, counts, ranges, critical extensions.
    ///
    /// # Errors
    /// [`Malformed`] names the field that is wrong.
    fn validate(&self) -> Result<(), Malformed>;
}

/// Bytes that are not what they should be. Their sender is at fault, or newer than we are; a retry does not help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The bytes do not decode as the structure.
    #[error("{what} does not decode")]
    Encoding {
        /// The structure that was expected.
        what: &'static str,
    },
    /// Bytes follow the last field.
    #[error("{what} has {count} bytes left over")]
    LeftOver {
        /// The structure.
        what: &'static str,
        /// How many bytes.
        count: usize,
    },
    /// The version byte is not one that we know; an update may help.
    #[error("{what} has version {version}; this program knows version 1")]
    Version {
        /// The structure.
        what: &'static str,
        /// The version it claims.
        version: u8,
    },
    /// A field or a whole structure is longer than its limit.
    #[error("{what} is longer than {max} bytes")]
    TooLong {
        /// The field.
        what: &'static str,
        /// Its limit in bytes.
        max: usize,
    },
    /// A list has more items than its limit.
    #[error("more than {max} {what}")]
    TooMany {
        /// The items.
        what: &'static str,
        /// Their limit.
        max: usize,
    },
    /// A field holds what it must not.
    #[error("{what} is not valid")]
    Invalid {
        /// The field.
        what: &'static str,
    },
    /// A critical extension is unknown; an update helps.
    #[error("needs extension {kind:#06x}, which this program does not know: an update is needed")]
    NeedsExtension {
        /// The extension's kind.
        kind: u16,
    },
    /// It asks for what a later version defines; an update helps.
    #[error("{what} need a newer version of this program")]
    NeedsNewer {
        /// What is asked for.
        what: &'static str,
    },
}

impl Malformed {
    /// The reason that the sender is told.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Version { .. } | Self::NeedsExtension { .. } | Self::NeedsNewer { .. } => {
                Reason::Unsupported
            }
            _ => Reason::Malformed,
        }
    }
}

/// Why a signed statement was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// Its bytes are not a statement of this kind.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Its signature is not its signer's.
    #[error("{0} is not signed by whom it names")]
    Signature(&'static str),
}

/// A statement as it came: exact payload and signature, not yet believed.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Signed<T> {
    payload: Bytes,
    signature: Signature,
    #[serde(skip)]
    statement: PhantomData<fn() -> T>,
}

/// A statement whose signature was checked, with its exact bytes.
#[derive(Clone)]
pub struct Verified<T> {
    statement: T,
    signed: Signed<T>,
}

/// A statement for whose exact bytes somebody answers: whoever signed it, or whoever signed another one that covers its
/// hash. Only the first is proof that the one whom it names has said so.
#[derive(Clone)]
pub struct Attested<T> {
    statement: T,
    signed: Signed<T>,
}

impl<T: Statement> Signed<T> {
    /// Reads an envelope from bytes that hold nothing else.
    ///
    /// # Errors
    /// [`Malformed`] when the envelope does not decode; its payload is not looked at.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        decode(bytes, T::NAME)
    }

    /// An envelope around a payload that was put together again, with the signature that came for it.
    pub(crate) fn from_parts(payload: Bytes, signature: Signature) -> Self {
        Self {
            payload,
            signature,
            statement: PhantomData,
        }
    }

    /// The signature, not yet believed.
    pub(crate) fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Whether bytes begin with a whole envelope, whatever follows it.
    pub(crate) fn begins(bytes: &[u8]) -> bool {
        postcard::take_from_bytes::<Self>(bytes).is_ok()
    }

    /// The envelope as bytes, for messages and files.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        encode(self)
    }

    /// The exact bytes that were signed.
    #[must_use]
    pub fn payload(&self) -> &Bytes {
        &self.payload
    }

    /// Bytes of payload and signature: what budgets count.
    #[must_use]
    pub fn size(&self) -> usize {
        self.payload.len() + 64
    }

    /// Decodes the statement without believing it: for the cheap checks that come before a signature is verified.
    ///
    /// # Errors
    /// [`Malformed`] names what is wrong.
    pub fn peek(&self) -> Result<T, Malformed> {
        if self.payload.len() > T::MAX {
            return Err(Malformed::TooLong {
                what: T::NAME,
                max: T::MAX,
            });
        }
        match self.payload.first() {
            Some(&VERSION) => {}
            Some(&version) => {
                return Err(Malformed::Version {
                    what: T::NAME,
                    version,
                });
            }
            None => return Err(Malformed::Encoding { what: T::NAME }),
        }
        let statement: T = decode(&self.payload, T::NAME)?;
        statement.validate()?;
        Ok(statement)
    }

    /// Decodes the statement and checks its signature.
    ///
    /// # Errors
    /// [`StatementError`] says whether the bytes or the signature are wrong.
    pub fn verify(self) -> Result<Verified<T>, StatementError> {
        let statement = self.peek()?;
        let verifier = statement
            .signer()
            .verifier()
            .map_err(|_| StatementError::Signature(T::NAME))?;
        verifier
            .verify(&under_domain(T::DOMAIN, &self.payload), &self.signature)
            .map_err(|BadSignature| StatementError::Signature(T::NAME))?;
        Ok(Verified {
            statement,
            signed: self,
        })
    }
}

impl<T: Statement> Signed<T> {
    /// Decodes a statement of which the caller knows that a signed one covers its hash. The signature is not looked at.
    ///
    /// # Errors
    /// [`Malformed`] names what is wrong.
    pub(crate) fn attested(self) -> Result<Attested<T>, Malformed> {
        Ok(Attested {
            statement: self.peek()?,
            signed: self,
        })
    }
}

impl<T> Attested<T> {
    /// The statement with its exact bytes.
    #[must_use]
    pub fn signed(&self) -> &Signed<T> {
        &self.signed
    }
}

impl<T> From<Verified<T>> for Attested<T> {
    fn from(Verified { statement, signed }: Verified<T>) -> Self {
        Self { statement, signed }
    }
}

impl<T: Statement> Verified<T> {
    /// Signs a statement of one's own.
    ///
    /// # Errors
    /// [`Malformed`] when the statement breaks its own limits, or names a signer other than the key's person.
    pub fn sign(statement: T, key: &PersonKey) -> Result<Self, Malformed> {
        statement.validate()?;
        if statement.signer() != key.person() {
            return Err(Malformed::Invalid { what: "the signer" });
        }
        let payload = encode(&statement);
        if payload.len() > T::MAX {
            return Err(Malformed::TooLong {
                what: T::NAME,
                max: T::MAX,
            });
        }
        let signature = key.sign(&under_domain(T::DOMAIN, &payload));
        Ok(Self {
            statement,
            signed: Signed {
                payload,
                signature,
                statement: PhantomData,
            },
        })
    }

    /// The statement with its exact bytes, to pass on.
    #[must_use]
    pub fn signed(&self) -> &Signed<T> {
        &self.signed
    }

    /// SHA-256 over a domain string and the exact payload.
    #[must_use]
    pub fn hash(&self, domain: &[u8]) -> [u8; 32] {
        Sha256::new()
            .chain_update(domain)
            .chain_update(&self.signed.payload)
            .finalize()
            .into()
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.statement
    }
}

impl<T> Deref for Attested<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.statement
    }
}

impl<T> Clone for Signed<T> {
    fn clone(&self) -> Self {
        Self {
            payload: self.payload.clone(),
            signature: self.signature,
            statement: PhantomData,
        }
    }
}

impl<T> PartialEq for Signed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.payload == other.payload && self.signature == other.signature
    }
}

impl<T> Eq for Signed<T> {}

impl<T> fmt::Debug for Signed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signed")
            .field("payload_bytes", &self.payload.len())
            .field("signature", &self.signature)
            .finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for Verified<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Verified").field(&self.statement).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for Attested<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Attested").field(&self.statement).finish()
    }
}

impl<T> PartialEq for Attested<T> {
    fn eq(&self, other: &Self) -> bool {
        self.signed == other.signed
    }
}

impl<T> Eq for Attested<T> {}

impl<T> PartialEq for Verified<T> {
    fn eq(&self, other: &Self) -> bool {
        self.signed == other.signed
    }
}

impl<T> Eq for Verified<T> {}

/// Encodes a structure as postcard.
pub(crate) fn encode<T: Serialize>(value: &T) -> Bytes {
    let bytes: Vec<u8> = postcard::to_allocvec(value).expect(
        "postcard only fails on a full buffer or an unsized sequence, and our structures have neither",
    );
    bytes.into()
}

/// Decodes a structure that must fill the bytes exactly.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Result<T, Malformed> {
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|_| Malformed::Encoding { what })?;
    if rest.is_empty() {
        Ok(value)
    } else {
        Err(Malformed::LeftOver {
            what,
            count: rest.len(),
        })
    }
}

fn under_domain(domain: &[u8], payload: &[u8]) -> Vec<u8> {
    [domain, payload].concat()
}
