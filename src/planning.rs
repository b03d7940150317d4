//! Rooms announced ahead, as their host's home holds them: made, changed, called off. No network is needed for any of it.
//!
//! Invariant: what is told of a room is what its log on disk says; an entry is on disk before anybody hears of it. A room
//! that has been opened is not touched here: whoever was in it may have a longer log.

use std::sync::Arc;

use majlis_protocol::{
    announcement::{Announcement, CLOCK_FLOOR},
    limits,
    link::{Address, RoomLink},
    log::{self, Act, Action, ActionError, Log, Plan, PlanStage, record},
    person::PersonKey,
    room::{Genesis, RoomId, RoomTag},
    signed::{Malformed, Signed, Verified},
    text::Text,
};

use crate::{
    clock,
    event::{PlanState, Scheduled},
    home::{Home, HomeError},
    net::AnnounceError,
};

/// A room to be announced ahead. It is public: nobody would be told of another.
#[derive(Debug, Clone, Default)]
pub struct Planning {
    /// What it is called, 1 to 200 bytes after cleaning.
    pub title: String,
    /// What it is about, at most 2,000 bytes.
    pub description: String,
    /// BCP 47 language, or empty.
    pub language: String,
    /// At most five.
    pub tags: Vec<RoomTag>,
    /// Unix seconds at which it starts, at most 30 days from now.
    pub starts: u64,
}

/// What is to be different.
#[derive(Debug, Clone, Default)]
pub struct PlanChange {
    /// When it starts, in Unix seconds.
    pub starts: Option<u64>,
    /// What it is called.
    pub title: Option<String>,
    /// What it is about.
    pub description: Option<String>,
}

/// Why a room was not announced ahead, changed or called off.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// What was asked for breaks a limit: the caller is at fault.
    #[error("{0}")]
    Malformed(#[from] Malformed),
    /// The home could not be read or written.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The log in the home cannot be trusted.
    #[error("the log of this room is damaged: {0}; restore it from a copy, or move it away")]
    LogDamaged(String),
    /// This home holds no such room of its own.
    #[error(
        "this home has announced no room of that id ahead; `majlis schedule list` shows those that it has, and each is \
         changed with the home it was made in"
    )]
    NotOurs,
    /// It opened as it was made.
    #[error("that room was not announced ahead; `majlis ctl` acts in it while it is open")]
    NotPlanned,
    /// It has been opened since.
    #[error(
        "that room has been opened already; `majlis host --room {0}` opens it again, and `majlis ctl` acts in it"
    )]
    Opened(RoomId),
    /// It was called off.
    #[error("that room was cancelled; plan another one")]
    Cancelled,
    /// The start lies in the past.
    #[error("that time is past; give one to come")]
    Past,
    /// The start lies too far ahead for anybody to keep it.
    #[error("a room is announced at most {} days ahead; schedule it later", limits::SCHEDULE_AHEAD_S / 86_400)]
    TooFar,
    /// This machine's clock is wrong.
    #[error(
        "the clock of this machine shows a time before 2026: set it first, or others will not believe the start"
    )]
    Clock,
    /// The network does not take it.
    #[error("the room cannot be announced: {0}")]
    Announce(#[from] AnnounceError),
    /// Nothing would change.
    #[error("nothing would change; give another --start, --title or --description")]
    Nothing,
    /// The room's rules do not allow it.
    #[error("{0}")]
    Refused(ActionError),
}

/// A room announced ahead by the person of a home.
#[derive(Debug)]
pub struct PlannedRoom {
    log: Log,
    key: Arc<PersonKey>,
}

impl PlannedRoom {
    /// Makes a room that starts later, and keeps it in the home.
    ///
    /// # Errors
    /// [`PlanError`] says what to change.
    pub fn make(home: &Home, planning: Planning) -> Result<Self, PlanError> {
        let key = Arc::new(home.person_key()?);
        check_start(planning.starts, clock::unix_seconds())?;
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(HomeError::Random)?;
        let mut tags = planning.tags;
        tags.sort();
        tags.dedup();
        let genesis = Genesis {
            description: Text::clean(&planning.description),
            language: planning.language,
            tags,
            starts: Some(planning.starts),
            ..Genesis::new(key.person(), &planning.title, nonce)
        };
        let genesis = genesis.sign(&key)?;
        let room = RoomId::of(&genesis);
        home.room_log(room)?.append(&record(genesis.signed()))?;
        let log = Log::new(genesis);
        Ok(Self { log, key })
    }

    /// One that this home has announced ahead, in whatever state it is.
    ///
    /// # Errors
    /// [`PlanError::NotOurs`] or [`PlanError::NotPlanned`]; [`PlanError`] when it cannot be read.
    pub fn open(home: &Home, room: RoomId) -> Result<Self, PlanError> {
        if !home.has_room(room) {
            return Err(PlanError::NotOurs);
        }
        let key = Arc::new(home.person_key()?);
        let loaded = home.room_log(room)?.load()?;
        let report =
            log::verify(&loaded.bytes).map_err(|broken| PlanError::LogDamaged(broken.to_string()))?;
        let log = report.log;
        if log.room() != room || log.genesis().host != key.person() {
            return Err(PlanError::NotOurs);
        }
        match log.state().planned() {
            Some(_) => Ok(Self { log, key }),
            None => Err(PlanError::NotPlanned),
        }
    }

