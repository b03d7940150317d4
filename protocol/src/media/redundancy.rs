//! What a speaker sends twice: copies of the frames before, in each packet, while listeners miss too much.
//!
//! A copy costs bits that everybody pays, so it is switched on by what the room reports ([`Losses`]) and off again when
//! that is over. The frames themselves get smaller meanwhile, so that a speaker with copies stays within what one may send
//! (SPEC.md section 9): a copy is the frame itself, and who plays it hears no difference at all.

use alloc::{collections::VecDeque, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use super::{Losses, OVERHEAD};
use crate::limits;

/// One in so many members must miss something before everyone pays for copies; one member of a room is always enough
/// when it is the only one, or on the stage.
const SHARE: u32 = 20;

/// How long copies go on after the last report that asked for them. Less, and they are switched off between two bad
/// moments; a report is up to some seconds old.
const HOLD: Duration = Duration::from_secs(10);

/// Bytes a second and bits that a speaker may send are counted by every relay, at 1.5 times the room's bitrate
/// and with a second at once. Kept below it by a tenth and a quarter: relays count by their own clocks.
const RATE_TENTHS: u64 = 14;
const BURST: Duration = Duration::from_millis(750);

/// Bytes around a copy in a packet: its offset and its length.
const COPY_OVERHEAD: usize = 3;

/// How many frames later a copy goes that the stage needs: at once, since it waits for no more.
const NEAR: u8 = 1;

/// How many frames later a copy goes that the audience needs, alone and beside a near one: losses come in runs, which it
/// should outlast; and it has to come well before the audience's least delay is over.
const FAR: u8 = 4;
const FARTHER: u8 = 6;

/// How many copies each frame is sent in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Copies {
    /// None: nobody misses anything to speak of.
    #[default]
    None,
    /// One, in the packet after it, or in a later one where only the audience misses some.
    One,
    /// Two, in the packet after it and in a later one.
    Two,
}

impl Copies {
    /// How many.
    #[must_use]
    pub fn count(self) -> u8 {
        match self {
            Self::None => 0,
            Self::One => 1,
            Self::Two => 2,
        }
    }
}

/// What the encoder is to be set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// Bits a second of the frames.
    pub bitrate: u32,
    /// Loss to prepare for, in percent: the codec's own correction.
    pub expected_loss: u8,
}

/// The copies of one speaker's stream.
#[derive(Debug)]
pub struct Redundancy {
    bitrate: u32,
    copies: Copies,
    /// Until when at least one copy, and two, are sent.
    one_until: Duration,
    two_until: Duration,
    /// Until when one copy is sent for the stage.
    near_until: Duration,
    /// The newest frames of this spurt, the newest first, with their times.
    sent: VecDeque<(u32, Bytes)>,
    /// Bits that may be sent at once.
    tokens: u64,
    counted: Duration,
}

impl Redundancy {
    /// A stream in a room of so many bits a second, without copies.
    #[must_use]
    pub fn new(bitrate: u32) -> Self {
        Self {
            bitrate,
            copies: Copies::None,
            one_until: Duration::ZERO,
            two_until: Duration::ZERO,
            near_until: Duration::ZERO,
            sent: VecDeque::new(),
            tokens: burst(bitrate),
            counted: Duration::ZERO,
        }
    }

    /// How many copies each frame is sent in now.
    #[must_use]
    pub fn copies(&self) -> Copies {
        self.copies
    }

    /// What the encoder is to be set to now; `usual_loss` is what it expects when nothing is reported.
    #[must_use]
    pub fn advice(&self, usual_loss: u8) -> Advice {
        let (bitrate, expected_loss) = match self.copies {
            Copies::None => (self.bitrate, usual_loss),
            // A copy mends what the codec's correction would, and better.
            Copies::One => (self.bitrate / 4 * 3, 0),
            Copies::Two => (self.bitrate / 2, 0),
        };
        Advice {
            bitrate,
            expected_loss,
        }
    }

