//! A transport in a task without a swarm, for what a swarm would hide.

use std::future::poll_fn;

use futures::future::BoxFuture;
use libp2p::{
    Multiaddr, PeerId, Transport as _, TransportError,
    core::{
        Endpoint,
        transport::{DialOpts, ListenerId, PortUse, TransportEvent},
    },
    identity::Keypair,
};
use majlis::net::quic::{Config, Connection, Error, Hub, Transport};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{address, within};

/// A handshake under way.
pub(super) type Handshake = BoxFuture<'static, Result<(PeerId, Connection), Error>>;
pub(super) type Event = TransportEvent<Handshake, Error>;
type Command = Box<dyn FnOnce(&mut Transport) + Send>;

/// As a dial, from the listening socket if there is one.
pub(super) const DIAL: DialOpts = DialOpts {
    role: Endpoint::Dialer,
    port_use: PortUse::Reuse,
};

/// Ends its transport when dropped.
pub(super) struct Bare {
    pub(super) peer: PeerId,
    pub(super) hub: Hub,
    events: mpsc::UnboundedReceiver<Event>,
    commands: mpsc::UnboundedSender<Command>,
    task: JoinHandle<()>,
}

impl Bare {
    pub(super) fn new() -> Self {
        let keypair = Keypair::generate_ed25519();
        Self::with_config(&keypair, Config::new(&keypair))
    }

    pub(super) fn with_config(keypair: &Keypair, config: Config) -> Self {
        let (mut transport, hub) = Transport::new(config).unwrap();
        let (event_sender, events) = mpsc::unbounded_channel();
        let (commands, mut command_receiver) = mpsc::unbounded_channel::<Command>();
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    event = poll_fn(|cx| Pin::new(&mut transport).poll(cx)) => drop(event_sender.send(event)),
                    command = command_receiver.recv() => match command {
                        Some(command) => command(&mut transport),
                        None => return,
                    },
                }
            }
        });
        Self {
            peer: keypair.public().to_peer_id(),
            hub,
            events,
            commands,
            task,
        }
    }

    pub(super) async fn on_transport<T: Send + 'static>(
        &self,
        command: impl FnOnce(&mut Transport) -> T + Send + 'static,
    ) -> T {
        let (sender, receiver) = oneshot::channel();
        let command = move |transport: &mut _| drop(sender.send(command(transport)));
        assert!(
            self.commands.send(Box::new(command)).is_ok(),
            "the transport's task has ended"
        );
        within("the transport to run a command", receiver)
            .await
            .expect("the transport's task has ended")
    }

    pub(super) async fn listen(&mut self, on: &str) -> (ListenerId, Multiaddr) {
        let (id, on) = (ListenerId::next(), address(on));
        self.on_transport(move |transport| transport.listen_on(id, on))
            .await
            .unwrap();
        let at = self
            .event("an address to listen on", |event| match event {
                TransportEvent::NewAddress { listen_addr, .. } => Ok(listen_addr),
                other => Err(other),
            })
            .await;
        (id, at)
    }

    pub(super) async fn dial(
        &self,
        at: &Multiaddr,
        opts: DialOpts,
    ) -> Result<Handshake, TransportError<Error>> {
        let at = at.clone();
        self.on_transport(move |transport| transport.dial(at, opts)).await
    }

    /// Waits for the next event, which must be one that `pick` takes.
    pub(super) async fn event<T>(&mut self, what: &str, pick: impl FnOnce(Event) -> Result<T, Event>) -> T {
        let event = within(what, self.events.recv())
            .await
            .expect("the transport's task has ended");
        pick(event).unwrap_or_else(|other| panic!("waited for {what}, not for {other:?}"))
    }

    /// Waits for someone's dial: the handshake and where it comes from.
    pub(super) async fn incoming(&mut self) -> (Handshake, Multiaddr) {
        self.event("a dial", |event| match event {
            TransportEvent::Incoming {
                upgrade,
                send_back_addr,
                ..
            } => Ok((upgrade, send_back_addr)),
            other => Err(other),
        })
        .await
    }

    /// Whether an event waits to be read.
    pub(super) fn has_event(&self) -> bool {
        !self.events.is_empty()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Finishes a dial and its other end at once.
pub(super) async fn finish(dial: Handshake, incoming: Handshake) -> (Connection, Connection) {
    let (dialled, accepted) = within("both ends of a handshake", futures::future::join(dial, incoming)).await;
    (dialled.unwrap().1, accepted.unwrap().1)
}

/// A connection from the first to the second, which listens.
pub(super) async fn connect(dialler: &Bare, listener: &mut Bare) -> (Connection, Connection) {
    let (_, at) = listener.listen(super::IPV4).await;
    let dial = dialler.dial(&at, DIAL).await.unwrap();
    // Polled so that it begins.
    let dial = Box::pin(tokio::spawn(dial));
    let (incoming, _) = listener.incoming().await;
    finish(Box::pin(async { dial.await.unwrap() }), incoming).await
}
