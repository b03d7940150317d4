//! Who hangs on whom in the room whose relay is killed, as each process says of itself.
//!
//! Nothing is asked: a place that a process has not told is not shown.

use std::collections::BTreeMap;

use serde::Serialize;

use super::process::Seen;

/// A room's members by their names.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tree {
    members: Vec<Place>,
}

/// One member's place.
#[derive(Debug, Serialize)]
struct Place {
    name: &'static str,
    /// Hops from the root.
    depth: u64,
    /// From whom it takes sound; none for the root.
    parent: Option<&'static str>,
    /// Who would step in.
    standby: Option<&'static str>,
}

/// The names of processes by their peers.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, &'static str>);

impl Names {
    /// Remembers which peer a process is, once it has said so.
    pub(super) fn learn(&mut self, name: &'static str, seen: &Seen) {
        if let Some(peer) = &seen.peer {
            self.0.insert(peer.clone(), name);
        }
    }

    /// The name of a peer.
    pub(super) fn of(&self, peer: Option<&String>) -> Option<&'static str> {
        self.0.get(peer?).copied()
    }
}

impl Tree {
    /// The places of those who live, in the order given.
    pub(super) fn of<'a>(
        processes: impl IntoIterator<Item = (&'static str, &'a Seen)>,
        names: &Names,
    ) -> Self {
        let living = processes.into_iter().filter(|(_, seen)| !seen.gone);
        let members = living
            .map(|(name, seen)| Place {
                name,
                depth: seen.depth,
                parent: names.of(seen.parent.as_ref()),
                standby: names.of(seen.standby.as_ref()),
            })
            .collect();
        Self { members }
    }

    /// Who takes sound from a member.
    pub(super) fn children(&self, name: &str) -> Vec<&'static str> {
        let below = |place: &&Place| place.parent == Some(name);
        self.members
            .iter()
            .filter(below)
            .map(|place| place.name)
            .collect()
    }

    /// Of these members the one on which most hang; none when nobody hangs on any.
    pub(super) fn busiest(&self, among: &[&'static str]) -> Option<&'static str> {
        let load = |name: &&'static str| self.children(name).len();
        let busiest = among.iter().copied().rev().max_by_key(load);
        busiest.filter(|name| load(name) > 0)
    }

    /// It as a drawing: one line a member, children below their parent.
    pub(super) fn drawing(&self) -> String {
        let mut lines = Vec::new();
        for root in self.members.iter().filter(|place| place.parent.is_none()) {
            self.draw(root, "", "", &mut lines);
        }
        lines.join("\n")
    }

    fn draw(&self, place: &Place, branch: &str, indent: &str, lines: &mut Vec<String>) {
        let standby = place
            .standby
            .map_or_else(String::new, |standby| format!("   ({standby} would step in)"));
        lines.push(format!("{branch}{}{standby}", place.name));
        let below: Vec<&Place> = self
            .members
            .iter()
            .filter(|child| child.parent == Some(place.name))
            .collect();
        for (n, child) in below.iter().enumerate() {
            let (corner, bar) = if n + 1 == below.len() {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            self.draw(
                child,
                &format!("{indent}{corner}"),
                &format!("{indent}{bar}"),
                lines,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &'static str, parent: Option<&'static str>) -> Place {
        Place {
            name,
            depth: 0,
            parent,
            standby: parent.filter(|parent| *parent != "host").map(|_| "host"),
        }
    }

    fn tree() -> Tree {
        Tree {
            members: vec![
                place("host", None),
                place("relay-1", Some("host")),
                place("relay-2", Some("host")),
                place("one", Some("relay-1")),
                place("two", Some("relay-2")),
                place("three", Some("relay-2")),
            ],
        }
    }

    #[test]
    fn children_stand_below_their_parent() {
        let expected = "\
host
├─ relay-1
│  └─ one   (host would step in)
└─ relay-2
   ├─ two   (host would step in)
   └─ three   (host would step in)";
        assert_eq!(tree().drawing(), expected);
    }

    #[test]
    fn the_busiest_relay_is_the_one_with_most_children_and_one_without_is_none() {
        let tree = tree();
        assert_eq!(tree.busiest(&["relay-1", "relay-2"]), Some("relay-2"));
        assert_eq!(tree.busiest(&["relay-1"]), Some("relay-1"));
        assert_eq!(tree.busiest(&["one", "two"]), None);
    }

    #[test]
    fn whoever_is_gone_has_no_place() {
        let mut names = Names::default();
        let seen = |peer: &str, parent: Option<&str>, gone| Seen {
            peer: Some(peer.to_owned()),
            parent: parent.map(str::to_owned),
            gone,
            ..Seen::default()
        };
        let all = [
            ("host", seen("h", None, false)),
            ("relay", seen("r", Some("h"), true)),
            ("one", seen("o", Some("r"), false)),
        ];
        for (name, seen) in &all {
            names.learn(name, seen);
        }
        let tree = Tree::of(all.iter().map(|(name, seen)| (*name, seen)), &names);
        assert_eq!(tree.members.len(), 2);
        assert_eq!(tree.children("relay"), ["one"]);
    }
}