    /// The room reports who misses what, of so many members.
    pub fn handle_losses(&mut self, losses: Losses, members: u32, now: Duration) {
        let enough = (members / SHARE).max(1);
        let until = now.saturating_add(HOLD);
        if losses.losing >= enough || losses.on_stage > 0 {
            self.one_until = until;
        }
        if losses.on_stage > 0 {
            self.near_until = until;
        }
        if losses.badly >= enough {
            self.two_until = until;
        }
        self.choose(now);
    }

    /// The copies that go with a frame which is sent now. `time` counts frames of the speaker's clock.
    pub fn accompany(
        &mut self,
        time: u32,
        frame: &Bytes,
        end_of_spurt: bool,
        now: Duration,
    ) -> Vec<(u8, Bytes)> {
        self.choose(now);
        self.refill(now);
        let follows = self
            .sent
            .front()
            .is_some_and(|(last, _)| last.wrapping_add(1) == time);
        if !follows {
            self.sent.clear();
        }
        let mut room = limits::MEDIA_PACKET.saturating_sub(OVERHEAD + frame.len() + COPY_OVERHEAD);
        let mut tokens = self.tokens.saturating_sub(bits(frame.len()));
        let mut copies = Vec::new();
        for &back in self.offsets(now) {
            let Some((_, earlier)) = self.sent.get(usize::from(back) - 1) else {
                break;
            };
            let size = earlier.len() + COPY_OVERHEAD;
            if size > room || bits(earlier.len()) > tokens {
                break;
            }
            room -= size;
            tokens -= bits(earlier.len());
            copies.push((back, earlier.clone()));
        }
        self.tokens = tokens;
        if end_of_spurt {
            self.sent.clear();
        } else {
            self.sent.push_front((time, frame.clone()));
            self.sent.truncate(FARTHER.into());
        }
        copies
    }

    /// The stream begins anew: nothing of it was sent before.
    pub fn restart(&mut self) {
        self.sent.clear();
    }

    /// How many frames back those lie whose copies go with a packet.
    fn offsets(&self, now: Duration) -> &'static [u8] {
        match self.copies {
            Copies::None => &[],
            Copies::One if now < self.near_until => &[NEAR],
            Copies::One => &[FAR],
            Copies::Two => &[NEAR, FARTHER],
        }
    }

    fn choose(&mut self, now: Duration) {
        self.copies = if now < self.two_until {
            Copies::Two
        } else if now < self.one_until {
            Copies::One
        } else {
            Copies::None
        };
    }

    fn refill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.counted).min(BURST);
        self.counted = self.counted.max(now);
        let more = u64::from(self.bitrate) * RATE_TENTHS / 10 * passed.as_micros() as u64 / 1_000_000;
        self.tokens = (self.tokens + more).min(burst(self.bitrate));
    }
}

fn burst(bitrate: u32) -> u64 {
    u64::from(bitrate) * RATE_TENTHS / 10 * BURST.as_millis() as u64 / 1000
}

