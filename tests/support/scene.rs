//! A room in which a host speaks without a pause and an honest listener hears it: what every attack must leave alone.

use majlis::{
    audio::Input,
    event::{Event, LeftReason, ParentReason, Stats, StreamStats},
    node::Config,
    room::{EventStream, Hosting, RoomAction, RoomHandle, Seat},
};
use majlis_protocol::{
    link::RoomLink,
    media::Tag,
    person::{Peer, Person},
};

use super::{
    attacker::{Attacker, Intruder, Says, until},
    ear,
    nodes::{TestNode, wait_for},
};

/// How often a scene is played in which the machine itself stood still.
const TAKES: usize = 3;

/// Frames that must come after an attack before it is said that the sound goes on.
const AFTERWARDS: u64 = 25;

/// A host that speaks, and a listener that hears it.
pub(crate) struct Scene {
    pub(crate) host: TestNode,
    pub(crate) room: RoomHandle,
    pub(crate) at_host: EventStream,
    pub(crate) link: RoomLink,
    pub(crate) listener: TestNode,
    pub(crate) there: RoomHandle,
    at_listener: EventStream,
    /// More who must lose nothing.
    audience: Vec<Listener>,
}

/// One more listener, wherever it found a place.
pub(crate) struct Listener {
    pub(crate) node: TestNode,
    pub(crate) there: RoomHandle,
    events: EventStream,
}

/// Which of a scene's audience.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seated(usize);

/// Plays a scene with an attack in it, and then demands that the audience has lost nothing. A take during which this
/// process was held up says nothing about the attack: it is printed and repeated.
pub(crate) async fn during(attack: impl AsyncFn(&mut Scene)) {
    during_of(|config| config, attack).await;
}

/// The same at a host with other settings.
pub(crate) async fn during_of(at_host: impl Fn(Config) -> Config, attack: impl AsyncFn(&mut Scene)) {
    for take in 1..=TAKES {
        let mut scene = Scene::open(&at_host).await;
        attack(&mut scene).await;
        scene.sound_goes_on().await;
        let heard = scene.all_heard().await;
        let stalls = scene.there.info().await.expect("the listener stays").stats.stalls;
        scene.close().await;
        let is_whole = |stream: &StreamStats| {
            stream.received == stream.expected && stream.lost == 0 && stream.concealed == 0
        };
        if heard.iter().all(is_whole) {
            return;
        }
        assert!(stalls > 0 && take < TAKES, "the audience lost sound: {heard:?}");
        println!("take {take}: {stalls} stalls, {heard:?}");
    }
}

impl Scene {
    /// Both nodes, with sound already heard.
    async fn open(at_host: impl Fn(Config) -> Config) -> Self {
        let host = TestNode::with("host", at_host).await;
        let listener = TestNode::start("listener").await;
        let said = host.home.path().join("said.wav");
        ear::clip(&ear::speech()[0], 2, &said);
        let seat = Seat {
            wait_listeners: 1,
            repeat: true,
            ..Seat::default().input(Input::File(said))
        };
        let hosting = Hosting::titled("Poems").seat(seat);
        let room = host.node.host(hosting).await.expect("a room");
        let at_host = room.events();
        let link = room.info().await.expect("open").link;
        let there = listener.node.join(&link, Seat::default()).await.expect("a place");
        let mut at_listener = there.events();
        wait_for(&mut at_listener, "first_audio", |event| {
            matches!(event, Event::FirstAudio { .. }).then_some(())
        })
        .await;
        Self {
            host,
            room,
            at_host,
            link,
            listener,
            there,
            at_listener,
            audience: Vec::new(),
        }
    }

    /// Seats one more in the audience, who joins by a link and hears the host.
    pub(crate) async fn seat(&mut self, nick: &str, link: &RoomLink) -> Seated {
        let node = TestNode::start(nick).await;
        let there = node.node.join(link, Seat::default()).await.expect("a place");
        let events = there.events();
        self.audience.push(Listener { node, there, events });
        let seated = Seated(self.audience.len() - 1);
        until("the host to be heard", async || {
            self.hears(seated).await.is_some()
        })
        .await;
        seated
    }

    /// One of the audience.
    pub(crate) fn at(&self, seated: Seated) -> &Listener {
        &self.audience[seated.0]
    }

    /// What one of the audience has heard of the host, if anything yet.
    async fn hears(&self, seated: Seated) -> Option<StreamStats> {
        let stats = self.at(seated).stats().await;
        let host = self.host.node.person();
        stats.streams.into_iter().find(|stream| stream.speaker == host)
    }

