//! A room that was announced ahead, when its host opens it.

use super::*;
use crate::{
    log::{Entry, PlanStage},
    signed::Attested,
};

fn planned() -> Log {
    let genesis = Genesis {
        starts: Some(1_900_000_000),
        ..Genesis::new(person(1), "Poems", ROOM_NONCE)
    };
    Log::new(genesis.sign(&key(1)).expect("valid"))
}

#[test]
fn its_host_opens_it_at_once_with_an_entry_that_is_stored_before_anything_is_told() {
    let mut host = Member::reopen(config(1), planned(), Duration::ZERO).expect("its own");
    assert!(host.is_chair() && !host.is_reopening());
    let outputs: Vec<Output> = core::iter::from_fn(|| host.poll_output()).collect();
    assert!(
        !outputs.iter().any(|output| matches!(output, Output::Seek)),
        "nobody can be there"
    );
    let stored = outputs
        .iter()
        .position(|output| matches!(output, Output::Store(_)));
    let joined = outputs
        .iter()
        .position(|output| matches!(output, Output::Event(Event::Joined { .. })));
    assert!(stored.is_some() && joined.is_some());
    let log = host.log().expect("it has one");
    assert_eq!((log.head().sequence, log.term()), (1, 1));
    assert_eq!(
        log.state().planned().map(|plan| plan.stage()),
        Some(PlanStage::Opened)
    );

    // Opened once, it is a room like others: its members may still be there.
    let again = Member::reopen(config(1), log.clone(), Duration::ZERO).expect("its own");
    assert!(again.is_reopening() && !again.is_chair());
}

#[test]
fn a_guest_joins_it_by_the_id_that_it_was_announced_under() {
    let log = planned();
    let room = log.room();
    let mut host = Member::reopen(config(1), log, Duration::ZERO).expect("its own");
    let mut guest = Member::join(config(2), room, None, Duration::ZERO).expect("valid");
    let link = Neighbour(1);
    for (member, peer, side) in [(&mut host, 2, Side::Receiver), (&mut guest, 1, Side::Opener)] {
        let peer = Peer([peer; 32]);
        member.handle(Input::LinkUp { link, peer, side }, Duration::ZERO);
    }
    for _ in 0..20 {
        let says = |member: &mut Member| -> Vec<Message> {
            let outputs = core::iter::from_fn(|| member.poll_output());
            let sent = outputs.filter_map(|output| match output {
                Output::Send { message, .. } => Some(*message),
                _ => None,
            });
            sent.collect()
        };
        for message in says(&mut host) {
            guest.handle(Input::Message { link, message }, Duration::ZERO);
        }
        for message in says(&mut guest) {
            host.handle(Input::Message { link, message }, Duration::ZERO);
        }
    }
    let head = |member: &Member| member.log().map(Log::head);
    assert_eq!(head(&guest), head(&host));
    assert_eq!(guest.parent(), Some(Peer([1; 32])));
    let entry: Option<&Attested<Entry>> = guest.log().and_then(|log| log.entry(1));
    assert_eq!(entry.map(|entry| entry.chair), Some(person(1)));
}
