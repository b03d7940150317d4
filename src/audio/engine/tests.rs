//! The listening half in virtual time, judged by what comes out.

use super::*;
use crate::audio::codec::{Encoder, EncoderSettings, OpusEncoder};
use crate::audio::testing::{frames, speech_files};
use crate::audio::{AudioSource, FRAME, FRAME_SAMPLES, Tone, level_of, to_i16};
use audiopus::packet::Packet;
use audiopus::{MutSignals, SampleRate, coder};
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

fn speaker(n: u8) -> SpeakerKey {
    SpeakerKey([n; 32])
}

fn packet(who: SpeakerKey, epoch: u32, index: usize, payload: &Bytes) -> SpeechPacket {
    SpeechPacket {
        speaker: who,
        epoch,
        sequence: index as u32,
        time: index as u32,
        frames: vec![payload.clone()],
        redundant: Vec::new(),
        end_of_spurt: false,
        repaired: false,
    }
}

fn encode(frames: impl Iterator<Item = Vec<f32>>) -> Vec<Bytes> {
    let mut encoder = OpusEncoder::new(EncoderSettings::speech()).unwrap();
    frames
        .map(|frame| encoder.encode(&frame).unwrap().payload)
        .collect()
}

fn tone(hertz: f64, count: usize) -> Vec<Bytes> {
    let mut tone = Tone::new(hertz).unwrap();
    encode((0..count).map(|_| {
        let mut frame = vec![0.0; FRAME_SAMPLES];
        tone.read_frame(Channels::Mono, &mut frame).unwrap();
        frame
    }))
}

/// What any other program decodes from these payloads.
fn reference(payloads: &[Bytes]) -> Vec<i16> {
    let mut decoder = coder::Decoder::new(SampleRate::Hz48000, audiopus::Channels::Mono).unwrap();
    let mut sound = Vec::new();
    for payload in payloads {
        let mut frame = vec![0i16; FRAME_SAMPLES];
        decoder
            .decode(
                Some(Packet::try_from(&payload[..]).unwrap()),
                MutSignals::try_from(&mut frame[..]).unwrap(),
                false,
            )
            .unwrap();
        sound.extend(frame);
    }
    sound
}

/// An engine, the sound it made as 16 bit, and what it told with the tick it told it at.
struct Listener {
    engine: Engine,
    ticks: usize,
    sound: Vec<i16>,
    events: Vec<(usize, EngineEvent)>,
}

impl Listener {
    fn new() -> Self {
        Self {
            engine: Engine::new(Channels::Mono, DelayGoal::Stage),
            ticks: 0,
            sound: Vec::new(),
            events: Vec::new(),
        }
    }

    fn tick(&mut self) {
        let now = FRAME * self.ticks as u32;
        let frame = self.engine.tick(now);
        self.sound.extend(frame.iter().map(|&sample| to_i16(sample)));
        while let Some(event) = self.engine.poll_event() {
            self.events.push((self.ticks, event));
        }
        self.ticks += 1;
    }

    /// Sends one packet of each stream a tick over a link of 30 ms; ticks until all is played.
    fn play(&mut self, streams: &[(SpeakerKey, u32, &[Bytes])]) {
        let begin = self.ticks;
        let longest = streams.iter().map(|(_, _, payloads)| payloads.len()).max();
        for index in 0..longest.unwrap() {
            for &(who, epoch, payloads) in streams {
                if let Some(payload) = payloads.get(index) {
                    let sent = FRAME * (begin + index) as u32;
                    let packet = SpeechPacket {
                        end_of_spurt: index + 1 == payloads.len(),
                        ..packet(who, epoch, index, payload)
                    };
                    self.engine.handle_packet(packet, sent + 30 * MS);
                }
            }
            self.tick();
        }
        while self.engine.has_more() {
            self.tick();
        }
    }

