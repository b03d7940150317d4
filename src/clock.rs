//! The wall clock, read in this one place.
//!
//! Clocks are often wrong, and a room must not mind: this one stamps what people and programs are shown, and dates
//! announcements for those who cannot ask a member. Whatever waits, expires or orders goes by a monotonic clock or by
//! the room's own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Unix seconds by this machine's clock; one before 1970 counts as 1970.
#[must_use]
pub fn unix_seconds() -> u64 {
    since_epoch().as_secs()
}

/// Unix milliseconds by this machine's clock; one before 1970 counts as 1970.
#[must_use]
pub fn unix_millis() -> u64 {
    u64::try_from(since_epoch().as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "this is the one place")]
fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
