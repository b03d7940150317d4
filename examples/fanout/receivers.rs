//! Those who receive: peers that speak just enough to be a relay's children, and bare sockets.
//!
//! A child is a connection of the project's QUIC transport and one substream on it. There is no swarm around it: five
//! hundred full nodes would measure themselves.

use std::{future::poll_fn, net::Ipv4Addr, pin::Pin};

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use futures::{
    AsyncReadExt as _, AsyncWriteExt as _, StreamExt as _, TryStreamExt as _,
    stream::{self},
};
use libp2p::{
    Multiaddr, Transport as _,
    core::{
        Endpoint,
        muxing::StreamMuxer,
        transport::{DialOpts, PortUse},
    },
    identity::Keypair,
};
use majlis::net::{
    ROOM_PROTOCOL,
    quic::{Config, Connection, Stream, Transport},
};
use majlis_protocol::{
    limits,
    log::Head,
    person::PersonKey,
    room::RoomId,
    wire::{
        frame::FrameReader,
        message::{Alias, Attach, Hello, Message},
    },
};
use tokio::net::UdpSocket;

use crate::{feeder, part, speech::Tally};

/// How many children come at once. More would be refused: a node accepts so many handshakes at a time.
const AT_ONCE: usize = 16;

/// The first line of every libp2p substream, behind its length.
const MULTISTREAM: &str = "/multistream/1.0.0";

/// Attaches children to a relay, and answers for them.
pub(crate) async fn run_children(at: &Multiaddr, room: RoomId, children: usize) -> anyhow::Result<()> {
    let tallies: Vec<Tally> = stream::iter(0..children)
        .map(|_| attach(at, room))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    println!("attached");
    answer(&tallies).await
}

/// Binds sockets, says their ports, and answers for them.
pub(crate) async fn run_sockets(children: usize) -> anyhow::Result<()> {
    let mut tallies = Vec::new();
    let mut ports = Vec::new();
    for _ in 0..children {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        ports.push(socket.local_addr()?.port().to_string());
        let tally = Tally::default();
        tallies.push(tally.clone());
        tokio::spawn(async move {
            let mut buffer = [0; limits::DATAGRAM];
            while let Ok(size) = socket.recv(&mut buffer).await {
                tally.note(Bytes::copy_from_slice(&buffer[..size]));
            }
        });
    }
    println!("{}", ports.join(" "));
    answer(&tallies).await
}

/// Lines of two times open a window; an empty one asks for all delays in it, which are answered in order.
async fn answer(tallies: &[Tally]) -> anyhow::Result<()> {
    let mut heard = part::heard();
    while let Some(line) = heard.recv().await {
        if let Some((from, to)) = line.split_once(' ') {
            let (from, to) = (from.parse()?, to.parse()?);
            tallies.iter().for_each(|tally| tally.open(from, to));
        } else {
            let mut delays: Vec<u32> = tallies.iter().flat_map(Tally::take).collect();
            delays.sort_unstable();
            let at = |share: f64| {
                delays
                    .get((delays.len() as f64 * share) as usize)
                    .copied()
                    .unwrap_or(0)
            };
            println!("{} {} {}", delays.len(), at(0.5), at(0.99));
        }
    }
    Ok(())
}

/// A child with a key of its own.
async fn attach(at: &Multiaddr, room: RoomId) -> anyhow::Result<Tally> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let key = PersonKey::from_seed(&seed);
    let keypair = Keypair::ed25519_from_bytes(seed)?;
    let (mut transport, hub) = Transport::new(Config::new(&keypair))?;
    let opts = DialOpts {
        role: Endpoint::Dialer,
        port_use: PortUse::New,
    };
    let (peer, mut connection) = transport.dial(at.clone(), opts)?.await?;
    let link = hub.links(&peer).pop().context("a link")?;
    let mut stream = poll_fn(|cx| Pin::new(&mut connection).poll_outbound(cx)).await?;
    take_place(&mut stream, &key, room).await?;
    tokio::spawn(hold(connection, stream));
    let tally = Tally::default();
    let counting = tally.clone();
    tokio::spawn(async move {
        while let Ok(datagram) = link.recv().await {
            counting.note(datagram);
        }
    });
    Ok(tally)
}

/// Agrees on the protocol, says hello, and asks for a place.
async fn take_place(stream: &mut Stream, key: &PersonKey, room: RoomId) -> anyhow::Result<()> {
    let lines: Vec<u8> = [MULTISTREAM, ROOM_PROTOCOL.as_ref()]
        .iter()
        .flat_map(|line| line_of(line))
        .collect();
    stream.write_all(&lines).await?;
    let mut agreed = vec![0; lines.len()];
    stream.read_exact(&mut agreed).await?;
    ensure!(agreed == lines, "the relay does not speak of rooms");
    let (certificate, profile) = feeder::papers(key, room)?;
    let hello = Hello {
        room,
        certificate,
        profile,
        alias: Alias(0),
        head: Head {
            sequence: 0,
            hash: [0; 32],
        },
        addresses: vec![],
        extensions: vec![],
    };
    for message in [Message::Hello(hello), Message::Attach(Attach::join(0))] {
        stream.write_all(&message.encode()?).await?;
    }
    stream.flush().await?;
    let mut frames = FrameReader::default();
    let mut chunk = [0; 4_096];
    loop {
        while let Some(frame) = frames.next_frame()? {
            match Message::decode(&frame)? {
                Some(Message::Attached(_)) => return Ok(()),
                Some(Message::Refuse(refusal) | Message::AttachRefused(refusal)) => {
                    bail!("the relay refuses: {refusal:?}")
                }
                Some(Message::Redirect(_)) => bail!("the relay has no place"),
                _ => {}
            }
        }
        let read = stream.read(&mut chunk).await?;
        ensure!(read > 0, "the relay has closed the substream");
        frames.push(&chunk[..read]);
    }
}

/// A line as multistream-select frames it: behind its length, a newline at its end.
fn line_of(text: &str) -> Vec<u8> {
    // Lengths below 128 are one byte.
    [&[text.len() as u8 + 1][..], text.as_bytes(), b"\n"].concat()
}

/// Keeps the connection: reads what is said on the substream, and ends those that the relay opens for other things.
async fn hold(mut connection: Connection, mut stream: Stream) {
    let reading = async {
        let mut chunk = [0; 4_096];
        while stream.read(&mut chunk).await.is_ok_and(|read| read > 0) {}
    };
    let refusing = async {
        while poll_fn(|cx| Pin::new(&mut connection).poll_inbound(cx))
            .await
            .is_ok()
        {}
    };
    futures::join!(reading, refusing);
}
