//! What tests of several topics share: nodes on loopback, speech, and a listener's ear of its own.

pub(crate) mod attacker;
pub(crate) mod clock;
pub(crate) mod ear;
pub(crate) mod nodes;
pub(crate) mod scene;
pub(crate) mod talk;
