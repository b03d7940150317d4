//! Signed statements: the envelope, the payload of each kind, and what lies inside an action and an entry.

use core::fmt;

use bytes::Bytes;
use majlis_protocol::{
    announcement::Announcement,
    identity::{Certificate, Profile},
    log::{Act, Action, Beacon, Entry},
    room::Genesis,
    signed::{Malformed, Signed, Statement},
};

/// The kinds of statement, in the order in which the first byte of an input counts them.
const KINDS: u8 = 7;

/// From here on the first byte says that a bare payload follows, not an envelope.
const BARE: u8 = 0x80;

/// One statement. The first byte says of which kind, and whether its envelope is there.
pub fn statements(data: &[u8]) -> bool {
    let Some((first, rest)) = data.split_first() else {
        return false;
    };
    let envelope = if *first < BARE { rest.to_vec() } else { wrap(rest) };
    match first % BARE % KINDS {
        0 => statement::<Genesis>(&envelope).is_some(),
        1 => statement::<Certificate>(&envelope).is_some(),
        2 => statement::<Profile>(&envelope).is_some(),
        3 => statement::<Action>(&envelope).is_some_and(|action| {
            if let Ok(act) = action.act() {
                assert_eq!(Act::decode(act.kind(), &act.encode()), Ok(act));
            }
            true
        }),
        4 => statement::<Entry>(&envelope).is_some_and(|entry| {
            entry
                .signed_action()
                .is_ok_and(|action| statement::<Action>(&action.to_bytes()).is_some())
        }),
        5 => statement::<Beacon>(&envelope).is_some(),
        _ => statement::<Announcement>(&envelope).is_some(),
    }
}

/// A statement that can be read: its envelope and its content read back from what we would write.
fn statement<T: Statement + PartialEq + fmt::Debug>(envelope: &[u8]) -> Option<T> {
    let signed = Signed::<T>::from_bytes(envelope).ok()?;
    assert_eq!(Signed::from_bytes(&signed.to_bytes()).as_ref(), Ok(&signed));
    let peeked = signed.peek();
    if let Ok(verified) = signed.clone().verify() {
        assert_eq!(peeked.as_ref(), Ok(&*verified));
        assert_eq!(verified.signed(), &signed);
    }
    let statement = peeked.ok()?;
    assert_eq!(statement.version(), 1);
    let payload = postcard::to_allocvec(&statement).expect("a structure of known size");
    let again = Signed::<T>::from_bytes(&wrap(&payload))
        .expect("an envelope")
        .peek();
    // Normalised text may be longer than what came.
    assert!(
        again.as_ref() == Ok(&statement) || matches!(again, Err(Malformed::TooLong { .. })),
        "{again:?} was {statement:?}"
    );
    Some(statement)
}

/// An envelope around a payload, with a signature of zeroes.
fn wrap(payload: &[u8]) -> Vec<u8> {
    let envelope = (Bytes::copy_from_slice(payload), [[0_u8; 32]; 2]);
    postcard::to_allocvec(&envelope).expect("a structure of known size")
}
