//! Places: where a member stands in the tree, why it moved there, and the path that proves there is no loop.

use alloc::vec::Vec;

use crate::{neighbour::Neighbour, person::Peer};

/// Where a member stands in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Sound enters here.
    Root,
    /// Without a parent, looking for one.
    Seeking,
    /// Sound comes from a parent.
    Attached {
        /// The parent.
        link: Neighbour,
        /// Peers from the root to the parent.
        path: Vec<Peer>,
    },
}

/// Why a member has another parent than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Why {
    /// Its first place, at whom it asked first.
    Attached,
    /// Another member named the new parent: because it was full, or to make room.
    Redirected,
    /// The parent before was lost, or served badly.
    Failover,
    /// The new one is nearer to the root.
    Better,
    /// The parent before left the room.
    Left,
    /// Sound enters elsewhere now.
    RootMoved,
}

/// Why the path that a parent offered was not taken. The parent is at fault; another may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The path leads through this member: a loop. Two members that move at once can make one without being at fault.
    #[error("the path leads through this member")]
    Loop,
    /// The path does not end at the peer that offered it.
    #[error("the path does not end at the peer that offered it")]
    NotItsOwn,
}

impl Place {
    /// The parent, while there is one.
    #[must_use]
    pub fn parent(&self) -> Option<Neighbour> {
        match self {
            Self::Attached { link, .. } => Some(*link),
            _ => None,
        }
    }

    /// Hops from the root: 0 for the root and for those without a place.
    #[must_use]
    pub fn depth(&self) -> u32 {
        u32::try_from(self.path().len()).unwrap_or(u32::MAX)
    }

    /// The root, as the path tells it; none for the root itself.
    #[must_use]
    pub fn root(&self) -> Option<Peer> {
        self.path().first().copied()
    }

    /// Peers from the root to the parent; empty for the root and for those without a place.
    #[must_use]
    pub fn path(&self) -> &[Peer] {
        match self {
            Self::Attached { path, .. } => path,
            _ => &[],
        }
    }
}

/// Looks at a path that was offered by `parent` to `me`.
///
/// # Errors
/// [`PathError`] when it proves a loop or a lie.
pub(super) fn check_path(path: &[Peer], parent: Peer, me: Peer) -> Result<(), PathError> {
    if path.last() != Some(&parent) {
        return Err(PathError::NotItsOwn);
    }
    if path.contains(&me) {
        return Err(PathError::Loop);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    const ME: Peer = Peer([1; 32]);
    const PARENT: Peer = Peer([2; 32]);
    const ROOT: Peer = Peer([3; 32]);

    #[test]
    fn a_path_through_oneself_is_a_loop() {
        assert_eq!(check_path(&[ROOT, ME, PARENT], PARENT, ME), Err(PathError::Loop));
    }

    #[test]
    fn a_path_that_ends_elsewhere_is_a_lie() {
        assert_eq!(check_path(&[PARENT, ROOT], PARENT, ME), Err(PathError::NotItsOwn));
        assert_eq!(check_path(&[], PARENT, ME), Err(PathError::NotItsOwn));
    }

    #[test]
    fn depth_counts_the_hops_from_the_root() {
        assert_eq!(check_path(&[ROOT, PARENT], PARENT, ME), Ok(()));
        let place = Place::Attached {
            link: Neighbour(1),
            path: vec![ROOT, PARENT],
        };
        assert_eq!(
            (place.depth(), place.root(), place.parent()),
            (2, Some(ROOT), Some(Neighbour(1)))
        );
        assert_eq!((Place::Root.depth(), Place::Seeking.depth()), (0, 0));
    }
}
