//! Every bound the wire knows, each with its reason.
//!
//! A bound is part of the protocol: two programs that disagree on one disagree on which rooms exist.

/// Most bytes of one control frame's kind and body. A catch-up batch fills half of it; a neighbour can make
/// us hold no more than this for one link.
pub const CONTROL_FRAME: usize = 65_536;

/// Most bytes of entries that one `entries` message carries. Half a frame, so that a batch with its largest
/// entry always fits.
pub const ENTRIES_BATCH: usize = 32_768;

/// Most bytes of a genesis. The description is the largest part; larger and it would not fit an announcement.
pub const GENESIS: usize = 4_096;

/// Most bytes of an action. The reserved group action of private rooms needs this much.
pub const ACTION: usize = 16_384;

/// Most bytes of a log entry: an action, its signature and the chain around it.
pub const ENTRY: usize = 20_480;

/// Most bytes of all entries of one log, counted as signed entries. Some 40,000 acts of ordinary size: a
/// meeting that runs for a year. Every member holds the log, so a host without this bound could fill their
/// memory. `end` is accepted beyond it, so that a full room can still be closed.
pub const LOG: usize = 16 * 1_024 * 1_024;

/// The end of the log, in bytes, in which only what the host asks for is written: whoever fills a log cannot keep the
/// host from taking the chair back and putting them out. Some 2,500 acts of ordinary size.
pub const LOG_OF_THE_HOST: usize = 1_024 * 1_024;

/// The latest time that a room clock shows, in milliseconds: 68 years. No room lives to see it; a chair that jumps to it
/// stops the room's clock, and sums with it still fit everywhere.
pub const CLOCK_MS: u64 = (1 << 31) * 1_000;

/// Most bytes of a beacon; the largest that version 1 can make has 219.
pub const BEACON: usize = 256;

/// Most people on the stage, the host included. Each may cost every listener a decoder and a jitter buffer, and
/// their profiles go in one message.
pub const STAGE: usize = 32;

/// Most invitations open at once: two stages full.
pub const INVITATIONS: usize = 64;

/// Most hands raised at once. A list of all, with the longest nicknames, is sent down every link when it changes; who
/// would be beyond waits for hours anyway.
pub const HANDS: usize = 64;

/// Most bytes of the queue of hands: 64 of 108 bytes, and 80 around them.
pub const HAND_LIST: usize = 8_192;

/// Most bytes of a line in the chat: two sentences, also in scripts that take three bytes a character.
pub const CHAT: usize = 400;

/// Least time between two lines of one person in the chat, in milliseconds: nobody writes faster.
pub const CHAT_APART_MS: u64 = 1_000;

/// Longest slow mode, in seconds: an hour. Who is to write less may not write.
pub const SLOW_MODE_S: u16 = 3_600;

/// Most bytes of an appeal: two sentences, which fit one extension of a `hello` with what proves them.
pub const APPEAL: usize = 180;

/// Most links that are pinned at once: what a glance takes in.
pub const PINS: usize = 8;

/// Most bytes of a pinned link.
pub const PIN: usize = 512;

/// Shortest and longest time that a speaker may be given, in seconds: less is no turn, and more than ten hours no limit.
pub const SPEAKING_TIME_S: core::ops::RangeInclusive<u16> = 10..=36_000;

/// Most names in a page of the audience: 3 KB.
pub const AUDIENCE: usize = 16;

/// Most kinds of reactions in a sum: room for as many again as there are.
pub const REACTIONS: usize = 16;

/// Most people on a guest list. Each costs every member some 50 bytes.
pub const GUESTS: usize = 4_096;

/// Most people in a message that asks for passes, and passes in one that brings them: 6 KB.
pub const PASSES: usize = 32;

/// Most bytes of a note: a nickname, or a line of chat, and 90 around it.
pub const NOTE: usize = 1_024;

/// Most co-hosts and moderators of a room together. More than ever keep order at once; each is one more who can.
pub const OFFICERS: usize = 64;

/// Most people muted at once: every seat of the stage, eight times over, since a mute outlasts a stay.
pub const MUTES: usize = 256;

/// Most people kept out at once. Keys are free, so a list can always be outgrown; what helps then is another room.
/// Each costs every member some 300 bytes.
pub const BANS: usize = 4_096;

/// How long a kicked person is kept out, in milliseconds of room clock: long enough to notice that it was meant.
pub const KICK_MS: u64 = 60_000;

