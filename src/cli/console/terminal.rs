//! The terminal while single keys are read from it.
//!
//! Invariant: however the program ends, short of being killed, the terminal is as it was before.

use std::{
    io::{self, IsTerminal},
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
    },
};

use crossterm::{
    event::{
        DisableBracketedPaste, DisableFocusChange, EnableBracketedPaste, EnableFocusChange,
        KeyboardEnhancementFlags as Flags, PopKeyboardEnhancementFlags, PushKeyboardEnhancementFlags,
    },
    execute, terminal,
};

/// Whether keys are read one by one now.
static IS_RAW: AtomicBool = AtomicBool::new(false);

/// Whether the terminal was asked to tell when keys are let go.
static TELLS_RELEASE: AtomicBool = AtomicBool::new(false);

/// How soon a program that is told to stop has been stopped.
#[cfg(unix)]
const STOPPED_BY: std::time::Duration = std::time::Duration::from_millis(50);

/// A terminal whose keys are read one by one until this is dropped.
#[derive(Debug)]
pub(super) struct Terminal;

/// Whether there is a terminal at both ends that can do it.
pub(crate) fn is_there() -> bool {
    io::stdin().is_terminal() && crate::cli::show::is_lively()
}

impl Terminal {
    /// Reads single keys from now on.
    pub(super) fn enter() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                before(panic);
            }));
        });
        begin()?;
        Ok(Self)
    }

    /// Whether the terminal can tell when a key is let go. It may take two seconds where a terminal answers nothing.
    pub(super) fn can_tell_release() -> bool {
        terminal::supports_keyboard_enhancement().unwrap_or(false)
    }

    /// Has it tell that, while `on`. It spells text in another way then, which loses what an input method composes: no
    /// line is typed meanwhile.
    pub(super) fn tell_release(&self, on: bool) {
        let was = TELLS_RELEASE.swap(on, Ordering::SeqCst);
        if on && !was {
            let flags = Flags::DISAMBIGUATE_ESCAPE_CODES
                | Flags::REPORT_EVENT_TYPES
                | Flags::REPORT_ALTERNATE_KEYS
                | Flags::REPORT_ALL_KEYS_AS_ESCAPE_CODES;
            let _ = execute!(io::stdout(), PushKeyboardEnhancementFlags(flags));
        } else if was && !on {
            let _ = execute!(io::stdout(), PopKeyboardEnhancementFlags);
        }
    }

    /// Reads single keys again, after the program was stopped.
    pub(super) fn resume(&self) -> io::Result<()> {
        restore();
        begin()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back and stops the program, as Ctrl-Z does where keys are not read one by one. It returns once the
/// program goes on, or where nobody is there who could have it go on, and it was not stopped.
pub(super) fn suspend() {
    restore();
    #[cfg(unix)]
    {
        let _ = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP);
        // Another thread may have to be stopped first.
        std::thread::sleep(STOPPED_BY);
    }
}

fn begin() -> io::Result<()> {
    terminal::enable_raw_mode()?;
    IS_RAW.store(true, Ordering::SeqCst);
    lines_as_before()?;
    execute!(io::stdout(), EnableBracketedPaste, EnableFocusChange)
}

/// Has each line that is printed still begin at the left: whatever writes to the terminal need not know.
fn lines_as_before() -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::termios::{OptionalActions, OutputModes, tcgetattr, tcsetattr};
        let stdin = io::stdin();
        let mut modes = tcgetattr(&stdin)?;
        modes.output_modes |= OutputModes::OPOST;
        tcsetattr(&stdin, OptionalActions::Now, &modes)?;
    }
    Ok(())
}

/// Gives the terminal back as it was. What cannot be undone any more, since the terminal is gone, need not be.
fn restore() {
    if TELLS_RELEASE.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), PopKeyboardEnhancementFlags);
    }
    if IS_RAW.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), DisableFocusChange, DisableBracketedPaste);
        let _ = terminal::disable_raw_mode();
    }
}
