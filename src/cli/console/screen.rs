//! The screen's text: what stands below the events, and the list of keys.

use std::time::Duration;

use anstyle::{AnsiColor, Style};
use majlis::room::RoomInfo;

use super::{
    keys::{Command, Mode, ROOM, Sure},
    person,
    pick::Pick,
    talk,
    typing::Typing,
};
use crate::cli::show::{Foot, Names, Status, fit};

/// What a person should not miss.
const LOUD: Style = AnsiColor::Red.on_default().bold();
/// What waits for the person.
const BOLD: Style = Style::new().bold();
/// What is good to know.
const DIM: Style = Style::new().dimmed();

/// Most columns of the room's title below the events.
const TITLE: usize = 32;

/// Most keys that are shown below the events; `?` shows all.
const KEYS: usize = 9;

/// What the foot shows.
pub(super) struct Scene<'a> {
    pub(super) info: Option<&'a RoomInfo>,
    pub(super) names: &'a Names,
    pub(super) status: &'a Status,
    pub(super) mode: &'a Mode,
    /// Whether the microphone is wanted, and not open yet.
    pub(super) is_opening: bool,
}

/// Two rows: how the room is, and what can be done or is being typed.
pub(super) fn foot(scene: &Scene<'_>, columns: usize) -> Foot {
    let Some(info) = scene.info else {
        return Foot::default();
    };
    let (style, text) = match scene.mode {
        Mode::Room => (DIM, keys(info, columns)),
        Mode::Picking(pick) => picking(pick, info),
        Mode::Typing(typing) => (BOLD, typing_row(typing, columns)),
        Mode::Sure(sure) => (BOLD, question(sure, info)),
        Mode::Reacting => (BOLD, reactions()),
    };
    let text = fit(&text, columns);
    Foot {
        rows: vec![status(scene, info, columns), format!("{style}{text}{style:#}")],
    }
}

/// How the room is, what matters most first.
fn status(scene: &Scene<'_>, info: &RoomInfo, columns: usize) -> String {
    let me = info.people.iter().find(|one| one.me);
    let on_stage = me.is_some_and(|me| me.on_stage);
    let (style, mark) = if info.muted {
        (LOUD, "✕ muted")
    } else if scene.status.is_live() {
        (LOUD, "● live")
    } else if scene.is_opening {
        (BOLD, "○ opening")
    } else if on_stage {
        (DIM, "○ mic off")
    } else if me.is_some_and(|me| me.invited) {
        (BOLD, "invited")
    } else {
        (DIM, "listening")
    };
    let mut parts = vec![scene.status.speaking(scene.names, true)];
    if !info.hands.is_empty() {
        parts.push(count(info.hands.len(), "hand", "hands"));
    }
    let stage = info.people.iter().filter(|one| one.on_stage).count();
    parts.push(format!(
        "{stage} on stage, {}",
        count(info.listeners as usize, "listens", "listen")
    ));
    if info.rules.locked {
        parts.push("locked".to_owned());
    }
    parts.push(format!("{}: {}", info.role.0, fit(&info.title, TITLE)));
    let rest = format!(" | {}", parts.join(" | "));
    let rest = fit(&rest, columns.saturating_sub(mark.chars().count()));
    format!("{style}{}{style:#}{rest}", fit(mark, columns))
}

fn count(number: usize, one: &str, more: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {more}"),
    }
}

/// The keys that are of use now, as many as fit; the last of them shows the others.
fn keys(info: &RoomInfo, columns: usize) -> String {
    let last = "? all keys";
    let mut row = String::new();
    let offered = ROOM
        .iter()
        .filter(|key| key.command.is_offered(info) && key.command != Command::Help);
    for key in offered.take(KEYS) {
        let word = match key.command {
            Command::Hand if is_up(info) => "lower hand",
            Command::Lock if info.rules.locked => "unlock",
            _ => key.brief,
        };
        let next = format!("{} {word}  ", key.key);
        if row.chars().count() + next.chars().count() + last.len() > columns {
            break;
        }
        row += &next;
    }
    row + last
}

