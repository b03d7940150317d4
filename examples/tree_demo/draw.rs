//! The relay tree as text: one line a member, under the one that it takes sound from.

use crate::live::scene::{Member, Scene};

/// For how long a move, or a death, is shown as news.
const NEWS_MS: u64 = 4_000;

/// How a line is to be noticed (ECMA-48 SGR).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    /// As ever.
    Plain,
    /// It has just found another parent.
    Moved,
    /// It has none.
    Orphaned,
    /// It was killed.
    Killed,
}

/// The tree at a time, in Unix milliseconds.
pub(crate) fn tree(scene: &Scene, now_ms: u64, colours: bool) -> String {
    let mut lines = Vec::new();
    let is_top = |member: &&Member| member.parent.is_none();
    for top in scene.here().filter(is_top) {
        branch(scene, top, &[], now_ms, colours, &mut lines);
    }
    for member in scene.members() {
        if let Some(at) = member.struck.filter(|at| now_ms < at + NEWS_MS) {
            let text = format!(
                "{} was killed {:.1} s ago",
                member.name,
                (now_ms - at) as f64 / 1e3
            );
            lines.push(toned(&text, Tone::Killed, colours));
        }
    }
    lines.join("\n")
}

/// A member and all below it. `bars` says for each level above whether more follows there.
fn branch(
    scene: &Scene,
    member: &Member,
    bars: &[bool],
    now_ms: u64,
    colours: bool,
    lines: &mut Vec<String>,
) {
    let mut stem = String::new();
    for (level, more) in bars.iter().enumerate() {
        let is_own = level + 1 == bars.len();
        stem += match (is_own, more) {
            (true, true) => "├─ ",
            (true, false) => "└─ ",
            (false, true) => "│  ",
            (false, false) => "   ",
        };
    }
    let tone = tone(scene, member, now_ms);
    let text = format!("{} {}", member.name, remark(member, tone));
    lines.push(format!("{stem}{}", toned(text.trim_end(), tone, colours)));
    let children: Vec<&Member> = scene.children_of(&member.name).collect();
    // Two that move at once may name each other for a moment.
    if bars.len() > 32 {
        return;
    }
    for (at, child) in children.iter().enumerate() {
        let more = at + 1 < children.len();
        branch(scene, child, &[bars, &[more]].concat(), now_ms, colours, lines);
    }
}

fn tone(scene: &Scene, member: &Member, now_ms: u64) -> Tone {
    let has_lost = match &member.parent {
        Some(parent) => scene.member(parent).is_some_and(|parent| !parent.is_here()),
        None => {
            member.depth == 0
                && member
                    .moves
                    .last()
                    .is_some_and(|last| last.reason != "root-moved")
        }
    };
    if has_lost {
        return Tone::Orphaned;
    }
    let is_news = member
        .moves
        .last()
        .is_some_and(|last| now_ms < last.at_ms + NEWS_MS);
    if is_news { Tone::Moved } else { Tone::Plain }
}

fn remark(member: &Member, tone: Tone) -> String {
    let counts = &member.counts;
    let heard = match counts.expected {
        0 => String::new(),
        expected => format!("{} of {expected} frames", counts.received),
    };
    let missed = match counts.concealed {
        0 => String::new(),
        concealed => format!(", {concealed} concealed"),
    };
    let news = match (tone, member.moves.last()) {
        (Tone::Moved, Some(last)) => format!("  <- {}", last.reason),
        (Tone::Orphaned, _) => "  <- looks for a parent".to_owned(),
        _ => String::new(),
    };
    format!(" {heard}{missed}{news}")
}

fn toned(text: &str, tone: Tone, colours: bool) -> String {
    let code = match tone {
        _ if !colours => return text.to_owned(),
        Tone::Plain => return text.to_owned(),
        Tone::Moved => "32",
        Tone::Orphaned => "33",
        Tone::Killed => "31",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}
