//! Staying in a room until it ends, the time is over, or the person leaves.

use std::{
    io::{BufRead, IsTerminal},
    path::Path,
    time::Instant,
};

use majlis::{
    api,
    event::{Event, LeftReason, Stamped},
    node::Node,
    room::{ActError, EventStream, RoomError, RoomHandle},
};
use tokio::sync::mpsc;

use super::{
    console::{Console, Heard, Wish, terminal},
    face::Face,
    options::SeatFlags,
    printer::{self, NotRead, Print, Printer},
    show::Voice,
    signals::Signals,
};

/// A stay that has not begun: the node runs, the room is being opened or joined.
#[derive(Debug)]
pub(crate) struct Stay<'a> {
    /// The node, which ends with the stay.
    pub(crate) node: Node,
    /// Its home.
    pub(crate) home: &'a Path,
    /// Where events are shown.
    pub(crate) printer: Printer,
    /// Caught since before the node was started.
    pub(crate) signals: Signals,
    /// When to leave.
    pub(crate) deadline: Option<Instant>,
    /// Whether the Enter key opens and closes the microphone.
    pub(crate) enter_toggles: bool,
    /// What a console is to know of the time before there is one; none, where there will be none.
    heard: Option<Heard>,
    /// Where the room's events come from as soon as it is looked for, each time that it is.
    early: mpsc::Receiver<EventStream>,
    /// What else happens before the room is reached.
    told: Option<mpsc::Receiver<Event>>,
}

/// Why the waiting in a stay ended.
enum Woken {
    Told(Option<Box<Stamped>>),
    Printed { is_read: bool },
    NotRead,
    Leave(LeftReason),
    Toggle,
    Toggled(Result<(), ActError>),
    Wishes(Vec<Wish>),
}

