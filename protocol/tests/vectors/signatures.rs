//! `signatures.json`: the Ed25519 signatures on which implementations disagree, and a few on which all agree.
//!
//! The families are those of Chalkias, Garillot and Nikolaenko, "Taming the many EdDSAs" (SSR 2020), derived here
//! from the group's eight small points. Each one that must be refused is accepted by some rule in use; a test
//! shows by which.

use core::iter;

use curve25519_dalek::{
    EdwardsPoint, Scalar,
    constants::{ED25519_BASEPOINT_POINT as B, EIGHT_TORSION},
    edwards::CompressedEdwardsY,
    traits::{Identity, IsIdentity},
};
use majlis_protocol::person::{BadSignature, Person, PersonKey, Signature};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};

use super::{array, bytes, hex};

/// The order of the prime-order subgroup, little-endian.
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Signatures {
    about: String,
    cases: Vec<Case>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Case {
    what: String,
    key: String,
    message: String,
    signature: String,
    /// Whether it verifies.
    valid: bool,
    /// The laxer rules under which it would verify as well.
    accepted: Vec<Rule>,
}

/// Rules of verification that are in use elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Rule {
    /// `S B = R + k A`, points as they decode, any `S`.
    Cofactorless,
    /// `8 S B = 8 R + 8 k A`, points as they decode, any `S`.
    Cofactored,
}

#[test]
fn the_signature_vectors_are_what_their_generator_makes() {
    assert_eq!(super::load::<Signatures>("signatures.json"), generate());
}

#[test]
fn every_signature_on_which_implementations_disagree_is_refused() {
    let cases = super::load::<Signatures>("signatures.json").cases;
    assert!(cases.iter().filter(|case| !case.valid).count() >= 40);
    assert!(cases.iter().filter(|case| case.valid).count() >= 4);
    for case in cases {
        let verdict = Person(array(&case.key)).verifier().and_then(|key| {
            key.verify(
                &bytes(&case.message),
                &Signature::from_bytes(&array(&case.signature)),
            )
        });
        assert_eq!(
            verdict,
            if case.valid { Ok(()) } else { Err(BadSignature) },
            "{}",
            case.what
        );
    }
}

#[test]
fn every_signature_that_is_refused_is_accepted_by_some_rule_in_use() {
    for case in super::load::<Signatures>("signatures.json").cases {
        assert!(
            !case.accepted.is_empty(),
            "{}: refused by everyone, and so no evidence",
            case.what
        );
        assert_eq!(accepted(&case), case.accepted, "{}", case.what);
    }
}

pub(super) fn generate() -> Signatures {
    let families = [
        valid(),
        large_scalars(),
        small_keys(),
        small_nonces(),
        both_small(),
        mixed(),
    ];
    let mut cases = families.concat();
    for case in &mut cases {
        case.accepted = accepted(case);
    }
    Signatures {
        about: "Ed25519 signatures over the whole of `message`, without a domain. All bytes are hexadecimal. \
                Those that are not `valid` MUST be refused: SPEC.md section 1. `accepted` names the laxer rules \
                under which a case verifies: cofactorless is S B = R + k A, cofactored is that times 8, both with \
                points as they decode and any S."
            .into(),
        cases,
    }
}

/// Under which lax rules a case verifies.
fn accepted(case: &Case) -> Vec<Rule> {
    let (key, signature) = (array::<32>(&case.key), array::<64>(&case.signature));
    let (r, s): ([u8; 32], [u8; 32]) = (
        signature[..32].try_into().unwrap(),
        signature[32..].try_into().unwrap(),
    );
    let a_point = CompressedEdwardsY(key)
        .decompress()
        .expect("every key here decodes");
    let r_point = CompressedEdwardsY(r)
        .decompress()
        .expect("every nonce here decodes");
    let s = Scalar::from_bytes_mod_order(s);
    let difference = s * B - r_point - challenge(&r, &key, &bytes(&case.message)) * a_point;
    let mut rules = vec![];
    if difference.is_identity() {
        rules.push(Rule::Cofactorless);
    }
    if difference.mul_by_cofactor().is_identity() {
        rules.push(Rule::Cofactored);
    }
    rules
}

