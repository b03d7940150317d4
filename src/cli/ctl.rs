//! `majlis ctl`: acts in the room of the node that runs in this home, through its local API.

use clap::{Args, Subcommand};
use majlis::api::{Act, Client, Mic};
use majlis_protocol::room::RoomId;
use serde_json::{Value, json};

use super::{
    face::Face,
    options::{NodeFlags, Switch},
    show,
};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  majlis ctl people                       who is here, each with key and nick#tag
  majlis ctl invite salma#x7f2k3ab        onto the stage; she then runs `majlis ctl accept`
  majlis ctl mic on
  majlis ctl tree                         through whom the sound comes, and who takes it from you
  majlis ctl --home ~/other info          the node of another home

KEY is a whole key, or nick#tag where only one person in the room is called so.")]
pub(crate) struct CtlArgs {
    /// Which room, when the node is in several
    #[arg(long, value_name = "ID", global = true)]
    room: Option<RoomId>,
    #[command(subcommand)]
    action: CtlAction,
}

#[derive(Debug, Subcommand)]
enum CtlAction {
    /// Show what the room is and how it sounds here
    Info,
    /// Call the room otherwise
    Title {
        /// How
        title: String,
    },
    /// End the room for everyone
    End,
    /// Show who is in the room, as far as this node knows
    People,
    /// Show the relay tree from the root down to this node, who would step in, and who hangs below
    Tree,
    /// Invite a person to the stage
    Invite {
        /// Whom: a key, or nick#tag
        key: String,
    },
    /// Accept an invitation to the stage; the microphone stays closed
    Accept,
    /// Decline an invitation to the stage
    Decline,
    /// Go back to the audience
    LeaveStage,
    /// Open or close your microphone
    Mic {
        /// Open or closed
        switch: Switch,
    },
    /// Move a person from the stage to the audience
    Move {
        /// Whom: a key, or nick#tag
        key: String,
    },
}

pub(crate) async fn run(args: CtlArgs, flags: &NodeFlags) -> anyhow::Result<()> {
    let client = Client::of(&flags.home()?)?;
    let mut face = Face::new(flags.json);
    let room = room(&client, args.room).await?;
    let path = format!("/v1/room/{room}");
    let act = match args.action {
        CtlAction::Info => {
            let info = client.get(&path).await?;
            return Ok(face.result("info", &info, &show::room::info(&info))?);
        }
        CtlAction::People => {
            let info = client.get(&path).await?;
            let people = json!({ "room": room, "people": info["people"] });
            return Ok(face.result("people", &people, &show::room::people(&info))?);
        }
        CtlAction::Tree => {
            let tree = client.get(&format!("{path}/tree")).await?;
            return Ok(face.result("tree", &tree, &show::tree::tree(&tree))?);
        }
        CtlAction::Mic { switch } => {
            let on = switch == Switch::On;
            let answer = client.post(&format!("{path}/mic"), &Mic { on }).await?;
            let text = if on {
                "the microphone is open: you are live"
            } else {
                "the microphone is closed"
            };
            return Ok(face.result("mic", &answer, text)?);
        }
        CtlAction::Title { title } => Act::Title { title },
        CtlAction::End => Act::End,
        CtlAction::Invite { key } => Act::Invite { key },
        CtlAction::Accept => Act::Accept,
        CtlAction::Decline => Act::Decline,
        CtlAction::LeaveStage => Act::LeaveStage,
        CtlAction::Move { key } => Act::Move { key },
    };
    let answer = client.post(&format!("{path}/act"), &act).await?;
    let seq = answer["seq"].as_u64();
    let action = serde_json::to_value(&act)?["action"].clone();
    let text = format!(
        "done: {} is entry {} of the room's log",
        action.as_str().unwrap_or("it"),
        seq.unwrap_or(0)
    );
    Ok(face.result(
        "done",
        &json!({ "room": room, "action": action, "seq": seq }),
        &text,
    )?)
}

/// The room that was named, or the only one that the node is in.
async fn room(client: &Client, named: Option<RoomId>) -> anyhow::Result<String> {
    if let Some(room) = named {
        return Ok(room.to_string());
    }
    let info = client.get("/v1/info").await?;
    let rooms: Vec<&str> = info["rooms"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    match rooms[..] {
        [room] => Ok(room.to_owned()),
        [] => anyhow::bail!("the node of this home is in no room; `majlis host` and `majlis join` enter one"),
        _ => anyhow::bail!(
            "the node is in several rooms; choose one with --room: {}",
            rooms.join(", ")
        ),
    }
}