    fn first_audio(&self, who: SpeakerKey, of_epoch: u32) -> (usize, u32) {
        let mut firsts = self.events.iter().filter_map(|(tick, event)| match event {
            EngineEvent::FirstAudio {
                speaker,
                epoch,
                sequence,
            } if *speaker == who && *epoch == of_epoch => Some((*tick, *sequence)),
            _ => None,
        });
        let first = firsts.next().expect("the speaker was heard");
        assert_eq!(firsts.next(), None, "told once");
        first
    }

    fn frame(&self, tick: usize) -> &[i16] {
        &self.sound[tick * FRAME_SAMPLES..(tick + 1) * FRAME_SAMPLES]
    }
}

#[test]
fn speech_without_loss_equals_an_independent_decoder_sample_for_sample() {
    for (name, samples) in speech_files() {
        let payloads = encode(frames(&samples));
        let mut listener = Listener::new();
        listener.play(&[(speaker(1), 7, &payloads)]);
        let (tick, sequence) = listener.first_audio(speaker(1), 7);
        assert_eq!(sequence, 0, "{name}");
        let heard = &listener.sound[tick * FRAME_SAMPLES..];
        let expected = reference(&payloads);
        for (index, wanted) in expected.chunks(FRAME_SAMPLES).enumerate() {
            let got = &heard[index * FRAME_SAMPLES..][..FRAME_SAMPLES];
            assert_eq!(got, wanted, "{name}, frame {index}");
        }
        let stats = &listener.engine.stats()[0];
        assert_eq!(stats.jitter.received, payloads.len() as u64);
        assert_eq!((stats.jitter.lost, stats.jitter.concealed), (0, 0));
        assert_eq!(stats.decode_errors, 0);
    }
}

#[test]
fn a_listener_who_comes_late_equals_a_fresh_decoder_from_its_first_frame_on() {
    let (_, samples) = speech_files().swap_remove(0);
    let payloads = encode(frames(&samples));
    let mut listener = Listener::new();
    for (index, payload) in payloads.iter().enumerate().skip(50) {
        let arrived = FRAME * (index - 50) as u32 + 30 * MS;
        listener
            .engine
            .handle_packet(packet(speaker(1), 7, index, payload), arrived);
        listener.tick();
    }
    let (tick, sequence) = listener.first_audio(speaker(1), 7);
    assert_eq!(sequence, 50);
    let heard = &listener.sound[tick * FRAME_SAMPLES..];
    let expected = reference(&payloads[50..]);
    assert_eq!(heard, &expected[..heard.len()]);
}

#[test]
fn a_stall_of_the_whole_machine_loses_nothing_and_teaches_nothing() {
    let payloads = tone(440.0, 150);
    let mut listener = Listener::new();
    // The machine stands still from tick 50 on for 300 ms; packets sent meanwhile are read when it wakes.
    let (from, until) = (FRAME * 50, FRAME * 50 + 300 * MS);
    for (index, payload) in payloads.iter().enumerate() {
        let on_time = FRAME * index as u32 + 30 * MS;
        let read = if on_time > from {
            on_time.max(until)
        } else {
            on_time
        };
        if on_time > from {
            listener.engine.handle_stall(from, until);
        }
        let packet = SpeechPacket {
            end_of_spurt: index + 1 == payloads.len(),
            ..packet(speaker(1), 7, index, payload)
        };
        listener.engine.handle_packet(packet, read);
    }
    while listener.ticks < 155 {
        listener.tick();
    }
    let stats = &listener.engine.stats()[0].jitter;
    assert_eq!((stats.received, stats.lost, stats.concealed), (150, 0, 0));
    assert_eq!((stats.inserted, stats.removed), (0, 0));
    let (tick, _) = listener.first_audio(speaker(1), 7);
    let heard = &listener.sound[tick * FRAME_SAMPLES..][..150 * FRAME_SAMPLES];
    assert_eq!(heard, reference(&payloads));
}

#[test]
fn a_newer_epoch_starts_a_fresh_decoder_and_is_told() {
    let (first, second) = (tone(440.0, 60), tone(700.0, 60));
    let mut listener = Listener::new();
    listener.play(&[(speaker(1), 7, &first)]);
    listener.play(&[(speaker(1), 8, &second)]);
    let (tick, sequence) = listener.first_audio(speaker(1), 8);
    assert_eq!(sequence, 0);
    let heard = &listener.sound[tick * FRAME_SAMPLES..][..60 * FRAME_SAMPLES];
    assert_eq!(heard, reference(&second));
}

