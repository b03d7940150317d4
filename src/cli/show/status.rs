//! The status: who speaks and how loud, how many listen, how the sound fares. A pure state with one line to show.

use std::collections::BTreeMap;

use majlis::event::{Event, Stats};
use majlis_protocol::person::Person;

use super::names::Names;

/// Louder than this, in -dBov, is someone speaking. Breath and fans stay below.
const SPEAKING: u8 = 60;

/// `stats` events, one a second, after which a speaker without a level counts as silent.
const FORGET_AFTER: u8 = 2;

/// Most people shown as speaking; the line has one row.
const SHOWN: usize = 3;

/// What the status shows.
#[derive(Debug, Default)]
pub(crate) struct Status {
    stats: Stats,
    /// The last level of each speaker, and how many seconds ago it was told.
    levels: BTreeMap<Person, (u8, u8)>,
    live: bool,
}

impl Status {
    /// Takes what an event says. Whether the status is worth showing anew.
    pub(crate) fn learn(&mut self, event: &Event) -> bool {
        match event {
            Event::Stats(stats) => {
                self.stats = stats.clone();
                self.levels.retain(|_, (_, age)| {
                    *age += 1;
                    *age <= FORGET_AFTER
                });
                true
            }
            Event::Level { key, level } => {
                self.levels.insert(*key, (*level, 0));
                true
            }
            Event::Microphone { on } => {
                self.live = *on;
                true
            }
            _ => false,
        }
    }

    /// The line, of no more than so many columns; `bars` draws levels, which only a line that is rewritten can show.
    pub(super) fn line(&self, names: &Names, bars: bool, columns: usize) -> String {
        let live = if self.live { "● live | " } else { "" };
        let who = self.speaking(names, bars);
        let line = format!("{live}{who} | {} listen | {}", self.stats.listeners, self.sound());
        line.chars().take(columns).collect()
    }

    /// Whether sound of one's own goes out.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    /// Who speaks, the loudest first.
    pub(crate) fn speaking(&self, names: &Names, bars: bool) -> String {
        let mut speaking: Vec<_> = self
            .levels
            .iter()
            .filter(|(person, (level, _))| *level < SPEAKING && (self.live || !names.is_own(person)))
            .collect();
        speaking.sort_by_key(|(_, (level, _))| *level);
        let who: Vec<String> = speaking
            .iter()
            .take(SHOWN)
            .map(|(person, (level, _))| {
                let bar = if bars { bar(*level) } else { "" };
                format!("{}{bar}", names.of(person))
            })
            .collect();
        if who.is_empty() {
            "nobody speaks".to_owned()
        } else {
            who.join(" ")
        }
    }

    /// How the sound that arrives here fares.
    fn sound(&self) -> String {
        let (mut expected, mut lost, mut delay) = (0, 0, 0);
        for stream in &self.stats.streams {
            expected += stream.expected;
            lost += stream.lost;
            delay = delay.max(stream.delay_ms);
        }
        if expected == 0 {
            return format!("passed on to {}", self.stats.children);
        }
        let percent = lost as f64 * 100.0 / expected as f64;
        format!(
            "{percent:.1} % lost | {delay} ms delay | passed on to {}",
            self.stats.children
        )
    }
}

/// Five steps of 12 dB.
fn bar(level: u8) -> &'static str {
    match level {
        0..=12 => " ▮▮▮▮▮",
        13..=24 => " ▮▮▮▮▯",
        25..=36 => " ▮▮▮▯▯",
        37..=48 => " ▮▮▯▯▯",
        _ => " ▮▯▯▯▯",
    }
}

#[cfg(test)]
mod tests {
    use majlis::event::StreamStats;

    use super::*;

    fn stats() -> Stats {
        let stream = StreamStats {
            speaker: Person([1; 32]),
            received: 198,
            expected: 200,
            lost: 2,
            repaired: 0,
            fec: 0,
            concealed: 2,
            late: 0,
            longest_gap_ms: 40,
            delay_ms: 60,
        };
        Stats {
            listeners: 7,
            children: 2,
            streams: vec![stream],
            ..Stats::default()
        }
    }

    #[test]
    fn it_shows_who_speaks_how_many_listen_and_how_the_sound_fares() {
        let mut status = Status::default();
        status.learn(&Event::Stats(stats()));
        status.learn(&Event::Level {
            key: Person([1; 32]),
            level: 20,
        });
        let line = status.line(&Names::default(), true, 78);
        let tag = Person([1; 32]).tag();
        assert_eq!(
            line,
            format!("someone#{tag} ▮▮▮▮▯ | 7 listen | 1.0 % lost | 60 ms delay | passed on to 2")
        );
    }

    #[test]
    fn who_falls_silent_is_no_longer_shown() {
        let mut status = Status::default();
        status.learn(&Event::Level {
            key: Person([1; 32]),
            level: 20,
        });
        for _ in 0..=FORGET_AFTER {
            status.learn(&Event::Stats(Stats::default()));
        }
        assert!(
            status
                .line(&Names::default(), false, 78)
                .starts_with("nobody speaks")
        );
        status.learn(&Event::Level {
            key: Person([1; 32]),
            level: 127,
        });
        assert!(
            status
                .line(&Names::default(), false, 78)
                .starts_with("nobody speaks")
        );
    }

    #[test]
    fn who_is_not_live_is_not_shown_as_speaking_themselves() {
        let (mut names, mut status) = (Names::default(), Status::default());
        let key = Person([1; 32]);
        names.learn(&Event::Listening {
            peer: majlis_protocol::person::Peer(key.0),
            key,
            addresses: Vec::new(),
        });
        for on in [true, false] {
            status.learn(&Event::Microphone { on });
            status.learn(&Event::Level { key, level: 10 });
            assert_eq!(status.speaking(&names, false) == "you", on);
        }
    }

    #[test]
    fn being_live_stands_first() {
        let mut status = Status::default();
        status.learn(&Event::Microphone { on: true });
        assert!(status.line(&Names::default(), false, 78).starts_with("● live"));
    }

    #[test]
    fn the_line_fits_a_terminal_whatever_people_are_called() {
        let mut names = Names::default();
        let mut status = Status::default();
        for n in 0..5 {
            let key = Person([n; 32]);
            names.learn(&Event::Profile {
                key,
                nick: "نجم ".repeat(10),
                tag: key.tag(),
            });
            status.learn(&Event::Level { key, level: 10 });
        }
        for columns in [78, 40, 1] {
            assert!(status.line(&names, true, columns).chars().count() <= columns);
        }
    }
}
