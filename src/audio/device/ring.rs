//! The two ends of each ring buffer: the device's callback on one side, our thread on the other.
//!
//! Invariant: what runs in the callback ([`Captured::take`], [`Played::fill`]) neither allocates, frees, locks nor
//! logs; its only ways out are the ring and the counters in [`Shared`]. The ring holds mono samples at the device's own
//! rate; conversion happens on our thread.

use super::{Direction, Read};
use crate::audio::{AudioError, FRAME_SAMPLES, Resampler, SAMPLE_RATE};
use core::time::Duration;
use cpal::{FromSample, Sample as _, SizedSample};
use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};

/// What a ring holds, in parts of a second: half of one. Enough for a thread that is kept from running for longer than
/// any listener's buffer would forgive.
const RING: u32 = 2;

/// A microphone's reader that is further behind than this drops the oldest. Less, and a short stall loses speech;
/// more, and what follows a long one is heard after everyone's buffer has given it up.
const BACKLOG: Duration = Duration::from_millis(240);

/// What is left after dropping: two frames, so that the next read finds one whole.
const BACKLOG_LEFT: Duration = Duration::from_millis(40);

/// How far the last sample falls each step once a loudspeaker has nothing to play: silent after about 5 ms. At once
/// would click; slower would hum.
const FADE: f32 = 0.98;

/// What the callback tells our thread.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Samples a full ring could not take, or times that an empty one ran dry.
    missed: AtomicU64,
    /// Frames of the largest callback so far.
    period: AtomicUsize,
    fault: AtomicU8,
    /// Nothing more is to come: running dry is no fault.
    ending: AtomicBool,
}

/// Why a stream died, as told by the system's error callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Lost = 1,
    Denied = 2,
    System = 3,
}

impl Shared {
    pub(super) fn fault(&self) -> Option<Fault> {
        match self.fault.load(Ordering::Relaxed) {
            0 => None,
            1 => Some(Fault::Lost),
            2 => Some(Fault::Denied),
            _ => Some(Fault::System),
        }
    }