fn valid() -> Vec<Case> {
    // RFC 8032, section 7.1, TEST 1.
    let rfc = PersonKey::from_seed(&array(
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    ));
    let ours = PersonKey::from_seed(&[1; 32]);
    let case = |what: &str, key: &PersonKey, message: &[u8]| Case {
        what: what.into(),
        key: hex(&key.person().0),
        message: hex(message),
        signature: hex(&key.sign(message).to_bytes()),
        valid: true,
        accepted: vec![],
    };
    vec![
        case("RFC 8032 section 7.1 TEST 1", &rfc, b""),
        case("a signature of the usual kind", &ours, b"salam"),
        case("a signature over a kilobyte", &ours, &[0x5a; 1024]),
    ]
}

#[test]
fn the_first_valid_case_is_that_of_rfc_8032() {
    let case = &valid()[0];
    assert_eq!(
        case.key,
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    );
    assert!(
        case.signature
            .starts_with("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")
    );
    assert!(
        case.signature
            .ends_with("5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b")
    );
}

/// A valid signature with a multiple of the group's order added to its scalar.
fn large_scalars() -> Vec<Case> {
    let key = PersonKey::from_seed(&[1; 32]);
    let signature = key.sign(b"salam").to_bytes();
    let mut s: [u8; 32] = signature[32..].try_into().unwrap();
    (1..=14)
        .map(|times| {
            s = add(s, L);
            Case {
                what: format!("the scalar is not canonical: S + {times} L"),
                key: hex(&key.person().0),
                message: hex(b"salam"),
                signature: hex(&[&signature[..32], &s].concat()),
                valid: false,
                accepted: vec![],
            }
        })
        .collect()
}

/// A key of small order: one signature for many messages, with no secret.
fn small_keys() -> Vec<Case> {
    small_encodings()
        .map(|(what, key)| {
            let point = CompressedEdwardsY(key).decompress().unwrap();
            let r = secret("nonce") * B;
            let fits = |k: Scalar| (k * point).is_identity();
            let message = grind(r.compress().0, key, fits);
            case(
                format!("a key of small order: {what}"),
                key,
                message,
                r.compress().0,
                secret("nonce"),
                false,
            )
        })
        .collect()
}

/// A nonce of small order under an honest key.
fn small_nonces() -> Vec<Case> {
    let a = secret("key");
    let key = (a * B).compress().0;
    small_encodings()
        .map(|(what, r)| {
            let message = grind(r, key, |_| true);
            let s = challenge(&r, &key, &message) * a;
            case(
                format!("a nonce of small order: {what}"),
                key,
                message,
                r,
                s,
                false,
            )
        })
        .collect()
}

/// Key and nonce of small order and a scalar of zero: nothing in the signature is secret.
fn both_small() -> Vec<Case> {
    small_encodings()
        .map(|(what, key)| {
            let point = CompressedEdwardsY(key).decompress().unwrap();
            let r = EIGHT_TORSION[2].compress().0;
            let message = grind(r, key, |k| {
                order_of(&point) < 4 || (k * point + EIGHT_TORSION[2]).is_identity()
            });
            case(
                format!("nonce of order 4, scalar zero, key {what}"),
                key,
                message,
                r,
                Scalar::ZERO,
                false,
            )
        })
        .collect()
}

