//! What goes into a member and comes out of it: the vocabulary between the machine and its driver.

use alloc::{boxed::Box, vec::Vec};

use bytes::Bytes;

use crate::{
    identity::Profile,
    link::Address,
    log::Role,
    media::{Complaint, Grade, Tag},
    neighbour::Neighbour,
    person::{Peer, Person},
    reason::Reason,
    signed::{Malformed, Verified},
    stage::Reactions,
    text::Text,
    tree::{Errand, Why},
    wire::message::{Alias, Candidate, Message, Refusal},
};

use super::{Command, CommandId};

/// Which end opened a substream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// This one: it says hello.
    Opener,
    /// The other: it will say hello.
    Receiver,
}

/// What happens to a member.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "inputs are handed over one at a time and never stored"
)]
pub enum Input {
    /// A control substream to a peer is open.
    LinkUp {
        /// Its number, never used before.
        link: Neighbour,
        /// Who the connection proves to be at the other end.
        peer: Peer,
        /// Who opened it.
        side: Side,
    },
    /// It is gone.
    LinkDown {
        /// Which.
        link: Neighbour,
    },
    /// A message came.
    Message {
        /// On which link.
        link: Neighbour,
        /// What it says.
        message: Message,
    },
    /// A message came of a kind that this version does not know and may skip.
    Skipped {
        /// On which link.
        link: Neighbour,
    },
    /// Bytes came that are no message; the link cannot be read on.
    Malformed {
        /// On which link.
        link: Neighbour,
        /// What is wrong with them.
        error: Malformed,
    },
    /// A neighbour sent more forged media packets than an honest one could
    /// ([`crate::media::Relay::note_forged`]).
    Forger {
        /// Which link.
        link: Neighbour,
    },
    /// The media plane holds packets whose speaker knew a newer log than ours.
    SoundAhead,
    /// A round of looking for members ended without a link ([`Output::Dial`]; [`Output::Seek`] is for a place).
    NobodyFound {
        /// What it was for.
        errand: Errand,
    },
    /// A round of looking for members ended without a link, and nobody is left who could be asked: whoever is known to
    /// be in the room is one of [`super::Member::refusers`].
    NobodyLeft,
    /// The media plane finds fault with the parent: another one is to be found.
    Parting {
        /// The parent's link.
        link: Neighbour,
        /// What is wrong.
        complaint: Complaint,
    },
    /// Several children at once lose what the media plane pushes to them: fewer are to be served.
    Strained,
    /// The standby says nothing: another one is to be found.
    StandbySilent {
        /// The standby's link.
        link: Neighbour,
    },
    /// The person wants something.
    Command {
        /// For the answer.
        id: CommandId,
        /// What.
        command: Command,
    },
    /// The person wants to know who listens.
    Audience {
        /// For the answer.
        id: CommandId,
        /// Which page of [`crate::limits::AUDIENCE`] places, from 0.
        page: u32,
    },
    /// The microphone here, or what stands for it, was opened or closed.
    Microphone {
        /// Whether sound goes out.
        on: bool,
    },
    /// How well the room is heard here has changed ([`crate::media::Hearing`]).
    Hearing(Grade),
    /// This peer can be reached elsewhere now.
    Addresses(Vec<Address>),
    /// The person leaves.
    Leave,
    /// [`super::Member::poll_timeout`] has passed.
    Timeout,
}

