//! A recording without threads and clocks: packets of any speaker go in, files grow.
//!
//! Invariants: all files begin at the same moment and, once finished, end at the same; what was captured together lies
//! at the same place in each; no packet of one speaker changes another's file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use super::track::Track;
use crate::audio::{
    AudioError, AudioSink as _, Channels, FRAME, FRAME_SAMPLES, OpusSink,
    engine::{MAX_STREAMS, SpeakerKey, SpeechPacket},
    mixer::{MixInput, Mixer},
};

/// How long a frame may be on its way, repairs included, to have its place.
const HOLD: Duration = Duration::from_secs(2);

/// The mix's name in the folder.
const MIX: &str = "mix";

/// See the module's documentation.
#[derive(Debug)]
pub(super) struct Recorder {
    folder: PathBuf,
    channels: Channels,
    title: String,
    /// How each speaker's file is called.
    names: BTreeMap<SpeakerKey, String>,
    tracks: BTreeMap<SpeakerKey, Track>,
    mixer: Mixer<SpeakerKey>,
    mixed: Vec<f32>,
    mix: OpusSink,
    /// The next tick to be written.
    next: u64,
}

impl Recorder {
    /// A recording in an empty folder that is there.
    pub(super) fn create(folder: &Path, channels: Channels, title: &str) -> Result<Self, AudioError> {
        let tags = [("TITLE", title), ("DESCRIPTION", "everyone")];
        let settings = super::room_settings(channels);
        let delay = crate::audio::codec::encoder(settings)?.delay()?;
        Ok(Self {
            folder: folder.to_owned(),
            channels,
            title: title.to_owned(),
            names: BTreeMap::new(),
            tracks: BTreeMap::new(),
            mixer: Mixer::new(channels),
            mixed: vec![0.0; channels.frame_len()],
            mix: OpusSink::after(&folder.join(MIX).with_extension("opus"), channels, delay, &tags)?,
            next: 0,
        })
    }

    /// Says how a speaker is called. The first name stays.
    pub(super) fn introduce(&mut self, speaker: SpeakerKey, name: &str) {
        self.names.entry(speaker).or_insert_with(|| name.to_owned());
    }

    /// Takes a packet that came at `arrived`, counted from the start.
    pub(super) fn handle_packet(
        &mut self,
        packet: &SpeechPacket,
        arrived: Duration,
    ) -> Result<(), AudioError> {
        let next = self.next;
        if let Some(track) = self.track(packet.speaker)? {
            track.handle_packet(packet, arrived, next);
        }
        Ok(())
    }

    /// Writes what is complete at `now`, counted from the start.
    pub(super) fn advance(&mut self, now: Duration) -> Result<(), AudioError> {
        self.write_until(now.saturating_sub(HOLD))
    }

    /// Writes all there is up to `now` and ends the files.
    pub(super) fn finish(&mut self, now: Duration) -> Result<(), AudioError> {
        self.write_until(now)?;
        let samples = self.next * FRAME_SAMPLES as u64;
        for track in self.tracks.values_mut() {
            track.finish(samples)?;
        }
        self.mix.finish()
    }

    fn write_until(&mut self, until: Duration) -> Result<(), AudioError> {
        let end = u64::try_from(until.as_nanos() / FRAME.as_nanos()).unwrap_or(u64::MAX);
        while self.next < end {
            for track in self.tracks.values_mut() {
                track.write(self.next)?;
            }
            let inputs: Vec<MixInput<'_, SpeakerKey>> = self
                .tracks
                .iter()
                .map(|(&key, track)| MixInput {
                    key,
                    frame: track.sound(),
                    leaving: false,
                })
                .collect();
            self.mixer.mix(&inputs, &mut self.mixed);
            self.mix.write_frame(self.channels, &self.mixed)?;
            self.next += 1;
        }
        Ok(())
    }

    /// The speaker's track, with a file from the start of the recording; `None` beyond [`MAX_STREAMS`].
    fn track(&mut self, speaker: SpeakerKey) -> Result<Option<&mut Track>, AudioError> {
        if !self.tracks.contains_key(&speaker) {
            if self.tracks.len() >= MAX_STREAMS {
                return Ok(None);
            }
            let name = self.names.get(&speaker).cloned();
            let name = name.unwrap_or_else(|| "speaker".into());
            let path = free_path(&self.folder, &file_name(&name));
            let tags = [("TITLE", self.title.as_str()), ("ARTIST", name.as_str())];
            let track = Track::create(&path, self.channels, &tags, self.next)?;
            self.tracks.insert(speaker, track);
        }
        Ok(self.tracks.get_mut(&speaker))
    }
}

