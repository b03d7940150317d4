//! A parent that passes sound on and hides what the moderators did.

use majlis::room::RoomAction;
use majlis_protocol::{reason::Reason, wire::message::Message};

use crate::support::{
    attacker::Attacker,
    rogue::{Conduct, Rogue},
    scene::{self, Scene},
};

/// It passes sound on, and tells nothing of the log any more.
struct HidesTheLog;

impl Conduct for HidesTheLog {
    fn tells_the_log(&self) -> bool {
        false
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_that_a_parent_hides_holds_below_it_all_the_same_and_the_parent_is_left() {
    scene::during(async |scene: &mut Scene| {
        let relay = Rogue::enter(&scene.link).await;
        let victim = scene.seat("victim", &relay.link()).await;
        let link = scene.at(victim).link();
        let below = scene.seat("below", &link).await;
        scene.at(victim).has_in_reserve(scene.host.node.peer()).await;
        let banned = Attacker::start().await;

        relay.turn(HidesTheLog);
        let ban = RoomAction::Ban {
            person: banned.person(),
            lasts: None,
            reason: String::new(),
        };
        scene.room.act(ban).await.expect("the host may");
        scene.learns_of(victim, "ban").await;
        scene.learns_of(below, "ban").await;
        for seated in [victim, below] {
            let at = banned.dial(&scene.at(seated).link()).await;
            let mut wire = banned.open(at).await;
            wire.say(&Message::Hello(banned.hello(scene.link.room))).await;
            assert_eq!(wire.hear_refusal().await, Some(Reason::Banned));
        }
        scene.moves(victim, scene.host.node.peer()).await;
    })
    .await;
}
