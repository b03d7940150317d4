//! Where a room's sound is heard: its playback, and what came before that was open.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Instant,
};

use crate::audio::{PlaybackFeed, engine::SpeechPacket};

/// Packets that wait for the output to be opened: two seconds of one speaker. A file or a sound card opens in less.
const UNHEARD: usize = 100;

/// The way from the media plane to a playback.
#[derive(Debug)]
pub(super) struct Ear(Mutex<State>);

#[derive(Debug)]
enum State {
    /// The output is still being opened: sound may come before it is.
    Closed(VecDeque<(SpeechPacket, Instant)>),
    /// Here.
    Open(PlaybackFeed),
}

impl Ear {
    /// An ear that keeps what comes until it is opened.
    pub(super) fn new() -> Self {
        Self(Mutex::new(State::Closed(VecDeque::new())))
    }

    /// Gives what came, and what comes, to a playback; the first one stays.
    pub(super) fn open(&self, feed: PlaybackFeed) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Closed(waiting) = &mut *state {
            waiting
                .drain(..)
                .for_each(|(packet, arrived)| feed.push(packet, arrived));
            *state = State::Open(feed);
        }
    }

    /// Hears a packet that came off the network at `arrived`. Never waits; while closed, the oldest makes room.
    pub(super) fn hear(&self, packet: SpeechPacket, arrived: Instant) {
        match &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Open(feed) => feed.push(packet, arrived),
            State::Closed(waiting) => {
                if waiting.len() == UNHEARD {
                    waiting.pop_front();
                }
                waiting.push_back((packet, arrived));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use majlis_protocol::jitter::DelayGoal;

    use super::*;
    use crate::audio::{
        Channels, Output, Playback, PlaybackEvent, PlaybackOptions,
        codec::{self, EncoderSettings},
        engine::{EngineEvent, SpeakerKey},
    };

    fn packet(sequence: u32) -> SpeechPacket {
        let mut encoder = codec::encoder(EncoderSettings::speech()).expect("an encoder");
        let payload = encoder.encode(&[0.1; 960]).expect("a frame").payload;
        SpeechPacket {
            speaker: SpeakerKey([1; 32]),
            epoch: 1,
            sequence,
            time: sequence,
            frames: vec![payload],
            redundant: Vec::new(),
            end_of_spurt: false,
            repaired: false,
        }
    }

    #[tokio::test]
    async fn what_came_before_the_output_was_open_is_heard_from_the_first_frame_on() {
        let ear = Ear::new();
        (0..5).for_each(|sequence| ear.hear(packet(sequence), Instant::now()));
        let options = PlaybackOptions::new(Channels::Mono, DelayGoal::Stage);
        let playback = Playback::start(Output::None, options).expect("no device is needed");
        ear.open(playback.feed());
        ear.hear(packet(5), Instant::now());
        let first = loop {
            let event = playback.next_event().await.expect("it plays");
            if let PlaybackEvent::Speaker(EngineEvent::FirstAudio { sequence, .. }) = event {
                break sequence;
            }
        };
        assert_eq!(first, 0);
    }

    #[test]
    fn an_ear_that_is_never_opened_keeps_a_bounded_number() {
        let ear = Ear::new();
        let packet = packet(0);
        (0..10 * UNHEARD).for_each(|_| ear.hear(packet.clone(), Instant::now()));
        let state = ear.0.into_inner().expect("no panic under the lock");
        assert!(matches!(state, State::Closed(waiting) if waiting.len() == UNHEARD));
    }
}
