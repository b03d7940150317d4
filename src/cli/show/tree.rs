//! The relay tree as text, from the JSON of the local API: from the root down to this node, and what hangs below it.

use serde_json::Value;

/// Characters of a key that are shown for a peer whose name is not known: its end, where keys differ.
const KEY_END: usize = 8;

/// One line of the tree: what it says of a peer, and how deep it stands.
struct Line {
    depth: usize,
    is_last: bool,
    name: String,
    remark: String,
}

/// The tree as far as a node knows it.
pub(crate) fn tree(tree: &Value) -> String {
    let number = |name: &str| tree[name].as_u64().unwrap_or(0);
    let path = || tree["path"].as_array().into_iter().flatten();
    let (parent, standby) = (&tree["parent"], &tree["standby"]);
    let mut lines = Vec::new();
    for (depth, peer) in path().enumerate() {
        let is_parent = *peer == parent["peer"];
        let known = [parent, standby]
            .into_iter()
            .find(|branch| *peer == branch["peer"]);
        let name = known.map_or_else(|| key_end(peer), name);
        let mut remarks = Vec::new();
        if *peer == tree["root"] {
            remarks.push("root".to_owned());
        }
        if is_parent {
            remarks.push(format!("parent, {}", link(parent)));
        }
        lines.push(line(depth, true, name, remarks.join(", ")));
    }
    let depth = lines.len();
    let children: Vec<&Value> = tree["children"].as_array().into_iter().flatten().collect();
    let has_place = !tree["root"].is_null();
    let here = match (depth, has_place) {
        (0, true) => "root, ",
        (0, false) => "without a place, looking for one, ",
        _ => "",
    };
    let (taken, capacity, members) = (children.len(), number("capacity"), number("members"));
    let remark = format!(
        "{here}{taken} of {capacity} places taken, {} below",
        members.saturating_sub(1)
    );
    lines.push(line(depth, true, "you".into(), remark));
    for (at, child) in children.iter().enumerate() {
        let below = child["members"].as_u64().unwrap_or(1).saturating_sub(1);
        let remark = match below {
            0 => link(child),
            below => format!("{below} below, {}", link(child)),
        };
        lines.push(line(depth + 1, at + 1 == children.len(), name(child), remark));
    }
    let mut text = drawn(&lines);
    if !standby.is_null() {
        text += &format!("\nstandby: {}, {}", name(standby), link(standby));
    } else if depth > 0 {
        text += "\nstandby: none yet";
    }
    if number("stands_by_for") > 0 {
        text += &format!("\nyou stand by for {}", number("stands_by_for"));
    }
    text
}

fn line(depth: usize, is_last: bool, name: String, remark: String) -> Line {
    Line {
        depth,
        is_last,
        name,
        remark,
    }
}

/// Branches and remarks, the remarks in one column.
fn drawn(lines: &[Line]) -> String {
    let branch = |line: &Line| match line.depth {
        0 => line.name.clone(),
        depth => {
            let fork = if line.is_last { "└─ " } else { "├─ " };
            format!("{}{fork}{}", "   ".repeat(depth - 1), line.name)
        }
    };
    let width = lines
        .iter()
        .map(|line| branch(line).chars().count())
        .max()
        .unwrap_or(0);
    let rows: Vec<String> = lines
        .iter()
        .map(|line| {
            let row = format!("{:<width$}  {}", branch(line), line.remark);
            row.trim_end().to_owned()
        })
        .collect();
    rows.join("\n")
}

/// `nick#tag` where a node has introduced itself, else the end of its key.
fn name(branch: &Value) -> String {
    match (branch["nick"].as_str(), branch["tag"].as_str()) {
        (Some(nick), Some(tag)) => format!("{nick}#{tag}"),
        _ => key_end(&branch["peer"]),
    }
}

fn key_end(peer: &Value) -> String {
    let key = peer.as_str().unwrap_or("unknown");
    let start = key.char_indices().rev().nth(KEY_END - 1).map_or(0, |(at, _)| at);
    format!("…{}", &key[start..])
}

/// How the link to a neighbour fares.
fn link(branch: &Value) -> String {
    match (branch["rtt_ms"].as_f64(), branch["loss"].as_f64()) {
        (Some(rtt), Some(loss)) => format!("{rtt:.0} ms round trip, {:.1} % lost", loss * 100.0),
        _ => "not over QUIC".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_way_from_the_root_and_what_hangs_below_are_drawn() {
        let known = json!({
            "peer": "12D3me", "root": "12D3KooWroot0001", "path": ["12D3KooWroot0001", "12D3KooWparent"], "depth": 2,
            "parent": { "peer": "12D3KooWparent", "nick": "salma", "tag": "abcd", "rtt_ms": 12.3, "loss": 0.0012 },
            "standby": { "peer": "12D3KooWother001", "nick": null, "tag": null, "rtt_ms": null, "loss": null },
            "children": [
                { "peer": "12D3KooWchild001", "nick": "amir", "tag": "efgh", "members": 4, "rtt_ms": 1.0, "loss": 0.0 },
                { "peer": "12D3KooWchild002", "nick": null, "tag": null, "members": 1, "rtt_ms": 2.0, "loss": 0.0 },
            ],
            "capacity": 8, "members": 6, "stands_by_for": 3,
        });
        let expected = "\
…root0001           root
└─ salma#abcd       parent, 12 ms round trip, 0.1 % lost
   └─ you           2 of 8 places taken, 5 below
      ├─ amir#efgh  3 below, 1 ms round trip, 0.0 % lost
      └─ …child002  2 ms round trip, 0.0 % lost
standby: …other001, not over QUIC
you stand by for 3";
        assert_eq!(tree(&known), expected);
    }

    #[test]
    fn a_root_without_children_and_a_node_without_a_place_are_said_to_be_so() {
        let root = tree(&json!({ "peer": "p", "root": "p", "path": [], "capacity": 8, "members": 1 }));
        assert_eq!(root, "you  root, 0 of 8 places taken, 0 below");
        let lost = tree(&json!({ "peer": "p", "root": null, "path": [], "capacity": 0, "members": 1 }));
        assert!(lost.starts_with("you  without a place"), "{lost}");
        assert!(tree(&json!({})).starts_with("you"), "whatever it is told");
    }
}
