//! What becomes of a frame between its source and the encoder: the chain of a microphone, and what of it is sent.

use crate::audio::process::{FarEnd, Spurts, Step, VoiceChain, VoiceDetector, VoiceOptions};
use crate::audio::sample::{fold, unfold};
use crate::audio::{Channels, FRAME_SAMPLES};

/// A frame with its time.
#[derive(Debug, PartialEq)]
pub(super) struct Timed {
    pub(super) tick: u64,
    /// Channels interleaved.
    pub(super) samples: Vec<f32>,
    /// Silence follows.
    pub(super) last: bool,
}

/// The way of one source's frames.
#[derive(Debug)]
pub(super) struct Voice {
    channels: Channels,
    chain: Option<VoiceChain>,
    /// Who tells speech from silence, where silence is not sent.
    spurts: Option<(VoiceDetector, Spurts<Timed>)>,
    mono: Box<[f32; FRAME_SAMPLES]>,
}

impl Voice {
    /// For frames with `channels`. `discontinuous`: silence is hardly sent.
    pub(super) fn new(
        channels: Channels,
        options: VoiceOptions,
        far_end: FarEnd,
        discontinuous: bool,
    ) -> Self {
        Self {
            channels,
            chain: (options != VoiceOptions::OFF).then(|| VoiceChain::new(options, far_end)),
            spurts: discontinuous.then(Default::default),
            mono: Box::new([0.0; FRAME_SAMPLES]),
        }
    }

    /// The source gives sound from now on.
    pub(super) fn open(&mut self) {
        if let Some(chain) = &mut self.chain {
            chain.open();
        }
    }

    /// It gives none for a while.
    pub(super) fn close(&mut self) {
        if let Some(chain) = &mut self.chain {
            chain.close();
        }
        if let Some((_, spurts)) = &mut self.spurts {
            spurts.reset();
        }
    }

    /// Takes a frame in; what is to be sent now, oldest first. `last`: the source is at its end.
    pub(super) fn take(&mut self, tick: u64, samples: &[f32], last: bool) -> Vec<Timed> {
        let mut frame = Timed {
            tick,
            samples: samples.to_vec(),
            last,
        };
        if self.chain.is_none() && self.spurts.is_none() {
            return vec![frame];
        }
        fold(samples, self.channels, &mut self.mono[..]);
        if let Some(chain) = &mut self.chain {
            chain.process(&mut self.mono);
            unfold(&self.mono[..], self.channels, &mut frame.samples);
        }
        let Some((detector, spurts)) = &mut self.spurts else {
            return vec![frame];
        };
        let heard = self
            .chain
            .as_ref()
            .map_or(&self.mono[..], |chain| &chain.heard()[..]);
        let activity = detector.judge(heard, &self.mono[..]);
        match spurts.step(frame, activity) {
            Step::Hold => Vec::new(),
            Step::Begin(frames) => frames,
            Step::Send(frame) => vec![frame],
            Step::Last(frame) => vec![Timed { last: true, ..frame }],
        }
    }
}
