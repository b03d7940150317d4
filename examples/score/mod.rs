//! How well speech is understood, and scenes to judge sound by. Included by path where it is needed.

pub(crate) mod scene;
pub(crate) mod stoi;