fn is_up(info: &RoomInfo) -> bool {
    let me = info.people.iter().find(|one| one.me);
    me.is_some_and(|me| info.hands.iter().any(|hand| hand.key == me.key))
}

fn picking(pick: &Pick, info: &RoomInfo) -> (Style, String) {
    let Some(whom) = pick.picked() else {
        return (
            DIM,
            "type a number to pick one, or any other key; Esc is done".to_owned(),
        );
    };
    let deeds: Vec<String> = person::offered(info, whom.key)
        .iter()
        .map(|deed| format!("{} {}", deed.key, deed.name))
        .collect();
    let deeds = if deeds.is_empty() {
        "there is nothing that you may do".to_owned()
    } else {
        deeds.join("  ")
    };
    (BOLD, format!("{} {}: {deeds}", pick.number(), whom.name))
}

/// The line that is typed; the end of it, where it is longer than the row.
fn typing_row(typing: &Typing, columns: usize) -> String {
    let label = fit(&typing.label(), columns / 2);
    let left = columns.saturating_sub(label.chars().count());
    let mut shown = typing.line.as_str();
    while fit(shown, left).len() < shown.len() {
        let mut rest = shown.chars();
        rest.next();
        shown = rest.as_str();
    }
    label + shown
}

fn question(sure: &Sure, info: &RoomInfo) -> String {
    let what = match sure {
        Sure::Quit if info.role.0 == majlis_protocol::log::Role::Host => {
            "leave? your room goes on if a co-host is there; x ends it.".to_owned()
        }
        Sure::Quit => "leave the room?".to_owned(),
        Sure::End => "end the room for everyone, for good?".to_owned(),
        Sure::Ban(
            whom,
            majlis::room::RoomAction::Ban {
                lasts: Some(lasts), ..
            },
        ) => {
            let lasts = majlis_protocol::log::Span(u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX));
            format!("ban {} for {lasts}?", whom.name)
        }
        Sure::Ban(whom, _) => format!("ban {} until it is lifted?", whom.name),
    };
    format!("{what} y: yes, else no")
}

fn reactions() -> String {
    let signs = majlis_protocol::stage::REACTIONS.iter().enumerate();
    let signs: Vec<String> = signs
        .map(|(at, (sign, _))| format!("{} {sign}", at + 1))
        .collect();
    signs.join("  ")
}

