//! The driver: the one task that owns the swarm.
//!
//! It holds no handle of itself, so it ends with the last handle. Nothing in its loop waits for anything but the
//! loop's own arms: commands are answered through their reply channels, events go through the outbox.

use std::{collections::HashMap, io, net::TcpListener, sync::Arc, time::Duration};

use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, TransportError,
    core::transport::ListenerId,
    identify,
    multiaddr::Protocol,
    swarm::{
        self, DialError as SwarmDialError, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout, timeout_at},
};

use super::{
    Config, NetError, NetEvent, Network,
    addresses::{ip_of, peer_of, without_peer, worth_telling},
    behaviour::{Behaviour, BehaviourEvent},
    config::IDLE_TIMEOUT,
    connections::{Connection, Connections},
    dials::{self, Dials},
    directory::Discovery,
    handle::{COMMAND_QUEUE, Command, Shared},
    outbox::Outbox,
    quic::Hub,
    stats::Counters,
    streams::{self, Holds, OpenError},
    transport,
};

/// How long a bound wildcard socket may take to name its first address. Reading the interfaces takes milliseconds;
/// a machine without any interface of that family never names one, and shall start all the same.
const LISTEN_GRACE: Duration = Duration::from_secs(2);

/// How long a wildcard socket is given to name its next address. They come within a millisecond of each other, loopback
/// first, and whoever is told too early passes on addresses that lead nowhere from elsewhere.
const NAMING_PAUSE: Duration = Duration::from_millis(20);

/// How long closing waits for peers to have been told.
const CLOSE_GRACE: Duration = Duration::from_millis(500);

/// How often what has no event of its own is looked after.
const TICK: Duration = Duration::from_secs(1);

/// Most addresses tried in one dial; more would let a hostile list of addresses make a scanner of us.
const ADDRESSES_PER_DIAL: usize = 16;

/// Owns the swarm and everything that is decided about it.
pub(super) struct Driver {
    swarm: Swarm<Behaviour>,
    commands: mpsc::Receiver<Command>,
    outbox: Outbox,
    connections: Connections,
    dials: Dials,
    discovery: Discovery,
    hub: Hub,
    counters: Arc<Counters>,
    /// What the user wants to be told, and after it what a router has opened for us.
    announce: Vec<Multiaddr>,
    addresses: watch::Sender<Vec<Multiaddr>>,
}

impl Driver {
    /// Builds the swarm and binds its sockets.
    pub(super) async fn start(config: Config) -> Result<(Self, Network), NetError> {
        let local = PeerId::from(config.keypair.public());
        let holds = Holds::default();
        let counters = Arc::new(Counters::default());
        let (transport, hub) = transport::build(&config)?;
        let swarm = Swarm::new(
            transport,
            Behaviour::new(&config, holds.clone())?,
            local,
            swarm::Config::with_tokio_executor()
                .with_idle_connection_timeout(IDLE_TIMEOUT)
                .with_smart_dial(),
        );
        let (commands, receiver) = mpsc::channel(COMMAND_QUEUE);
        let (addresses, told) = watch::channel(Vec::new());
        let mut driver = Self {
            swarm,
            commands: receiver,
            outbox: Outbox::default(),
            connections: Connections::default(),
            dials: Dials::default(),
            discovery: Discovery::new(&config, counters.clone()),
            hub: hub.clone(),
            counters: counters.clone(),
            announce: config.announce.clone(),
            addresses,
        };
        driver.listen(&config).await?;
        let shared = Shared {
            local,
            addresses: told,
            holds,
            counters,
            hub,
            changes: driver.discovery.changes(),
            kept: driver.discovery.kept(),
        };
        Ok((driver, Network::new(commands, shared)))
    }