impl Stay<'_> {
    /// Says where the node listens, waits for the room, stays in it, and ends the node.
    pub(crate) async fn run(
        mut self,
        room: impl Future<Output = Result<RoomHandle, RoomError>>,
    ) -> anyhow::Result<()> {
        let listening = self.node.listening();
        self.hear(&listening);
        let result = match self.printer.tell(listening).await {
            Ok(()) => self.enter(room).await,
            Err(not_read) => Err(not_read.into()),
        };
        self.node.shutdown().await;
        self.printer.finish(result).await
    }

    async fn enter(
        &mut self,
        room: impl Future<Output = Result<RoomHandle, RoomError>>,
    ) -> anyhow::Result<()> {
        let mut room = std::pin::pin!(room);
        let (mut events, mut why, mut joined) = (None, String::new(), None);
        let entered = loop {
            tokio::select! {
                // First: what the room tells once it is lost for us is not for people.
                biased;
                entered = &mut room => break entered,
                event = told(&mut self.told) => self.printer.tell(event).await?,
                event = of_the_room(&mut self.early, &mut events), if joined.is_none() => {
                    self.hear(&event.event);
                    // From here on the stay tells, once the room can be acted on.
                    if matches!(event.event, Event::Joined { .. }) {
                        joined = Some(event);
                        continue;
                    }
                    match &event.event {
                        Event::NoAnswer { reason, .. } => why = format!(": {reason}"),
                        // It may be waited for, and looked for again.
                        Event::Left { .. } | Event::Summary(_) => continue,
                        _ => {}
                    }
                    tokio::select! {
                        ready = self.printer.ready() => ready?.send(Print::Event(Box::new(event))),
                        // Nobody may be reading.
                        () = self.signals.next() => return Ok(()),
                    }
                }
                () = self.signals.next() => {
                    let reason = LeftReason::Interrupted;
                    return Ok(self.printer.tell(Event::Left { reason }).await?);
                }
                () = until(self.deadline) => {
                    self.printer.tell(Event::Left { reason: LeftReason::Duration }).await?;
                    anyhow::bail!("the time given with --duration was over before the room was reached{why}");
                }
            }
        };
        match entered {
            Ok(room) => {
                while let Ok(newer) = self.early.try_recv() {
                    events = Some(newer);
                }
                let events = events.unwrap_or_else(|| room.events());
                self.stay(room, events, joined).await
            }
            Err(error) => {
                if let Some(reason) = kept_out(&error) {
                    self.printer.tell(Event::Left { reason }).await?;
                }
                Err(error.into())
            }
        }
    }

    /// Stays in a room. `first` is an event that was taken from the stream and not told.
    async fn stay(
        &mut self,
        room: RoomHandle,
        mut events: EventStream,
        first: Option<Stamped>,
    ) -> anyhow::Result<()> {
        let _api = api::Server::start(self.node.clone(), self.home).await?;
        if room.is_host()
            && let Some(info) = room.info().await
        {
            let room = Event::Room {
                id: info.id,
                link: info.link,
                title: info.title,
            };
            self.printer.tell(room).await?;
        }
        let mut console = match self.heard.take() {
            Some(heard) => Some(Console::begin(room.clone(), heard, self.printer.prints())?),
            None => None,
        };
        let mut keys = (self.enter_toggles && console.is_none()).then(enter_key);
        let (toggled, mut toggles) = mpsc::channel(1);
        let (mut on, mut left, mut is_read, mut is_vacant) = (false, None, true, false);
        // An event that is still to be printed, and until when it may wait for a reader once this node leaves.
        let (mut waiting, mut patience) = (first, None);
        loop {
            let (leaving, mut wants_to_leave) = (left.is_some(), None);
            let woken = tokio::select! {
                event = events.next(), if waiting.is_none() => Woken::Told(event.map(Box::new)),
                ready = self.printer.ready(), if waiting.is_some() => {
                    let is_read = ready.is_ok();
                    if let (Ok(ready), Some(event)) = (ready, waiting.take()) {
                        ready.send(Print::Event(Box::new(event)));
                    }
                    Woken::Printed { is_read }
                }
                () = self.signals.next() => Woken::Leave(LeftReason::Interrupted),
                () = until(self.deadline), if !leaving => Woken::Leave(LeftReason::Duration),
                () = until(patience), if patience.is_some() && waiting.is_some() => Woken::NotRead,
                () = pressed(&mut keys) => Woken::Toggle,
                Some(result) = toggles.recv() => Woken::Toggled(result),
                wishes = wishes(&mut console) => Woken::Wishes(wishes),
            };
            match woken {
                Woken::Told(None) => break,
                Woken::Told(Some(event)) => {
                    if let Some(console) = &mut console {
                        console.learn(&event.event);
                    }
                    match event.event {
                        Event::Microphone { on: now } => on = now,
                        Event::Left { reason } => left = Some(reason),
                        Event::Vacant => is_vacant = true,
                        _ => {}
                    }
                    waiting = is_read.then_some(*event);
                }
                // A microphone that does not open is told by an event of its own.
                Woken::Toggled(Ok(()) | Err(ActError::Device(_))) => {}
                Woken::Printed { is_read: true } => {}
                Woken::Printed { is_read: false } => {
                    // Nobody reads on: leave as on a signal, and say it no more.
                    is_read = false;
                    leave(&room, LeftReason::Interrupted);
                }
                Woken::NotRead => return Err(NotRead.into()),
                // Asked twice: do not wait for the others.
                Woken::Leave(_) if leaving => break,
                Woken::Leave(reason) => wants_to_leave = Some(reason),
                Woken::Wishes(wishes) => match self.grant(wishes).await? {
                    true if leaving => break,
                    true => wants_to_leave = Some(LeftReason::Interrupted),
                    false => {}
                },
                Woken::Toggle => toggle(&room, !on, toggled.clone()),
                Woken::Toggled(Err(error)) => {
                    let text = error.to_string();
                    self.printer.tell(Event::Warning { text }).await?;
                }
            }
            if let Some(reason) = wants_to_leave {
                left = Some(reason);
                patience = Instant::now().checked_add(printer::PATIENCE);
                leave(&room, reason);
            }
            if let (Some(console), None) = (&mut console, left) {
                self.show_foot(console);
            }
        }
        match left {
            _ if !is_read => Err(NotRead.into()),
            Some(LeftReason::Unreachable) if is_vacant => {
                anyhow::bail!("the host has left the room; join again when it is open again")
            }
            Some(reason) => outcome(reason),
            None => anyhow::bail!("the room closed without a reason; please try again"),
        }
    }
}

/// For a console.
impl Stay<'_> {
    /// Keeps what an event says from before there is a console.
    fn hear(&mut self, event: &Event) {
        if let Some(heard) = &mut self.heard {
            heard.learn(event);
        }
    }

    /// Prints what the console wants printed. Whether it wants to leave.
    async fn grant(&self, wishes: Vec<Wish>) -> Result<bool, NotRead> {
        let mut leaves = false;
        for wish in wishes {
            match wish {
                Wish::Print(print) => self.printer.print(print).await?,
                Wish::Leave => leaves = true,
            }
        }
        Ok(leaves)
    }

    /// Shows what is to stand below the events, where that has changed.
    fn show_foot(&self, console: &mut Console) {
        if let Some(foot) = console.newer_foot()
            && self.printer.foot(foot.clone())
        {
            console.shows(foot);
        }
    }
}