/// What its driver does for a member.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Append this record to the room's log file and sync it, before anything that follows.
    Store(Bytes),
    /// Append this record, but not at once: at the latest with the next [`Output::Store`], or a second later. Others have
    /// it too, and a long log has too many to wait for the disk with each batch.
    StoreLater(Bytes),
    /// Put these records in the place of all that the room's log file holds, at once or not at all, and sync it, before
    /// anything that follows: another history is followed now.
    StoreAnew(Vec<Bytes>),
    /// Keep this for the next time that this person comes to the room, in the place of what was kept before:
    /// [`super::Member::resume_pass`] takes it.
    StorePass(Bytes),
    /// Send a message.
    Send {
        /// On which link.
        to: Neighbour,
        /// What.
        message: Box<Message>,
    },
    /// Close a link once what was sent on it is out. No [`Input::LinkDown`] is needed after it.
    Close(Neighbour),
    /// Connect to one of these peers, whoever is reached first, and open a substream.
    Dial {
        /// What for: to be named when nobody is reached.
        errand: Errand,
        /// Whom.
        candidates: Vec<Candidate>,
    },
    /// Find any member of the room but the [`super::Member::refusers`], by whatever means there are, and open a
    /// substream to it.
    Seek,
    /// Tell the media plane.
    Route(Route),
    /// This program is on the stage now, or no longer.
    Stage(Option<OnStage>),
    /// A command was carried out, or refused.
    Done {
        /// Which.
        command: CommandId,
        /// The sequence of its entry in this member's log, or why not.
        result: Result<u32, Refusal>,
    },
    /// The answer to [`Input::Audience`].
    Audience {
        /// To which.
        command: CommandId,
        /// Who is in the audience, as far as that page goes, and whether there may be a next one; or why it is not known.
        result: Result<(Vec<Verified<Profile>>, bool), Refusal>,
    },
    /// Something happened that people may want to see.
    Event(Event),
}

/// How sound may flow from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// A link belongs to the room; datagrams on it begin with the other side's alias.
    Open {
        /// Which link.
        link: Neighbour,
        /// Who is at the other end.
        peer: Peer,
        /// Its alias.
        alias: Alias,
    },
    /// A link no longer does.
    Closed(Neighbour),
    /// Sound comes down from this link, or from nowhere.
    Parent(Option<Neighbour>),
    /// Digests come from this link, and what is missing is pulled from it; or there is none such.
    Standby(Option<Neighbour>),
    /// A link takes sound, or no longer does.
    Child {
        /// Which link.
        link: Neighbour,
        /// Whether it does.
        added: bool,
    },
    /// A link takes digests and may pull, or no longer does.
    StandbyChild {
        /// Which link.
        link: Neighbour,
        /// Whether it does.
        added: bool,
    },
    /// Own sound goes out on this link, beside the children's, or no longer does.
    Uplink {
        /// Which link.
        link: Neighbour,
        /// Whether it does.
        added: bool,
    },
    /// A person may send sound under a tag.
    Grant {
        /// The tag of the stay.
        tag: Tag,
        /// Whose.
        person: Person,
    },
    /// Sound under a tag is refused.
    Revoke(Tag),
    /// Sound under a tag is refused while its stay goes on.
    Mute(Tag),
    /// Sound under a tag is welcome again.
    Unmute {
        /// The tag of the stay.
        tag: Tag,
        /// The oldest entry that such sound may name: what names an older one was spoken before.
        since: u32,
    },
    /// Sound under a tag may come up on this link, because its speaker is at the other end; or on none.
    Source {
        /// The tag of the stay.
        tag: Tag,
        /// The speaker's own link.
        link: Option<Neighbour>,
    },
    /// Bits a second that one speaker may send, as the genesis says.
    Bitrate(u32),
    /// The newest entry applied here.
    Head(u32),
}

/// What a program needs to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnStage {
    /// The tag of its packets.
    pub tag: Tag,
    /// Their epoch: room clock in seconds, above every epoch this machine used before.
    pub epoch: u32,
}

