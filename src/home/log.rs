//! A room's log on disk: records that are appended, each synced before it counts; or replaced as a whole, when the room
//! follows another history.
//!
//! Invariant: the file is a run of whole records, perhaps with one torn record behind them, which is cut off before
//! anything is appended. Damage before the end is an error, since no interrupted write explains it. Records that found
//! no room on the disk go before the next one, so that the file may end early but never has a gap.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use majlis_protocol::log::{self, RecordError};

use super::{HomeError, atomic};

/// Most bytes of a log that are read. A hundred thousand of the entries that people cause fit many times over; a
/// larger file is not a log of ours.
pub const LOG_FILE: u64 = 256 << 20;

/// The log of one room, open for appending.
#[derive(Debug)]
pub struct RoomLog {
    path: PathBuf,
    file: File,
    /// Where to cut before the next append, after one that failed half-way.
    whole: Option<u64>,
    /// Records that could not be written yet. A room's log is bounded, and so are they.
    unwritten: Vec<u8>,
    /// What the whole file is to hold, where it could not be replaced yet.
    anew: Option<Vec<u8>>,
}

/// What a log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its whole records, for `majlis_protocol::log::file`.
    pub bytes: Vec<u8>,
    /// Bytes of a torn record that were cut off.
    pub cut: u64,
}

/// Most bytes of a pass file; a longer one holds no pass.
const PASS_FILE: u64 = 512;

/// Keeps the pass that lets this person into the room again, beside its log.
///
/// # Errors
/// [`HomeError::Write`], with the former pass in place.
pub(crate) fn keep_pass(path: &Path, pass: &[u8]) -> Result<(), HomeError> {
    atomic::write(path, pass)
}

impl RoomLog {
    /// Makes a folder for a recording of the room, called `name` or, where that is taken, `name-2` and so on.
    ///
    /// # Errors
    /// [`HomeError::Write`].
    pub(crate) fn make_recording_folder(&self, name: &str) -> Result<PathBuf, HomeError> {
        let all = self.path.with_file_name("recordings");
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        let folder = std::iter::once(name.to_owned())
            .chain(numbered)
            .map(|name| all.join(name))
            .find(|folder| !folder.exists())
            .expect("some number is free");
        atomic::create_dir(&folder).map(|()| folder)
    }

    /// Where the pass of an earlier stay is kept.
    pub(crate) fn pass_path(&self) -> PathBuf {
        self.path.with_file_name("pass")
    }

