//! Log files: the bytes of a room's log on disk, and their audit (SPEC.md section 7).
//!
//! A file is a sequence of records, each a big-endian `u32` length and that many bytes: the signed genesis, then
//! each signed entry. A crash can tear only the last record; the whole ones before it are always readable.

use alloc::{boxed::Box, vec::Vec};
use core::fmt;

use crate::{
    limits,
    log::{
        chain::{Applied, EntryError, Log},
        cover::Cover,
        entry::Entry,
        permissions::Role,
    },
    person::Person,
    signed::{Malformed, Signed, Statement, StatementError},
    text::Text,
};

/// Bytes of a record's length.
const LENGTH: usize = 4;

/// Most bytes of a record: the largest entry with its signature and three bytes of length.
const RECORD: usize = limits::ENTRY + 67;

/// A signed statement as a record of a log file.
#[must_use]
pub fn record<T: Statement>(signed: &Signed<T>) -> Vec<u8> {
    let bytes = signed.to_bytes();
    let length = u32::try_from(bytes.len()).expect("genesis and entries have limits far below 4 GiB");
    [&length.to_be_bytes(), &bytes[..]].concat()
}

/// The records in the bytes of a file, in order; an error is the last item.
#[must_use]
pub fn records(bytes: &[u8]) -> Records<'_> {
    Records {
        bytes,
        offset: 0,
        done: false,
    }
}

/// Replays the bytes of a whole log file and checks every rule.
///
/// # Errors
/// [`Broken`] names the first record that is not valid. A torn last record is not an error: see [`Report::torn`].
pub fn verify(bytes: &[u8]) -> Result<Report, Broken> {
    let mut report: Option<Report> = None;
    let mut records = records(bytes);
    for number in 0.. {
        let offset = records.offset();
        let broken = |reason| Broken {
            record: number,
            offset,
            reason,
        };
        match (records.next(), &mut report) {
            (None, Some(_)) => break,
            (None | Some(Err(RecordError::Torn { .. })), None) => {
                return Err(broken(BrokenReason::NoGenesis));
            }
            (Some(Err(RecordError::Torn { .. })), Some(report)) => {
                report.torn = true;
                break;
            }
            (Some(Err(RecordError::WrongLength { length, .. })), _) => {
                return Err(broken(BrokenReason::WrongLength { length }));
            }
            (Some(Err(RecordError::TooLong { length, .. })), _) => {
                return Err(broken(BrokenReason::TooLong { length }));
            }
            (Some(Ok(genesis)), None) => report = Some(Report::begin(genesis).map_err(broken)?),
            (Some(Ok(entry)), Some(report)) => report.add(entry).map_err(broken)?,
        }
    }
    let mut report = report.expect("the loop ends only once there is a genesis");
    report.whole_bytes = records.offset();
    Ok(report)
}

/// The log in a file that this program has written itself: every rule is checked, and of the signatures those that say
/// whose word counts ([`Cover`]). For the others [`Log::verify_behind`] is owed.
///
/// # Errors
/// As [`verify`].
pub fn believe(bytes: &[u8]) -> Result<Log, Broken> {
    // Only an audit tells what is wrong, and where.
    believed(bytes).map_or_else(|| Ok(verify(bytes)?.log), Ok)
}

fn believed(bytes: &[u8]) -> Option<Log> {
    let mut records = records(bytes);
    let genesis = Signed::from_bytes(records.next()?.ok()?).ok()?;
    let mut log = Log::new(genesis.verify().ok()?);
    let entries = records.map(|record| Signed::from_bytes(record.ok()?).ok());
    let entries: Vec<_> = entries.collect::<Option<_>>()?;
    let cover = Cover::of(&entries);
    for entry in entries {
        log.handle_covered(entry, &cover).ok()??;
    }
    Some(log)
}

/// An iterator over the records of a log file.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    bytes: &'a [u8],
    offset: usize,
    done: bool,
}

/// Why no further record can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The file ends within a record, or in zeroes: a write was interrupted. Cut the file at `offset` and go on.
    #[error("the last record is torn; whole up to byte {offset}")]
    Torn {
        /// Where the last whole record ends.
        offset: usize,
    },
    /// A record claims to be longer than what is there, and what is there is whole: its length was altered.
    #[error("a record of {length} bytes at byte {offset}, where a shorter one is whole")]
    WrongLength {
        /// Where the record begins.
        offset: usize,
        /// What it claims.
        length: u32,
    },
    /// A record claims to be longer than any may be: the file is damaged or no log.
    #[error("a record of {length} bytes at byte {offset}: longer than any record")]
    TooLong {
        /// Where the record begins.
        offset: usize,
        /// What it claims.
        length: u32,
    },
}

/// A log file that holds what it should.
#[derive(Debug, Clone)]
pub struct Report {
    /// The log, ready to go on.
    pub log: Log,
    /// Its entries, readable.
    pub lines: Vec<Line>,
    /// Bytes up to the end of the last whole record: where to write the next.
    pub whole_bytes: usize,
    /// Whether a torn record follows, which should be cut off.
    pub torn: bool,
}

/// One entry as people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its sequence.
    pub sequence: u32,
    /// Its term.
    pub term: u32,
    /// Room clock in milliseconds.
    pub clock_ms: u64,
    /// What was done.
    pub action: &'static str,
    /// Its number, for those without a name.
    pub kind: u16,
    /// By whom.
    pub author: Person,
    /// What its author was at that point.
    pub author_role: Role,
    /// To whom, if to a person.
    pub subject: Option<Person>,
    /// The role that it gave.
    pub granted: Option<Role>,
    /// How long it holds, in milliseconds; none for a ban without an end, and for everything else.
    pub lasts_ms: Option<u64>,
    /// What the room is called from here on.
    pub title: Option<Text>,
    /// The link that it pins, or takes off again.
    pub link: Option<Text>,
    /// Why, where the author said so.
    pub reason: Option<Text>,
    /// Whether the chair took it over from a history that the room gave up.
    pub carried: bool,
}

