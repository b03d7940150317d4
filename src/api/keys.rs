//! Whom a KEY argument means: a whole key, a nickname with its tag, or the place of a raised hand.
//!
//! Nicknames are self-chosen; the tag comes from the key. A `nick#tag` that fits two people means neither.

use majlis_protocol::{person::Person, text::Text};

/// Why a KEY argument means nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Neither a key nor `nick#tag`: the asker's mistake.
    #[error("'{0}' is neither a key nor nick#tag; `majlis ctl people` shows both")]
    Form(String),
    /// Nobody in the room is called so; a retry helps once they are there.
    #[error("nobody in the room is '{0}'; `majlis ctl people` shows who is there")]
    Nobody(String),
    /// Nobody who is kicked or banned has this tag; a look at who has helps.
    #[error(
        "nobody is kept out as '{0}'; `majlis ctl people` shows who is, and any #tag or key there is enough"
    )]
    NotKeptOut(String),
    /// There is no such place in the queue of hands; a look at it helps.
    #[error("no hand is up at place {0}; `majlis ctl hands` shows the queue")]
    NoHand(usize),
    /// More than one person is called so; the whole key helps.
    #[error("more than one person in the room is '{0}'; give the whole key, as `majlis ctl people` shows it")]
    Ambiguous(String),
}

/// Most digits of a place in the queue of hands: no key is so short.
const PLACE_DIGITS: usize = 3;

/// Finds whom `text` means among people with their nicknames and tags, and those who have raised a hand.
pub(super) fn find<'a>(
    text: &str,
    people: impl IntoIterator<Item = (Person, &'a str, &'a str)>,
    hands: &[Person],
) -> Result<Person, KeyError> {
    if let Some(place) = text.parse().ok().filter(|_| text.len() <= PLACE_DIGITS) {
        let at: usize = place;
        let found = at.checked_sub(1).and_then(|at| hands.get(at));
        return found.copied().ok_or(KeyError::NoHand(at));
    }
    if let Ok(person) = text.parse() {
        return Ok(person);
    }
    let shown = || Text::clean(text).to_string();
    let (nick, tag) = text.rsplit_once('#').ok_or_else(|| KeyError::Form(shown()))?;
    let nick = Text::clean(nick);
    let mut fits = people
        .into_iter()
        .filter(|(_, theirs, of_key)| *theirs == nick.as_str() && of_key.eq_ignore_ascii_case(tag))
        .map(|(person, ..)| person);
    let first = fits.next().ok_or_else(|| KeyError::Nobody(shown()))?;
    if fits.any(|other| other != first) {
        return Err(KeyError::Ambiguous(shown()));
    }
    Ok(first)
}

/// Finds whom `text` means among people who are kept out, each with the tag of their key. Whoever is out is not there to
/// have a nickname: the tag is enough, with any name before it or none.
pub(super) fn find_kept_out<'a>(
    text: &str,
    kept_out: impl IntoIterator<Item = (Person, &'a str)>,
) -> Result<Person, KeyError> {
    if let Ok(person) = text.parse() {
        return Ok(person);
    }
    let shown = || Text::clean(text).to_string();
    let tag = text.rsplit_once('#').map_or(text, |(_, tag)| tag);
    let mut fits = kept_out
        .into_iter()
        .filter(|(_, of_key)| of_key.eq_ignore_ascii_case(tag))
        .map(|(person, _)| person);
    let first = fits.next().ok_or_else(|| KeyError::NotKeptOut(shown()))?;
    if fits.next().is_some() {
        return Err(KeyError::Ambiguous(shown()));
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use majlis_protocol::person::PersonKey;

    use super::*;

    fn person(seed: u8) -> Person {
        PersonKey::from_seed(&[seed; 32]).person()
    }

    #[test]
    fn a_whole_key_means_its_person_whether_there_or_not() {
        assert_eq!(find(&person(1).to_string(), [], &[]), Ok(person(1)));
    }

    #[test]
    fn a_nickname_counts_only_with_its_tag() {
        let people = [
            (person(1), "salma", "aaaa"),
            (person(2), "salma", "bbbb"),
            (person(3), "a#b", "cccc"),
        ];
        let found = |text: &str| find(text, people, &[]);
        assert_eq!(found("salma#bbbb"), Ok(person(2)));
        assert_eq!(found("salma#BBBB"), Ok(person(2)));
        assert_eq!(found("a#b#cccc"), Ok(person(3)));
        assert_eq!(found("salma"), Err(KeyError::Form("salma".into())));
        for text in ["salma#cccc", "salma#", "Salma#aaaa", "#aaaa"] {
            assert_eq!(found(text), Err(KeyError::Nobody(text.into())));
        }
    }

    #[test]
    fn a_name_that_fits_two_people_means_neither() {
        let people = [(person(1), "salma", "aaaa"), (person(2), "salma", "aaaa")];
        assert_eq!(
            find("salma#aaaa", people, &[]),
            Err(KeyError::Ambiguous("salma#aaaa".into()))
        );
    }

    #[test]
    fn who_is_kept_out_is_found_by_the_tag_alone() {
        let out = [(person(1), "aaaa"), (person(2), "bbbb"), (person(3), "bbbb")];
        for text in ["#aaaa", "noise#AAAA", "aaaa", &person(1).to_string()] {
            assert_eq!(find_kept_out(text, out), Ok(person(1)), "{text}");
        }
        assert_eq!(
            find_kept_out("#bbbb", out),
            Err(KeyError::Ambiguous("#bbbb".into()))
        );
        assert_eq!(
            find_kept_out("x#cccc", out),
            Err(KeyError::NotKeptOut("x#cccc".into()))
        );
    }

    #[test]
    fn a_number_is_a_place_in_the_queue_of_hands() {
        let hands = [person(4), person(5)];
        assert_eq!(find("2", [], &hands), Ok(person(5)));
        for (text, place) in [("0", 0), ("3", 3)] {
            assert_eq!(find(text, [], &hands), Err(KeyError::NoHand(place)));
        }
        assert_eq!(find("1000", [], &hands), Err(KeyError::Form("1000".into())));
    }

    #[test]
    fn an_error_repeats_nothing_that_a_terminal_would_obey() {
        let error = find("\u{1b}[31mx", [], &[]).expect_err("no key").to_string();
        assert!(!error.contains('\u{1b}'), "{error:?}");
    }
}
