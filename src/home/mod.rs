//! The home: the one directory in which a person's key and what its node must remember are kept.
//!
//! One process at a time holds a home; its lock lives as long as [`Home`] does. Files are replaced by rename, so a
//! reader sees the old or the new one, never half of one; a room's log grows by synced appends. What is secret is
//! readable by its owner alone.
//!
//! | file | holds |
//! |---|---|
//! | `lock` | the lock, and the process that holds it |
//! | `key.pem` | the person's secret key, PKCS#8 (RFC 5958) in PEM |
//! | `peers` | addresses of peers met before, one a line |
//! | `volumes` | how loud this person wants others, in percent, one a line |
//! | `announced` | announcements of others' rooms to come, as a community node keeps them |
//! | `api.port`, `api.token` | where the local API listens and what it asks for, while a node runs |
//! | `rooms/<id>/recordings/<time>/` | what was said in a room of ours while it was recorded, one Ogg Opus file a speaker, and the mix |
//! | `rooms/<id>/log` | a room's log, in the format of `majlis_protocol::log::file` |

mod access;
mod atomic;
mod key;
mod log;
mod volumes;

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use crate::regular_file;
use majlis_protocol::{
    limits,
    person::{Person, PersonKey},
    room::RoomId,
};

pub use access::{ApiAccess, Granted};
pub(crate) use log::keep_pass;
pub use log::{LOG_FILE, Loaded, RoomLog};
pub(crate) use volumes::Volumes;
pub use volumes::{MOST_VOLUME, USUAL_VOLUME};

/// Most remembered addresses. A newcomer needs one that answers; more than this is time spent on dead ones.
const KNOWN_PEERS: usize = 256;

/// Most bytes of kept announcements that are read: as many as are ever kept, each the largest.
const ANNOUNCED: u64 = 1_000 * (limits::ANNOUNCEMENT as u64 + 256);

/// A person's directory, locked for this process.
#[derive(Debug)]
pub struct Home {
    path: PathBuf,
    /// Held for its lock, which ends when the file is closed, also when the process is killed.
    _lock: File,
}

/// Why a home cannot be used. All but [`HomeError::InUse`] need a person's hand; none is helped by a mere retry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// The platform names no data directory: the environment is incomplete.
    #[error("this system names no directory for data: give one with --home DIR or MAJLIS_HOME")]
    NoDefault,
    /// Another process holds the home. A retry helps once it has ended.
    #[error(
        "the home {} is in use by another majlis{}: use `majlis ctl` to act on it, or give this one its own \
         --home DIR", path.display(), holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    InUse {
        /// The home.
        path: PathBuf,
        /// The process that holds it, where it is known.
        holder: Option<u32>,
    },
    /// Others may read the secret key.
    #[error(
        "the key {} is readable by other users of this machine (mode {mode:04o}): run `chmod 600 {}`; if others \
         may have read it, move it away and begin with a new one", path.display(), path.display()
    )]
    KeyExposed {
        /// The key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key's file is not a key.
    #[error(
        "the key {} is not an Ed25519 key in PKCS#8 PEM: restore it from a copy, or move it away to begin with \
         a new one", path.display()
    )]
    KeyCorrupt {
        /// The key's file.
        path: PathBuf,
    },
    /// A room's log is damaged before its end, which no interrupted write explains.
    #[error(
        "the room log {} is damaged at byte {offset}: restore it from a copy, or move it away", path.display()
    )]
    LogDamaged {
        /// The log's file.
        path: PathBuf,
        /// Where the first bad record begins.
        offset: usize,
    },
    /// A file or directory cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file or directory cannot be written.
    #[error("cannot write {}: {source}{}", path.display(), advice(source))]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system gives no random bytes, and without them there is no key.
    #[error("this system gives no random bytes: {0}")]
    Random(getrandom::Error),
}

impl Home {
    /// The directory that is used unless another one is named: the platform's place for a user's data.
    ///
    /// # Errors
    /// [`HomeError::NoDefault`] when the platform has none, as for a user without a home directory.
    pub fn default_path() -> Result<PathBuf, HomeError> {
        directories::ProjectDirs::from("", "", "majlis")
            .map(|dirs| dirs.data_dir().to_owned())
            .ok_or(HomeError::NoDefault)
    }

