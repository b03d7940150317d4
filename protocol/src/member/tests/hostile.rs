//! Members against neighbours that keep to the letter of the protocol and to nothing else.

use super::*;

/// A stranger with this seed that has said a proper hello; the link's number at the member.
fn introduced(world: &mut World, to: usize, seed: u8) -> Neighbour {
    let link = world.stranger(to, seed);
    world.say(to, link, Message::Hello(hello(seed, |_| ())));
    link
}

#[test]
fn nobody_ends_a_room_by_saying_that_it_has_ended() {
    let mut world = World::hosted();
    let (listener, _) = world.joined(2);
    for member in [0, listener] {
        for link in [introduced(&mut world, member, 9), world.stranger(member, 9)] {
            world.say(
                member,
                link,
                Message::Refuse(refusal(Reason::Ended, "it is over")),
            );
            assert_eq!(world.left(member), None);
        }
    }
    assert_eq!(world.members[listener].parent(), Some(Peer([1; 32])));
}

#[test]
fn a_newcomer_believes_whom_it_asks_that_the_room_has_ended() {
    let mut world = World::hosted();
    let newcomer = world.newcomer(2);
    let link = world.asked(newcomer, 9);
    world.say(newcomer, link, Message::Refuse(refusal(Reason::Ended, "")));
    assert_eq!(world.left(newcomer), Some(&Left::Ended));
}

#[test]
fn what_a_newer_program_says_is_refused_as_that() {
    for (error, reason) in [
        (
            Malformed::NeedsNewer {
                what: "messages of this kind",
            },
            Reason::Unsupported,
        ),
        (
            Malformed::Version {
                what: "a control frame",
                version: 2,
            },
            Reason::Unsupported,
        ),
        (Malformed::NeedsExtension { kind: 0x8001 }, Reason::Unsupported),
        (Malformed::Encoding { what: "hello" }, Reason::Malformed),
    ] {
        let mut world = World::hosted();
        let link = world.stranger(0, 9);
        world.members[0].handle(Input::Malformed { link, error }, world.now);
        world.run();
        assert_eq!(world.refusal_on(link), Some(reason));
    }
}