/// What it takes to stay.
impl<'a> Stay<'a> {
    /// A stay of `node` with the seat that was typed, and since when its duration counts; `events` brings the room's
    /// events as soon as it is looked for.
    pub(crate) fn new(
        node: Node,
        home: &'a Path,
        face: Face,
        signals: Signals,
        seat: (&SeatFlags, Instant),
        events: mpsc::Receiver<EventStream>,
    ) -> Self {
        let (seat, started) = seat;
        let has_keys = matches!(face, Face::People(_)) && std::io::stdin().is_terminal();
        let has_console = has_keys && terminal::is_there();
        let voice = seat.voice(has_keys);
        let face = face.with_voice(voice);
        let face = if has_console { face.with_console() } else { face };
        Self {
            node,
            home,
            printer: Printer::new(face),
            signals,
            deadline: seat.duration.and_then(|duration| started.checked_add(duration)),
            enter_toggles: voice == (Voice::Microphone { enter: true }),
            heard: has_console.then(Heard::default),
            early: events,
            told: None,
        }
    }

    /// The same stay, which shows what it is told before the room is reached.
    pub(crate) fn hearing(self, told: mpsc::Receiver<Event>) -> Self {
        Self {
            told: Some(told),
            ..self
        }
    }
}

/// The next event of a room that is looked for, of the newest attempt; never, before the first and after the last.
async fn of_the_room(early: &mut mpsc::Receiver<EventStream>, events: &mut Option<EventStream>) -> Stamped {
    loop {
        let next = async {
            match events.as_mut() {
                Some(events) => events.next().await,
                None => None,
            }
        };
        tokio::select! {
            Some(newer) = early.recv() => *events = Some(newer),
            Some(event) = next => return event,
            else => std::future::pending().await,
        }
    }
}

/// Waits for a time, or for ever where there is none.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// What is told next; never, where nothing is.
async fn told(told: &mut Option<mpsc::Receiver<Event>>) -> Event {
    let event = match told {
        Some(told) => told.recv().await,
        None => None,
    };
    match event {
        Some(event) => event,
        None => std::future::pending().await,
    }
}

/// Leaves beside the loop that goes on showing events, of which the last ends it.
fn leave(room: &RoomHandle, reason: LeftReason) {
    let room = room.clone();
    tokio::spawn(async move { room.leave(reason).await });
}

fn toggle(room: &RoomHandle, on: bool, done: mpsc::Sender<Result<(), ActError>>) {
    let room = room.clone();
    tokio::spawn(async move {
        let result = room.microphone(on).await;
        let _ = done.send(result).await;
    });
}

/// How an event calls it when a room was not reached.
fn kept_out(error: &RoomError) -> Option<LeftReason> {
    match error {
        RoomError::Unreachable { .. } => Some(LeftReason::Unreachable),
        RoomError::Refused(refusal) => Some(refusal.reason.into()),
        RoomError::Ended | RoomError::Cancelled { .. } => Some(LeftReason::Ended),
        RoomError::NotOpened { .. } => Some(LeftReason::Unreachable),
        _ => None,
    }
}

/// The exit of a stay: a person who could not stay has failed, whoever left or was there to the end has not.
fn outcome(reason: LeftReason) -> anyhow::Result<()> {
    match reason {
        LeftReason::Ended | LeftReason::Duration | LeftReason::Interrupted => Ok(()),
        LeftReason::Unreachable => anyhow::bail!(
            "nobody of the room can be reached any more; check the network, then join again with a fresh link"
        ),
        LeftReason::Kicked => {
            anyhow::bail!("you were put out of the room; you may join again in a minute, as a listener")
        }
        LeftReason::Banned => anyhow::bail!(
            "you are banned from the room; only its host, co-hosts and moderators can lift that"
        ),
        _ => anyhow::bail!("the room did not let this node in"),
    }
}

/// What the console asks for next; never, where there is none.
async fn wishes(console: &mut Option<Console>) -> Vec<Wish> {
    match console {
        Some(console) => console.next().await,
        None => std::future::pending().await,
    }
}

/// Waits for a key, for ever where there is no keyboard or it is gone.
async fn pressed(keys: &mut Option<mpsc::Receiver<()>>) {
    let pressed = match keys {
        Some(keys) => keys.recv().await,
        None => None,
    };
    if pressed.is_none() {
        std::future::pending().await
    }
}

/// Each press of Enter. A thread of its own reads: it may wait for ever, and nothing waits for it.
fn enter_key() -> mpsc::Receiver<()> {
    let (pressed, presses) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if line.is_err() || pressed.blocking_send(()).is_err() {
                break;
            }
        }
    });
    presses
}