    /// Called by the system's error callback; the first fault stays.
    pub(super) fn set_fault(&self, fault: Fault) {
        let _ = self
            .fault
            .compare_exchange(0, fault as u8, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// A ring from a microphone at `rate` with this many channels.
pub(super) fn capture(rate: u32, channels: u16) -> Result<(Captured, Reader), AudioError> {
    let (producer, consumer) = RingBuffer::new((rate / RING) as usize);
    let shared = Arc::new(Shared::default());
    let captured = Captured {
        producer,
        channels: usize::from(channels).max(1),
        shared: shared.clone(),
    };
    let resampler = (rate != SAMPLE_RATE)
        .then(|| Resampler::to_48k(rate, 1))
        .transpose()?;
    let reader = Reader {
        consumer,
        resampler,
        rate,
        raw: Vec::new(),
        ready: Vec::new(),
        dropped: 0,
        shared,
    };
    Ok((captured, reader))
}

/// A ring to a loudspeaker at `rate` with this many channels.
pub(super) fn playback(rate: u32, channels: u16) -> Result<(Writer, Played), AudioError> {
    let (producer, consumer) = RingBuffer::new((rate / RING) as usize);
    let shared = Arc::new(Shared::default());
    let resampler = (rate != SAMPLE_RATE)
        .then(|| Resampler::from_48k(rate, 1))
        .transpose()?;
    let writer = Writer {
        capacity: producer.buffer().capacity(),
        producer,
        resampler,
        rate,
        scratch: Vec::new(),
        shared: shared.clone(),
    };
    let cushion = samples(FRAME, rate);
    let channels = usize::from(channels).max(1);
    Ok((
        writer,
        Played {
            consumer,
            channels,
            cushion,
            dry: true,
            started: false,
            last: 0.0,
            shared,
        },
    ))
}

/// The microphone's callback.
#[derive(Debug)]
pub(super) struct Captured {
    producer: Producer<f32>,
    channels: usize,
    shared: Arc<Shared>,
}

impl Captured {
    pub(super) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Takes what the device recorded, channels interleaved, as their mean.
    pub(super) fn take<T: SizedSample>(&mut self, data: &[T])
    where
        f32: FromSample<T>,
    {
        let frames = data.len() / self.channels;
        let room = frames.min(self.producer.slots());
        let share = 1.0 / self.channels as f32;
        let mono = data
            .chunks_exact(self.channels)
            .map(|frame| frame.iter().map(|&sample| f32::from_sample(sample)).sum::<f32>() * share);
        if let Ok(chunk) = self.producer.write_chunk_uninit(room) {
            chunk.fill_from_iter(mono);
        }
        self.shared
            .missed
            .fetch_add((frames - room) as u64, Ordering::Relaxed);
    }
}

/// A microphone's other end, on our thread.
#[derive(Debug)]
pub(super) struct Reader {
    consumer: Consumer<f32>,
    resampler: Option<Resampler>,
    rate: u32,
    /// What was just taken out of the ring.
    raw: Vec<f32>,
    /// At 48 kHz, not read yet.
    ready: Vec<f32>,
    /// Samples dropped here because the reader was behind.
    dropped: u64,
    shared: Arc<Shared>,
}

impl Reader {
    pub(super) fn fault(&self) -> Option<Fault> {
        self.shared.fault()
    }

    /// Frames of 20 ms lost because nobody read, rounded up.
    pub(super) fn overruns(&self) -> u64 {
        let missed = self.dropped + self.shared.missed.load(Ordering::Relaxed);
        missed.div_ceil(samples(FRAME, self.rate) as u64)
    }

    /// When the next frame can be whole, at the earliest.
    pub(super) fn wait(&self) -> Duration {
        let missing = FRAME_SAMPLES.saturating_sub(self.ready.len()) as u64;
        let waiting = span(self.consumer.slots(), self.rate);
        Duration::from_nanos(missing * 1_000_000_000 / u64::from(SAMPLE_RATE)).saturating_sub(waiting)
    }

    /// The next 20 ms, if they are over.
    pub(super) fn read(&mut self, frame: &mut [f32; FRAME_SAMPLES]) -> Read {
        if self.ready.len() < FRAME_SAMPLES {
            self.drop_backlog();
            self.convert();
        }
        if self.ready.len() < FRAME_SAMPLES {
            return Read::NotYet;
        }
        frame.copy_from_slice(&self.ready[..FRAME_SAMPLES]);
        self.ready.drain(..FRAME_SAMPLES);
        Read::Full
    }

    fn drop_backlog(&mut self) {
        let waiting = self.consumer.slots();
        if span(waiting, self.rate) <= BACKLOG {
            return;
        }
        let surplus = waiting - samples(BACKLOG_LEFT, self.rate);
        if let Ok(chunk) = self.consumer.read_chunk(surplus) {
            chunk.commit_all();
            self.dropped += surplus as u64;
        }
    }

    fn convert(&mut self) {
        self.raw.resize(self.consumer.slots(), 0.0);
        let taken = self.consumer.pop_partial_slice(&mut self.raw).0.len();
        let raw = &mut self.raw[..taken];
        raw.iter_mut().for_each(|sample| *sample = sane(*sample));
        match &mut self.resampler {
            Some(resampler) => resampler.push(raw, &mut self.ready),
            None => self.ready.extend_from_slice(raw),
        }
    }
}

/// A loudspeaker's end on our thread.
#[derive(Debug)]
pub(super) struct Writer {
    producer: Producer<f32>,
    capacity: usize,
    resampler: Option<Resampler>,
    rate: u32,
    scratch: Vec<f32>,
    shared: Arc<Shared>,
}

impl Writer {
    pub(super) fn fault(&self) -> Option<Fault> {
        self.shared.fault()
    }

    /// How often the sound ran out.
    pub(super) fn underruns(&self) -> u64 {
        self.shared.missed.load(Ordering::Relaxed)
    }

    /// What has been written and not handed to the device.
    pub(super) fn queued(&self) -> Duration {
        span(self.capacity - self.producer.slots(), self.rate)
    }

    /// How long until there is room for the next frame. What waits then covers one callback and half of another: less
    /// runs dry when we are woken late, more is delay.
    pub(super) fn wait(&self) -> Duration {
        let period = span(self.shared.period.load(Ordering::Relaxed), self.rate);
        let level = FRAME
            .max(period + period / 2)
            .min(Duration::from_secs(1) / RING - 3 * FRAME);
        self.queued().saturating_sub(level)
    }

    /// The sound may run out now without being counted.
    pub(super) fn expect_end(&self) {
        self.shared.ending.store(true, Ordering::Relaxed);
    }

    /// Queues 20 ms, each sample within ±1.0.
    pub(super) fn write(&mut self, frame: &[f32; FRAME_SAMPLES]) {
        self.shared.ending.store(false, Ordering::Relaxed);
        self.scratch.clear();
        match &mut self.resampler {
            Some(resampler) => resampler.push(frame, &mut self.scratch),
            None => self.scratch.extend_from_slice(frame),
        }
        self.scratch
            .iter_mut()
            .for_each(|sample| *sample = sane(*sample).clamp(-1.0, 1.0));
        // The caller has waited for room; what does not fit all the same would only be delay.
        let _ = self.producer.push_partial_slice(&self.scratch);
    }
}

/// The loudspeaker's callback.
#[derive(Debug)]
pub(super) struct Played {
    consumer: Consumer<f32>,
    channels: usize,
    /// Samples that must wait before sound begins, or begins again after it ran out: else it would crackle.
    cushion: usize,
    dry: bool,
    started: bool,
    last: f32,
    shared: Arc<Shared>,
}

impl Played {
    pub(super) fn shared(&self) -> Arc<Shared> {
        self.shared.clone()
    }

    /// Fills the device's buffer, every channel alike.
    pub(super) fn fill<T: SizedSample + FromSample<f32>>(&mut self, data: &mut [T]) {
        let frames = data.len() / self.channels;
        self.shared.period.fetch_max(frames, Ordering::Relaxed);
        let waiting = self.consumer.slots();
        if self.dry && waiting >= self.cushion {
            self.dry = false;
            self.started = true;
        }
        for frame in data.chunks_mut(self.channels) {
            let next = if self.dry { None } else { self.consumer.pop().ok() };
            self.last = next.unwrap_or(self.last * FADE);
            frame.fill(T::from_sample(self.last));
            if next.is_none() && !self.dry {
                self.dry = true;
                let fault = self.started && !self.shared.ending.load(Ordering::Relaxed);
                self.shared.missed.fetch_add(u64::from(fault), Ordering::Relaxed);
            }
        }
        // A fade never ends by itself; far below one step of 24 bits it has.
        if self.last.abs() < 1e-8 {
            self.last = 0.0;
        }
    }
}

/// 20 ms.
const FRAME: Duration = crate::audio::FRAME;

/// Samples in a time at a rate.
fn samples(time: Duration, rate: u32) -> usize {
    (time.as_micros() as u64 * u64::from(rate) / 1_000_000) as usize
}

/// The time that samples at a rate last.
fn span(samples: usize, rate: u32) -> Duration {
    Duration::from_nanos(samples as u64 * 1_000_000_000 / u64::from(rate.max(1)))
}

/// What is not a number is silence.
fn sane(sample: f32) -> f32 {
    if sample.is_finite() { sample } else { 0.0 }
}

/// The error of a device whose stream died.
pub(super) fn died(direction: Direction, fault: Fault) -> super::DeviceError {
    match fault {
        Fault::Lost => super::DeviceError::Lost(direction),
        Fault::Denied => super::DeviceError::Denied(direction),
        Fault::System => {
            let reason = "the system stopped its sound".to_owned();
            super::DeviceError::System { direction, reason }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(from: usize, count: usize) -> Vec<f32> {
        (from..from + count).map(|n| n as f32 / 100_000.0).collect()
    }

    fn frame_of(samples: &[f32]) -> [f32; FRAME_SAMPLES] {
        samples.try_into().expect("a test gives 960 samples")
    }

    #[test]
    fn what_a_microphone_records_is_read_in_frames_sample_for_sample() {
        let (mut captured, mut reader) = capture(SAMPLE_RATE, 1).unwrap();
        let mut frame = [9.0; FRAME_SAMPLES];
        captured.take(&ramp(0, 480));
        assert_eq!(reader.read(&mut frame), Read::NotYet);
        assert_eq!(frame, [9.0; FRAME_SAMPLES]);
        assert_eq!(reader.wait(), Duration::from_millis(10));
        captured.take(&ramp(480, 1_000));
        assert_eq!(reader.read(&mut frame), Read::Full);
        assert_eq!(frame.as_slice(), ramp(0, 960));
        captured.take(&ramp(1_480, 440));
        assert_eq!(reader.wait(), Duration::ZERO);
        assert_eq!(reader.read(&mut frame), Read::Full);
        assert_eq!(frame.as_slice(), ramp(960, 960));
        assert_eq!(reader.overruns(), 0);
    }

    #[test]
    fn channels_are_mixed_to_their_mean_in_any_format() {
        let (mut captured, mut reader) = capture(SAMPLE_RATE, 2).unwrap();
        let mut frame = [0.0; FRAME_SAMPLES];
        captured.take(&[[16_384_i16, 0]; 960].concat());
        assert_eq!(reader.read(&mut frame), Read::Full);
        assert_eq!(frame, [0.25; FRAME_SAMPLES]);
        captured.take(&[[192_u8, 192]; 960].concat());
        assert_eq!(reader.read(&mut frame), Read::Full);
        assert_eq!(frame, [0.5; FRAME_SAMPLES]);
    }

    #[test]
    fn a_reader_that_falls_behind_loses_the_oldest_and_counts_it() {
        let (mut captured, mut reader) = capture(SAMPLE_RATE, 1).unwrap();
        captured.take(&ramp(0, 30_000));
        let mut frame = [0.0; FRAME_SAMPLES];
        assert_eq!(reader.read(&mut frame), Read::Full);
        assert_eq!(
            frame.as_slice(),
            ramp(24_000 - 1_920, 960),
            "the newest 40 ms of what the ring could hold"
        );
        assert_eq!(reader.read(&mut frame), Read::Full);
        assert_eq!(reader.read(&mut frame), Read::NotYet);
        assert_eq!(reader.overruns(), (30_000_u64 - 1_920).div_ceil(960));
    }

    #[test]
    fn a_reader_that_is_a_little_late_loses_nothing() {
        let (mut captured, mut reader) = capture(SAMPLE_RATE, 1).unwrap();
        let mut frame = [0.0; FRAME_SAMPLES];
        captured.take(&ramp(0, 9_600));
        for n in 0..10 {
            assert_eq!(reader.read(&mut frame), Read::Full);
            assert_eq!(frame.as_slice(), ramp(n * 960, 960));
        }
        assert_eq!(reader.overruns(), 0);
    }

    #[test]
    fn what_is_not_a_number_becomes_silence_on_both_ways() {
        let (mut captured, mut reader) = capture(SAMPLE_RATE, 1).unwrap();
        captured.take(&[f32::NAN; 960]);
        let mut frame = [9.0; FRAME_SAMPLES];
        assert_eq!(reader.read(&mut frame), Read::Full);
        assert_eq!(frame, [0.0; FRAME_SAMPLES]);

        let (mut writer, mut played) = playback(SAMPLE_RATE, 1).unwrap();
        frame[0] = f32::INFINITY;
        frame[1] = 7.0;
        writer.write(&frame);
        let mut heard = [9.0_f32; 2];
        played.fill(&mut heard);
        assert_eq!(heard, [0.0, 1.0]);
    }

    #[test]
    fn another_rate_is_converted_both_ways_and_keeps_the_tone() {
        let sine = |rate: f32, n: usize| (core::f32::consts::TAU * 440.0 * n as f32 / rate).sin() * 0.5;
        let loudness = |samples: &[f32]| {
            (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32).sqrt()
        };
        let (mut captured, mut reader) = capture(44_100, 1).unwrap();
        let (mut writer, mut played) = playback(44_100, 2).unwrap();
        let (mut read, mut heard) = (vec![], vec![]);
        for block in 0..100 {
            let recorded: Vec<f32> = (0..441).map(|n| sine(44_100.0, block * 441 + n)).collect();
            captured.take(&recorded);
            let mut frame = [0.0; FRAME_SAMPLES];
            while reader.read(&mut frame) == Read::Full {
                read.extend_from_slice(&frame);
                writer.write(&frame);
            }
            let mut out = [0.0_f32; 882];
            played.fill(&mut out);
            heard.extend(out.chunks(2).map(|pair| pair[0]));
        }
        let expected: Vec<f32> = (0..read.len()).map(|n| sine(48_000.0, n)).collect();
        let error: Vec<f32> = read
            .iter()
            .zip(&expected)
            .skip(2_000)
            .map(|(a, b)| a - b)
            .collect();
        assert!(
            read.len() > 45_000 && loudness(&error) < 0.01,
            "{} {}",
            read.len(),
            loudness(&error)
        );
        let middle = loudness(&heard[10_000..40_000]);
        assert!((middle - 0.3535).abs() < 0.01, "{middle}");
    }

    #[test]
    fn every_channel_of_a_loudspeaker_gets_the_same_sound() {
        let (mut writer, mut played) = playback(SAMPLE_RATE, 3).unwrap();
        writer.write(&frame_of(&ramp(0, 960)));
        let mut heard = vec![9.0_f32; 3 * 960];
        played.fill(&mut heard);
        let expected: Vec<f32> = ramp(0, 960).iter().flat_map(|&sample| [sample; 3]).collect();
        assert_eq!(heard, expected);
    }

    #[test]
    fn sound_that_runs_out_fades_and_is_counted_once() {
        let (mut writer, mut played) = playback(SAMPLE_RATE, 1).unwrap();
        let mut heard = vec![9.0_f32; 480];
        played.fill(&mut heard);
        assert_eq!(
            (heard[479], writer.underruns()),
            (0.0, 0),
            "silence before the first frame is no fault"
        );
        writer.write(&[0.8; FRAME_SAMPLES]);
        let mut heard = vec![0.0_f32; 1_440];
        played.fill(&mut heard);
        let steepest = heard
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).abs())
            .fold(0.0, f32::max);
        assert!(steepest <= 0.8 * (1.0 - FADE) + 1e-6, "no click: {steepest}");
        assert!(heard[1_439].abs() < 1e-3, "silent in the end");
        played.fill(&mut heard);
        assert_eq!(writer.underruns(), 1);
        writer.write(&[0.8; FRAME_SAMPLES]);
        writer.expect_end();
        played.fill(&mut heard);
        assert_eq!(writer.underruns(), 1, "the end is no fault");
    }

    #[test]
    fn after_it_ran_out_sound_begins_again_with_a_cushion() {
        let (mut writer, mut played) = playback(44_100, 1).unwrap();
        let mut heard = vec![0.0_f32; 100];
        played.fill(&mut heard);
        assert!(played.dry);
        for _ in 0..4 {
            writer.write(&[0.5; FRAME_SAMPLES]);
        }
        played.fill(&mut heard);
        assert!(!played.dry);
    }

    #[test]
    fn a_writer_waits_while_enough_is_queued_for_the_devices_period() {
        let (mut writer, mut played) = playback(SAMPLE_RATE, 1).unwrap();
        assert_eq!(writer.wait(), Duration::ZERO);
        writer.write(&[0.0; FRAME_SAMPLES]);
        assert_eq!(writer.wait(), Duration::ZERO);
        writer.write(&[0.0; FRAME_SAMPLES]);
        assert_eq!(writer.wait(), Duration::from_millis(20));
        played.fill(&mut vec![0.0_f32; 480]);
        assert_eq!(writer.wait(), Duration::from_millis(10));
        writer.write(&[0.0; FRAME_SAMPLES]);
        played.fill(&mut vec![0.0_f32; 1_920]);
        assert_eq!(writer.queued(), Duration::from_millis(10));
        for _ in 0..3 {
            writer.write(&[0.0; FRAME_SAMPLES]);
        }
        assert_eq!(
            writer.wait(),
            Duration::from_millis(10),
            "60 ms are kept for a period of 40"
        );
    }

    #[test]
    fn the_first_fault_stays() {
        let shared = Shared::default();
        assert_eq!(shared.fault(), None);
        shared.set_fault(Fault::Lost);
        shared.set_fault(Fault::System);
        assert_eq!(shared.fault(), Some(Fault::Lost));
    }
}
