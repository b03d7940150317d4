//! A swarm in a task, with either our transport or the stock one.

use libp2p::{
    Multiaddr, PeerId, Swarm, SwarmBuilder,
    allow_block_list::{self, BlockedPeers},
    identify,
    identity::Keypair,
    ping,
    swarm::{
        NetworkBehaviour, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
};
use majlis::net::quic::{Config, Hub, Link, Transport};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{PATIENCE, address, within};

#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    ping: ping::Behaviour,
    identify: identify::Behaviour,
    blocked: allow_block_list::Behaviour<BlockedPeers>,
}

pub(super) type Event = SwarmEvent<BehaviourEvent>;
type Command = Box<dyn FnOnce(&mut Swarm<Behaviour>) + Send>;

/// Ends its swarm when dropped.
pub(super) struct Node {
    pub(super) peer: PeerId,
    /// Empty for ever with the stock transport.
    pub(super) hub: Hub,
    events: mpsc::UnboundedReceiver<Event>,
    commands: mpsc::UnboundedSender<Command>,
    task: JoinHandle<()>,
}

impl Node {
    /// A node with our transport.
    pub(super) fn ours() -> Self {
        let keypair = Keypair::generate_ed25519();
        let config = Config::new(&keypair);
        Self::with_config(keypair, config)
    }

    /// The same, with QUIC's datagrams alone.
    pub(super) fn without_express() -> Self {
        let keypair = Keypair::generate_ed25519();
        let mut config = Config::new(&keypair);
        config.express = false;
        Self::with_config(keypair, config)
    }

    /// A node with our transport, over the bad network that `profile` describes.
    #[cfg(feature = "testlink")]
    pub(super) fn ours_over(profile: &str) -> Self {
        let keypair = Keypair::generate_ed25519();
        let mut config = Config::new(&keypair);
        config.testlink = Some(profile.parse().unwrap());
        Self::with_config(keypair, config)
    }

    fn with_config(keypair: Keypair, config: Config) -> Self {
        let (transport, hub) = Transport::new(config).unwrap();
        let swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_other_transport(|_| transport)
            .unwrap()
            .with_behaviour(behaviour)
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE * 2))
            .build();
        Self::start(swarm, hub)
    }

    /// A node as others have it.
    pub(super) fn stock() -> Self {
        let swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_quic()
            .with_behaviour(behaviour)
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(PATIENCE * 2))
            .build();
        Self::start(swarm, Hub::default())
    }

    fn start(mut swarm: Swarm<Behaviour>, hub: Hub) -> Self {
        let peer = *swarm.local_peer_id();
        let (event_sender, events) = mpsc::unbounded_channel();
        let (commands, mut command_receiver) = mpsc::unbounded_channel::<Command>();
        let task = tokio::spawn(async move {
            use futures::StreamExt;
            loop {
                tokio::select! {
                    event = swarm.select_next_some() => drop(event_sender.send(event)),
                    command = command_receiver.recv() => match command {
                        Some(command) => command(&mut swarm),
                        None => return,
                    },
                }
            }
        });
        Self {
            peer,
            hub,
            events,
            commands,
            task,
        }
    }

    /// Runs `command` on the swarm and gives back what it gives.
    pub(super) async fn on_swarm<T: Send + 'static>(
        &self,
        command: impl FnOnce(&mut Swarm<Behaviour>) -> T + Send + 'static,
    ) -> T {
        let (sender, receiver) = oneshot::channel();
        let command = move |swarm: &mut _| drop(sender.send(command(swarm)));
        assert!(
            self.commands.send(Box::new(command)).is_ok(),
            "the swarm's task has ended"
        );
        within("the swarm to run a command", receiver)
            .await
            .expect("the swarm's task has ended")
    }

    /// Listens and gives the first address that stands for it.
    pub(super) async fn listen(&mut self, on: &str) -> Multiaddr {
        let on = address(on);
        self.on_swarm(|swarm| swarm.listen_on(on)).await.unwrap();
        self.event("an address to listen on", |event| match event {
            SwarmEvent::NewListenAddr { address, .. } => Some(address),
            _ => None,
        })
        .await
    }

    /// Begins to dial `peer`, whether connected to it or not.
    pub(super) async fn dial(&self, peer: PeerId, at: &Multiaddr) {
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::Always)
            .addresses(vec![at.clone()])
            .build();
        self.on_swarm(|swarm| swarm.dial(opts)).await.unwrap();
    }

    /// Waits for the next event that `pick` takes, and drops those before it.
    pub(super) async fn event<T>(&mut self, what: &str, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        within(what, async {
            loop {
                let event = self.events.recv().await.expect("the swarm's task has ended");
                if let Some(picked) = pick(event) {
                    return picked;
                }
            }
        })
        .await
    }

    /// Waits for a connection with `peer`.
    pub(super) async fn connected(&mut self, peer: PeerId) {
        self.event("a connection", |event| match event {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => (peer_id == peer).then_some(()),
            _ => None,
        })
        .await;
    }

    /// Waits until `peer` has answered a ping of ours: substreams work.
    pub(super) async fn pinged(&mut self, peer: PeerId) {
        self.event("an answer to a ping", |event| match event {
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping)) => {
                (ping.peer == peer && ping.result.is_ok()).then_some(())
            }
            _ => None,
        })
        .await;
    }

    /// Waits until `peer` has said what it is, and gives the address it saw us at.
    pub(super) async fn identified(&mut self, peer: PeerId) -> Multiaddr {
        self.event("an identification", |event| match event {
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => (peer_id == peer).then_some(info.observed_addr),
            _ => None,
        })
        .await
    }

    /// Refuses connections with `peer` from now on.
    pub(super) async fn block(&self, peer: PeerId) {
        self.on_swarm(move |swarm| swarm.behaviour_mut().blocked.block_peer(peer))
            .await;
    }

    /// The only link there is to `peer`.
    pub(super) fn link(&self, peer: PeerId) -> Link {
        let mut links = self.hub.links(&peer);
        assert_eq!(links.len(), 1, "one link was expected");
        links.remove(0)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Two nodes of ours, connected, the first having dialled, and the link each has to the other.
pub(super) async fn connect(mut dialler: Node, mut listener: Node, on: &str) -> [(Node, Link); 2] {
    let at = listener.listen(on).await;
    dialler.dial(listener.peer, &at).await;
    dialler.connected(listener.peer).await;
    listener.connected(dialler.peer).await;
    let links = (dialler.link(listener.peer), listener.link(dialler.peer));
    [(dialler, links.0), (listener, links.1)]
}

fn behaviour(keypair: &Keypair) -> Behaviour {
    Behaviour {
        ping: ping::Behaviour::default(),
        identify: identify::Behaviour::new(identify::Config::new("/majlis/test".into(), keypair.public())),
        blocked: allow_block_list::Behaviour::default(),
    }
}
