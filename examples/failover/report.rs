//! What a run came to: a row for each listener, the totals, and whether that is good enough.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    live::scene::{Counts, Member, Move, Part, Scene},
    options::Options,
    pushes::Pushes,
    window::{Sum, Window},
};

/// The least share of frames that must be played on a network that loses some.
const PLAYED: f64 = 0.9995;

/// The longest that sound may be gone when the host is killed: it goes on through the fallback root.
const HOST_GAP_MS: u64 = 500;

/// The same when parent and standby of a listener are killed at once: it has to find somebody new.
const BOTH_GAP_MS: u64 = 1_500;

/// Milliseconds of sound in a frame.
const FRAME_MS: u64 = 20;

/// One listener.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) part: Part,
    pub(crate) depth: u64,
    #[serde(flatten)]
    pub(crate) counts: Counts,
    /// Frames that were said after the first one it heard and that it knows nothing of.
    pub(crate) missing: u64,
    /// Each change of its parent since the sound began.
    pub(crate) moves: Vec<Move>,
    /// Why it is not there any more, if it is not.
    pub(crate) left: Option<String>,
}

/// The whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Total {
    pub(crate) listeners: usize,
    pub(crate) kills: usize,
    #[serde(flatten)]
    pub(crate) sum: Sum,
    pub(crate) missing: u64,
    /// The longest that any listener has heard nothing at the end, or knows nothing of.
    pub(crate) unheard_ms: u64,
    pub(crate) received: u64,
    pub(crate) expected: u64,
    /// Share of the frames said that were played as they were said.
    pub(crate) played: f64,
    /// Frames lost or concealed in windows in which the machine stalled, and which were repeated.
    pub(crate) left_out: u64,
    /// Milliseconds from each kill until its last orphan had a parent; none where one has none.
    pub(crate) reparenting_ms: Vec<Option<u64>>,
    /// Share of all packets sent that were answers to pulls.
    pub(crate) pulled: f64,
    pub(crate) host: Pushes,
    /// Listeners that are gone without having been killed.
    pub(crate) gone: usize,
    /// What is not good enough.
    pub(crate) failures: Vec<String>,
}

/// What each listener counted, windows that are void left out.
pub(crate) fn rows(scene: &Scene, windows: &[Window], began_ms: u64, speaker: &str) -> Vec<Row> {
    let said = scene
        .member(speaker)
        .map_or(0, |member| member.counts.sent_frames);
    let mut counted: BTreeMap<&String, Counts> = BTreeMap::new();
    for window in windows.iter().filter(|window| !window.is_void) {
        for (name, counts) in &window.counts {
            let sum = counted.entry(name).or_default();
            *sum = sum.and(counts);
        }
    }
    let listeners = scene
        .members()
        .filter(|member| member.listens() && member.struck.is_none());
    listeners
        .map(|member| Row {
            name: member.name.clone(),
            part: member.part,
            depth: member.depth,
            counts: counted.get(&member.name).copied().unwrap_or_default(),
            missing: missing(member, said),
            moves: member
                .moves
                .iter()
                .filter(|taken| taken.at_ms >= began_ms)
                .cloned()
                .collect(),
            left: member.left.clone(),
        })
        .collect()
}

/// Frames that were said after the first one a listener heard, and that its counts do not account for.
fn missing(member: &Member, said: u64) -> u64 {
    let heard_of = member
        .first_heard
        .map_or(0, |first| first + member.counts.expected);
    said.saturating_sub(heard_of)
}

impl Total {
    pub(crate) fn of(
        rows: &[Row],
        windows: &[Window],
        host: Pushes,
        scene: &Scene,
        options: &Options,
    ) -> Self {
        let valid = || windows.iter().filter(|window| !window.is_void);
        let mut sum = Sum::default();
        for window in valid().map(Window::sum) {
            sum.lost_behind += window.lost_behind;
            sum.concealed_behind += window.concealed_behind;
            sum.lost += window.lost;
            sum.concealed += window.concealed;
            sum.repaired += window.repaired;
            sum.longest_gap_ms = sum.longest_gap_ms.max(window.longest_gap_ms);
            sum.stalls += window.stalls;
        }
        let strikes: Vec<_> = valid().filter_map(|window| window.strike.as_ref()).collect();
        let (received, expected, missing) =
            rows.iter().fold((0, 0, 0), |(received, expected, missing), row| {
                (
                    received + row.counts.received,
                    expected + row.counts.expected,
                    missing + row.missing,
                )
            });
        let sent: u64 = scene.members().map(|member| member.counts.sent_packets).sum();
        let pulled: u64 = scene.members().map(|member| member.counts.pulled_packets).sum();
        let void = windows.iter().filter(|window| window.is_void).map(Window::sum);
        let mut total = Self {
            listeners: rows.len(),
            kills: strikes.len(),
            sum,
            missing,
            unheard_ms: rows.iter().map(|row| row.missing).max().unwrap_or_default() * FRAME_MS,
            received,
            expected,
            played: received as f64 / (expected + missing).max(1) as f64,
            left_out: void.map(|sum| sum.lost + sum.concealed).sum(),
            reparenting_ms: strikes.iter().map(|strike| strike.slowest_ms()).collect(),
            pulled: pulled as f64 / sent.max(1) as f64,
            host,
            gone: rows.iter().filter(|row| row.left.is_some()).count(),
            failures: Vec::new(),
        };
        total.failures = total.judge(options);
        total
    }

    /// What is not good enough.
    fn judge(&self, options: &Options) -> Vec<String> {
        let mut failures = Vec::new();
        let mut demand = |holds: bool, what: String| {
            if !holds {
                failures.push(what);
            }
        };
        demand(self.expected > 0, "nobody heard anything".into());
        let (kills, wanted) = (self.kills, options.strikes());
        demand(
            kills >= wanted as usize,
            format!("{kills} kills counted, {wanted} were to be"),
        );
        demand(
            self.gone == 0,
            format!("{} listeners left by themselves", self.gone),
        );
        let lonely = self.reparenting_ms.iter().filter(|ms| ms.is_none()).count();
        demand(
            lonely == 0,
            format!("after {lonely} kills somebody found no parent"),
        );
        let gap = self.sum.longest_gap_ms.max(self.unheard_ms);
        if options.host {
            demand(
                gap <= HOST_GAP_MS,
                format!("sound was gone for {gap} ms, {HOST_GAP_MS} are allowed"),
            );
        } else if options.both {
            demand(
                gap <= BOTH_GAP_MS,
                format!("sound was gone for {gap} ms, {BOTH_GAP_MS} are allowed"),
            );
        } else if options.loss.is_some() {
            let (played, least) = (self.played * 100.0, PLAYED * 100.0);
            demand(
                self.played >= PLAYED,
                format!("{played:.3} % were played, {least} are demanded"),
            );
        } else {
            let lost = self.sum.lost + self.missing;
            demand(lost == 0, format!("{lost} frames were lost"));
            let concealed = self.sum.concealed;
            demand(concealed == 0, format!("{concealed} frames were concealed"));
        }
        failures
    }
}
