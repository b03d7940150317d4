//! A room and its people as text, from the JSON of the local API.

use serde_json::Value;

use super::lines;

/// What the room is and how it sounds here.
pub(crate) fn info(info: &Value) -> String {
    let text = |name: &str| info[name].as_str().unwrap_or("unknown");
    let number = |name: &str| info[name].as_u64().unwrap_or(0);
    let mut lines = vec![
        format!("title      {}", text("title")),
        format!("room       {}", text("id")),
        format!("link       {}", text("link")),
        format!("host       {}", text("host")),
        format!("you are    {}", text("role")),
        format!("listeners  about {}", number("listeners")),
        format!("depth      {}", number("depth")),
        format!("term       {}", number("term")),
    ];
    if info["recorded"] == true {
        lines.push("recorded   by its host".to_owned());
    }
    for pin in info["pins"].as_array().into_iter().flatten() {
        lines.push(format!("pinned     {}", pin.as_str().unwrap_or_default()));
    }
    for stream in info["stats"]["streams"].as_array().into_iter().flatten() {
        lines.push(format!(
            "hears      {}: {} of {} frames, {} ms delay",
            stream["speaker"].as_str().unwrap_or("unknown"),
            stream["received"],
            stream["expected"],
            stream["delay_ms"]
        ));
    }
    lines.join("\n")
}

/// Who is in the room, one a line.
pub(crate) fn people(info: &Value) -> String {
    let of = |name: &str| info[name].as_array().into_iter().flatten();
    let people = of("people").map(|one| person(one, &key(one)));
    let lines: Vec<String> = people
        .chain(of("kept_out").map(|one| kept_out(one, &key(one))))
        .collect();
    if lines.is_empty() {
        "nobody is known yet".to_owned()
    } else {
        lines.join("\n")
    }
}

/// A line for someone in the room; `key` stands where it can be copied.
pub(crate) fn person(person: &Value, key: &str) -> String {
    let text = |name: &str| person[name].as_str().unwrap_or_default();
    let named = format!("{}#{}", text("nick"), text("tag"));
    let stage = if person["on_stage"] == true {
        "  on stage"
    } else {
        ""
    };
    let muted = match (&person["muted"], &person["mic"]) {
        (Value::Bool(true), _) => "  muted",
        (_, Value::Bool(true)) => "  mic on",
        (_, Value::Bool(false)) => "  mic off",
        _ => "",
    };
    let turn = person["turn_left_ms"].as_u64();
    let turn = turn.map(|ms| format!("  for {}", lines::span(ms)));
    let turn = turn.unwrap_or_default();
    let invited = if person["invited"] == true {
        "  invited"
    } else {
        ""
    };
    let volume = match person["volume"].as_u64() {
        None | Some(100) => String::new(),
        Some(0) => "  muted here".to_owned(),
        Some(percent) => format!("  at {percent} % here"),
    };
    format!(
        "{named:<24} {:<9} {key}{stage}{muted}{turn}{invited}{volume}",
        text("role")
    )
}

/// The key of someone, to be copied.
fn key(person: &Value) -> String {
    person["key"].as_str().unwrap_or_default().to_owned()
}

/// The pinned links, one a line.
pub(crate) fn pins(info: &Value) -> String {
    let pins = info["pins"].as_array().into_iter().flatten();
    let lines: Vec<&str> = pins.filter_map(Value::as_str).collect();
    if lines.is_empty() {
        "nothing is pinned".to_owned()
    } else {
        lines.join("\n")
    }
}

/// A page of those who listen, one a line.
pub(crate) fn audience(page: &Value) -> String {
    let text = |person: &Value, name: &str| person[name].as_str().unwrap_or_default().to_owned();
    let people = page["people"].as_array().into_iter().flatten();
    let mut lines: Vec<String> = people
        .map(|person| {
            let named = format!("{}#{}", text(person, "nick"), text(person, "tag"));
            format!("{named:<24} {}", text(person, "key"))
        })
        .collect();
    if lines.is_empty() {
        lines.push("nobody is on this page".to_owned());
    }
    if page["more"] == true {
        let next = page["page"].as_u64().unwrap_or(0) + 1;
        lines.push(format!("there may be more: --page {next}"));
    }
    lines.join("\n")
}

