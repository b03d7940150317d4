//! The words by which a user names a source or a sink: a kind, and for some kinds an argument behind a colon.

use super::AudioError;

/// A word's kind and argument. A colon with nothing behind it is part of the kind, which is then none that there is.
pub(super) fn split(word: &str) -> (&str, Option<&str>) {
    match word.split_once(':') {
        Some((kind, argument)) if !argument.is_empty() => (kind, Some(argument)),
        _ => (word, None),
    }
}

/// The error for a word that names nothing: what it was meant to be, and what to write instead.
pub(super) fn unknown(word: &str, what: &str, instead: &str) -> AudioError {
    AudioError::Usage(format!("'{word}' is no {what}; write {instead}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_colon_parts_a_word_if_something_follows_it() {
        assert_eq!(split("mic"), ("mic", None));
        assert_eq!(split("mic:USB: left"), ("mic", Some("USB: left")));
        assert_eq!(split("file:"), ("file:", None));
        assert_eq!(split(":x"), ("", Some("x")));
        assert_eq!(split(""), ("", None));
    }
}
