//! A room in which a host speaks without a pause and an honest listener hears it: what every attack must leave alone.

use majlis::{
    audio::Input,
    event::{Event, LeftReason, Stats, StreamStats},
    room::{EventStream, Hosting, RoomAction, RoomHandle, Seat},
};
use majlis_protocol::{link::RoomLink, media::Tag, person::Person};

use super::{
    attacker::{Attacker, Intruder, Says},
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
}

/// Plays a scene with an attack in it, and then demands that the listener has lost nothing. A take during which this
/// process was held up says nothing about the attack: it is printed and repeated.
pub(crate) async fn during(attack: impl AsyncFn(&mut Scene)) {
    for take in 1..=TAKES {
        let mut scene = Scene::open().await;
        attack(&mut scene).await;
        scene.sound_goes_on().await;
        let stats = scene.there.info().await.expect("the listener stays").stats;
        let heard = of(&stats, scene.host.node.person());
        scene.close().await;
        if heard.received == heard.expected && heard.lost == 0 && heard.concealed == 0 {
            return;
        }
        assert!(
            stats.stalls > 0 && take < TAKES,
            "the listener lost sound: {stats:?}"
        );
        println!("take {take}: {} stalls, {heard:?}", stats.stalls);
    }
}

impl Scene {
    /// Both nodes, with sound already heard.
    async fn open() -> Self {
        let host = TestNode::start("host").await;
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
        }
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

    /// Waits until more has been heard of the host than until now.
    pub(crate) async fn sound_goes_on(&mut self) {
        let (before, host) = (self.heard().await.received, self.host.node.person());
        wait_for(&mut self.at_listener, "the sound to go on", |event| match event {
            Event::Stats(stats) => (of(stats, host).received >= before + AFTERWARDS).then_some(()),
            _ => None,
        })
        .await;
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

/// What was heard of one person.
pub(crate) fn of(stats: &Stats, speaker: Person) -> StreamStats {
    let found = stats.streams.iter().find(|stream| stream.speaker == speaker);
    found.expect("it was heard").clone()
}
