//! What was verified once in this process need not be verified again: a simulated world has one packet at 100,000 nodes.
//!
//! Invariant: the verdict is that of the real check. Only what verified is remembered, under 128 bits of a hash over
//! key, message and signature; the table is bounded, and forgets by overwriting. The hash is not one for adversaries:
//! this exists with the feature `sim-memo` alone, for worlds whose attackers are our own.

use core::{
    hash::{BuildHasher, BuildHasherDefault, Hasher},
    sync::atomic::{AtomicU64, Ordering},
};
use std::{hash::DefaultHasher, sync::LazyLock};

use crate::person::{BadSignature, Person, Signature};

/// Signatures remembered: twenty minutes of a speaker, and a megabyte.
const SLOTS: usize = 1 << 16;

/// The two halves of each digest. A slot that two threads write at a time may hold a half of each, which is the digest
/// of neither.
static VERIFIED: LazyLock<Vec<[AtomicU64; 2]>> =
    LazyLock::new(|| (0..SLOTS).map(|_| Default::default()).collect());

/// Checks a signature with `check`, unless the same was found good in this process before.
pub(crate) fn verify(
    person: &Person,
    message: &[u8],
    signature: &Signature,
    check: impl FnOnce() -> Result<(), BadSignature>,
) -> Result<(), BadSignature> {
    let digest = digest(person, message, signature);
    let slot = &VERIFIED[digest[0] as usize % SLOTS];
    // Nothing else is read on the strength of it: no order among threads is needed.
    if [0, 1]
        .into_iter()
        .all(|half| slot[half].load(Ordering::Relaxed) == digest[half])
    {
        return Ok(());
    }
    check()?;
    for half in [0, 1] {
        slot[half].store(digest[half], Ordering::Relaxed);
    }
    Ok(())
}

fn digest(person: &Person, message: &[u8], signature: &Signature) -> [u64; 2] {
    let half = |which: u8| {
        // The same keys in each process, unlike those of a hash map.
        let mut hasher = BuildHasherDefault::<DefaultHasher>::default().build_hasher();
        hasher.write_u8(which);
        hasher.write(&person.0);
        hasher.write(&signature.to_bytes());
        hasher.write(message);
        hasher.finish()
    };
    // Never zero, which stands for an empty slot.
    [half(0), half(1) | 1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::person::PersonKey;

    #[test]
    fn what_verified_is_checked_once_and_what_did_not_each_time() {
        let key = PersonKey::from_seed(&[1; 32]);
        let (person, good) = (key.person(), key.sign(b"salam"));
        let mut checks = 0;
        for _ in 0..3 {
            let verified = verify(&person, b"salam", &good, || {
                checks += 1;
                Ok(())
            });
            assert_eq!(verified, Ok(()));
        }
        assert_eq!(checks, 1);
        for _ in 0..3 {
            let verified = verify(&person, b"salaam", &good, || {
                checks += 1;
                Err(BadSignature)
            });
            assert_eq!(verified, Err(BadSignature));
        }
        assert_eq!(checks, 4);
    }

    #[test]
    fn a_good_signature_does_not_vouch_for_another_message_key_or_signature() {
        let (key, other) = (PersonKey::from_seed(&[1; 32]), PersonKey::from_seed(&[2; 32]));
        let verifier = key.person().verifier().expect("a key");
        let good = key.sign(b"salam");
        assert_eq!(verifier.verify(b"salam", &good), Ok(()));
        assert_eq!(verifier.verify(b"salam", &good), Ok(()));
        assert_eq!(verifier.verify(b"salaam", &good), Err(BadSignature));
        assert_eq!(
            verifier.verify(b"salam", &other.sign(b"salam")),
            Err(BadSignature)
        );
        let others = other.person().verifier().expect("a key");
        assert_eq!(others.verify(b"salam", &good), Err(BadSignature));
    }
}