/// Who has raised a hand, in order.
pub(crate) fn hands(info: &Value) -> String {
    let hands = info["hands"].as_array().into_iter().flatten();
    let line = |one: &Value| {
        format!(
            "{:>3}  {}",
            one["place"].as_u64().unwrap_or(0),
            hand(one, &key(one))
        )
    };
    let lines: Vec<String> = hands.map(line).collect();
    if lines.is_empty() {
        "no hand is up".to_owned()
    } else {
        lines.join("\n")
    }
}

/// A line for a raised hand.
pub(crate) fn hand(hand: &Value, key: &str) -> String {
    let text = |name: &str| hand[name].as_str().unwrap_or_default();
    let named = format!("{}#{}", text("nick"), text("tag"));
    let waits = lines::span(hand["waits_ms"].as_u64().unwrap_or(0));
    format!("{named:<24} {key}  for {waits}")
}

/// The guest list, and what it is for.
pub(crate) fn guests(rules: &Value) -> String {
    let listed = rules["guests"].as_array().into_iter().flatten();
    let means = match rules["guest_list"].as_str() {
        Some("enter") => "only these come in, and those who keep order:",
        Some("speak") => "only these come onto the stage, and those who keep order:",
        _ => "the guest list is off; on it stand:",
    };
    let lines = listed.filter_map(Value::as_str).map(|key| format!("  {key}"));
    [means.to_owned()]
        .into_iter()
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A line for someone who may not come in.
pub(crate) fn kept_out(person: &Value, key: &str) -> String {
    let text = |name: &str| person[name].as_str().unwrap_or_default();
    let named = format!("{}#{}", text("nick"), text("tag"));
    let what = if person["kicked"] == true {
        "kicked"
    } else {
        "banned"
    };
    let left = person["left_ms"].as_u64();
    let left = left.map(|ms| format!("  {} left", lines::span(ms)));
    let why = Some(text("reason")).filter(|why| !why.is_empty());
    let why = why.map(|why| format!("  ({why})"));
    format!(
        "{named:<24} {what:<9} {key}{}{}",
        left.unwrap_or_default(),
        why.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn people_are_named_by_nick_and_tag_with_the_key_to_copy() {
        let info = json!({ "people": [
            { "key": "12D3", "nick": "salma", "tag": "abcd", "role": "speaker", "on_stage": true, "muted": true, "mic": false },
            { "key": "12D5", "nick": "noor", "tag": "ijkl", "role": "speaker", "on_stage": true, "muted": false, "mic": false },
        ], "kept_out": [
            { "key": "12D4", "tag": "efgh", "kicked": false, "left_ms": 7_200_000, "reason": "spam" },
        ] });
        let shown = people(&info);
        let (line, out) = shown.split_once('\n').expect("three lines");
        let (silent, out) = out.split_once('\n').expect("three lines");
        assert!(silent.ends_with("on stage  mic off"), "{silent}");
        assert!(line.starts_with("salma#abcd ") && line.contains("12D3"), "{line}");
        assert!(line.ends_with("on stage  muted"), "{line}");
        assert!(
            out.starts_with("#efgh ") && out.ends_with("12D4  2 h left  (spam)"),
            "{out}"
        );
    }

    #[test]
    fn hands_are_shown_with_the_number_to_invite_by() {
        let info = json!({ "hands": [
            { "place": 1, "key": "12D3", "nick": "salma", "tag": "abcd", "waits_ms": 61_000 },
        ] });
        let shown = hands(&info);
        assert!(
            shown.starts_with("  1  salma#abcd ") && shown.ends_with("12D3  for 2 min"),
            "{shown}"
        );
        assert_eq!(hands(&json!({})), "no hand is up");
    }

    #[test]
    fn the_audience_is_shown_with_how_to_go_on() {
        let page =
            json!({ "page": 2, "more": true, "people": [{ "key": "12D3", "nick": "salma", "tag": "abcd" }] });
        let shown = audience(&page);
        assert!(
            shown.starts_with("salma#abcd ") && shown.ends_with("--page 3"),
            "{shown}"
        );
        assert_eq!(audience(&json!({})), "nobody is on this page");
    }

    #[test]
    fn a_node_that_tells_less_is_still_shown() {
        assert!(info(&json!({})).contains("title      unknown"));
        assert_eq!(people(&json!({})), "nobody is known yet");
    }
}
