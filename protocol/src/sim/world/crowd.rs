//! A set of members from which one is added, taken or drawn at random in constant time.
//!
//! Its order depends on what was added and taken, and in which order: do that in a fixed order.

use alloc::{vec, vec::Vec};

use crate::sim::draws::SplitMix64;

/// Some of the world's members.
#[derive(Debug)]
pub(super) struct Crowd {
    members: Vec<u32>,
    /// Where each stands; [`ABSENT`] for those who are not here.
    places: Vec<u32>,
}

const ABSENT: u32 = u32::MAX;

impl Crowd {
    /// Nobody, of members with numbers below this.
    pub(super) fn new(members: u32) -> Self {
        Self {
            members: Vec::new(),
            places: vec![ABSENT; members as usize],
        }
    }

    pub(super) fn add(&mut self, number: u32) {
        let place = &mut self.places[number as usize];
        if *place == ABSENT {
            *place = self.members.len() as u32;
            self.members.push(number);
        }
    }

    pub(super) fn remove(&mut self, number: u32) {
        let place = core::mem::replace(&mut self.places[number as usize], ABSENT);
        if place == ABSENT {
            return;
        }
        self.members.swap_remove(place as usize);
        if let Some(moved) = self.members.get(place as usize) {
            self.places[*moved as usize] = place;
        }
    }

    pub(super) fn draw(&self, draws: &mut SplitMix64) -> Option<u32> {
        draws.index(self.members.len()).map(|place| self.members[place])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_drawn_is_here() {
        let mut crowd = Crowd::new(5);
        let draws = &mut SplitMix64::new(3);
        assert_eq!(crowd.draw(draws), None);
        for number in [4, 1, 3, 1] {
            crowd.add(number);
        }
        crowd.remove(4);
        crowd.remove(4);
        crowd.remove(0);
        let mut seen = [0; 5];
        for _ in 0..100 {
            seen[crowd.draw(draws).expect("two are here") as usize] += 1;
        }
        assert_eq!(seen.map(|count| count > 0), [false, true, false, true, false]);
    }
}
