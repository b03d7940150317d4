//! Before a room is entered: the member that the actor will drive, with the log of an earlier stay.

use std::{sync::Arc, time::Duration};

use majlis_protocol::{
    log::{self, Broken, Log},
    member::{self, Member},
    person::Peer,
    wire::message::Alias,
};

use super::{Entry, RoomError, RoomLog, Setup};

/// The member that an actor drives, with the log of an earlier stay if there is one.
pub(super) fn make_member(setup: &mut Setup, alias: Alias) -> Result<Member, RoomError> {
    let peer = setup.network.local_peer();
    let config = member::Config {
        key: Arc::clone(&setup.key),
        peer: Peer::from_peer_id_bytes(&peer.to_bytes())
            .expect("a node's libp2p key is made from its person's Ed25519 key"),
        nick: setup.nick.clone(),
        addresses: crate::node::addresses(&setup.network),
        alias,
        max_children: setup.max_children,
    };
    let mut member = match std::mem::replace(&mut setup.entry, Entry::Join { appeal: None }) {
        Entry::Open(genesis) => Member::host(config, *genesis, Duration::ZERO)?,
        Entry::OpenAgain => {
            let log = stored_log(&mut setup.log, |bytes| Ok(log::verify(bytes)?.log))?;
            let log = log.ok_or(RoomError::NotOurs)?;
            if log.genesis().host != setup.key.person() {
                return Err(RoomError::NotOurs);
            }
            if log.state().ended() {
                return Err(RoomError::Ended);
            }
            Member::reopen(config, log, Duration::ZERO)?
        }
        Entry::Join { appeal } => {
            let log = stored_log(&mut setup.log, log::believe)?;
            let mut member = Member::join(config, setup.link.room, log, Duration::ZERO)?;
            if let Some(pass) = setup.log.pass() {
                member.resume_pass(&pass);
            }
            if let Some(appeal) = appeal {
                member.appeal(&appeal)?;
            }
            member
        }
    };
    if let Some(uplink) = setup.uplink {
        member.set_uplink(uplink.bits_per_second(), Duration::ZERO);
    }
    Ok(member)
}

fn stored_log(
    file: &mut RoomLog,
    read: impl FnOnce(&[u8]) -> Result<Log, Broken>,
) -> Result<Option<Log>, RoomError> {
    let loaded = file.load()?;
    if loaded.bytes.is_empty() {
        return Ok(None);
    }
    let log = read(&loaded.bytes).map_err(|broken| RoomError::LogDamaged {
        path: file.path().to_owned(),
        reason: broken.to_string(),
    })?;
    Ok(Some(log))
}