/// What people may want to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// This member has its first place in the room.
    Joined {
        /// In which role.
        role: Role,
        /// The parent, none for the root.
        parent: Option<Peer>,
        /// Hops from the root.
        depth: u32,
        /// Whether the parent is the chair itself, and every signature in the log was checked.
        confirmed: bool,
    },
    /// Every signature of a long log, which was taken in on the word of its chairs, is checked now.
    Verified {
        /// Its entries.
        entries: u32,
    },
    /// The parent changed.
    Parent {
        /// The new one; none while there is none, and for one that became the root.
        peer: Option<Peer>,
        /// Hops from the root.
        depth: u32,
        /// Why.
        why: Why,
    },
    /// The standby changed.
    Standby(Option<Peer>),
    /// A child came or went.
    Child {
        /// Which.
        peer: Peer,
        /// Whether it came.
        added: bool,
    },
    /// An entry was applied.
    Entry {
        /// Its sequence.
        sequence: u32,
        /// Its term.
        term: u32,
        /// Its room clock in milliseconds.
        clock_ms: u64,
        /// The action's name.
        action: &'static str,
        /// Who did it.
        author: Person,
        /// To whom.
        subject: Option<Person>,
        /// What the room is called from here on.
        title: Option<Text>,
        /// The link that it pins, or takes off again.
        link: Option<Text>,
        /// Why, where the author said so.
        reason: Option<Text>,
        /// The role that it gives.
        granted: Option<Role>,
        /// How long a ban lasts, in milliseconds; none for one without an end, and for everything else.
        lasts_ms: Option<u64>,
        /// Whether the chair took it over from a history that was given up.
        carried: bool,
    },
    /// The chair is gone, and nobody is there who could take it: the room is over until one of them opens it again. This
    /// member leaves.
    Vacant,
    /// An entry was here and is no more: another history is followed, and it did not come back; or it turned out to be
    /// forged.
    Lost {
        /// The action's name.
        action: &'static str,
        /// Who did it.
        author: Person,
        /// To whom.
        subject: Option<Person>,
        /// Why it did not come back.
        reason: Reason,
    },
    /// A person has another role.
    Role {
        /// Who.
        person: Person,
        /// Which.
        role: Role,
    },
    /// A person came onto the stage, or left it.
    Stage {
        /// Who.
        person: Person,
        /// Whether they are on it.
        on: bool,
    },
    /// A person on the stage was muted, or may be heard again once they open their microphone.
    Muted {
        /// Who.
        person: Person,
        /// Which.
        muted: bool,
    },
    /// Another person took the word from this one: what is buffered of it is not to be heard. Who leaves the stage by
    /// itself is heard out.
    Silenced(Person),
    /// A hand went up or down.
    Hand {
        /// Whose.
        person: Person,
        /// What that person is called.
        nick: Text,
        /// Which.
        raised: bool,
    },
    /// A person on the stage says that its microphone is open, or no longer.
    Microphone {
        /// Who.
        person: Person,
        /// Which.
        on: bool,
    },
    /// Someone wrote a line in the chat.
    Chat {
        /// Who.
        person: Person,
        /// What that person is called.
        nick: Text,
        /// The line.
        text: Text,
    },
    /// A banned person says something to those who keep order, of whom this one is.
    Appeal {
        /// Who.
        person: Person,
        /// What.
        text: Text,
    },
    /// So many reacted since the last sum.
    Reactions(Reactions),
    /// The room has another title.
    Title(Text),
    /// Someone on the stage has a name.
    Profile(Verified<Profile>),
    /// Who writes the log.
    Chair {
        /// The person.
        person: Person,
        /// In which term.
        term: u32,
    },
    /// This person told two stories as the chair, which is proven.
    Exposed(Person),
    /// Where sound enters the tree.
    Root(Peer),
    /// The estimate of how many listen.
    Listeners(u32),
    /// A neighbour did what it must not and was cut off.
    Misbehaved {
        /// Who.
        peer: Peer,
        /// What.
        reason: Reason,
    },
    /// The log holds an act that this program does not know: it relays no more.
    UpdateNeeded,
    /// It is over for this member.
    Left(Left),
}

/// Why it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// The room has ended.
    Ended,
    /// The person left.
    Interrupted,
    /// Nobody of the room can be reached.
    Unreachable,
    /// The room did not let this member in, put it out, or it must not go on.
    Refused(Refusal),
}

/// Why [`super::Member::poll_timeout`] names that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// A link has not been greeted in time.
    Greeting,
    /// Something in the relay tree is due.
    Tree,
    /// The chair's beacon is due.
    Beacon,
    /// A command has waited too long for the chair.
    Command,
    /// The chair has been silent for too long.
    Chair,
    /// This member may take the chair.
    Succession,
    /// The parent has not brought an entry that there is.
    Log,
    /// Signatures of the log are still to be checked.
    Behind,
    /// A hand is to be held up, a microphone to be marked, or the queue of hands to be told.
    Stage,
}