/// Most bytes of an announcement: a genesis and eight addresses.
pub const ANNOUNCEMENT: usize = 8_192;

/// Most bytes of a media packet. Two bytes of alias and two of length make 1,104, which fits the first
/// datagrams of a QUIC connection, before it has found out what its path carries.
pub const MEDIA_PACKET: usize = 1_100;

/// Most bytes of a datagram between two members; the smallest packet that QUIC demands of every path.
pub const DATAGRAM: usize = 1_200;

/// Most primary frames in one media packet: 60 ms. More would cost more delay than it saves overhead.
pub const PRIMARY_FRAMES: usize = 3;

/// Most redundant frames in one media packet.
pub const REDUNDANT_FRAMES: usize = 3;

/// Farthest that a redundant frame may lie behind its packet's sequence: one second. Older sound is past
/// every playout deadline.
pub const REDUNDANT_OFFSET: u8 = 50;

/// Most runs of frames in one pull. Single losses of a stream lie apart, each a run of its own; half a second of three
/// speakers that loses every other frame still fits, and so does the item in a datagram.
pub const PULL_RUNS: usize = 64;

/// Most frames in one run of a pull: two seconds, which is all that anyone keeps.
pub const PULL_FRAMES: u8 = 100;

/// Longest time that a heartbeat or a digest may promise the next in, in milliseconds. A longer one would put off
/// every suspicion.
pub const PROMISE_MS: u16 = 1_000;

/// Most bytes of one Opus frame. 20 ms at 256 kbit/s are 640.
pub const OPUS_FRAME: usize = 1_000;

/// Most bytes of a room's title: a line, also in scripts that take three bytes a character.
pub const TITLE: usize = 200;

/// Most bytes of a room's description: a paragraph.
pub const DESCRIPTION: usize = 2_000;

/// Most bytes of a nickname.
pub const NICK: usize = 64;

/// Most bytes of a tag; the Kademlia key does not grow with it, the gossip topic does.
pub const TAG: usize = 32;

/// Most tags of a room. Each is one more topic and one more provider record for every member.
pub const TAGS: usize = 5;

/// Most bytes of a BCP 47 language tag, as RFC 5646 recommends.
pub const LANGUAGE: usize = 35;

/// Most bytes of a text for people in a refusal, and of the reason that an act of moderation gives.
pub const REASON: usize = 200;

/// Most bytes of a multiaddr in text.
pub const ADDRESS: usize = 256;

/// Most addresses in a message, an announcement or a link. With more, a hostile record makes us dial strangers.
pub const ADDRESSES: usize = 8;

/// Most bytes of a link; what QR codes and chat programs still carry.
pub const LINK: usize = 2_048;

/// Most extensions of one structure, and most bytes of the body of one.
pub const EXTENSIONS: usize = 8;
/// Most bytes of one extension's body.
pub const EXTENSION: usize = 256;

/// Most peers on a path from the root. Fan-out 8 reaches two million listeners in eight hops; more is a loop
/// or a lie.
pub const DEPTH: usize = 32;

/// Most announcements in one directory answer.
pub const DIRECTORY_ANSWER: usize = 64;

/// Most profiles in one message; more than a stage holds.
pub const PROFILES: usize = 64;

/// Farthest that an action's expiry may lie ahead of the room clock its author knew, in milliseconds. Long
/// enough for a slow path to the chair, short enough that a withheld action cannot be sprung on a room later.
pub const ACTION_LIFETIME_MS: u64 = 30_000;

/// Longest validity of a live announcement, in seconds. A room whose host was killed leaves the lists after this.
pub const LIVE_ANNOUNCEMENT_S: u64 = 600;

/// How far ahead a room is announced at most, in seconds. Whoever is asked to keep a record of a room keeps it for so
/// long, whether its host ever comes or not.
pub const SCHEDULE_AHEAD_S: u64 = 30 * 86_400;

/// How long after its start a room that has not opened is still listed as planned, in seconds: hosts are late.
pub const SCHEDULE_KEPT_S: u64 = 3_600;

/// How long after its expiry an act of moderation may still be taken over from a history that was given up, in
/// milliseconds of room clock. A network that was in two parts for longer has to say again what it did; every member
/// remembers for as long which acts were applied, so that none is taken over twice.
pub const CARRIED_MS: u64 = 600_000;

/// Most candidates in one redirect. More would make us dial strangers for a stranger.
pub const CANDIDATES: usize = 4;