#[test]
fn garbage_from_one_speaker_is_concealed_and_counted_and_harms_no_other() {
    let good = tone(440.0, 100);
    let mut bad = tone(440.0, 100);
    for payload in &mut bad[40..60] {
        *payload = Bytes::from_static(&[0xff; 40]);
    }
    let mut alone = Listener::new();
    alone.play(&[(speaker(1), 7, &good)]);
    let mut both = Listener::new();
    both.play(&[(speaker(1), 7, &good), (speaker(2), 7, &bad)]);
    let stats = both.engine.stats();
    assert_eq!(stats[0].decode_errors, 0);
    assert_eq!(stats[0].jitter.concealed, 0);
    assert_eq!(stats[1].decode_errors, 20);
    let loudest = both.sound.iter().map(|sample| sample.unsigned_abs()).max();
    assert!(loudest < Some(10_000), "{loudest:?}");
    // Where the second speaker has faded out to a murmur, the first is heard as if alone.
    let difference = both.frame(58).iter().zip(alone.frame(58));
    let murmur = difference.fold(0, |worst, (a, b)| worst.max((a - b).abs()));
    assert!(
        murmur < 1_000,
        "{murmur}: concealment is a third of the tone at most"
    );
}

#[test]
fn a_flush_fades_within_ten_milliseconds_and_newer_packets_are_heard_again() {
    let payloads = tone(440.0, 100);
    let mut listener = Listener::new();
    for (index, payload) in payloads.iter().enumerate() {
        let arrived = FRAME * index as u32 + 30 * MS;
        let packet = packet(speaker(1), 7, index, payload);
        // Those sent while muted are dropped before they reach us.
        if !(50..60).contains(&index) {
            listener.engine.handle_packet(packet, arrived);
        }
        if index == 50 {
            listener.engine.flush(speaker(1));
        }
        listener.tick();
    }
    let faded = listener.frame(50);
    assert!(faded[..100].iter().any(|&sample| sample.abs() > 500));
    assert!(faded[FRAME_SAMPLES / 2..].iter().all(|&sample| sample == 0));
    assert!((51..60).all(|tick| listener.frame(tick).iter().all(|&sample| sample == 0)));
    assert!(listener.frame(80).iter().any(|&sample| sample.abs() > 2_000));
    assert_eq!(listener.engine.stats()[0].jitter.lost, 0);
}

#[test]
fn who_was_removed_keeps_the_counts_and_may_come_back() {
    let payloads = tone(440.0, 50);
    let mut listener = Listener::new();
    listener.play(&[(speaker(1), 7, &payloads)]);
    listener.engine.remove(speaker(1));
    listener.tick();
    assert_eq!(listener.engine.stats()[0].jitter.received, 50);
    listener.play(&[(speaker(1), 8, &payloads)]);
    assert_eq!(listener.engine.stats()[0].jitter.received, 100);
    listener.first_audio(speaker(1), 8);
}

#[test]
fn a_sound_that_breaks_off_is_let_down_without_a_click() {
    let payloads = tone(440.0, 50);
    let mut listener = Listener::new();
    listener.play(&[(speaker(1), 7, &payloads)]);
    for _ in 0..10 {
        listener.tick();
    }
    let steepest = listener
        .sound
        .windows(2)
        .map(|pair| (i32::from(pair[1]) - i32::from(pair[0])).abs())
        .max();
    // A sine of 440 Hz and this size moves by at most 189 a sample.
    assert!(steepest < Some(400), "{steepest:?}");
    assert!(listener.sound.ends_with(&[0; FRAME_SAMPLES]));
}

