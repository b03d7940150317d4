//! Signed packets that say when they were made, and what becomes of them.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use majlis_protocol::{
    media::{Draft, Header, Packet, Tag},
    person::PersonKey,
    room::RoomId,
    wire::{
        datagram::{Builder, Datagram, Item},
        message::Alias,
    },
};

/// Bytes of one Opus frame of 20 ms at 32 kbit/s, which rooms have unless they say otherwise.
const FRAME: usize = 80;

/// 20 ms of silence as Opus, padded: what stands behind it is skipped by every decoder (RFC 6716, section 3.2.5). The
/// third byte says how many bytes that are.
const SILENCE: [u8; 5] = [0xfb, 0x41, (FRAME - 5) as u8, 0xff, 0xfe];

/// Where in the padding the time stands.
const STAMP: std::ops::Range<usize> = SILENCE.len()..SILENCE.len() + 8;

/// One speaker of the room.
pub(crate) struct Speaker {
    pub(crate) key: PersonKey,
    pub(crate) tag: Tag,
    /// The newest log entry.
    pub(crate) log: u32,
}

impl Speaker {
    /// A packet with the time of its making in it.
    pub(crate) fn packet(&self, room: RoomId, sequence: u32) -> anyhow::Result<Bytes> {
        let mut frame = [0; FRAME];
        frame[..SILENCE.len()].copy_from_slice(&SILENCE);
        frame[STAMP].copy_from_slice(&now().to_be_bytes());
        let draft = Draft {
            header: Header {
                tag: self.tag,
                epoch: 1,
                sequence,
                time: sequence,
                log: self.log,
                level: 127,
                end_of_spurt: false,
            },
            frames: &[&frame],
            redundant: &[],
        };
        Ok(draft.sign(room, &self.key)?.packet().bytes().clone())
    }
}

/// Packets as one datagram.
pub(crate) fn datagram(alias: Alias, packets: &[Bytes]) -> anyhow::Result<Bytes> {
    let mut builder = Builder::new(alias.0, usize::MAX);
    for packet in packets {
        anyhow::ensure!(builder.push(packet), "too many packets for a datagram");
    }
    Ok(builder.finish())
}

/// What one receiver, or all of them together, counted: the packets that were made within a window of time, and how long
/// each was under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Nanoseconds, as [`now`].
    from: AtomicU64,
    to: AtomicU64,
    /// Microseconds.
    delays: Mutex<Vec<u32>>,
}

impl Tally {
    /// Counts what is made from now on within this window.
    pub(crate) fn open(&self, from: u64, to: u64) {
        self.delays().clear();
        self.0.from.store(from, Ordering::Relaxed);
        self.0.to.store(to, Ordering::Relaxed);
    }

    /// Takes what came in a datagram.
    pub(crate) fn note(&self, datagram: Bytes) {
        let arrived = now();
        let Ok(datagram) = Datagram::parse(datagram) else {
            return;
        };
        for item in datagram.items {
            if let Ok(Item::Media(packet)) = item {
                self.note_packet(packet, arrived);
            }
        }
    }

    fn note_packet(&self, packet: Bytes, arrived: u64) {
        let Some(made) = made_at(packet) else { return };
        let window = self.0.from.load(Ordering::Relaxed)..self.0.to.load(Ordering::Relaxed);
        if window.contains(&made) {
            let micros = arrived.saturating_sub(made) / 1_000;
            self.delays().push(u32::try_from(micros).unwrap_or(u32::MAX));
        }
    }

    /// The delays so far, in microseconds.
    pub(crate) fn take(&self) -> Vec<u32> {
        std::mem::take(&mut *self.delays())
    }

    fn delays(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.0.delays.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a packet was made.
fn made_at(packet: Bytes) -> Option<u64> {
    let frame = Packet::parse(packet).ok()?.frames().next()?.opus;
    Some(u64::from_be_bytes(frame.get(STAMP)?.try_into().ok()?))
}

/// The machine's clock, in nanoseconds.
#[expect(
    clippy::disallowed_methods,
    reason = "all processes of a run are on one machine and read the same clock"
)]
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// Waits until then.
pub(crate) async fn until(then: u64) {
    tokio::time::sleep(Duration::from_nanos(then.saturating_sub(now()))).await;
}