    /// Waits until one of the audience takes its sound from a peer, because it left the parent before.
    pub(crate) async fn moves(&mut self, seated: Seated, to: Peer) {
        let events = &mut self.audience[seated.0].events;
        let why = wait_for(events, "another parent", |event| match event {
            Event::Parent { peer, reason, .. } if *peer == Some(to) => Some(*reason),
            _ => None,
        })
        .await;
        assert_eq!(why, ParentReason::Failover);
    }

    /// Waits until one of the audience has applied a log entry of this kind.
    pub(crate) async fn learns_of(&mut self, seated: Seated, what: &str) {
        let events = &mut self.audience[seated.0].events;
        wait_for(events, what, |event| match event {
            Event::Log { action, .. } => (action == what).then_some(()),
            _ => None,
        })
        .await;
    }

    /// What everybody has heard of the host.
    async fn all_heard(&self) -> Vec<StreamStats> {
        let mut heard = vec![self.heard().await];
        for seated in (0..self.audience.len()).map(Seated) {
            heard.push(self.hears(seated).await.expect("it was heard"));
        }
        heard
    }

    /// What the host has counted.
    pub(crate) async fn counts(&self) -> Stats {
        self.room.info().await.expect("the room goes on").stats
    }

    /// What the listener has heard of the host.
    pub(crate) async fn heard(&self) -> StreamStats {
        let stats = self.there.info().await.expect("the listener stays").stats;
        of(&stats, self.host.node.person())
    }

    /// Waits until everybody has heard more of the host than until now.
    pub(crate) async fn sound_goes_on(&mut self) {
        let before: Vec<u64> = self
            .all_heard()
            .await
            .iter()
            .map(|stream| stream.received)
            .collect();
        let host = self.host.node.person();
        let listeners = self.audience.iter_mut().map(|listener| &mut listener.events);
        for (events, before) in std::iter::once(&mut self.at_listener)
            .chain(listeners)
            .zip(before)
        {
            wait_for(events, "the sound to go on", |event| match event {
                Event::Stats(stats) => (of(stats, host).received >= before + AFTERWARDS).then_some(()),
                _ => None,
            })
            .await;
        }
    }

    /// An attacker that the host has let in, with a child's place.
    pub(crate) async fn intruder(&self) -> Intruder {
        let mut intruder = Attacker::start().await.enter(&self.link).await;
        intruder.attach().await;
        intruder
    }

    /// An attacker that the host has let onto the stage, and what its packets say.
    pub(crate) async fn speaker(&self) -> (Intruder, Says) {
        let mut intruder = self.intruder().await;
        let says = self.give_the_stage(&mut intruder).await;
        (intruder, says)
    }

    /// Gives an attacker the stage.
    pub(crate) async fn give_the_stage(&self, intruder: &mut Intruder) -> Says {
        let invite = RoomAction::Invite(intruder.attacker.person());
        self.room.act(invite).await.expect("the host may");
        let tag = intruder.take_the_stage().await;
        let log = intruder.log.head().sequence;
        Says {
            tag,
            epoch: 1_000,
            sequence: 0,
            log,
        }
    }

    /// The tag of the host's own packets.
    pub(crate) fn hosts_tag(&self) -> Tag {
        Tag::of(&self.link.room.0)
    }

    /// Ends the room, which the listener hears of.
    async fn close(mut self) {
        self.room.act(RoomAction::End).await.expect("the host may");
        let reason = wait_for(&mut self.at_listener, "left", |event| match event {
            Event::Left { reason } => Some(*reason),
            _ => None,
        })
        .await;
        assert_eq!(reason, LeftReason::Ended);
    }
}

impl Listener {
    pub(crate) fn peer(&self) -> Peer {
        self.node.node.peer()
    }

    /// Where it can be joined.
    pub(crate) fn link(&self) -> RoomLink {
        RoomLink {
            room: self.there.id(),
            via: self.node.node.addresses(),
        }
    }

    /// What it has counted.
    pub(crate) async fn stats(&self) -> Stats {
        self.there.info().await.expect("it stays").stats
    }

    /// From whom it takes its sound.
    pub(crate) async fn parent(&self) -> Option<Peer> {
        self.there.info().await.expect("it stays").parent
    }

    /// Waits until a peer would step in for its parent.
    pub(crate) async fn has_in_reserve(&self, peer: Peer) {
        until("a standby", async || self.stats().await.standby == Some(peer)).await;
    }
}

/// What was heard of one person.
pub(crate) fn of(stats: &Stats, speaker: Person) -> StreamStats {
    let found = stats.streams.iter().find(|stream| stream.speaker == speaker);
    found.expect("it was heard").clone()
}
