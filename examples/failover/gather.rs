//! Bringing everyone into the room, and waiting until the tree has come to rest.

use std::time::{Duration, Instant};

use crate::{
    live::{
        cast::{Cast, now_ms},
        scene::{Part, Scene},
    },
    options::Options,
};

/// Unchanged for so long, the tree is at rest: places are offered and standbys asked within this.
const REST_MS: u64 = 3_000;

/// Longest wait for that. Some members may find no standby at all; the room is then taken as it is.
const REST_LIMIT: Duration = Duration::from_secs(45);

/// How long after the first relays the next members join, so that their offers of places have come to the root.
const OFFERS: Duration = Duration::from_millis(1_500);

/// Opens the room and fills it. Relay processes come first, one after the other: so they get the places near the root.
pub(crate) async fn gather(cast: &mut Cast, options: &Options) -> anyhow::Result<()> {
    let input = if options.host { "none" } else { &options.input };
    let link = cast.open(input).await?;
    for number in 1..=options.relays {
        cast.relay(&format!("relay-{number:02}"), &link).await?;
    }
    tokio::time::sleep(OFFERS).await;
    for number in 1..=options.nodes - options.relays {
        cast.node(&format!("node-{number:02}"), &link).await?;
    }
    if options.host {
        cast.speaker("speaker", &link, &options.input).await?;
    }
    rest(cast, options.fan_out, REST_LIMIT).await;
    Ok(())
}

/// Waits, but not for longer than `limit`, until nobody moves any more and everyone has a standby who can have one.
pub(crate) async fn rest(cast: &Cast, fan_out: u32, limit: Duration) {
    let started = Instant::now();
    while started.elapsed() < limit {
        if is_at_rest(&cast.scene(), fan_out) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn is_at_rest(scene: &Scene, fan_out: u32) -> bool {
    let before = now_ms().saturating_sub(REST_MS);
    scene.here().all(|member| {
        let moved = member.moves.last().is_some_and(|last| last.at_ms > before);
        let is_crowded = member
            .children
            .last()
            .is_some_and(|(_, count)| *count > fan_out as usize);
        // Those just below the root stand by each other only where there is a fallback that is not themselves.
        let may_stand_alone = member.part == Part::Host || member.depth < 2;
        !moved && !is_crowded && (may_stand_alone || member.standby.is_some())
    })
}
