//! How many children an uplink carries, at the bitrate of the room.
//!
//! Whoever promises more than the line holds loses sound for every child at once, so this is what a member may offer
//! at most; what it is told to offer at most lowers it further.

/// Speakers at a time that a place has to carry. Three who talk over each other are a lively stage; with more, those
/// that are heard in the mix are still the loudest few.
const SPEAKERS: u64 = 3;

/// Tenths of the uplink that sound may take. The rest is for what the packets carry beside it, for answers to pulls, and
/// for whatever else the household sends.
const SHARE: u64 = 7;

/// Most places, however fast the line is. Beyond a thousand it is a processor that does not keep up, not the line:
/// fifty packets a second for each take about 25 µs apiece.
pub const MOST_PLACES: usize = 1_000;

/// Places for children on an uplink of so many bits a second, in a room of this bitrate; 0 makes a leaf.
#[must_use]
pub fn places(uplink: u64, bitrate: u32) -> usize {
    let a_place = SPEAKERS.saturating_mul(u64::from(bitrate)).max(1);
    let places = (uplink / 10).saturating_mul(SHARE) / a_place;
    usize::try_from(places).unwrap_or(MOST_PLACES).min(MOST_PLACES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_megabits_carry_thirty_six_children_of_a_room_for_speech() {
        assert_eq!(places(5_000_000, 32_000), 36);
        assert_eq!(places(5_000_000, 128_000), 9, "music takes more");
    }

    #[test]
    fn a_slow_line_makes_a_leaf_and_a_fast_one_no_more_than_a_machine_can_bear() {
        assert_eq!(places(100_000, 32_000), 0);
        assert_eq!(places(0, 32_000), 0);
        assert_eq!(places(u64::MAX, 6_000), MOST_PLACES);
        assert_eq!(
            places(1_000_000, 0),
            MOST_PLACES,
            "no bitrate is refused elsewhere"
        );
    }
}
