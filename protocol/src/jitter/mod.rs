//! The jitter buffer of one audio stream: packets go in as they come, one answer comes out every 20 ms.
//!
//! The machine is driven, it never drives: [`JitterBuffer::handle_packet`] with each verified packet,
//! [`JitterBuffer::handle_tick`] exactly once for each 20 ms of output, and [`JitterBuffer::next_frame`] until there is
//! enough to play. `now` is any clock that does not run backwards, the same for all calls.
//!
//! Two axes meet here. *Sequence* counts the frames that were sent: a hole in it is loss. *Time* counts the ticks of
//! the speaker's audio clock: a hole in it alone is silence. The buffer plays along time (its cursor is the tick that
//! the next poll stands for) and accounts along sequence.
//!
//! Invariants, in the order of their weight:
//! - what comes out is strictly increasing in sequence within an epoch, until a speaker whose numbers leap makes the
//!   stream restart; nothing is played twice;
//! - with no jitter the playout point never moves after the first frame;
//! - the playout point moves in silence, or while a missing frame is concealed anyway, or by as much as whoever plays the
//!   frames shortens or lengthens them in time ([`JitterBuffer::pace`]), or when the delay has passed its bound (then
//!   received frames are skipped);
//! - memory is bounded by [`MAX_BUFFERED`] frames, and no packet, however wrong its numbers, silences the stream for
//!   longer than [`STRAY_PATIENCE`].
//!
//! The delay follows a quantile of relative arrival delays (Moon, Kurose, Towsley, "Packet audio playout delay
//! adjustment", 1998); streams whose numbers jump restart as RFC 3550, appendix A.1 describes it. In the middle of speech
//! the buffer only says which way the delay should go: sound is stretched between its [`Playout::Frame`] and the mix. That
//! also absorbs the drift of the speaker's clock against the output's.

mod arrival;
mod buffer;
mod delay;
mod gap;
mod stats;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use core::time::Duration;

pub use arrival::STRAY_PATIENCE;
pub use buffer::{JitterBuffer, MAX_BUFFERED, MAX_CONCEALED_WAIT};
pub use delay::{AUDIENCE_MIN, DELAY_MAX, STAGE_MIN};
pub use stats::Stats;

/// The length of one frame, and of one tick of media time.
pub const TICK: Duration = Duration::from_millis(20);

/// One verified media packet's content as it reaches the listener.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// The epoch of the speaker's stream; a newer one starts the stream anew, an older one is dropped.
    pub epoch: u32,
    /// The first primary frame's number; counts frames sent.
    pub sequence: u32,
    /// The first primary frame's capture time, in 20 ms ticks since the epoch.
    pub time: u32,
    /// One to three frames, consecutive in sequence and in time.
    pub frames: &'a [Bytes],
    /// Copies of earlier frames: how many frames before `sequence`, and the payload.
    pub redundant: &'a [(u8, Bytes)],
    /// No frame follows the last of this packet without silence between.
    pub end_of_spurt: bool,
    /// Came as the answer to a pull, not by the first push.
    pub repaired: bool,
}

/// What to put out for one tick of 20 ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Playout {
    /// Decode this payload.
    Frame {
        /// The stream's epoch; a new one needs a fresh decoder.
        epoch: u32,
        /// The frame's number.
        sequence: u32,
        /// One Opus frame (or, of a lost one, the speaker's redundant copy).
        payload: Bytes,
    },
    /// Decode the in-band forward error correction of `next` for this lost frame. `next` itself is played after it.
    Recover {
        /// The stream's epoch.
        epoch: u32,
        /// The lost frame's number.
        sequence: u32,
        /// The payload of the frame after it.
        next: Bytes,
    },
    /// Let the decoder conceal: the frame is lost, or is waited for.
    Conceal {
        /// The stream's epoch.
        epoch: u32,
        /// The missing frame's number; the same again while it is waited for.
        sequence: u32,
    },
    /// Put out zeros and leave the decoder alone.
    Silence,
}

/// How whoever plays the frames should change their length in time, without changing their pitch, as far as the sound
/// allows it without being heard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pace {
    /// Play them as they are.
    #[default]
    Keep,
    /// Make them shorter: the delay is longer than it should be by this much.
    Shorten(Duration),
    /// Make them longer: the delay is shorter than it should be by this much.
    Lengthen(Duration),
}

/// What the delay is chosen for. All delays count from the earliest arrival on the listener's own path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DelayGoal {
    /// For those who talk with each other: as small as the link allows, at least [`STAGE_MIN`].
    Stage,
    /// For those who listen: long enough that a relay can die unheard.
    Audience {
        /// What the place in the tree asks for; held between [`AUDIENCE_MIN`] and [`DELAY_MAX`].
        floor: Duration,
    },
}
