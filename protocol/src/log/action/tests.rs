//! Bodies that read back, and those that are refused.

use alloc::{string::String, vec};

use super::*;
use crate::{
    limits,
    log::{GuestList, Plan, Role},
    room::{Chat, Hands},
    signed,
    text::Text,
};

fn refused(kind: u16, body: &[u8]) -> Malformed {
    Act::decode(kind, &Bytes::copy_from_slice(body)).expect_err("malformed")
}

#[test]
fn every_act_reads_back_from_its_body() {
    for act in [
        Act::Title {
            title: Text::clean("مجلس الجيران"),
        },
        Act::Invite {
            subject: Person([1; 32]),
        },
        Act::Accept { invite: [2; 32] },
        Act::Decline { invite: [3; 32] },
        Act::Move {
            subject: Person([4; 32]),
        },
        Act::End,
        Act::Grant {
            subject: Person([5; 32]),
            role: Role::CoHost,
        },
        Act::Revoke {
            subject: Person([5; 32]),
            reason: Text::clean(""),
        },
        Act::Schedule {
            plan: Plan {
                starts: 1_900_000_000,
                description: Text::clean("قصائد"),
            },
        },
        Act::Cancel {
            starts: 1_900_000_000,
            reason: Text::clean("ill"),
        },
        Act::Mute {
            subject: Person([6; 32]),
            reason: Text::clean("ضجيج"),
        },
        Act::Unmute {
            subject: Person([6; 32]),
            reason: Text::clean("quiet now"),
        },
        Act::Kick {
            subject: Person([7; 32]),
            reason: Text::clean("spam"),
        },
        Act::Ban {
            subject: Person([7; 32]),
            lasts_ms: Some(3_600_000),
            reason: Text::clean("spam"),
        },
        Act::Ban {
            subject: Person([7; 32]),
            lasts_ms: None,
            reason: Text::clean(""),
        },
        Act::Unban {
            subject: Person([7; 32]),
            reason: Text::clean("a mistake"),
        },
        Act::Hands { who: Hands::Nobody },
        Act::Lock,
        Act::Unlock,
        Act::Guest {
            subject: Person([8; 32]),
        },
        Act::Unguest {
            subject: Person([8; 32]),
        },
        Act::GuestList {
            list: GuestList::Speak,
        },
        Act::Speakers { most: 32 },
        Act::Chat { who: Chat::Stage },
        Act::SlowMode { seconds: 3_600 },
        Act::Record { on: true },
        Act::SpeakingTime { seconds: 0 },
        Act::SpeakingTime { seconds: 600 },
        Act::Pin {
            link: Text::clean("https://example.org/"),
        },
        Act::Unpin {
            link: Text::clean("majlis:abc"),
        },
        Act::Unknown {
            kind: 0x0041,
            body: Bytes::from_static(b"later"),
        },
    ] {
        assert_eq!(Act::decode(act.kind(), &act.encode()), Ok(act));
    }
}

#[test]
fn bodies_that_break_a_rule_are_refused_by_name() {
    let title = |text: &str| signed::encode(&text);
    assert_eq!(
        refused(kind::TITLE, &title(" \u{200b} ")),
        Malformed::Invalid {
            what: "an empty title"
        }
    );
    assert_eq!(
        refused(kind::TITLE, &title(&"x".repeat(201))),
        Malformed::TooLong {
            what: "title",
            max: 200
        }
    );
    assert_eq!(
        refused(kind::END, b"x"),
        Malformed::LeftOver {
            what: "end",
            count: 1
        }
    );
    assert_eq!(
        refused(kind::INVITE, &[0; 31]),
        Malformed::Encoding { what: "invite" }
    );
    assert_eq!(
        refused(kind::MOVE, &[0; 33]),
        Malformed::LeftOver {
            what: "move",
            count: 1
        }
    );
    let subject = Person([1; 32]);
    for role in [0_u8, 3, 255] {
        assert_eq!(
            refused(kind::GRANT, &signed::encode(&(subject, role))),
            Malformed::Invalid {
                what: "a role that is not granted"
            }
        );
    }
    let long = "x".repeat(201);
    let too_long = Malformed::TooLong {
        what: "reason",
        max: 200,
    };
    for kind in [kind::REVOKE, kind::MUTE, kind::UNMUTE, kind::KICK, kind::UNBAN] {
        assert_eq!(refused(kind, &signed::encode(&(subject, &long))), too_long);
    }
    let ban = |lasts_ms: Option<u64>, reason: &str| {
        refused(kind::BAN, &signed::encode(&(subject, lasts_ms, reason)))
    };
    assert_eq!(ban(None, &long), too_long);
    assert_eq!(
        ban(Some(0), ""),
        Malformed::Invalid {
            what: "a ban of no time"
        }
    );
    for most in [0_u8, 33, 255] {
        assert_eq!(
            refused(kind::SPEAKERS, &signed::encode(&most)),
            Malformed::Invalid {
                what: "a number of speakers"
            }
        );
    }
    assert_eq!(
        refused(kind::SLOW_MODE, &signed::encode(&3_601_u16)),
        Malformed::Invalid {
            what: "a slow mode beyond an hour"
        }
    );
    let bare = [kind::END, kind::LOCK, kind::UNLOCK];
    for seconds in [9_u16, 36_001] {
        assert_eq!(
            refused(kind::SPEAKING_TIME, &signed::encode(&seconds)),
            Malformed::Invalid {
                what: "a speaking time"
            }
        );
    }
    for text in [
        "",
        "https://",
        "javascript:alert(1)",
        "https://a b",
        "file:///etc",
        "example.org",
    ] {
        assert_eq!(
            refused(kind::PIN, &signed::encode(&text)),
            Malformed::Invalid { what: "a link" },
            "{text}"
        );
    }
    let long = alloc::format!("https://{}", "x".repeat(limits::PIN));
    assert_eq!(
        refused(kind::UNPIN, &signed::encode(&long)),
        Malformed::TooLong {
            what: "link",
            max: limits::PIN
        }
    );
    for kind in (kind::TITLE..=kind::SPEAKING_TIME).filter(|kind| !bare.contains(kind)) {
        assert!(
            Act::decode(kind, &Bytes::new()).is_err(),
            "{kind:#x} without a body"
        );
    }
}

#[test]
fn a_title_is_clean_whatever_was_signed() {
    let body = signed::encode(&"a\u{202e}b\u{1b}[31m");
    assert_eq!(
        Act::decode(kind::TITLE, &body),
        Ok(Act::Title {
            title: Text::clean("ab")
        })
    );
}

#[test]
fn a_title_of_the_longest_length_fits() {
    let text: String = vec!["م"; limits::TITLE / 2].concat();
    assert!(Act::decode(kind::TITLE, &signed::encode(&text)).is_ok());
}
