//! The congestion controller: a constant window, for sound that is paced by its source.
//!
//! A speaker makes a packet every 20 ms whatever the network does. A controller that halves its rate at
//! each loss (NewReno, CUBIC) makes such packets wait for nothing. Measured with this transport, 4
//! speakers of 190-byte packets, 25 ms and 5 % of all UDP packets lost each way: with CUBIC the 99th
//! percentile of the delay was 93 to 115 ms and the worst 205, with this window 28.7 and 32 to 44 (with
//! quinn's BBR 28.4 and 33; it is called experimental by its authors, and a constant is easier to reason
//! about). What keeps the network safe instead is that the sender is bounded three times:
//! the tree's capacity rule bounds how many packets a second are offered, [`WINDOW`] bounds how much may
//! be under way (and as much again beside QUIC: see `express/allowance.rs`), and the 16 KiB datagram buffer
//! drops what the window does not let out. A path on which
//! nothing at all arrives any more is persistent congestion (RFC 9002, section 7.6), and then the window
//! does shrink, to [`FLOOR`], and must be earned back by acknowledgements.
//!
//! Invariant: `FLOOR <= window <= WINDOW`.

use std::{any::Any, sync::Arc, time::Instant};

use quinn::congestion::{Controller, ControllerFactory};

/// Bytes that may be under way, not yet acknowledged. What lost packets occupy until they are declared
/// lost counts too. Three speakers at music rate (60 kB/s) over a round trip of 500 ms need 30 kB, and
/// this leaves as much again for pulls and control. Half of it would throttle such a path; at several
/// times it a bulk transfer on a substream could queue seconds of sound at a slow uplink (64 KiB is
/// half a second at 1 Mbit/s).
const WINDOW: u64 = 64 * 1024;

/// The window after a path has delivered nothing for three probe timeouts. A tick of three speakers to
/// probe the path with; less than a few full packets, and the pacer would stop even handshakes.
const FLOOR: u64 = 8 * 1024;

/// What each batch of acknowledgements gives back. About one batch arrives a tick, so a path that works
/// again has its full window after some 14 of them: 280 ms of sound.
const EARNED: u64 = 4 * 1024;

/// Builds a [`ConstantWindow`] a connection.
#[derive(Debug)]
pub(super) struct Factory;

impl ControllerFactory for Factory {
    fn build(self: Arc<Self>, _now: Instant, _mtu: u16) -> Box<dyn Controller> {
        Box::new(ConstantWindow { window: WINDOW })
    }
}

/// See the module's documentation.
#[derive(Clone, Debug)]
struct ConstantWindow {
    window: u64,
}

impl Controller for ConstantWindow {
    fn on_end_acks(&mut self, _now: Instant, _in_flight: u64, _app_limited: bool, _newest: Option<u64>) {
        self.window = WINDOW.min(self.window + EARNED);
    }

    fn on_congestion_event(&mut self, _now: Instant, _sent: Instant, persistent: bool, _lost_bytes: u64) {
        if persistent {
            self.window = FLOOR;
        }
    }

    fn on_mtu_update(&mut self, _mtu: u16) {}

    fn window(&self) -> u64 {
        self.window
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        WINDOW
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_packet_does_not_narrow_the_window() {
        let now = Instant::now();
        let mut controller = Arc::new(Factory).build(now, 1200);
        for _ in 0..1000 {
            controller.on_congestion_event(now, now, false, 1200);
        }
        assert_eq!(controller.window(), WINDOW);
    }

    #[test]
    fn a_dead_path_narrows_the_window_and_acknowledgements_widen_it_to_its_bound() {
        let now = Instant::now();
        let mut controller = Arc::new(Factory).build(now, 1200);
        controller.on_congestion_event(now, now, true, 60_000);
        assert_eq!(controller.window(), FLOOR);
        let earned = (0..).take_while(|_| {
            controller.on_end_acks(now, 0, true, Some(1));
            controller.window() < WINDOW
        });
        assert_eq!(earned.count() + 1, 14);
        controller.on_end_acks(now, 0, true, Some(2));
        assert_eq!(controller.window(), WINDOW);
    }
}
