//! What people say to a room beside its sound, without it standing in the log: raised hands, chat (SPEC.md section 12a).
//!
//! A [`Note`] is signed by its author and goes up the tree to the chair, who judges it. What the chair makes of it comes
//! down: the queue of hands under the chair's signature, so that all see one order; the notes that are for everyone as
//! their authors signed them, in the order of the chair; and sums of reactions. Nothing here is kept for those who come later but the present
//! state.

mod hands;
mod heard;
mod note;
mod pass;
mod reactions;

pub use self::{
    hands::{HAND_LAPSE_MS, HAND_REFRESH_MS, Hand, HandList, HandListError, Hands, LOWERED_MS},
    heard::{Heard, NOTE_WINDOW_MS},
    note::{Note, Saying, kind},
    pass::Pass,
    reactions::{REACTIONS, Reactions},
};
