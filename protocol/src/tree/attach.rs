//! Attaching: asking for a place, being given one, and the path that proves there is no loop.

use alloc::{collections::BTreeSet, vec::Vec};
use core::time::Duration;

use crate::{neighbour::Neighbour, person::Peer};

/// How long a member waits for the answer to a wish for a place. A member that answers at all answers within a
/// round trip; longer waits only delay the next try.
pub const ATTACH_TIMEOUT: Duration = Duration::from_secs(3);

/// Where a member stands in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Sound enters here.
    Root,
    /// Without a parent, looking for one.
    Seeking,
    /// Waiting for a neighbour's answer.
    Asked {
        /// Who was asked.
        link: Neighbour,
        /// When to give up waiting.
        deadline: Duration,
    },
    /// Sound comes from a parent.
    Attached {
        /// The parent.
        link: Neighbour,
        /// Peers from the root to the parent.
        path: Vec<Peer>,
    },
}

/// Why the path that a parent offered was not taken. The parent is at fault; another may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The path leads through this member: a loop.
    #[error("the path leads through this member")]
    Loop,
    /// The path does not end at the peer that offered it.
    #[error("the path does not end at the peer that offered it")]
    NotItsOwn,
}

/// The neighbours that take sound from this member.
#[derive(Debug)]
pub struct Children {
    links: BTreeSet<Neighbour>,
    capacity: usize,
}

impl Place {
    /// The parent, once there is one.
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
        match self {
            Self::Attached { path, .. } => u32::try_from(path.len()).unwrap_or(u32::MAX),
            _ => 0,
        }
    }

    /// The root, as the path tells it.
    #[must_use]
    pub fn root(&self) -> Option<Peer> {
        match self {
            Self::Attached { path, .. } => path.first().copied(),
            _ => None,
        }
    }

    /// Whether this neighbour was asked and has not answered.
    #[must_use]
    pub fn is_asking(&self, neighbour: Neighbour) -> bool {
        matches!(self, Self::Asked { link, .. } if *link == neighbour)
    }

    /// Takes the place that a neighbour offers.
    ///
    /// # Errors
    /// [`PathError`] when its path proves a loop or a lie; the place stays as it was.
    pub fn attach(
        &mut self,
        link: Neighbour,
        path: Vec<Peer>,
        parent: Peer,
        me: Peer,
    ) -> Result<(), PathError> {
        if path.contains(&me) {
            return Err(PathError::Loop);
        }
        if path.last() != Some(&parent) {
            return Err(PathError::NotItsOwn);
        }
        *self = Self::Attached { link, path };
        Ok(())
    }
}

impl Children {
    /// No children yet, and room for so many.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            links: BTreeSet::new(),
            capacity,
        }
    }

    /// The children, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Neighbour> + '_ {
        self.links.iter().copied()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Gives a neighbour a place; `false` when all are taken. A child that asks again keeps its own.
    pub fn admit(&mut self, link: Neighbour) -> bool {
        let has_place = self.links.contains(&link);
        if !has_place && self.links.len() >= self.capacity {
            return false;
        }
        self.links.insert(link);
        true
    }

    /// Takes a neighbour's place back; `false` when it had none.
    pub fn remove(&mut self, link: Neighbour) -> bool {
        self.links.remove(&link)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    const ME: Peer = Peer([1; 32]);
    const PARENT: Peer = Peer([2; 32]);
    const ROOT: Peer = Peer([3; 32]);

    #[test]
    fn a_path_through_oneself_is_refused() {
        let mut place = Place::Seeking;
        assert_eq!(
            place.attach(Neighbour(1), vec![ROOT, ME, PARENT], PARENT, ME),
            Err(PathError::Loop)
        );
        assert_eq!(place, Place::Seeking);
    }

    #[test]
    fn a_path_that_ends_elsewhere_is_refused() {
        let mut place = Place::Seeking;
        assert_eq!(
            place.attach(Neighbour(1), vec![PARENT, ROOT], PARENT, ME),
            Err(PathError::NotItsOwn)
        );
    }

    #[test]
    fn depth_counts_the_hops_from_the_root() {
        let mut place = Place::Seeking;
        place
            .attach(Neighbour(1), vec![ROOT, PARENT], PARENT, ME)
            .expect("a good path");
        assert_eq!(
            (place.depth(), place.root(), place.parent()),
            (2, Some(ROOT), Some(Neighbour(1)))
        );
    }

    #[test]
    fn places_are_never_exceeded_and_asking_twice_takes_one() {
        let mut children = Children::new(2);
        assert!(children.admit(Neighbour(1)) && children.admit(Neighbour(1)) && children.admit(Neighbour(2)));
        assert!(!children.admit(Neighbour(3)));
        assert!(children.remove(Neighbour(1)) && !children.remove(Neighbour(1)));
        assert!(children.admit(Neighbour(3)));
        assert_eq!(children.iter().collect::<Vec<_>>(), [Neighbour(2), Neighbour(3)]);
    }
}
