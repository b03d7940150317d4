//! Text that people will read, cleaned of everything that could deceive them (SPEC.md section 4).
//!
//! A [`Text`] is always clean: it is cleaned when decoded, and there is no other way to make one. Scripts that need
//! joiners and combining marks (Arabic, Persian, Indic scripts, emoji) keep them where they join something.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Most combining marks in a row. Written languages stay below it; towers of marks that cover other lines do not.
const COMBINING_RUN: usize = 4;

/// A line of clean text: NFC, single spaces, no control, bidirectional or invisible characters.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Text(String);

impl Text {
    /// Cleans a text. Its length is not bounded here: each field has its own limit in [`crate::limits`].
    #[must_use]
    pub fn clean(raw: &str) -> Self {
        let visible = without_towers(without_escapes(raw).nfc().filter_map(visible)).collect::<String>();
        Self(without_stray_joiners(&visible).nfc().collect())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Length in bytes of UTF-8.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is left after cleaning.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|raw| Self::clean(&raw))
    }
}

/// Drops ANSI escape sequences as a whole, so that their letters do not stay behind as text.
fn without_escapes(raw: &str) -> impl Iterator<Item = char> {
    let mut chars = raw.chars();
    core::iter::from_fn(move || {
        loop {
            match chars.next()? {
                '\u{1b}' => skip_escape(&mut chars),
                '\u{9b}' => skip_control_sequence(&mut chars),
                c => return Some(c),
            }
        }
    })
}

/// ECMA-48: what follows ESC. `[` opens a control sequence, `]`, `P`, `X`, `^` and `_` a string up to BEL or ST.
fn skip_escape(chars: &mut core::str::Chars<'_>) {
    match chars.next() {
        Some('[') => skip_control_sequence(chars),
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = chars.next() {
                match c {
                    '\u{7}' | '\u{9c}' => break,
                    '\u{1b}' => {
                        chars.next();
                        break;
                    }
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn skip_control_sequence(chars: &mut core::str::Chars<'_>) {
    for c in chars.by_ref() {
        if matches!(c, '\u{40}'..='\u{7e}') {
            break;
        }
    }
}

/// The character as it may be shown: white space as a space, what cannot be seen as nothing.
fn visible(c: char) -> Option<char> {
    if c.is_whitespace() {
        return Some(' ');
    }
    (!is_removed(c)).then_some(c)
}

fn is_removed(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
        || (c as u32) & 0xfffe == 0xfffe
        || matches!(c, '\u{fdd0}'..='\u{fdef}')
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Bounded runs of combining marks. A joiner does not end a run.
fn without_towers(text: impl Iterator<Item = char>) -> impl Iterator<Item = char> {
    let mut marks = 0;
    text.filter(move |c| {
        if is_combining_mark(*c) {
            marks += 1;
        } else if !is_joiner(*c) {
            marks = 0;
        }
        marks <= COMBINING_RUN || is_joiner(*c)
    })
}

/// Single spaces, joiners only between two visible characters, ends trimmed.
fn without_stray_joiners(text: &str) -> impl Iterator<Item = char> {
    let is_visible = |c: char| c != ' ' && !is_joiner(c);
    // Without its end, each space has something visible behind it.
    let mut chars = text.trim_end_matches(|c| !is_visible(c)).chars().peekable();
    let mut last_is_visible = false;
    core::iter::from_fn(move || {
        loop {
            let c = chars.next()?;
            let keep = match c {
                ' ' => last_is_visible,
                c if is_joiner(c) => last_is_visible && chars.peek().is_some_and(|next| is_visible(*next)),
                _ => true,
            };
            if keep {
                last_is_visible = is_visible(c);
                return Some(c);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;

    use super::*;

    fn clean(raw: &str) -> String {
        Text::clean(raw).to_string()
    }

    #[test]
    fn escape_sequences_leave_no_letters_behind() {
        assert_eq!(clean("a\u{1b}[31;1mred\u{1b}[0m b"), "ared b");
        assert_eq!(clean("x\u{1b}]0;owned\u{7}y"), "xy");
        assert_eq!(clean("x\u{1b}]8;;http://h\u{1b}\\y"), "xy");
        assert_eq!(clean("x\u{9b}2Jy\u{1b}"), "xy");
    }

    #[test]
    fn bidirectional_and_invisible_characters_are_removed() {
        assert_eq!(clean("\u{202e}nimda\u{202c}"), "nimda");
        assert_eq!(clean("ad\u{200b}min\u{2060}\u{feff}\u{ad}"), "admin");
        assert_eq!(clean("\u{3164}\u{2066}\u{e0041}"), "");
    }

    #[test]
    fn white_space_becomes_single_spaces() {
        assert_eq!(clean("  a\r\n\t b\u{2003}\u{200b} c \u{200d} "), "a b c");
    }

    /// A frame full of spaces, looked through once for each of them, would hold up a relay for seconds. If this test
    /// does not end, that is the reason.
    #[test]
    fn a_megabyte_of_white_space_is_looked_through_once() {
        assert_eq!(clean(&alloc::format!("a{}", " ".repeat(1 << 20))), "a");
        assert_eq!(clean(&alloc::format!("a{}", " \u{200d}".repeat(1 << 20))), "a");
    }

    #[test]
    fn arabic_persian_indic_and_emoji_stay_whole() {
        for text in [
            "مجلس",
            "می\u{200c}خواهم",
            "السَّلامُ عَلَيكُم",
            "क्\u{200d}ष",
            "👩\u{200d}👩\u{200d}👧",
            "Tiếng Việt",
            "שָׁלוֹם",
        ] {
            let nfc: String = text.nfc().collect();
            assert_eq!(clean(text), nfc);
        }
    }

    #[test]
    fn joiners_stay_only_where_they_join() {
        assert_eq!(
            clean("\u{200d}a\u{200c}\u{200c}b \u{200d}c\u{200d}"),
            "a\u{200c}b c"
        );
    }

    #[test]
    fn towers_of_combining_marks_are_cut() {
        let tower = alloc::format!("a{}b", "\u{489}".repeat(50));
        assert_eq!(clean(&tower).chars().count(), 2 + COMBINING_RUN);
        // A joiner before a mark that is cut joins nothing.
        assert_eq!(
            clean("\u{489}\u{489}\u{489}\u{301}\u{200c}\u{489}"),
            "\u{489}\u{489}\u{489}\u{301}"
        );
    }

    #[test]
    fn text_is_composed() {
        assert_eq!(clean("e\u{301}"), "é");
    }

    proptest! {
        #[test]
        fn cleaning_twice_changes_nothing(raw in "\\PC{0,40}|.{0,40}|[\u{200b}-\u{200f} a\u{301}\u{489}ا\u{202e}\u{1b}\\[m]{0,30}") {
            let once = Text::clean(&raw);
            prop_assert_eq!(Text::clean(once.as_str()), once);
        }

        #[test]
        fn nothing_that_deceives_survives(raw in any::<String>()) {
            let text = clean(&raw);
            prop_assert!(!text.chars().any(is_removed));
            prop_assert!(!text.starts_with(' ') && !text.ends_with(' ') && !text.contains("  "));
        }
    }
}
