//! Whom a flow asks for what: missing frames by turns, and in an alarm everything new from the standby.

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use super::{ASKED_FOR, Flow, RTT_GUESS, TransmitKind};
use crate::{
    limits,
    media::{
        Tag,
        gaps::{WORTH, Witness, patience},
    },
    neighbour::Neighbour,
    wire::repair::{Pull, Run},
};

/// From this round trip on to whom a frame should have come from, the other is asked at the same time: a second chance
/// after the first would come too late deep in the tree. On shorter ways it comes in time, and costs no second answer.
const FAR: Duration = Duration::from_millis(75);

/// What is to be asked for, by whom it is asked of.
type Wishes = BTreeMap<Neighbour, Wish>;

#[derive(Debug, Default)]
struct Wish {
    live: bool,
    /// Tag, epoch and sequence of each frame.
    frames: Vec<(Tag, u32, u32)>,
}

impl Flow {
    /// Asks for what is missing and what is overdue, each neighbour in one go.
    pub(super) fn send_pulls(&mut self, now: Duration) {
        let mut wishes = Wishes::new();
        self.wish_missing(&mut wishes, now);
        if let Some(standby) = self.standby()
            && self.take_alarm(now)
        {
            let wish = wishes.entry(standby).or_default();
            wish.live = true;
            wish.frames.extend(self.expected(now));
        }
        for (to, wish) in wishes {
            if self.standby() == Some(to) {
                self.relay.admit(to, now.saturating_add(ASKED_FOR));
            }
            for pull in wish.into_pulls() {
                if let Ok(item) = pull.encode() {
                    self.relay.counters_mut().pulls += 1;
                    self.transmit(to, TransmitKind::Pull, item);
                }
            }
        }
    }

    fn wish_missing(&mut self, wishes: &mut Wishes, now: Duration) {
        let (parent, standby) = (self.parent(), self.standby());
        let is_suspected = self.parent.as_ref().is_some_and(|parent| parent.suspected);
        for (&tag, stream) in &mut self.streams {
            if stream.gaps.due().is_none_or(|due| now < due) {
                continue;
            }
            let source = self.relay.source(tag);
            let feeder = if stream.by_source {
                source.or(parent)
            } else {
                parent.or(source)
            };
            let reserve = standby.or(parent).filter(|reserve| Some(*reserve) != feeder);
            let is_bridged = is_suspected || stream.is_overdue();
            let epoch = stream.gaps.epoch();
            stream.gaps.ask(now, |frame, witness, asks| {
                let (first, then) = if is_bridged || witness == Witness::Standby {
                    (reserve, feeder)
                } else {
                    (feeder, reserve)
                };
                let whom = if asks % 2 == 0 {
                    first.or(then)
                } else {
                    then.or(first)
                }?;
                let rtt = self.rtts.get(&whom).copied().unwrap_or(RTT_GUESS);
                wishes.entry(whom).or_default().frames.push((tag, epoch, frame));
                if let Some(other) = then.filter(|other| asks == 0 && rtt >= FAR && *other != whom) {
                    wishes.entry(other).or_default().frames.push((tag, epoch, frame));
                }
                Some(patience(rtt))
            });
        }
    }

    /// The next frames of every stream that more is expected of.
    fn expected(&self, now: Duration) -> impl Iterator<Item = (Tag, u32, u32)> {
        let live = self
            .streams
            .iter()
            .filter(move |(_, stream)| !stream.is_own() && (stream.is_in_spurt(now) || stream.is_overdue()));
        live.flat_map(|(&tag, stream)| {
            let newest = stream.newest();
            newest.into_iter().flat_map(move |newest| {
                let after = move |ahead| newest.frame.checked_add(ahead);
                (1..=WORTH)
                    .filter_map(after)
                    .map(move |frame| (tag, newest.epoch, frame))
            })
        })
    }
}

impl Wish {
    fn into_pulls(self) -> Vec<Pull> {
        let Self { live, mut frames } = self;
        frames.sort_unstable();
        frames.dedup();
        let runs = runs(&frames);
        if runs.is_empty() {
            return alloc::vec![Pull { live, runs }];
        }
        runs.chunks(limits::PULL_RUNS)
            .map(|runs| Pull {
                live,
                runs: runs.to_vec(),
            })
            .collect()
    }
}

/// Frames in ascending order as runs.
fn runs(frames: &[(Tag, u32, u32)]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for &(tag, epoch, frame) in frames {
        match runs.last_mut() {
            Some(run)
                if (run.tag, run.epoch, run.last().checked_add(1)) == (tag, epoch, Some(frame))
                    && run.frames < limits::PULL_FRAMES =>
            {
                run.frames += 1;
            }
            _ => runs.push(Run {
                tag,
                epoch,
                first: frame,
                frames: 1,
            }),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn frames_in_a_row_are_one_run_and_many_runs_are_several_pulls() {
        let tag = Tag([1; 4]);
        let frames = [
            (tag, 1, 7),
            (tag, 1, 5),
            (tag, 1, 6),
            (tag, 1, 6),
            (tag, 1, 9),
            (tag, 2, 10),
        ];
        let wish = Wish {
            live: true,
            frames: frames.to_vec(),
        };
        let run = |epoch, first, frames| Run {
            tag,
            epoch,
            first,
            frames,
        };
        assert_eq!(
            wish.into_pulls(),
            [Pull {
                live: true,
                runs: vec![run(1, 5, 3), run(1, 9, 1), run(2, 10, 1)]
            }]
        );
        let scattered = Wish {
            live: false,
            frames: (0..100).map(|frame| (tag, 1, frame * 2)).collect(),
        };
        let pulls = scattered.into_pulls();
        assert_eq!(pulls.len(), 2);
        assert!(pulls.iter().all(|pull| pull.encode().is_ok()));
        let long = Wish {
            live: false,
            frames: (u32::MAX - 149..=u32::MAX).map(|frame| (tag, 1, frame)).collect(),
        };
        assert_eq!(
            long.into_pulls()[0]
                .runs
                .iter()
                .map(|run| run.frames)
                .collect::<Vec<_>>(),
            [100, 50]
        );
    }
}