/// All keys that are of use, and how they are used.
pub(super) fn help(info: &RoomInfo, tells_release: bool) -> String {
    let mut lines = vec![format!("{BOLD}Keys{BOLD:#}")];
    let offered = ROOM.iter().filter(|key| key.command.is_offered(info));
    lines.extend(offered.map(|key| format!("  {:<6} {}", key.key, key.help)));
    let number = "the raised hand of that place; in a list, who has that number";
    lines.push(format!("  {:<6} {number}", "1 2 …"));
    lines.push("The row below says what can be done with whoever is picked so, by which key.".to_owned());
    lines.push(if tells_release {
        "This terminal tells when Space is let go: the microphone closes then.".to_owned()
    } else {
        format!(
            "This terminal does not tell when Space is let go: the microphone closes\n\
             {} s after the key repeats no more, {} s after a single press.",
            seconds(talk::NEXT),
            seconds(talk::FIRST)
        )
    });
    lines.join("\n")
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;
    use majlis::event::{Event, Stats};
    use majlis_protocol::log::Role;

    use super::{
        super::{
            keys::{Effect, Key, press},
            samples::{self, HOST, SPEAKER},
        },
        *,
    };

    fn rows(info: &RoomInfo, mode: &Mode, status: &Status, columns: usize) -> [String; 2] {
        let mut names = Names::default();
        names.learn(&Event::Profile {
            key: SPEAKER,
            nick: "salma".into(),
            tag: SPEAKER.tag(),
        });
        let scene = Scene {
            info: Some(info),
            names: &names,
            status,
            mode,
            is_opening: false,
        };
        let rows = foot(&scene, columns).rows.into_iter();
        let plain: Vec<String> = rows.map(|row| strip_str(&row).to_string()).collect();
        plain.try_into().expect("two rows")
    }

    fn room(role: Role) -> [String; 2] {
        rows(&samples::info(role), &Mode::Room, &Status::default(), 120)
    }

    #[test]
    fn the_foot_shows_the_room_the_role_the_microphone_and_who_waits() {
        let [status, keys] = room(Role::Host);
        assert_eq!(
            status,
            "○ mic off | nobody speaks | 1 hand | 2 on stage, 1 listens | host: Poems"
        );
        assert!(
            keys.starts_with("m mic  Space talk  w who waits  p people"),
            "{keys}"
        );
        assert!(keys.ends_with("? all keys"), "{keys}");
    }

    #[test]
    fn being_live_and_being_muted_stand_first_with_the_level_of_who_speaks() {
        let mut info = samples::info(Role::Host);
        let mut status = Status::default();
        status.learn(&Event::Microphone { on: true });
        status.learn(&Event::Stats(Stats::default()));
        status.learn(&Event::Level {
            key: SPEAKER,
            level: 20,
        });
        let [row, _] = rows(&info, &Mode::Room, &status, 120);
        assert!(
            row.starts_with(&format!("● live | salma#{} ▮▮▮▮▯ | ", SPEAKER.tag())),
            "{row}"
        );
        info.muted = true;
        info.rules.locked = true;
        let [row, _] = rows(&info, &Mode::Room, &status, 120);
        assert!(
            row.starts_with("✕ muted | ") && row.contains(" | locked | "),
            "{row}"
        );
    }

    #[test]
    fn rows_fit_the_terminal_whatever_is_typed() {
        let mut typing = Typing::new(super::super::typing::Purpose::Chat);
        typing.paste(&"أهلا 座談 ".repeat(20));
        let info = samples::info(Role::Host);
        for mode in [
            Mode::Room,
            Mode::Typing(typing),
            Mode::Sure(Sure::Quit),
            Mode::Reacting,
        ] {
            for columns in [79, 20, 1] {
                for row in rows(&info, &mode, &Status::default(), columns) {
                    assert_eq!(fit(&row, columns), row, "{columns}: {row}");
                }
            }
        }
    }

    #[test]
    fn a_question_says_within_80_columns_how_it_is_answered() {
        let info = samples::info(Role::Host);
        for sure in [Sure::Quit, Sure::End] {
            let [_, row] = rows(&info, &Mode::Sure(sure), &Status::default(), 79);
            assert!(row.ends_with("y: yes, else no"), "{row}");
        }
    }

    #[test]
    fn only_keys_that_are_of_use_are_offered() {
        let keys = |role| {
            let info = samples::info(role);
            let offered = ROOM.iter().filter(|key| key.command.is_offered(&info));
            offered.map(|key| key.key).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(keys(Role::Host), "m Space w p o n i c e l t x ? q");
        assert_eq!(keys(Role::Listener), "r w p o n i c e ? q");
        assert_eq!(keys(Role::Moderator), "r w p o n i c e l ? q");
        let help = help(&samples::info(Role::Listener), false);
        assert!(help.contains("does not tell when Space is let go"), "{help}");
        assert!(!help.contains("end the room"), "{help}");
        let plain = strip_str(&help).to_string();
        assert!(plain.lines().all(|line| line.chars().count() < 80), "{plain}");
    }

    #[test]
    fn who_is_picked_is_named_with_what_can_be_done() {
        let info = samples::info(Role::Host);
        let (mode, effects) = press(Mode::Room, Key::Char('1'), &info, false);
        assert_eq!(effects, [] as [Effect; 0]);
        let [_, row] = rows(&info, &mode, &Status::default(), 120);
        assert!(
            row.starts_with("1 noor#") && row.contains(": i invite  d hand down  "),
            "{row}"
        );
        let (mode, _) = press(Mode::Room, Key::Char('p'), &info, false);
        let (mode, _) = press(mode, Key::Char('1'), &info, false);
        let [_, row] = rows(&info, &mode, &Status::default(), 120);
        assert_eq!(
            row,
            format!("1 amir#{}: there is nothing that you may do", HOST.tag())
        );
    }
}