/// Points with a small part and a large one: small order is not seen, and the cofactor decides.
fn mixed() -> Vec<Case> {
    let (a, r) = (secret("key"), secret("nonce"));
    let small = EIGHT_TORSION[1];
    let pure_key = (a * B).compress().0;
    let mixed_key = (a * B + small).compress().0;
    let pure_nonce = (r * B).compress().0;
    let mixed_nonce = (r * B + small).compress().0;
    let one = |what: &str, key: [u8; 32], nonce: [u8; 32], valid, fits: &dyn Fn(Scalar) -> bool| {
        let message = grind(nonce, key, fits);
        let s = r + challenge(&nonce, &key, &message) * a;
        case(what.into(), key, message, nonce, s, valid)
    };
    let vanishes = |k: Scalar| (k * small).is_identity();
    let cancels = |k: Scalar| (k * small + small).is_identity();
    vec![
        one(
            "a key of mixed order, true only times the cofactor",
            mixed_key,
            pure_nonce,
            false,
            &|k| !vanishes(k),
        ),
        one(
            "a nonce of mixed order, true only times the cofactor",
            pure_key,
            mixed_nonce,
            false,
            &|_| true,
        ),
        one(
            "both of mixed order, true only times the cofactor",
            mixed_key,
            mixed_nonce,
            false,
            &|k| !cancels(k),
        ),
        one(
            "a key of mixed order, true without the cofactor too",
            mixed_key,
            pure_nonce,
            true,
            &vanishes,
        ),
        one(
            "both of mixed order, true without the cofactor too",
            mixed_key,
            mixed_nonce,
            true,
            &cancels,
        ),
    ]
}

fn case(what: String, key: [u8; 32], message: Vec<u8>, r: [u8; 32], s: Scalar, valid: bool) -> Case {
    let signature = hex(&[r, s.to_bytes()].concat());
    Case {
        what,
        key: hex(&key),
        message: hex(&message),
        signature,
        valid,
        accepted: vec![],
    }
}

/// The encodings of the eight small points: the canonical ones, and those that decoders without the checks of
/// RFC 8032 section 5.1.3 take for them as well.
fn small_encodings() -> impl Iterator<Item = (String, [u8; 32])> {
    let canonical = EIGHT_TORSION.into_iter().map(|point| {
        let order = order_of(&point);
        (
            format!("order {order}, canonical {}", hex(&point.compress().0)),
            point.compress().0,
        )
    });
    let high = |low: u8, top: u8| {
        let mut bytes = [0xff; 32];
        (bytes[0], bytes[31]) = (low, top);
        bytes
    };
    let mut negative_zero = [0; 32];
    (negative_zero[0], negative_zero[31]) = (1, 0x80);
    let odd = [
        negative_zero,
        high(0xec, 0xff),
        high(0xed, 0x7f),
        high(0xed, 0xff),
        high(0xee, 0x7f),
        high(0xee, 0xff),
    ];
    canonical.chain(
        odd.into_iter()
            .map(|bytes| (format!("not canonical {}", hex(&bytes)), bytes)),
    )
}

fn order_of(point: &EdwardsPoint) -> usize {
    let multiples = iter::successors(Some(*point), |sum| Some(sum + point));
    1 + multiples
        .take_while(|sum| *sum != EdwardsPoint::identity())
        .count()
}

/// The first message of a series whose challenge is as wished; one in eight is, or more.
fn grind(r: [u8; 32], key: [u8; 32], fits: impl Fn(Scalar) -> bool) -> Vec<u8> {
    let messages = (0..1000).map(|number| format!("message {number}").into_bytes());
    let mut fitting = messages.filter(|message| fits(challenge(&r, &key, message)));
    fitting.next().expect("one in eight fits")
}

fn challenge(r: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new()
        .chain_update(r)
        .chain_update(key)
        .chain_update(message)
        .finalize();
    Scalar::from_bytes_mod_order_wide(&hash.into())
}

/// A scalar that stays the same from run to run.
fn secret(name: &str) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&Sha512::digest(name).into())
}

fn add(a: [u8; 32], b: [u8; 32]) -> [u8; 32] {
    let mut carry = 0;
    let sum = core::array::from_fn(|at| {
        carry += u16::from(a[at]) + u16::from(b[at]);
        let byte = carry as u8;
        carry >>= 8;
        byte
    });
    assert_eq!(carry, 0, "it fits 256 bits");
    sum
}
