//! The program at a terminal of its own: a pseudo-terminal whose screen is read as a person would read it, and whose keys
//! are pressed.

use std::{
    io::{Read, Write},
    num::NonZeroU16,
    process::{Child, Command},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    time::Instant,
};

use pty_process::{
    Size,
    blocking::{Pty, open},
};
use rustix::termios::{LocalModes, Termios, tcgetattr};

use crate::cli::program::{PATIENCE, signal};

/// Rows and columns: all that a test prints is on the screen at once, a link on one line.
const ROWS: u16 = 250;
const COLUMNS: u16 = 400;

/// Asks for the primary device attributes (DA1), as whoever asks for more does last.
const ASKS_WHAT_IT_IS: &[u8] = b"\x1b[c";

/// A VT220, and before that the flags of the kitty keyboard protocol.
const IS_PLAIN: &[u8] = b"\x1b[?62c";
const IS_KITTY: &[u8] = b"\x1b[?0u\x1b[?62c";

/// A running program at its terminal. It is killed when dropped.
pub(crate) struct Tty {
    child: Child,
    pty: Arc<Pty>,
    before: Termios,
    written: Receiver<Vec<u8>>,
    screen: vt100::Parser,
    /// All that was written.
    raw: Vec<u8>,
}

impl Tty {
    /// Starts a command at a terminal; `tells_release` says whether the terminal can tell when a key is let go.
    pub(crate) fn start(command: Command, tells_release: bool) -> Self {
        Self::with_rows(command, tells_release, ROWS)
    }

    /// The same on a terminal with so many rows.
    pub(crate) fn with_rows(mut command: Command, tells_release: bool, rows: u16) -> Self {
        for (name, value) in [("TERM", "xterm-256color"), ("NO_COLOR", "")] {
            if !command.get_envs().any(|(given, _)| given == name) {
                command.env(name, value);
            }
        }
        let (pty, pts) = open().expect("a pseudo-terminal");
        pty.resize(Size::new(rows, COLUMNS)).expect("a size");
        let before = tcgetattr(&pty).expect("modes");
        let child = pty_process::blocking::Command::from(command)
            .spawn(pts)
            .expect("the program was built");
        let pty = Arc::new(pty);
        let written = follow(pty.clone(), if tells_release { IS_KITTY } else { IS_PLAIN });
        let size = |n| NonZeroU16::new(n).expect("not zero");
        Self {
            child,
            pty,
            before,
            written,
            screen: vt100::Parser::new(size(rows), size(COLUMNS), 0),
            raw: Vec::new(),
        }
    }

    /// Presses keys.
    pub(crate) fn press(&self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).expect("a terminal");
    }

    /// What stands on the screen.
    pub(crate) fn screen(&self) -> String {
        self.screen.screen().contents()
    }

    /// The last row with anything on it.
    pub(crate) fn last_row(&self) -> String {
        let screen = self.screen();
        screen.trim_end().lines().last().unwrap_or_default().to_owned()
    }

    /// The row above it.
    pub(crate) fn status(&self) -> String {
        let screen = self.screen();
        screen
            .trim_end()
            .lines()
            .nth_back(1)
            .unwrap_or_default()
            .to_owned()
    }

    /// Waits until this stands on the screen.
    pub(crate) fn until(&mut self, text: &str) {
        self.until_that(text, |tty| tty.screen().contains(text));
    }

    /// Waits until this stands in the row of the room's status.
    pub(crate) fn until_status(&mut self, text: &str) {
        self.until_that(text, |tty| tty.status().contains(text));
    }

    /// Waits until this stands in the last row.
    pub(crate) fn until_row(&mut self, text: &str) {
        self.until_that(text, |tty| tty.last_row().contains(text));
    }

    /// Waits until the screen is so.
    pub(crate) fn until_that(&mut self, what: &str, is: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is(self) {
            let left = end.saturating_duration_since(Instant::now());
            match self.written.recv_timeout(left) {
                Ok(written) => self.take(&written),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("no `{what}` within {PATIENCE:?} on\n{}", self.screen())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ended before `{what}` on\n{}", self.screen())
                }
            }
        }
    }

    /// Whether keys are read one by one now.
    pub(crate) fn is_raw(&self) -> bool {
        let modes = tcgetattr(&*self.pty).expect("modes").local_modes;
        !modes.intersects(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Whether anything was written in colour, bold or dim.
    pub(crate) fn has_colours(&self) -> bool {
        let begins = |part: &[u8]| {
            part.strip_prefix(b"\x1b[").is_some_and(|rest| {
                let number = rest
                    .iter()
                    .take_while(|byte| byte.is_ascii_digit() || **byte == b';')
                    .count();
                rest.get(number) == Some(&b'm')
            })
        };
        (0..self.raw.len()).any(|at| begins(&self.raw[at..]))
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Waits for the end, after which the terminal must be as it was: the exit code.
    pub(crate) fn finish(&mut self) -> Option<i32> {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.written.recv_timeout(left) {
                Ok(written) => self.take(&written),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end:\n{}", self.screen()),
            }
        }
        let code = self.child.wait().expect("our own child").code();
        let after = tcgetattr(&*self.pty).expect("modes");
        let modes = |of: &Termios| (of.input_modes, of.output_modes, of.control_modes, of.local_modes);
        assert_eq!(modes(&after), modes(&self.before), "the terminal is as it was");
        assert!(!self.screen.screen().bracketed_paste());
        for (on, off) in [("\x1b[?1004h", "\x1b[?1004l"), ("\x1b[>15u", "\x1b[<1u")] {
            let count = |what: &str| {
                self.raw
                    .windows(what.len())
                    .filter(|part| part == &what.as_bytes())
                    .count()
            };
            assert_eq!(count(on), count(off), "{on:?} is taken back");
        }
        code
    }

    fn take(&mut self, written: &[u8]) {
        self.screen.process(written);
        self.raw.extend_from_slice(written);
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads what is written in a thread of its own, which answers what a terminal is asked.
fn follow(pty: Arc<Pty>, is: &'static [u8]) -> Receiver<Vec<u8>> {
    let (sender, written) = channel();
    std::thread::spawn(move || {
        let mut part = [0; 4_096];
        // An error is the end: nobody has the terminal open any more.
        while let Ok(length @ 1..) = (&*pty).read(&mut part) {
            let part = &part[..length];
            let asks = part
                .windows(ASKS_WHAT_IT_IS.len())
                .any(|end| end == ASKS_WHAT_IT_IS);
            if asks && (&*pty).write_all(is).is_err() {
                break;
            }
            if sender.send(part.to_vec()).is_err() {
                break;
            }
        }
    });
    written
}
