//! What was verified once in this thread need not be verified again: a simulated world has one packet at 100,000 nodes.
//!
//! Invariant: the verdict is that of the real check. Only what verified is remembered, under 128 bits of a hash over
//! key, message and signature; the table is bounded, and forgets by overwriting. The hash is not one for adversaries:
//! this exists with the feature `sim-memo` alone, for worlds whose attackers are our own.

use core::{
    cell::RefCell,
    hash::{BuildHasher, BuildHasherDefault, Hasher},
};
use std::hash::DefaultHasher;

use crate::person::{BadSignature, Person, Signature};

/// Signatures remembered: twenty minutes of a speaker, and a megabyte.
const SLOTS: usize = 1 << 16;

thread_local! {
    static VERIFIED: RefCell<Vec<u128>> = const { RefCell::new(Vec::new()) };
}

/// Checks a signature with `check`, unless the same was found good in this thread before.
pub(crate) fn verify(
    person: &Person,
    message: &[u8],
    signature: &Signature,
    check: impl FnOnce() -> Result<(), BadSignature>,
) -> Result<(), BadSignature> {
    let digest = digest(person, message, signature);
    let slot = digest as usize % SLOTS;
    let is_known = VERIFIED.with_borrow(|verified| verified.get(slot) == Some(&digest));
    if is_known {
        return Ok(());
    }
    check()?;
    VERIFIED.with_borrow_mut(|verified| {
        verified.resize(SLOTS, 0);
        verified[slot] = digest;
    });
    Ok(())
}

fn digest(person: &Person, message: &[u8], signature: &Signature) -> u128 {
    let half = |which: u8| {
        // The same keys in each process, unlike those of a hash map.
        let mut hasher = BuildHasherDefault::<DefaultHasher>::default().build_hasher();
        hasher.write_u8(which);
        hasher.write(&person.0);
        hasher.write(&signature.to_bytes());
        hasher.write(message);
        u128::from(hasher.finish())
    };
    // Never zero, which stands for an empty slot.
    half(0) << 64 | half(1) | 1
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