    /// The pass of an earlier stay, where there is one that can be read.
    pub(crate) fn pass(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = File::open(self.pass_path()).ok()?;
        file.take(PASS_FILE).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Opens the log in a room's directory, both made where they are missing.
    pub(super) fn open(directory: &Path) -> Result<Self, HomeError> {
        atomic::create_dir(directory)?;
        let path = directory.join("log");
        let file = open(&path)
            .and_then(|file| atomic::sync_parent(&path).map(|()| file))
            .map_err(|source| HomeError::Write {
                path: path.clone(),
                source,
            })?;
        Ok(Self {
            path,
            file,
            whole: None,
            unwritten: Vec::new(),
            anew: None,
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads all whole records and cuts off a torn one behind them.
    ///
    /// # Errors
    /// [`HomeError::LogDamaged`] when the file holds what no record can be; [`HomeError::Read`] or
    /// [`HomeError::Write`] when the system fails.
    pub fn load(&mut self) -> Result<Loaded, HomeError> {
        let mut bytes = self.read_all().map_err(|source| HomeError::Read {
            path: self.path.clone(),
            source,
        })?;
        let whole = whole_records(&bytes).map_err(|offset| HomeError::LogDamaged {
            path: self.path.clone(),
            offset,
        })?;
        let cut = (bytes.len() - whole) as u64;
        if cut > 0 {
            self.cut_to(whole as u64).map_err(|source| self.failed(source))?;
            bytes.truncate(whole);
        }
        Ok(Loaded { bytes, cut })
    }

    /// Appends records as `majlis_protocol::log::file::record` makes them. They are on disk when this returns.
    ///
    /// # Errors
    /// [`HomeError::Write`], with the file as it was: what was written of the records is cut off again, at the latest
    /// before the next append, with which they are tried once more.
    pub fn append(&mut self, records: &[u8]) -> Result<(), HomeError> {
        self.unwritten.extend_from_slice(records);
        self.write_all().map_err(|source| self.failed(source))
    }

    /// Puts records in the place of all that the file holds, at once or not at all. They are on disk when this returns.
    ///
    /// # Errors
    /// [`HomeError::Write`], with the file as it was. What is appended later belongs behind these records, so they are
    /// tried again first.
    pub fn replace(&mut self, records: &[u8]) -> Result<(), HomeError> {
        self.anew = Some(records.to_vec());
        self.unwritten.clear();
        self.write_all().map_err(|source| self.failed(source))
    }

    fn write_all(&mut self) -> io::Result<()> {
        if let Some(records) = &self.anew {
            atomic::write_bytes(&self.path, records)?;
            // The name leads to another file now.
            self.file = open(&self.path)?;
            (self.anew, self.whole) = (None, None);
        }
        if let Some(whole) = self.whole {
            self.cut_to(whole)?;
        }
        let before = self.file.metadata()?.len();
        let written = self.file.write_all(&self.unwritten);
        written.and_then(|()| self.file.sync_data()).inspect_err(|_| {
            self.whole = Some(before);
            // If this fails too, the next append begins with it.
            let _ = self.cut_to(before);
        })?;
        self.unwritten.clear();
        Ok(())
    }

    fn cut_to(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.file.sync_data()?;
        self.whole = None;
        Ok(())
    }

    fn read_all(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        Read::by_ref(&mut self.file)
            .take(LOG_FILE + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LOG_FILE {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "it is larger than any room log",
            ));
        }
        Ok(bytes)
    }

    fn failed(&self, source: io::Error) -> HomeError {
        HomeError::Write {
            path: self.path.clone(),
            source,
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    atomic::owner_only()
        .read(true)
        .append(true)
        .create(true)
        .open(path)
}

/// Where the last whole record ends, or at which byte the file is damaged.
fn whole_records(bytes: &[u8]) -> Result<usize, usize> {
    let mut records = log::records(bytes);
    match records.by_ref().find_map(Result::err) {
        None | Some(RecordError::Torn { .. }) => Ok(records.offset()),
        Some(_) => Err(records.offset()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a directory");
        let room = dir.path().join("room");
        (dir, room)
    }

    fn record(body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).expect("short");
        [&length.to_be_bytes(), body].concat()
    }

    #[test]
    fn records_come_back_in_order() {
        let (_dir, room) = place();
        let mut log = RoomLog::open(&room).expect("a new log");
        assert_eq!(
            log.load().expect("empty"),
            Loaded {
                bytes: vec![],
                cut: 0
            }
        );
        let records = [record(b"genesis"), record(b"entry")];
        for record in &records {
            log.append(record).expect("appended");
        }
        drop(log);
        let loaded = RoomLog::open(&room).expect("there").load().expect("whole");
        assert_eq!(
            loaded,
            Loaded {
                bytes: records.concat(),
                cut: 0
            }
        );
    }

    #[test]
    fn a_torn_log_is_cut_to_its_last_whole_record_and_goes_on() {
        let whole = record(b"genesis");
        let entry = record(b"entry");
        let tails = (1..entry.len())
            .map(|n| entry[..n].to_vec())
            .chain([vec![0; 3], vec![0; 500]]);
        for tail in tails {
            let (_dir, room) = place();
            let mut log = RoomLog::open(&room).expect("a new log");
            fs::write(log.path(), [&whole[..], &tail].concat()).expect("torn");
            let loaded = log.load().expect("recovered");
            assert_eq!(
                loaded,
                Loaded {
                    bytes: whole.clone(),
                    cut: tail.len() as u64
                }
            );
            log.append(&entry).expect("appended");
            assert_eq!(log.load().expect("whole").bytes, [&whole[..], &entry].concat());
        }
    }

    #[test]
    fn damage_before_the_end_is_an_error_and_cuts_nothing() {
        let (_dir, room) = place();
        let mut log = RoomLog::open(&room).expect("a new log");
        let bytes = [record(b"genesis"), vec![0xff; 40]].concat();
        fs::write(log.path(), &bytes).expect("damaged");
        let error = log.load().expect_err("damaged");
        assert!(
            matches!(error, HomeError::LogDamaged { offset: 11, .. }),
            "{error}"
        );
        assert_eq!(fs::read(log.path()).expect("readable"), bytes);
    }

    #[test]
    fn another_history_takes_the_place_of_the_whole_file_and_goes_on() {
        let (_dir, room) = place();
        let [genesis, ours, theirs, next] = [&b"genesis"[..], b"ours", b"theirs", b"next"].map(record);
        let mut log = RoomLog::open(&room).expect("a new log");
        log.append(&[&genesis[..], &ours].concat()).expect("appended");
        log.replace(&[&genesis[..], &theirs].concat()).expect("replaced");
        log.append(&next).expect("appended");
        let whole = [genesis, theirs, next].concat();
        assert_eq!(log.load().expect("whole").bytes, whole);
        drop(log);
        let names = fs::read_dir(&room).expect("readable").count();
        assert_eq!(names, 1, "nothing is left beside it");
        assert_eq!(
            RoomLog::open(&room).expect("there").load().expect("whole").bytes,
            whole
        );
    }

    #[test]
    fn a_history_that_could_not_be_replaced_is_tried_again_before_the_next_record() {
        let (_dir, room) = place();
        let mut log = RoomLog::open(&room).expect("a new log");
        log.append(&record(b"ours")).expect("appended");
        let path = std::mem::replace(&mut log.path, room.join("nowhere/log"));
        log.replace(&record(b"theirs")).expect_err("no such directory");
        log.path = path;
        assert_eq!(log.load().expect("whole").bytes, record(b"ours"));
        log.append(&record(b"next")).expect("appended");
        assert_eq!(
            log.load().expect("whole").bytes,
            [record(b"theirs"), record(b"next")].concat()
        );
    }

    /// `/dev/full` answers every write as a full disk does.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_that_says_so() {
        let (_dir, room) = place();
        fs::create_dir(&room).expect("made");
        std::os::unix::fs::symlink("/dev/full", room.join("log")).expect("linked");
        let mut log = RoomLog::open(&room).expect("opened");
        let error = log.append(&record(b"entry")).expect_err("no room");
        assert!(error.to_string().contains("make room on the disk"), "{error}");
        log.append(&record(b"entry")).expect_err("still no room");
    }

    #[test]
    fn a_record_that_could_not_be_written_goes_before_the_next() {
        let (_dir, room) = place();
        let records = [record(b"genesis"), record(b"entry"), record(b"another")];
        let mut log = RoomLog::open(&room).expect("a new log");
        log.append(&records[0]).expect("appended");
        let read_only = File::open(log.path()).expect("it is there");
        let writable = std::mem::replace(&mut log.file, read_only);
        log.append(&records[1]).expect_err("it cannot be written");
        log.file = writable;
        log.append(&records[2]).expect("appended");
        assert_eq!(log.load().expect("whole").bytes, records.concat());
    }

    #[test]
    fn what_a_failed_append_left_is_cut_off_before_the_next() {
        let (_dir, room) = place();
        let mut log = RoomLog::open(&room).expect("a new log");
        log.append(&record(b"genesis")).expect("appended");
        // As after an append that failed half-way and could not be undone.
        log.whole = Some(log.file.metadata().expect("open").len());
        log.file.write_all(&record(b"entry")[..3]).expect("torn");
        log.append(&record(b"entry")).expect("appended");
        let loaded = log.load().expect("whole");
        assert_eq!(
            loaded,
            Loaded {
                bytes: [record(b"genesis"), record(b"entry")].concat(),
                cut: 0
            }
        );
    }
}
