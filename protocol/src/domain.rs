//! The domain strings of SPEC.md section 2: what a hash or a signature is for is part of what it covers.
//!
//! Each ends with its NUL byte and none is a prefix of another, so no message can be taken for one of another kind.

macro_rules! domains {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: &[u8] = concat!("majlis/1/", $text, "\0").as_bytes();)*

        /// Every domain string, for the test that keeps them apart.
        #[cfg(test)]
        const ALL: &[&[u8]] = &[$($name),*];
    };
}

domains! {
    /// Signature of a genesis.
    GENESIS = "genesis";
    /// Hash that is a room's id.
    ROOM_ID = "room-id";
    /// Certificate that binds a person to a peer.
    PEER = "peer";
    /// A person's nickname.
    PROFILE = "profile";
    /// Hash behind the tag shown with a nickname.
    PERSON_TAG = "person-tag";
    /// Signature of an action.
    ACTION = "action";
    /// Hash that identifies an action.
    ACTION_ID = "action-id";
    /// Signature of a log entry.
    ENTRY = "entry";
    /// Hash that identifies a log entry.
    ENTRY_ID = "entry-id";
    /// Signature of a beacon.
    BEACON = "beacon";
    /// Signature of an announcement.
    ANNOUNCEMENT = "announcement";
    /// Signature of a media packet.
    MEDIA = "media";
    /// Signature of a note.
    NOTE = "note";
    /// Hash that identifies a note.
    NOTE_ID = "note-id";
    /// Signature of a pass.
    PASS = "pass";
    /// Signature of the queue of raised hands.
    HANDS = "hands";
    /// Hash under which a room is found.
    ROOM_KEY = "room-key";
    /// Hash under which a tag is found.
    TAG_KEY = "tag-key";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_domain_string_is_a_prefix_of_another() {
        for (i, a) in ALL.iter().enumerate() {
            for (j, b) in ALL.iter().enumerate() {
                assert!(i == j || !a.starts_with(b), "{a:?} begins with {b:?}");
            }
        }
    }
}