    /// Opens a home, creating it readable by its owner alone, and locks it for as long as the value lives.
    ///
    /// # Errors
    /// [`HomeError::InUse`] when another process holds it; [`HomeError::Write`] when it cannot be made.
    pub fn open(path: &Path) -> Result<Self, HomeError> {
        atomic::create_dir(path)?;
        let lock = lock(path)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The person's key, made at first use.
    ///
    /// # Errors
    /// [`HomeError::KeyExposed`], [`HomeError::KeyCorrupt`] or [`HomeError::Read`] when the key that is there
    /// cannot be trusted or read; it is never replaced.
    pub fn person_key(&self) -> Result<PersonKey, HomeError> {
        key::read_or_create(&self.path.join("key.pem"))
    }

    /// Whose home this is, if its key has been made; read without the lock, as while a node runs in it.
    ///
    /// # Errors
    /// As [`Home::person_key`].
    pub fn known_person(path: &Path) -> Result<Option<Person>, HomeError> {
        Ok(key::read_existing(&path.join("key.pem"))?.map(|key| key.person()))
    }

    /// Whether there is a log of this room.
    #[must_use]
    pub fn has_room(&self, room: RoomId) -> bool {
        self.path
            .join("rooms")
            .join(room.to_string())
            .join("log")
            .is_file()
    }

    /// Announcements of rooms to come that an earlier run of this node has kept for others. What cannot be read is
    /// forgotten: others have them too.
    #[must_use]
    pub fn announced(&self) -> Vec<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = regular_file::open(&self.path.join("announced"))
            .and_then(|file| file.take(ANNOUNCED).read_to_end(&mut bytes));
        if let Err(error) = read
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the announcements that were kept cannot be read");
        }
        let (mut rest, mut records) = (&bytes[..], Vec::new());
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some((record, behind)) = behind.split_at_checked(length) else {
                break;
            };
            records.push(record.to_vec());
            rest = behind;
        }
        records
    }

    /// Keeps announcements for the next run in the place of the former ones.
    ///
    /// # Errors
    /// [`HomeError::Write`], with the former ones still in place.
    pub fn save_announced(&self, records: &[bytes::Bytes]) -> Result<(), HomeError> {
        let mut file = Vec::new();
        for record in records {
            let length = u32::try_from(record.len()).unwrap_or(0);
            file.extend_from_slice(&length.to_be_bytes());
            file.extend_from_slice(record);
        }
        atomic::write(&self.path.join("announced"), &file)
    }

    /// How loud this person wants others.
    pub(crate) fn volumes(&self) -> Volumes {
        Volumes::load(&self.path)
    }

    /// The rooms that there are logs of, in ascending order.
    ///
    /// # Errors
    /// [`HomeError::Read`] when the directory cannot be looked through.
    pub fn rooms(&self) -> Result<Vec<RoomId>, HomeError> {
        let path = self.path.join("rooms");
        let folder = match fs::read_dir(&path) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(HomeError::Read { path, source }),
        };
        let name = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
        let mut rooms: Vec<RoomId> = folder.filter_map(Result::ok).filter_map(name).collect();
        rooms.sort();
        Ok(rooms)
    }

    /// The log of a room, empty at first.
    ///
    /// # Errors
    /// [`HomeError::Write`] when it cannot be opened for writing.
    pub fn room_log(&self, room: RoomId) -> Result<RoomLog, HomeError> {
        RoomLog::open(&self.path.join("rooms").join(room.to_string()))
    }

    /// Addresses of peers met before. What is not readable is forgotten: they are hints.
    #[must_use]
    pub fn known_peers(&self) -> Vec<String> {
        let limit = (KNOWN_PEERS * (limits::ADDRESS + 1)) as u64;
        let mut text = String::new();
        let read = regular_file::open(&self.path.join("peers"))
            .and_then(|file| file.take(limit).read_to_string(&mut text));
        if let Err(error) = read
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the addresses of known peers cannot be read");
        }
        text.lines()
            .filter(|line| is_address(line))
            .take(KNOWN_PEERS)
            .map(str::to_owned)
            .collect()
    }

    /// Remembers addresses for the next start in place of the former ones, the first 256 of them.
    ///
    /// # Errors
    /// [`HomeError::Write`], with the former ones still in place.
    pub fn save_known_peers(&self, addresses: &[String]) -> Result<(), HomeError> {
        let lines = addresses
            .iter()
            .filter(|address| is_address(address))
            .take(KNOWN_PEERS);
        let text: String = lines.flat_map(|address| [address, "\n"]).collect();
        atomic::write(&self.path.join("peers"), text.as_bytes())
    }
}

fn is_address(line: &str) -> bool {
    line.parse::<majlis_protocol::link::Address>().is_ok()
}

