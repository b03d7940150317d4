//! Attacks on a room, each while a host speaks and an honest listener hears every frame of it.
//!
//! What was dropped is counted under its name, and the count is what was sent: an attack that nobody notices, or that
//! hits somebody else, fails here.

mod coming_and_going;
mod control;
mod fallback;
mod media;
mod moderation;
mod places;
mod pulls;
mod relay;
mod withheld;