/// The first record of a file that is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {record} (at byte {offset}): {reason}")]
pub struct Broken {
    /// Its number: 0 is the genesis, n the entry with sequence n.
    pub record: u32,
    /// Where it begins.
    pub offset: usize,
    /// What is wrong.
    pub reason: BrokenReason,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BrokenReason {
    /// The file holds no whole record: it is empty, or no log.
    #[error("there is no genesis")]
    NoGenesis,
    /// The record claims to be longer than any may be.
    #[error("its length of {length} bytes is longer than any record")]
    TooLong {
        /// What it claims.
        length: u32,
    },
    /// The record claims to be longer than the whole one that is there.
    #[error("its length of {length} bytes is wrong: a shorter record is whole")]
    WrongLength {
        /// What it claims.
        length: u32,
    },
    /// The genesis is malformed or not signed by its host.
    #[error(transparent)]
    Genesis(StatementError),
    /// The bytes are no signed statement.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The entry is not valid at its place.
    #[error(transparent)]
    Entry(Box<EntryError>),
    /// The entry stands in the file already.
    #[error("it repeats an earlier record")]
    Repeated,
}

impl Records<'_> {
    /// Where the next record begins; after an error, where the last whole one ended.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<&'a [u8], RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self
            .bytes
            .get(self.offset..)
            .filter(|rest| !rest.is_empty() && !self.done)?;
        let item = split_record(rest, self.offset);
        match item {
            Ok(record) => self.offset += LENGTH + record.len(),
            Err(_) => self.done = true,
        }
        Some(item)
    }
}

/// Reads the record at the beginning of `rest`, which stands at `offset` of its file.
fn split_record(rest: &[u8], offset: usize) -> Result<&[u8], RecordError> {
    let torn = RecordError::Torn { offset };
    let (length, body) = rest.split_first_chunk::<LENGTH>().ok_or(torn)?;
    let length = u32::from_be_bytes(*length);
    if length as usize > RECORD {
        return Err(RecordError::TooLong { offset, length });
    }
    // Some file systems leave zeroes where a write did not reach; no record is empty.
    if length == 0 && body.iter().all(|byte| *byte == 0) {
        return Err(torn);
    }
    match body.get(..length as usize) {
        Some(record) => Ok(record),
        // What a crash cuts off is never whole by its own account.
        None if Signed::<Entry>::begins(body) => Err(RecordError::WrongLength { offset, length }),
        None => Err(torn),
    }
}

impl Report {
    fn begin(genesis: &[u8]) -> Result<Self, BrokenReason> {
        let genesis = Signed::from_bytes(genesis)?
            .verify()
            .map_err(BrokenReason::Genesis)?;
        Ok(Self {
            log: Log::new(genesis),
            lines: Vec::new(),
            whole_bytes: 0,
            torn: false,
        })
    }

    fn add(&mut self, entry: &[u8]) -> Result<(), BrokenReason> {
        match self.log.handle_entry(Signed::from_bytes(entry)?) {
            Ok(Some(applied)) => self.lines.push(Line::of(&applied)),
            Ok(None) => return Err(BrokenReason::Repeated),
            Err(error) => return Err(BrokenReason::Entry(Box::new(error))),
        }
        Ok(())
    }
}

impl Line {
    /// The line of an entry.
    #[must_use]
    pub fn of(applied: &Applied) -> Self {
        Self {
            sequence: applied.entry.sequence,
            term: applied.entry.term,
            clock_ms: applied.entry.clock,
            action: applied.act.name(),
            kind: applied.act.kind(),
            author: applied.author(),
            author_role: applied.author_role,
            subject: applied.subject(),
            granted: applied.act.granted(),
            lasts_ms: applied.act.lasts_ms(),
            title: applied.act.title().cloned(),
            link: applied.act.link().cloned(),
            reason: applied.act.reason().cloned(),
            carried: applied.carried,
        }
    }
}

/// A time for people, in milliseconds: in the largest unit that it is a whole number of, of seconds at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_ceil(1_000);
        let (size, unit) = [(86_400, "d"), (3_600, "h"), (60, "min")]
            .into_iter()
            .find(|(size, _)| seconds >= *size && seconds.is_multiple_of(*size))
            .unwrap_or((1, "s"));
        write!(f, "{} {unit}", seconds / size)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.clock_ms / 1_000;
        let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(
            f,
            "{:>5}  {hours:02}:{minutes:02}:{seconds:02}  {} ({}) ",
            self.sequence, self.author, self.author_role
        )?;
        if self.carried {
            f.write_str("(carried over) ")?;
        }
        match self.action {
            "unknown" => write!(f, "unknown action {:#06x}", self.kind)?,
            name => f.write_str(name)?,
        }
        if let Some(subject) = self.subject.filter(|subject| *subject != self.author) {
            write!(f, " {subject}")?;
        }
        if let Some(role) = self.granted {
            write!(f, " as {role}")?;
        }
        if let Some(lasts_ms) = self.lasts_ms {
            write!(f, " for {}", Span(lasts_ms))?;
        }
        if let Some(title) = &self.title {
            write!(f, " \"{title}\"")?;
        }
        if let Some(link) = &self.link {
            write!(f, " {link}")?;
        }
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}
