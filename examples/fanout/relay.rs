//! What is measured: a node in the middle of a room's tree, and the loop of `sendto` that it is compared with.

use std::{
    io::BufRead as _,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
};

use anyhow::Context as _;
use majlis::{
    node::{Config, Node},
    room::Seat,
};
use majlis_protocol::{limits, link::RoomLink};

use crate::part;

/// Joins the room and takes children until stdin ends. Says where it can be reached.
pub(crate) async fn run_relay(link: &RoomLink, children: u32) -> anyhow::Result<()> {
    let home = tempfile::tempdir()?;
    let node = Node::start(Config {
        // More connections than a person's own node takes.
        community: true,
        max_children: Some(children),
        ..Config::at(home.path()).on_loopback()
    })
    .await?;
    let room = node.join(link, Seat::default()).await?;
    let addresses = node.addresses();
    let at = addresses
        .iter()
        .find(|address| address.as_str().contains("/quic-v1"));
    println!("{}", at.context("QUIC is listened on")?.as_str());
    let mut heard = part::heard();
    while heard.recv().await.is_some() {}
    drop(room);
    node.shutdown().await;
    Ok(())
}

/// Sends each packet that comes to every port that stdin names, in one line. Says where it listens. Never ends.
pub(crate) fn run_raw() -> anyhow::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", socket.local_addr()?.port());
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let targets = line
        .split_whitespace()
        .map(|port| Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?))))
        .collect::<anyhow::Result<Vec<SocketAddr>>>()?;
    let mut buffer = [0; limits::DATAGRAM];
    loop {
        let (size, _) = socket.recv_from(&mut buffer)?;
        for target in &targets {
            socket.send_to(&buffer[..size], target)?;
        }
    }
}
