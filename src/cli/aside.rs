//! What the library traces, on its way to stderr. While a console stands below the events it is printed among them:
//! written past it, it would end up in the middle of the console's rows.

use std::{
    io::{self, IsTerminal, Write},
    sync::Mutex,
};

use tokio::sync::mpsc;

use super::printer::Print;

/// Where it is printed while there is a console.
static PRINTS: Mutex<Option<mpsc::Sender<Print>>> = Mutex::new(None);

/// A console stands below the events until this is dropped.
#[derive(Debug)]
pub(crate) struct Aside;

/// Writes each trace whole.
#[derive(Debug)]
pub(crate) struct Traces;

impl Aside {
    /// Prints traces there from now on, if they are for the same terminal.
    pub(crate) fn begin(prints: mpsc::Sender<Print>) -> Self {
        if io::stderr().is_terminal() {
            set(Some(prints));
        }
        Self
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        set(None);
    }
}

impl Write for Traces {
    fn write(&mut self, trace: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(trace).trim_end().to_owned();
        let prints = PRINTS.lock().unwrap_or_else(|broken| broken.into_inner()).clone();
        let is_printed = prints.is_some_and(|prints| prints.try_send(Print::Text(text)).is_ok());
        if !is_printed {
            io::stderr().write_all(trace)?;
        }
        Ok(trace.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn set(prints: Option<mpsc::Sender<Print>>) {
    *PRINTS.lock().unwrap_or_else(|broken| broken.into_inner()) = prints;
}