    /// All that this home has announced ahead, the first to start first. Rooms of others, and what is damaged, are left
    /// out.
    ///
    /// # Errors
    /// [`PlanError::Home`] when the home cannot be read.
    pub fn all(home: &Home) -> Result<Vec<Self>, PlanError> {
        let ids = home.rooms()?;
        let mut rooms: Vec<Self> = ids
            .into_iter()
            .filter_map(|id| Self::open(home, id).ok())
            .collect();
        rooms.sort_by_key(|room| (room.plan().starts, room.id()));
        Ok(rooms)
    }

    /// The room.
    #[must_use]
    pub fn id(&self) -> RoomId {
        self.log.room()
    }

    /// What is planned of it now.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        let planned = self.log.state().planned();
        planned
            .expect("only a room whose genesis names a start is one of these")
            .plan()
    }

    /// How it stands, as events tell it; `via` is by whom it is found.
    #[must_use]
    pub fn shown(&self, via: Vec<Address>) -> Scheduled {
        let (genesis, state) = (self.log.genesis(), self.log.state());
        let stage = state.planned().map(log::Planned::stage);
        let past = self.plan().starts.saturating_add(limits::SCHEDULE_KEPT_S) <= clock::unix_seconds();
        Scheduled {
            id: self.id(),
            link: RoomLink { room: self.id(), via },
            title: state.title().to_string(),
            description: self.plan().description.to_string(),
            language: genesis.language.clone(),
            host: genesis.host,
            tags: genesis.tags.iter().map(ToString::to_string).collect(),
            starts: self.plan().starts,
            revision: self.log.head().sequence,
            state: match stage {
                Some(PlanStage::Opened) if state.ended() => PlanState::Ended,
                Some(PlanStage::Opened) => PlanState::Opened,
                Some(PlanStage::Cancelled) => PlanState::Cancelled,
                _ if past => PlanState::Missed,
                _ => PlanState::Planned,
            },
            reason: self.reason(),
        }
    }

    /// Changes what is planned.
    ///
    /// # Errors
    /// [`PlanError`] says why not; nothing was changed then.
    pub fn change(&mut self, home: &Home, change: PlanChange) -> Result<(), PlanError> {
        self.check_pending()?;
        let plan = Plan {
            starts: change.starts.unwrap_or(self.plan().starts),
            description: match &change.description {
                Some(description) => Text::clean(description),
                None => self.plan().description.clone(),
            },
        };
        let title = change.title.as_deref().map(Text::clean);
        let title = title.filter(|title| title != self.log.state().title());
        if title.is_none() && plan == *self.plan() {
            return Err(PlanError::Nothing);
        }
        check_start(plan.starts, clock::unix_seconds())?;
        let mut acts = Vec::new();
        acts.extend(title.map(|title| Act::Title { title }));
        if plan != *self.plan() {
            acts.push(Act::Schedule { plan });
        }
        self.append(home, &acts)
    }

    /// Calls the room off; it can never be opened.
    ///
    /// # Errors
    /// [`PlanError`] says why not.
    pub fn cancel(&mut self, home: &Home, reason: &str) -> Result<(), PlanError> {
        self.check_pending()?;
        let (starts, reason) = (self.plan().starts, Text::clean(reason));
        self.append(home, &[Act::Cancel { starts, reason }])
    }

    /// What others are to keep: signed now, for as long as the plan matters.
    ///
    /// # Errors
    /// [`PlanError::Opened`] for a room that is planned no more; [`PlanError::Past`] when its time is over.
    pub fn announcement(&self, addresses: Vec<Address>) -> Result<Signed<Announcement>, PlanError> {
        let now = clock::unix_seconds();
        let planned = Announcement::planned(&self.log, now).ok_or(PlanError::Opened(self.id()))?;
        if planned.expires <= now {
            return Err(PlanError::Past);
        }
        check_clock(now)?;
        let mut announcement = Announcement { addresses, ..planned };
        loop {
            match Verified::sign(announcement.clone(), &self.key) {
                Ok(verified) => return Ok(verified.signed().clone()),
                // A long description leaves less space for addresses.
                Err(Malformed::TooLong { .. }) if !announcement.addresses.is_empty() => {
                    announcement.addresses.pop();
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Why it was called off, where its host said so.
    fn reason(&self) -> Option<String> {
        let entry = self.log.state().planned()?.entry()?;
        let act = self.log.entry(entry)?.signed_action().ok()?.peek().ok()?.act();
        act.ok()?.reason().map(Text::to_string)
    }

    fn check_pending(&self) -> Result<(), PlanError> {
        match self.log.state().planned().map(log::Planned::stage) {
            Some(PlanStage::Pending) => Ok(()),
            Some(PlanStage::Cancelled) => Err(PlanError::Cancelled),
            _ => Err(PlanError::Opened(self.id())),
        }
    }

    /// Appends acts as the chair that its host still is, all of them or none.
    fn append(&mut self, home: &Home, acts: &[Act]) -> Result<(), PlanError> {
        let (mut log, mut records) = (self.log.clone(), Vec::new());
        for act in acts {
            let clock = log.state().clock();
            let action = Action::new(log.room(), self.key.person(), log.head(), clock, act);
            let action = Verified::sign(action, &self.key)?;
            let applied =
                log.append(action.signed().clone(), &self.key, clock)
                    .map_err(|error| match error {
                        ActionError::Malformed(malformed) => PlanError::Malformed(malformed),
                        error => PlanError::Refused(error),
                    })?;
            records.extend(record(applied.entry.signed()));
        }
        home.room_log(self.id())?.append(&records)?;
        self.log = log;
        Ok(())
    }
}

fn check_clock(now: u64) -> Result<(), PlanError> {
    if now < CLOCK_FLOOR {
        Err(PlanError::Clock)
    } else {
        Ok(())
    }
}

fn check_start(starts: u64, now: u64) -> Result<(), PlanError> {
    check_clock(now)?;
    if starts <= now {
        Err(PlanError::Past)
    } else if starts - now > limits::SCHEDULE_AHEAD_S {
        Err(PlanError::TooFar)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn planning(starts: u64) -> Planning {
        Planning {
            title: "Poems".into(),
            description: "by heart".into(),
            starts,
            ..Planning::default()
        }
    }

    fn place() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().expect("a directory");
        let home = Home::open(dir.path()).expect("a new home");
        (dir, home)
    }

    #[test]
    fn a_room_is_made_changed_and_cancelled_in_its_home_alone() {
        let (_dir, home) = place();
        let starts = clock::unix_seconds() + DAY;
        let made = PlannedRoom::make(&home, planning(starts)).expect("a day ahead");
        let mut room = PlannedRoom::open(&home, made.id()).expect("it is there");
        let change = PlanChange {
            starts: Some(starts + 60),
            title: Some("More poems".into()),
            ..PlanChange::default()
        };
        room.change(&home, change.clone()).expect("not opened yet");
        assert!(matches!(room.change(&home, change), Err(PlanError::Nothing)));
        let shown = PlannedRoom::open(&home, made.id())
            .expect("it is there")
            .shown(Vec::new());
        assert_eq!(
            (shown.title.as_str(), shown.description.as_str(), shown.starts),
            ("More poems", "by heart", starts + 60)
        );
        assert_eq!((shown.state, shown.revision), (PlanState::Planned, 2));
        room.cancel(&home, "ill").expect("not opened yet");
        assert!(matches!(room.cancel(&home, "ill"), Err(PlanError::Cancelled)));
        let all = PlannedRoom::all(&home).expect("readable");
        let shown = all[0].shown(Vec::new());
        assert_eq!(
            (shown.state, shown.reason.as_deref()),
            (PlanState::Cancelled, Some("ill"))
        );
        let record = all[0].announcement(Vec::new()).expect("to be kept");
        assert_eq!(record.peek().expect("valid").head, 3);
    }

    #[test]
    fn a_start_is_to_come_and_not_too_far_and_a_clock_without_a_date_sets_none() {
        let now = CLOCK_FLOOR + DAY;
        let ahead = limits::SCHEDULE_AHEAD_S;
        assert!(check_start(now + 1, now).is_ok() && check_start(now + ahead, now).is_ok());
        assert!(matches!(check_start(now, now), Err(PlanError::Past)));
        assert!(matches!(
            check_start(now + ahead + 1, now),
            Err(PlanError::TooFar)
        ));
        assert!(matches!(check_start(now, 1), Err(PlanError::Clock)));
    }

    #[test]
    fn another_homes_room_is_not_ours_and_a_limit_leaves_nothing_behind() {
        let (_dir, home) = place();
        assert!(matches!(
            PlannedRoom::open(&home, RoomId([1; 32])),
            Err(PlanError::NotOurs)
        ));
        let mut long = planning(clock::unix_seconds() + DAY);
        long.title = "x".repeat(201);
        let refused = PlannedRoom::make(&home, long);
        assert!(matches!(refused, Err(PlanError::Malformed(_))));
        assert!(PlannedRoom::all(&home).expect("readable").is_empty());
    }

    #[test]
    fn the_longest_description_leaves_space_for_some_address() {
        let (_dir, home) = place();
        let mut long = planning(clock::unix_seconds() + DAY);
        long.description = "ب".repeat(1_000);
        let mut room = PlannedRoom::make(&home, long).expect("within the limits");
        let change = PlanChange {
            description: Some("ت".repeat(1_000)),
            ..PlanChange::default()
        };
        room.change(&home, change).expect("not opened yet");
        let peer = majlis_protocol::person::Peer([8; 32]);
        let address: Address = format!("/dns4/{}/tcp/1/p2p/{peer}", "a".repeat(180))
            .parse()
            .expect("an address");
        let record = room.announcement(vec![address; 8]).expect("it fits");
        assert!(!record.peek().expect("valid").addresses.is_empty());
    }
}
