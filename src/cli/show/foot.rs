//! What stands below the lines that scroll: some rows that are taken off before a line is printed, and set again below it.
//!
//! It works in any terminal's own scrollback: nothing is drawn but at the end of what was printed.

use std::fmt;

use anstream::adapter::strip_str;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// To the start of the row, and clear to the end of the screen (ECMA-48 ED).
const CLEAR_BELOW: &str = "\r\x1b[J";

/// Rows, the last one with the cursor at its end; none, where nothing is to stand there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Foot {
    /// Each in the terminal's columns but one; colours are taken out where there are to be none.
    pub(crate) rows: Vec<String>,
}

impl Foot {
    /// What takes it off the screen, should the terminal have so many columns now: one that was made narrower has broken
    /// its rows.
    pub(super) fn erase(&self, columns: usize) -> String {
        if self.rows.is_empty() {
            return String::new();
        }
        let broken = |row: &String| width(row).div_ceil(columns + 1).max(1);
        let rows: usize = self.rows.iter().map(broken).sum();
        let up = match rows {
            1 => String::new(),
            rows => format!("\x1b[{}A", rows - 1),
        };
        format!("{up}{CLEAR_BELOW}")
    }
}

impl fmt::Display for Foot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rows.join("\n"))
    }
}

/// As much of a text without colours as fits so many columns.
pub(crate) fn fit(text: &str, columns: usize) -> String {
    let mut left = columns;
    let fits = |character: &char| {
        let width = character.width().unwrap_or(0);
        left.checked_sub(width).map(|less| left = less).is_some()
    };
    text.chars().take_while(fits).collect()
}

fn width(row: &str) -> usize {
    strip_str(row).to_string().width()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foot(rows: &[&str]) -> Foot {
        let rows = rows.iter().map(|row| (*row).to_owned()).collect();
        Foot { rows }
    }

    #[test]
    fn rows_are_taken_off_from_the_first_one_on() {
        assert_eq!(Foot::default().erase(79), "");
        assert_eq!(foot(&["one"]).erase(79), "\r\x1b[J");
        assert_eq!(foot(&["one", "two"]).erase(79), "\x1b[1A\r\x1b[J");
    }

    #[test]
    fn a_terminal_that_was_made_narrower_has_broken_the_rows() {
        let long = "x".repeat(30);
        let bold = format!("\x1b[1m{long}\x1b[0m");
        for row in [&long, &bold] {
            assert_eq!(
                foot(&[row, "y"]).erase(9),
                "\x1b[3A\r\x1b[J",
                "3 rows of 10 and one"
            );
        }
    }

    #[test]
    fn a_text_is_cut_by_the_columns_that_it_takes() {
        assert_eq!(fit("salma", 3), "sal");
        assert_eq!(fit("座談会", 5), "座談");
        assert_eq!(fit("سلمى", 4), "سلمى");
        assert_eq!(fit("x", 0), "");
    }
}