/// Takes the lock of a home and leaves this process's number in it, for the message that another one will show.
fn lock(home: &Path) -> Result<File, HomeError> {
    let path = home.join("lock");
    let failed = |source| HomeError::Write {
        path: path.clone(),
        source,
    };
    let mut file = atomic::owner_only()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path)
                .ok()
                .and_then(|pid| pid.trim().parse().ok());
            return Err(HomeError::InUse {
                path: home.to_owned(),
                holder,
            });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(failed)?;
    Ok(file)
}

/// What to do about an error of the system, as far as it is clear.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "; make room on the disk",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; choose another place with --home DIR or MAJLIS_HOME"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_use_of_a_home_is_refused_and_names_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = Home::open(dir.path()).expect("a new home");
        let error = Home::open(dir.path()).expect_err("it is in use");
        let text = error.to_string();
        assert!(matches!(error, HomeError::InUse { .. }), "{text}");
        assert!(text.contains(&dir.path().display().to_string()), "{text}");
        assert!(
            text.contains(&format!("process {}", std::process::id())),
            "{text}"
        );
        drop(first);
        Home::open(dir.path()).expect("the lock ends with its holder");
    }

    #[cfg(unix)]
    #[test]
    fn a_new_home_and_all_in_it_belong_to_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("deep/home");
        let home = Home::open(&path).expect("a new home");
        home.person_key().expect("a new key");
        home.save_known_peers(&["/ip4/127.0.0.1/tcp/1".into()])
            .expect("written");
        home.room_log(RoomId([1; 32])).expect("a new log");
        let mode = |path: &Path| fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        for name in ["key.pem", "peers", "lock"] {
            assert_eq!(mode(&path.join(name)), 0o600, "{name}");
        }
        let room = path.join("rooms").join(RoomId([1; 32]).to_string());
        assert_eq!((mode(&room), mode(&room.join("log"))), (0o700, 0o600));
    }

    #[test]
    fn whose_home_it_is_can_be_read_while_it_is_held() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::open(dir.path()).expect("a new home");
        assert_eq!(Home::known_person(dir.path()).expect("readable"), None);
        let person = home.person_key().expect("a new key").person();
        assert_eq!(Home::known_person(dir.path()).expect("readable"), Some(person));
    }

    #[test]
    fn a_home_that_cannot_be_made_says_where() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("file");
        fs::write(&file, "no directory").expect("written");
        let error = Home::open(&file.join("home")).expect_err("below a file");
        assert!(matches!(error, HomeError::Write { .. }), "{error}");
        assert!(error.to_string().contains("file"), "{error}");
    }

    #[test]
    fn known_peers_come_back_without_what_is_no_address() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::open(dir.path()).expect("a new home");
        assert!(home.known_peers().is_empty());
        let address = "/ip4/127.0.0.1/udp/4001/quic-v1".to_owned();
        home.save_known_peers(&[
            address.clone(),
            "\u{1b}[31m".into(),
            format!("/{}", "x".repeat(300)),
        ])
        .expect("written");
        assert_eq!(home.known_peers(), [address]);
    }

    #[test]
    fn kept_announcements_come_back_up_to_where_the_file_is_torn() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::open(dir.path()).expect("a new home");
        assert!(home.announced().is_empty());
        home.save_announced(&[
            bytes::Bytes::from_static(b"one"),
            bytes::Bytes::from_static(b"two"),
        ])
        .expect("written");
        assert_eq!(home.announced(), [b"one".to_vec(), b"two".to_vec()]);
        let path = dir.path().join("announced");
        let whole = fs::read(&path).expect("readable");
        fs::write(&path, &whole[..whole.len() - 1]).expect("torn");
        assert_eq!(home.announced(), [b"one".to_vec()]);
    }

    #[test]
    fn damaged_known_peers_are_forgotten() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::open(dir.path()).expect("a new home");
        fs::write(dir.path().join("peers"), b"/ip4/127.0.0.1/tcp/1\n\xff\xfe").expect("written");
        assert!(home.known_peers().is_empty());
    }

    #[test]
    fn no_more_peers_are_kept_than_are_worth_trying() {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::open(dir.path()).expect("a new home");
        let many: Vec<_> = (0..1000)
            .map(|port| format!("/ip4/127.0.0.1/tcp/{port}"))
            .collect();
        home.save_known_peers(&many).expect("written");
        assert_eq!(home.known_peers(), many[..KNOWN_PEERS]);
    }
}