    /// Drives the swarm until the last handle is gone; `events` is where the program listens.
    pub(super) async fn run(mut self, events: mpsc::Sender<NetEvent>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let closed = loop {
            let deadline = self.dials.deadline();
            let due = self.discovery.poll_timeout(self.connections.peers() == 0);
            tokio::select! {
                event = self.swarm.select_next_some() => self.handle_swarm(event),
                command = self.commands.recv() => match command {
                    Some(Command::Close { reply }) => break Some(reply),
                    Some(command) => self.handle_command(command),
                    None => break None,
                },
                permit = events.reserve(), if !self.outbox.is_empty() => match permit {
                    Ok(permit) => {
                        if let Some(event) = self.outbox.pop() {
                            permit.send(event);
                        }
                    }
                    // Nobody wants to know any more.
                    Err(_) => self.outbox = Outbox::default(),
                },
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.dials.handle_timeout(Instant::now());
                }
                () = sleep_until(due) => self.handle_due(),
                _ = tick.tick() => {
                    self.close_surplus();
                    self.handle_due();
                }
            }
        };
        self.close().await;
        if let Some(reply) = closed {
            let _ = reply.send(());
        }
    }

    fn handle_command(&mut self, command: Command) {
        match command {
            Command::Dial {
                peer,
                addresses,
                reply,
            } => self.dial(peer, addresses, reply),
            Command::Open {
                peer,
                protocol,
                reply,
            } => match self.connections.best(&peer) {
                Some(connection) => self.swarm.behaviour().streams.open(connection, protocol, reply),
                None => {
                    let _ = reply.send(Err(OpenError::NotConnected));
                }
            },
            Command::Disconnect { peer, reply } => {
                // An error says that there was no connection.
                let _ = self.swarm.disconnect_peer_id(peer);
                let _ = reply.send(());
            }
            Command::Close { reply } => drop(reply),
            command => self.handle_discovery(command),
        }
    }

    fn handle_discovery(&mut self, command: Command) {
        let on = &mut self.swarm.behaviour_mut().directory;
        // Whoever asked may have gone: what is not delivered is not wanted.
        match command {
            Command::Announce { announcement, reply } => {
                let _ = reply.send(self.discovery.announce(on, announcement));
            }
            Command::Rooms { tag, reply } => {
                let _ = reply.send(self.discovery.rooms(on, tag.as_ref()));
            }
            Command::Provide { key, provide, reply } => {
                if provide {
                    self.discovery.provide(on, key);
                } else {
                    self.discovery.stop_providing(on, key);
                }
                let _ = reply.send(());
            }
            Command::Providers { key, reply } => {
                let _ = reply.send(self.discovery.providers(on, key));
            }
            Command::Written { reply } => {
                let _ = reply.send(self.discovery.written());
            }
            Command::Restore { written, reply } => {
                self.discovery.restore(&written);
                let _ = reply.send(());
            }
            Command::KnownPeers { reply } => {
                let _ = reply.send(self.discovery.known_peers());
            }
            Command::Dial { .. }
            | Command::Open { .. }
            | Command::Disconnect { .. }
            | Command::Close { .. } => {}
        }
    }

    fn handle_due(&mut self) {
        let alone = self.connections.peers() == 0;
        let on = &mut self.swarm.behaviour_mut().directory;
        for opts in self.discovery.handle_timeout(on, alone) {
            if let Err(error) = self.swarm.dial(opts) {
                tracing::debug!(%error, "dial");
            }
        }
    }

    fn handle_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.handle_behaviour(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                let address = without_peer(endpoint.get_remote_address());
                let connection = Connection {
                    id: connection_id,
                    address: address.clone(),
                    dialled: endpoint.is_dialer(),
                    since: std::time::Instant::now(),
                };
                let first = self.connections.add(peer_id, connection);
                self.count_connections();
                self.dials.handle_connected(peer_id, connection_id);
                if first {
                    let on = &mut self.swarm.behaviour_mut().directory;
                    self.discovery.handle_connected(on, peer_id, &address);
                }
                self.outbox.push(NetEvent::Connected {
                    peer: peer_id,
                    connection: connection_id,
                    address,
                    dialled: endpoint.is_dialer(),
                    first,
                });
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                cause,
                ..
            } => {
                tracing::debug!(peer = %peer_id, ?cause, "connection closed");
                if self.connections.remove(&peer_id, connection_id) {
                    let on = &mut self.swarm.behaviour_mut().directory;
                    self.discovery.handle_disconnected(on, peer_id);
                    self.outbox.push(NetEvent::Disconnected { peer: peer_id });
                }
                self.count_connections();
            }
            SwarmEvent::OutgoingConnectionError {
                connection_id, error, ..
            } => self.handle_dial_failed(connection_id, &error),
            SwarmEvent::NewListenAddr { .. }
            | SwarmEvent::ExpiredListenAddr { .. }
            | SwarmEvent::ListenerClosed { .. } => self.tell_addresses(),
            SwarmEvent::ExternalAddrConfirmed { address } => {
                if !self.announce.contains(&address) {
                    self.announce.push(address);
                    self.tell_addresses();
                }
            }
            SwarmEvent::ExternalAddrExpired { address } => {
                self.announce.retain(|announced| *announced != address);
                self.tell_addresses();
            }
            event => tracing::trace!(?event, "swarm"),
        }
    }

    fn handle_behaviour(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Streams(streams::Event::Inbound {
                peer,
                protocol,
                stream,
            }) => {
                let event = NetEvent::Inbound {
                    peer,
                    protocol,
                    stream,
                };
                if !self.outbox.push(event) {
                    self.counters.streams_overflow.increase();
                }
            }
            BehaviourEvent::Streams(streams::Event::Refused { peer }) => {
                tracing::debug!(%peer, "too many streams");
                self.counters.streams_refused.increase();
            }
            BehaviourEvent::Identify(identify::Event::Received {
                connection_id,
                peer_id,
                info,
            }) => {
                if let Some(connection) = self.connections.get(&peer_id, connection_id) {
                    let on = &mut self.swarm.behaviour_mut().directory;
                    let end = (&connection.address, connection.dialled);
                    self.discovery.handle_identified(on, peer_id, &info, end);
                }
            }
            BehaviourEvent::Directory(event) => {
                let on = &mut self.swarm.behaviour_mut().directory;
                let connections = &self.connections;
                self.discovery
                    .handle_event(on, event, |peer| connections.remote_ip(peer));
            }
            BehaviourEvent::Identify(_) | BehaviourEvent::Ping(_) => {}
        }
    }

    fn handle_dial_failed(&mut self, connection: swarm::ConnectionId, error: &SwarmDialError) {
        tracing::debug!(%error, "dial failed");
        if let Some(again) = self.dials.handle_failed(connection, error) {
            let opts = DialOpts::peer_id(again.peer)
                .condition(PeerCondition::Disconnected)
                .addresses(again.addresses)
                .build();
            let connection = opts.connection_id();
            let begun = self.swarm.dial(opts);
            self.dials.add(again.attempt, connection, begun);
            self.dials.settle(again.attempt);
        }
    }

    fn close_surplus(&mut self) {
        let streams = &self.swarm.behaviour().streams;
        let local = *self.swarm.local_peer_id();
        let surplus = self
            .connections
            .surplus(local, std::time::Instant::now(), |id| streams.streams(id));
        for connection in surplus {
            if self.swarm.close_connection(connection) {
                self.counters.surplus_closed.increase();
            }
        }
    }

    fn dial(&mut self, peer: Option<PeerId>, mut addresses: Vec<Multiaddr>, reply: dials::Reply) {
        addresses.truncate(ADDRESSES_PER_DIAL);
        let peer = peer.or_else(|| same_peer(&addresses));
        if let Some(peer) = peer.filter(|peer| self.connections.is_connected(peer)) {
            let _ = reply.send(Ok(peer));
            return;
        }
        let attempt = self.dials.begin(peer, addresses.clone(), Instant::now(), reply);
        let opts: Vec<DialOpts> = match peer {
            Some(peer) => vec![
                // Another dial may be under way to where that peer was once: what is asked for here does not wait for it.
                DialOpts::peer_id(peer)
                    .condition(PeerCondition::Disconnected)
                    .addresses(addresses)
                    .extend_addresses_through_behaviour()
                    .build(),
            ],
            None => addresses
                .into_iter()
                .map(|address| DialOpts::unknown_peer_id().address(address).build())
                .collect(),
        };
        for opts in opts {
            let connection = opts.connection_id();
            let begun = self.swarm.dial(opts);
            self.dials.add(attempt, connection, begun);
        }
        self.dials.settle(attempt);
    }

    /// Tells the handles and the program by which addresses we can be reached.
    fn tell_addresses(&mut self) {
        let listening: Vec<_> = self.swarm.listeners().cloned().collect();
        let local = *self.swarm.local_peer_id();
        let addresses: Vec<_> = worth_telling(&self.announce, &listening)
            .into_iter()
            .map(|address| address.with(Protocol::P2p(local)))
            .collect();
        self.claim(&addresses);
        let changed = self.addresses.send_if_modified(|told| {
            let changed = *told != addresses;
            told.clone_from(&addresses);
            changed
        });
        if changed {
            self.outbox.push(NetEvent::Listening { addresses });
        }
    }

    /// Lets the behaviours tell these addresses too: provider records carry no others.
    fn claim(&mut self, addresses: &[Multiaddr]) {
        let wanted: Vec<_> = addresses.iter().map(without_peer).collect();
        let claimed: Vec<_> = self.swarm.external_addresses().cloned().collect();
        let before = self.addresses.borrow().clone();
        for gone in before
            .iter()
            .map(without_peer)
            .filter(|address| !wanted.contains(address))
        {
            self.swarm.remove_external_address(&gone);
        }
        for new in wanted.into_iter().filter(|address| !claimed.contains(address)) {
            self.swarm.add_external_address(new);
        }
    }

    async fn listen(&mut self, config: &Config) -> Result<(), NetError> {
        let (addresses, must) = config.listeners();
        let is_wildcard = |address| ip_of(address).is_some_and(|ip| ip.is_unspecified());
        let has_wildcard = addresses.iter().any(is_wildcard);
        let mut waiting: HashMap<ListenerId, Multiaddr> = HashMap::new();
        let mut refused = None;
        for address in addresses {
            match self.bind(&address) {
                Ok(listener) => {
                    waiting.insert(listener, address);
                }
                Err(error) if must => return Err(error),
                Err(error) => refused = Some(error),
            }
        }
        if let (true, Some(error)) = (waiting.is_empty(), refused) {
            return Err(error);
        }
        let deadline = Instant::now() + LISTEN_GRACE;
        while !waiting.is_empty() {
            let Ok(event) = timeout_at(deadline, self.swarm.select_next_some()).await else {
                tracing::debug!(?waiting, "no interface to listen on yet");
                return Ok(());
            };
            match &event {
                SwarmEvent::NewListenAddr { listener_id, .. } => {
                    waiting.remove(listener_id);
                }
                SwarmEvent::ListenerClosed {
                    listener_id, reason, ..
                } => {
                    if let (Some(address), Err(error), true) = (waiting.remove(listener_id), reason, must) {
                        let reason = error.to_string();
                        return Err(NetError::Listen { address, reason });
                    }
                }
                _ => {}
            }
            self.handle_swarm(event);
        }
        if has_wildcard {
            self.hear_the_rest(deadline).await;
        }
        Ok(())
    }

    /// Takes the other addresses that wildcard sockets stand for, until no more come.
    async fn hear_the_rest(&mut self, deadline: Instant) {
        let mut until = deadline.min(Instant::now() + NAMING_PAUSE);
        while Instant::now() < until {
            let Ok(event) = timeout_at(until, self.swarm.select_next_some()).await else {
                return;
            };
            if matches!(event, SwarmEvent::NewListenAddr { .. }) {
                until = deadline.min(Instant::now() + NAMING_PAUSE);
            }
            self.handle_swarm(event);
        }
    }

    fn bind(&mut self, address: &Multiaddr) -> Result<ListenerId, NetError> {
        let listen_error = |error: io::Error| NetError::Listen {
            address: address.clone(),
            reason: explain_bind(&error),
        };
        probe_tcp(address).map_err(listen_error)?;
        self.swarm
            .listen_on(address.clone())
            .map_err(|error| match error {
                TransportError::MultiaddrNotSupported(address) => NetError::Unsupported { address },
                TransportError::Other(error) => listen_error(error),
            })
    }

    fn count_connections(&self) {
        self.counters.peers.set(self.connections.peers());
        self.counters.connections.set(self.connections.count());
    }

    /// Closes every connection, so that peers know at once and need not find out. What was said last goes out before.
    async fn close(&mut self) {
        let until = self.discovery.sending_until();
        if let Some(until) = until.filter(|_| self.connections.peers() > 0) {
            let sending = async {
                loop {
                    self.swarm.select_next_some().await;
                }
            };
            let _ = timeout_at(until, sending).await;
        }
        let all_told = self.hub.all_told();
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let all_closed = async {
            while self.swarm.connected_peers().next().is_some() {
                self.swarm.select_next_some().await;
            }
            all_told.await;
        };
        // Who does not answer is left to its own timeout.
        let _ = timeout(CLOSE_GRACE, all_closed).await;
    }
}

/// The peer that all of some addresses name, if they do.
fn same_peer(addresses: &[Multiaddr]) -> Option<PeerId> {
    let peer = peer_of(addresses.first()?)?;
    addresses
        .iter()
        .all(|address| peer_of(address) == Some(peer))
        .then_some(peer)
}

/// Binds a TCP port for a moment. The transport shares ports with whoever else shares them, so that two nodes
/// on one port would each get some of the connections and no error.
fn probe_tcp(address: &Multiaddr) -> io::Result<()> {
    let port = address.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    match (ip_of(address), port) {
        (Some(ip), Some(port)) if port != 0 => TcpListener::bind((ip, port)).map(drop),
        _ => Ok(()),
    }
}

fn explain_bind(error: &io::Error) -> String {
    let text = error.to_string();
    if error.kind() == io::ErrorKind::AddrInUse || text.contains("os error 98") {
        "the port is in use".into()
    } else {
        text
    }
}