/// A name as part of a path: letters and digits of any script, `-` for the rest.
fn file_name(name: &str) -> String {
    let kept = name
        .chars()
        .map(|letter| if letter.is_alphanumeric() { letter } else { '-' });
    // A file name has at most 255 bytes.
    let mut kept: String = kept.take(48).collect();
    if kept.is_empty() || kept == MIX {
        kept.push_str("-speaker");
    }
    kept
}

/// A path that is not there yet.
fn free_path(folder: &Path, name: &str) -> PathBuf {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .map(|name| folder.join(format!("{name}.opus")))
        .find(|path| !path.exists())
        .expect("some number is free")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::audio::{AudioSource as _, FileSource, Fill, codec};

    const A: SpeakerKey = SpeakerKey([1; 32]);
    const B: SpeakerKey = SpeakerKey([2; 32]);

    /// A speaker whose every frame is sent in a packet of its own.
    struct Voice {
        key: SpeakerKey,
        encoder: Box<dyn codec::Encoder>,
        epoch: u32,
        sequence: u32,
    }

    impl Voice {
        fn new(key: SpeakerKey) -> Self {
            Self {
                key,
                encoder: codec::encoder(codec::EncoderSettings::speech()).unwrap(),
                epoch: 7,
                sequence: 0,
            }
        }

        /// The packet with a frame of a tone, captured at a tick of its own clock.
        fn say(&mut self, time: u32) -> SpeechPacket {
            let tone = |n: usize| ((time as usize * FRAME_SAMPLES + n) as f32 * 0.06).sin() * 0.3;
            self.packet(time, (0..FRAME_SAMPLES).map(tone).collect())
        }

        /// The packet that closes what it said.
        fn close(&mut self, time: u32) -> SpeechPacket {
            SpeechPacket {
                end_of_spurt: true,
                ..self.packet(time, vec![0.0; FRAME_SAMPLES])
            }
        }

        fn packet(&mut self, time: u32, frame: Vec<f32>) -> SpeechPacket {
            let payload = self.encoder.encode(&frame).unwrap().payload;
            self.sequence += 1;
            SpeechPacket {
                speaker: self.key,
                epoch: self.epoch,
                sequence: self.sequence,
                time,
                frames: vec![payload],
                redundant: Vec::new(),
                end_of_spurt: false,
                repaired: false,
            }
        }
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn read_all(path: &Path) -> Vec<f32> {
        let mut source = FileSource::open(path, Channels::Mono, false).unwrap();
        let (mut sound, mut frame) = (Vec::new(), vec![0.0; FRAME_SAMPLES]);
        while source.read_frame(Channels::Mono, &mut frame).unwrap() == Fill::Frame {
            sound.extend_from_slice(&frame);
        }
        sound
    }

    /// The first and the last millisecond that sounds.
    fn sounds(path: &Path) -> Option<(usize, usize)> {
        let sound = read_all(path);
        let is_loud = |ms: &[f32]| ms.iter().any(|sample| sample.abs() > 0.05);
        let mut loud = sound
            .chunks(48)
            .enumerate()
            .filter(|(_, ms)| is_loud(ms))
            .map(|(at, _)| at);
        let first = loud.next()?;
        Some((first, loud.next_back().unwrap_or(first)))
    }

    fn near(found: Option<(usize, usize)>, first: usize, last: usize) {
        let (begin, end) = found.expect("something sounds");
        assert!(
            begin.abs_diff(first) <= 21 && end.abs_diff(last) <= 41,
            "{begin} to {end}, not {first} to {last}"
        );
    }

    #[test]
    fn what_was_captured_together_lies_at_the_same_place_in_files_of_the_same_length() {
        let dir = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::create(dir.path(), Channels::Mono, "Evening talk").unwrap();
        recorder.introduce(A, "Sara ☾/#k3x9");
        recorder.introduce(B, "mix");
        let (mut a, mut b) = (Voice::new(A), Voice::new(B));
        for tick in 0..250u32 {
            let captured = ms(u64::from(tick) * 20 + 20);
            // A speaks from 0.5 s to 3 s, and its packets are up to 60 ms late; B from 2 s on, with a clock of its own.
            if (25..150).contains(&tick) {
                let late = ms(u64::from(tick * 7 % 4) * 20);
                recorder.handle_packet(&a.say(tick), captured + late).unwrap();
            }
            if tick == 150 {
                recorder.handle_packet(&a.close(tick), captured).unwrap();
            }
            if tick >= 100 {
                recorder.handle_packet(&b.say(tick + 90_000), captured).unwrap();
            }
            recorder.advance(captured).unwrap();
        }
        recorder.finish(ms(5_010)).unwrap();
        let mut files: Vec<String> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        assert_eq!(files, ["Sara----k3x9.opus", "mix-speaker.opus", "mix.opus"]);
        for file in &files {
            assert_eq!(
                read_all(&dir.path().join(file)).len(),
                250 * FRAME_SAMPLES,
                "{file}"
            );
        }
        near(sounds(&dir.path().join(&files[0])), 500, 3_000);
        near(sounds(&dir.path().join(&files[1])), 2_000, 5_000);
        near(sounds(&dir.path().join(&files[2])), 500, 5_000);
    }

    #[test]
    fn the_mix_is_the_sum_of_the_tracks_at_every_sample() {
        let dir = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::create(dir.path(), Channels::Mono, "").unwrap();
        let mut a = Voice::new(A);
        for tick in 0..100u32 {
            let captured = ms(u64::from(tick) * 20 + 20);
            recorder.handle_packet(&a.say(tick), captured).unwrap();
        }
        recorder.finish(ms(2_000)).unwrap();
        let track = read_all(&dir.path().join("speaker.opus"));
        let mix = read_all(&dir.path().join("mix.opus"));
        let apart = |shift: usize| -> f32 {
            (9_600..48_000)
                .map(|n| (track[n] - mix[n + shift - 100]).powi(2))
                .sum()
        };
        let best = (0..200).min_by(|&a, &b| apart(a).total_cmp(&apart(b))).unwrap();
        assert_eq!(best, 100, "no sample apart");
    }

    #[test]
    fn what_is_lost_or_late_leaves_the_rest_at_its_time() {
        let dir = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::create(dir.path(), Channels::Mono, "").unwrap();
        let mut a = Voice::new(A);
        let mut lost = Vec::new();
        for tick in 0..200u32 {
            let captured = ms(u64::from(tick) * 20 + 20);
            let packet = a.say(tick);
            if (50..100).contains(&tick) {
                lost.push(packet);
            } else {
                recorder.handle_packet(&packet, captured).unwrap();
            }
            recorder.advance(captured).unwrap();
        }
        // Pulled after a second or so; the first of them have missed their time.
        for mut packet in lost {
            packet.repaired = true;
            recorder.handle_packet(&packet, ms(4_000)).unwrap();
        }
        recorder.finish(ms(4_000)).unwrap();
        let path = dir.path().join("speaker.opus");
        let sound = read_all(&path);
        assert_eq!(sound.len(), 200 * FRAME_SAMPLES);
        near(sounds(&path), 0, 4_000);
    }

    #[test]
    fn a_clock_that_runs_fast_is_followed_where_speech_begins() {
        let dir = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::create(dir.path(), Channels::Mono, "").unwrap();
        let mut a = Voice::new(A);
        // A quarter of a percent fast, and speech for one second in twenty.
        let mut time = 0u32;
        for tick in 0..6_000u32 {
            let captured = ms(u64::from(tick) * 20 + 20);
            if tick % 1_000 < 50 {
                recorder.handle_packet(&a.say(time), captured).unwrap();
            }
            time += 1 + u32::from(tick % 400 == 399);
            recorder.advance(captured).unwrap();
        }
        recorder.finish(ms(120_000)).unwrap();
        let sound = read_all(&dir.path().join("speaker.opus"));
        let last = &sound[100 * 48_000 - 2_400..100 * 48_000 + 4_800];
        let begins = last
            .iter()
            .position(|sample| sample.abs() > 0.05)
            .expect("the last speech");
        // Half a second would it be away by its own clock.
        assert!((0..7_200).contains(&begins), "{begins}");
        let silence = &sound[98 * 48_000..99 * 48_000];
        assert!(silence.iter().all(|sample| sample.abs() < 0.05));
    }

    #[test]
    fn nothing_that_a_speaker_sends_makes_a_file_longer_or_breaks_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut recorder = Recorder::create(dir.path(), Channels::Mono, "").unwrap();
        let (mut a, mut b) = (Voice::new(A), Voice::new(B));
        for tick in 0..100u32 {
            let captured = ms(u64::from(tick) * 20 + 20);
            recorder.handle_packet(&a.say(tick), captured).unwrap();
            let mut packet = b.say(tick);
            match tick % 5 {
                0 => packet.time = u32::MAX,
                1 => packet.frames = vec![Bytes::from_static(&[0xff; 40]), Bytes::new()],
                2 => packet.redundant = vec![(255, Bytes::from_static(b"\x00"))],
                3 => (packet.epoch, packet.time) = (tick, 0),
                _ => packet.time = 0,
            }
            recorder.handle_packet(&packet, captured).unwrap();
            recorder.advance(captured).unwrap();
        }
        recorder.finish(ms(2_000)).unwrap();
        for name in ["speaker.opus", "speaker-2.opus", "mix.opus"] {
            assert_eq!(
                read_all(&dir.path().join(name)).len(),
                100 * FRAME_SAMPLES,
                "{name}"
            );
        }
        near(sounds(&dir.path().join("speaker.opus")), 0, 2_000);
    }
}
