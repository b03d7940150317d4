//! What was done in a room, as a sentence: an entry of the log by whom, to whom, and why.

use majlis::event::Event;
use majlis_protocol::log::Span;

use super::names::Names;

/// The sentence of an entry; `None` for everything else.
pub(super) fn entry(event: &Event, names: &Names) -> Option<String> {
    let Event::Log {
        action,
        author,
        subject,
        title,
        link,
        role,
        lasts_ms,
        reason,
        carried,
        ..
    } = event
    else {
        return None;
    };
    let own = names.is_own(author);
    let subject = subject.as_ref().filter(|subject| *subject != author);
    let whom = subject.map(|subject| names.of(subject)).unwrap_or_default();
    let title = title.as_deref().unwrap_or_default();
    let role = role.map(|role| role.0.as_str()).unwrap_or_default();
    let link = link.as_deref().unwrap_or_default();
    let author = names.of(author);
    // What follows "she" and "you".
    let (she, you) = match action.as_str() {
        "title" => (
            format!("calls the room \"{title}\""),
            format!("call the room \"{title}\""),
        ),
        "invite" if whom.is_empty() => both("come", "s onto the stage", " onto the stage"),
        "invite" => both(
            "invite",
            &format!("s {whom} to the stage"),
            &format!(" {whom} to the stage"),
        ),
        "accept" => both("accept", "s the invitation", " the invitation"),
        "decline" => both("decline", "s the invitation", " the invitation"),
        "move" if whom.is_empty() => both("go", "es back to the audience", " back to the audience"),
        "move" => both(
            "move",
            &format!("s {whom} to the audience"),
            &format!(" {whom} to the audience"),
        ),
        "end" => both("end", "s the room", " the room"),
        "grant" => both("make", &format!("s {whom} {role}"), &format!(" {whom} {role}")),
        "revoke" if whom.is_empty() => both("give", "s up their office", " up your office"),
        "revoke" if whom == "you" => both("take", "s your office back", ""),
        "revoke" => both(
            "take",
            &format!("s {whom}'s office back"),
            &format!(" {whom}'s office back"),
        ),
        "mute" | "unmute" | "kick" | "ban" | "unban" => {
            both(action, &format!("s {whom}"), &format!(" {whom}"))
        }
        "line" => both("say", "s who takes the chair next", " who takes the chair next"),
        "chair" => both("take", "s the chair", " the chair"),
        "hands" => both("say", "s who may raise a hand", " who may raise a hand"),
        "lock" => both("lock", "s the room", " the room"),
        "unlock" => both("unlock", "s the room", " the room"),
        "guest" => both(
            "put",
            &format!("s {whom} on the guest list"),
            &format!(" {whom} on the guest list"),
        ),
        "unguest" => both(
            "take",
            &format!("s {whom} off the guest list"),
            &format!(" {whom} off the guest list"),
        ),
        "guest-list" => both(
            "say",
            "s what the guest list is for",
            " what the guest list is for",
        ),
        "pin" => both("pin", &format!("s {link}"), &format!(" {link}")),
        "unpin" => both(
            "take",
            &format!("s {link} off again"),
            &format!(" {link} off again"),
        ),
        "chat" => both("say", "s who may write in the chat", " who may write in the chat"),
        "slow-mode" => both(
            "say",
            "s how far apart lines of chat lie",
            " how far apart lines of chat lie",
        ),
        "speaking-time" => both("say", "s how long a speaker has", " how long a speaker has"),
        "speakers" => both("say", "s how many the stage takes", " how many the stage takes"),
        "record" => both("record", "s the room", " the room"),
        "record-off" => both("stop", "s recording", " recording"),
        other => (format!("did: {other} {whom}"), format!("did: {other} {whom}")),
    };
    let mut text = format!("{author} {}", if own { you } else { she });
    if let Some(lasts_ms) = lasts_ms {
        text += &format!(" for {}", Span(*lasts_ms));
    }
    if let Some(reason) = reason {
        text += &format!(" ({reason})");
    }
    if *carried {
        text += ", as was done in another part of the room";
    }
    Some(text.trim_end().to_owned())
}

/// A verb with what follows it, for another and for oneself.
fn both(verb: &str, she: &str, you: &str) -> (String, String) {
    (format!("{verb}{she}"), format!("{verb}{you}"))
}

#[cfg(test)]
mod tests {
    use majlis_protocol::person::{Peer, Person};

    use super::*;

    const AUTHOR: Person = Person([1; 32]);
    const OTHER: Person = Person([2; 32]);

    fn sentence(action: &str, subject: Option<Person>, own: Option<Person>) -> String {
        let mut names = Names::default();
        if let Some(key) = own {
            names.learn(&Event::Listening {
                peer: Peer(key.0),
                key,
                addresses: Vec::new(),
            });
        }
        let event = Event::Log {
            seq: 1,
            term: 1,
            clock_ms: 0,
            action: action.into(),
            author: AUTHOR,
            subject,
            title: Some("Poems".into()),
            link: Some("https://example.org/".into()),
            role: None,
            lasts_ms: None,
            reason: None,
            carried: false,
        };
        entry(&event, &names).expect("an entry")
    }

    #[test]
    fn an_entry_is_a_sentence_about_who_did_it() {
        let (she, you) = (format!("someone#{}", AUTHOR.tag()), Some(AUTHOR));
        let other = format!("someone#{}", OTHER.tag());
        assert_eq!(
            sentence("invite", Some(OTHER), None),
            format!("{she} invites {other} to the stage")
        );
        assert_eq!(
            sentence("invite", Some(OTHER), you),
            format!("you invite {other} to the stage")
        );
        assert_eq!(
            sentence("accept", Some(AUTHOR), None),
            format!("{she} accepts the invitation")
        );
        assert_eq!(
            sentence("pin", None, None),
            format!("{she} pins https://example.org/")
        );
        assert_eq!(sentence("title", None, you), "you call the room \"Poems\"");
        assert_eq!(
            sentence("ban", Some(OTHER), Some(OTHER)),
            format!("{she} bans you")
        );
    }
}