fn bits(bytes: usize) -> u64 {
    8 * bytes as u64
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;
    use crate::media::Grade;

    const MS: Duration = Duration::from_millis(1);

    fn frame(n: u32) -> Bytes {
        Bytes::from(vec![n as u8; 60])
    }

    fn losses(losing: u32, badly: u32, on_stage: u32) -> Losses {
        Losses {
            losing,
            badly,
            on_stage,
        }
    }

    /// Which frames each packet carries copies of.
    fn backs(redundancy: &mut Redundancy, packets: core::ops::Range<u32>) -> Vec<Vec<u8>> {
        packets
            .map(|n| {
                let copies = redundancy.accompany(n, &frame(n), false, MS * 20 * n);
                for (back, copy) in &copies {
                    assert_eq!(*copy, frame(n - u32::from(*back)));
                }
                copies.iter().map(|(back, _)| *back).collect()
            })
            .collect()
    }

    #[test]
    fn nothing_is_sent_twice_until_somebody_misses_it() {
        let mut redundancy = Redundancy::new(32_000);
        assert_eq!(backs(&mut redundancy, 0..3), [const { Vec::<u8>::new() }; 3]);
        redundancy.handle_losses(losses(1, 0, 0), 1, MS * 60);
        assert_eq!(backs(&mut redundancy, 3..5), [vec![], vec![4]]);
        redundancy.handle_losses(losses(1, 0, 1), 1, MS * 100);
        assert_eq!(backs(&mut redundancy, 5..7), [vec![1], vec![1]]);
        redundancy.handle_losses(Losses::of(Grade::Badly, false), 1, MS * 140);
        assert_eq!(backs(&mut redundancy, 7..9), [vec![1, 6], vec![1, 6]]);
    }

    #[test]
    fn copies_end_ten_seconds_after_the_last_report_that_asked_for_them() {
        let mut redundancy = Redundancy::new(32_000);
        redundancy.handle_losses(losses(1, 0, 0), 1, MS);
        redundancy.handle_losses(losses(0, 0, 0), 1, MS * 5_000);
        let all = backs(&mut redundancy, 0..600);
        assert!(all[4..500].iter().all(|backs| *backs == [4]));
        assert!(all[501..].iter().all(Vec::is_empty));
        assert_eq!(
            redundancy.advice(10),
            Advice {
                bitrate: 32_000,
                expected_loss: 10
            }
        );
    }

    #[test]
    fn a_few_of_many_listeners_do_not_make_everyone_pay_and_one_on_the_stage_does() {
        let mut redundancy = Redundancy::new(32_000);
        redundancy.handle_losses(losses(49, 49, 0), 1_000, MS);
        assert_eq!(redundancy.copies(), Copies::None);
        redundancy.handle_losses(losses(50, 49, 0), 1_000, MS);
        assert_eq!(redundancy.copies(), Copies::One);
        let mut redundancy = Redundancy::new(32_000);
        redundancy.handle_losses(losses(1, 1, 1), 1_000, MS);
        assert_eq!(redundancy.copies(), Copies::One);
    }

    #[test]
    fn a_spurt_that_begins_carries_nothing_of_the_one_before() {
        let mut redundancy = Redundancy::new(32_000);
        redundancy.handle_losses(losses(1, 1, 0), 1, MS);
        redundancy.accompany(0, &frame(0), false, MS);
        redundancy.accompany(1, &frame(1), true, MS);
        assert_eq!(redundancy.accompany(2, &frame(2), false, MS), []);
        assert_eq!(redundancy.accompany(50, &frame(50), false, MS), []);
        redundancy.restart();
        assert_eq!(redundancy.accompany(51, &frame(51), false, MS), []);
    }

    #[test]
    fn copies_never_make_a_speaker_send_more_than_a_relay_lets_pass() {
        let mut redundancy = Redundancy::new(32_000);
        redundancy.handle_losses(losses(1, 1, 0), 1, MS);
        let mut bits = 0;
        for n in 0..450_u32 {
            // An encoder that does not keep to its bitrate: 40 kbit/s of frames alone.
            let copies = redundancy.accompany(n, &Bytes::from(vec![0; 100]), false, MS * 20 * n);
            bits += 8 * (100 + copies.iter().map(|(_, copy)| copy.len()).sum::<usize>());
            assert!(bits as u32 <= 48_000 + 48 * 20 * n, "packet {n}");
        }
    }

    #[test]
    fn a_packet_with_copies_fits_a_datagram() {
        let mut redundancy = Redundancy::new(510_000);
        redundancy.handle_losses(losses(1, 1, 0), 1, MS);
        let large = Bytes::from(vec![0; 600]);
        redundancy.accompany(0, &large, false, MS);
        assert_eq!(redundancy.accompany(1, &large, false, MS), []);
    }
}