#[test]
fn who_stops_without_saying_so_is_heard_out_and_nothing_is_made_up() {
    let payloads = tone(440.0, 20);
    let mut listener = Listener::new();
    for (index, payload) in payloads.iter().enumerate() {
        let arrived = FRAME * index as u32;
        listener
            .engine
            .handle_packet(packet(speaker(1), 7, index, payload), arrived);
        // Told before its last packets are looked at.
        if index == 19 {
            listener.engine.end(speaker(1));
        }
        listener.tick();
    }
    while listener.engine.has_more() {
        listener.tick();
    }
    let stats = &listener.engine.stats()[0].jitter;
    assert_eq!((stats.received, stats.concealed), (20, 0));
}

#[test]
fn levels_come_at_most_ten_times_a_second_and_end_with_silence() {
    let payloads = tone(440.0, 100);
    let mut listener = Listener::new();
    listener.play(&[(speaker(1), 7, &payloads)]);
    for _ in 0..50 {
        listener.tick();
    }
    let levels: Vec<(usize, u8)> = listener
        .events
        .iter()
        .filter_map(|(tick, event)| match event {
            EngineEvent::Level { level, .. } => Some((*tick, *level)),
            _ => None,
        })
        .collect();
    assert!(levels.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 5));
    assert!(levels.len() >= 19, "{levels:?}");
    assert!(levels[1..19].iter().all(|&(_, level)| (22..=25).contains(&level)));
    assert_eq!(levels.iter().filter(|&&(_, level)| level == 127).count(), 1);
    assert_eq!(levels.last().unwrap().1, 127);
}

#[test]
fn streams_beyond_the_bound_are_refused_until_one_is_removed() {
    let payloads = tone(440.0, 2);
    let mut listener = Listener::new();
    for n in 0..=MAX_STREAMS as u8 {
        let packet = packet(speaker(n), 7, 0, &payloads[0]);
        listener.engine.handle_packet(packet, Duration::ZERO);
    }
    listener.tick();
    assert_eq!(listener.engine.refused(), 1);
    listener.engine.remove(speaker(3));
    listener.tick();
    let packet = packet(speaker(200), 7, 0, &payloads[0]);
    listener.engine.handle_packet(packet, FRAME);
    listener.tick();
    assert_eq!(listener.engine.refused(), 1);
    assert_eq!(listener.engine.stats().len(), MAX_STREAMS);
}

#[test]
fn several_voices_add_up_without_leaving_full_scale() {
    let voices: Vec<Vec<Bytes>> = (0..6).map(|n| tone(300.0 + 37.0 * f64::from(n), 60)).collect();
    let streams: Vec<(SpeakerKey, u32, &[Bytes])> = voices
        .iter()
        .enumerate()
        .map(|(n, payloads)| (speaker(n as u8), 7, &payloads[..]))
        .collect();
    let mut listener = Listener::new();
    listener.play(&streams);
    let frame: Vec<f32> = listener
        .frame(40)
        .iter()
        .map(|&sample| f32::from(sample) / 32_768.0)
        .collect();
    // Four tones of -23 dB each, and not six.
    assert!((16..=18).contains(&level_of(&frame)), "{}", level_of(&frame));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn no_packets_make_the_engine_panic_or_loud(
        packets in proptest::collection::vec(
            (0u8..3, 0u32..3, any::<u32>(), any::<u32>(),
             proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..4),
             any::<bool>(), any::<bool>(), 0u64..2_000),
            0..60,
        )
    ) {
        let mut engine = Engine::new(Channels::Stereo, DelayGoal::Stage);
        for (who, epoch, sequence, time, payloads, end_of_spurt, repaired, at) in packets {
            let frames: Vec<Bytes> = payloads.into_iter().map(Bytes::from).collect();
            engine.handle_packet(SpeechPacket {
                speaker: speaker(who),
                epoch,
                sequence,
                time,
                redundant: frames.iter().map(|frame| (sequence as u8, frame.clone())).collect(),
                frames,
                end_of_spurt,
                repaired,
            }, Duration::from_millis(at));
        }
        for tick in 0..150 {
            let frame = engine.tick(FRAME * tick);
            prop_assert!(frame.iter().all(|sample| sample.abs() <= 1.0));
        }
    }
}
