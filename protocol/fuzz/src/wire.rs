//! What comes off the wire: control frames, datagrams, media packets, the directory.

use bytes::Bytes;
use majlis_protocol::{
    announcement::Listing,
    limits,
    media::{Draft, Packet},
    person::{Peer, PersonKey},
    room::RoomId,
    signed::Malformed,
    wire::{
        datagram::{BadDatagram, Builder, Datagram, Item},
        directory::{self, Answer, Keeping, Query},
        frame::{Frame, FrameReader},
        message::Message,
    },
};

/// Control frames of a substream. The first byte says in pieces of how many bytes it comes.
pub fn frames(data: &[u8]) -> bool {
    let Some((first, stream)) = data.split_first() else {
        return false;
    };
    let (frames, error) = read([stream].into_iter());
    let pieces = read(stream.chunks(usize::from(first % 97) + 1));
    assert_eq!(
        pieces,
        (frames.clone(), error),
        "the pieces in which a stream comes do not matter"
    );
    let mut understood = false;
    for frame in frames {
        let bytes = frame.encode().expect("what came in a frame fits one");
        assert_eq!(read([&bytes[..]].into_iter()), (vec![frame.clone()], None));
        if let Ok(Some(message)) = Message::decode(&frame) {
            reads_back(&message);
            understood = true;
        }
    }
    understood
}

/// A message that may be sent: it fits a frame, and the other end reads what was meant.
pub fn reads_back(message: &Message) {
    let bytes = message
        .encode()
        .unwrap_or_else(|error| panic!("{error}: {message:?}"));
    let (frames, error) = read([&bytes[..]].into_iter());
    assert_eq!((frames.len(), error), (1, None));
    assert_eq!(Message::decode(&frames[0]).as_ref(), Ok(&Some(message.clone())));
}

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<Malformed>) {
    let mut reader = FrameReader::default();
    let mut frames = Vec::new();
    for piece in pieces {
        reader.push(piece);
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(
            reader.buffered() < 4 + limits::CONTROL_FRAME,
            "more than a frame is held"
        );
    }
    (frames, None)
}

/// A datagram and its items. Each has one encoding.
pub fn datagram(data: &[u8]) -> bool {
    let Ok(Datagram { alias, items }) = Datagram::parse(Bytes::copy_from_slice(data)) else {
        return false;
    };
    let mut builder = Builder::new(alias, limits::DATAGRAM);
    let mut read = Vec::new();
    let mut items = items.peekable();
    while let Some(item) = items.next() {
        match item {
            Ok(item) => {
                let bytes = written(&item);
                assert!(
                    builder.push(&bytes),
                    "what came in one datagram does not fit another"
                );
                assert!(
                    data.windows(bytes.len()).any(|window| window == bytes),
                    "an item was written otherwise than it came"
                );
                read.push(item);
            }
            Err(BadDatagram::Item(_)) => {}
            Err(_) => assert!(items.peek().is_none(), "an item after a wrong length"),
        }
    }
    let bytes = builder.finish();
    assert!(bytes.len() <= data.len());
    let again = Datagram::parse(bytes).expect("what was built is a datagram");
    assert_eq!(again.alias, alias);
    let again: Vec<Item> = again
        .items
        .map(|item| item.expect("what was built reads back"))
        .collect();
    assert_eq!(again, read);
    !read.is_empty()
}

fn written(item: &Item) -> Bytes {
    match item {
        Item::Media(packet) => Ok(packet.clone()),
        Item::Heartbeat(report) => report.encode_heartbeat(),
        Item::Digest(report) => report.encode_digest(),
        Item::Pull(pull) => pull.encode(),
        other => panic!("{other:?} has no encoding here"),
    }
    .expect("what can be read can be written")
}

/// A media packet. It has one encoding: a draft with the same content makes the same bytes.
pub fn packet(data: &[u8]) -> bool {
    let tag = Packet::peek_tag(data);
    let packet = match Packet::parse(Bytes::copy_from_slice(data)) {
        Ok(packet) => packet,
        Err(error) => {
            assert!(!error.name().is_empty());
            return false;
        }
    };
    let header = *packet.header();
    assert_eq!(tag, Some(header.tag));
    assert_eq!(packet.bytes(), data);
    let primary: Vec<_> = packet.frames().collect();
    let redundant: Vec<_> = packet
        .redundant()
        .map(|frame| {
            let back = u8::try_from(header.sequence - frame.sequence).expect("an offset is a byte");
            assert_eq!(header.time - frame.time, u32::from(back));
            (back, frame.opus)
        })
        .collect();
    let opus: usize = primary
        .iter()
        .map(|frame| &frame.opus)
        .chain(redundant.iter().map(|(_, opus)| opus))
        .map(Bytes::len)
        .sum();
    assert_eq!(
        (packet.frame_count() as usize, packet.opus_bytes() as usize),
        (primary.len(), opus)
    );

    let key = PersonKey::from_seed(&[1; 32]);
    let verifier = key.person().verifier().expect("a key");
    let room = RoomId([7; 32]);
    let own = Draft {
        header,
        frames: &primary.iter().map(|frame| &frame.opus[..]).collect::<Vec<_>>(),
        redundant: &redundant
            .iter()
            .map(|(back, opus)| (*back, &opus[..]))
            .collect::<Vec<_>>(),
    }
    .sign(room, &key)
    .expect("what can be read can be written");
    let signature = data.len() - 64;
    assert_eq!(&own.packet().bytes()[..signature], &data[..signature]);
    assert_eq!(own.packet().verify(&room, &verifier), Ok(()));
    let genuine = own.packet().bytes() == data;
    assert_eq!(
        packet.verify(&room, &verifier).is_ok(),
        genuine,
        "a signature has one form"
    );
    true
}

/// The directory. The first byte says whether the rest is a question, an answer or gossip.
pub fn directory(data: &[u8]) -> bool {
    let Some((first, rest)) = data.split_first() else {
        return false;
    };
    if let Ok(keeping) = Keeping::decode(rest) {
        assert_eq!(Keeping::decode(&keeping.encode()), Ok(keeping));
        return true;
    }
    let announcements = match first % 3 {
        0 => {
            let Ok(query) = Query::decode(rest) else {
                return false;
            };
            assert_eq!(Query::decode(&query.encode()), Ok(query));
            return true;
        }
        1 => {
            let Ok(answer) = Answer::decode(rest) else {
                return false;
            };
            assert_eq!(Answer::decode(&answer.encode()), Ok(answer.clone()));
            answer.announcements
        }
        _ => {
            let Ok(announcement) = directory::decode_gossip(rest) else {
                return false;
            };
            let bytes = directory::encode_gossip(&announcement);
            assert_eq!(directory::decode_gossip(&bytes), Ok(announcement.clone()));
            vec![announcement]
        }
    };
    for signed in announcements {
        let now = signed.peek().map_or(0, |announcement| announcement.issued);
        for from in [None, Some(Peer([1; 32]))] {
            if let Ok(listing) = Listing::verify(signed.clone(), now, from) {
                assert_eq!(RoomId::of(listing.genesis()), listing.announcement().room);
                assert_eq!(listing.genesis().host, listing.announcement().chair);
                assert!(!listing.is_newer_than(&listing));
            }
        }
    }
    true
}
