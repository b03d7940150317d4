//! What the API answers: one function a request, over [`Node`] and [`RoomHandle`].

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{
        DefaultBodyLimit, Path, Query, State,
        rejection::{JsonRejection, QueryRejection},
    },
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use majlis_protocol::{
    log::{GuestList, Role},
    person::Person,
    room::{Chat, Hands, RoomId, RoomTag},
    stage::Reactions,
};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Semaphore, watch};

use super::{Act, ChatFor, ForGuests, HandPolicy, Mic, Office, Volume, events, guard, keys};
use crate::{
    home::{ApiAccess, MOST_VOLUME},
    node::Node,
    room::{ActError, RoomAction, RoomHandle, RoomInfo},
};

/// Most bytes of a request's body: a title and its quotes fit many times over.
const BODY: usize = 16 << 10;

/// What every request may need.
#[derive(Debug, Clone)]
pub(super) struct Context {
    /// The node.
    pub(super) node: Node,
    /// Changes, or is gone, when the server ends.
    pub(super) end: watch::Receiver<()>,
    /// Places for WebSockets, which outlive the connections that are counted as they are accepted.
    pub(super) sockets: Arc<Semaphore>,
}

/// An answer of refusal, as every request gives it.
#[derive(Debug)]
pub(super) struct Refused {
    status: StatusCode,
    why: String,
}

/// The whole API, behind its guard.
pub(super) fn router(context: Context, access: ApiAccess) -> Router {
    Router::new()
        .route("/v1/info", get(info))
        .route("/v1/rooms", get(rooms))
        .route("/v1/room/{id}", get(room))
        .route("/v1/room/{id}/audience", get(audience))
        .route("/v1/room/{id}/tree", get(tree))
        .route("/v1/room/{id}/act", post(act))
        .route("/v1/room/{id}/mic", post(mic))
        .route("/v1/room/{id}/volume", post(volume))
        .route("/v1/events", get(events::open))
        .fallback(async || refusal(StatusCode::NOT_FOUND, "there is no such request"))
        .method_not_allowed_fallback(async || {
            refusal(StatusCode::METHOD_NOT_ALLOWED, "this request has another method")
        })
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn_with_state(access, guard::guard))
        .with_state(context)
}

/// An error as every request answers it.
pub(super) fn refusal(status: StatusCode, why: impl ToString) -> Refused {
    Refused {
        status,
        why: why.to_string(),
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.why }))).into_response()
    }
}

async fn info(State(Context { node, .. }): State<Context>) -> Response {
    let rooms: Vec<_> = node.rooms().iter().map(|room| room.id().to_string()).collect();
    let info = json!({
        "peer": node.peer().to_string(),
        "key": node.person().to_string(),
        "nick": node.nick(),
        "tag": node.person().tag(),
        "addresses": node.addresses(),
        "rooms": rooms,
    });
    Json(info).into_response()
}

#[derive(Debug, Deserialize)]
struct Wanted {
    tag: Option<String>,
}

async fn rooms(
    State(Context { node, .. }): State<Context>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(wanted) = wanted.map_err(|error| refusal(error.status(), error.body_text()))?;
    let tag: Option<RoomTag> = wanted
        .tag
        .map(|tag| tag.parse())
        .transpose()
        .map_err(|error| refusal(StatusCode::BAD_REQUEST, error))?;
    let rooms = json!({
        "listings": node.listings(tag.as_ref()).await,
        "cancelled": node.cancelled(tag.as_ref()).await,
    });
    Ok(Json(rooms).into_response())
}

async fn room(State(context): State<Context>, Path(id): Path<String>) -> Result<Response, Refused> {
    let room = context.room(&id)?;
    Ok(Json(known(&room).await?).into_response())
}

#[derive(Debug, Deserialize)]
struct Page {
    page: Option<u32>,
}

async fn audience(
    State(context): State<Context>,
    Path(id): Path<String>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(Page { page }) = page.map_err(|error| refusal(error.status(), error.body_text()))?;
    let room = context.room(&id)?;
    match room.audience(page.unwrap_or(1)).await {
        Ok(page) => Ok(Json(page).into_response()),
        Err(error) => Err(refusal(StatusCode::CONFLICT, error)),
    }
}

async fn tree(State(context): State<Context>, Path(id): Path<String>) -> Result<Response, Refused> {
    let room = context.room(&id)?;
    let tree = room.tree().await;
    let tree = tree.ok_or_else(|| refusal(StatusCode::NOT_FOUND, ActError::Left))?;
    Ok(Json(tree).into_response())
}

async fn act(
    State(context): State<Context>,
    Path(id): Path<String>,
    act: Result<Json<Act>, JsonRejection>,
) -> Result<Response, Refused> {
    let room = context.room(&id)?;
    let Json(act) = act.map_err(malformed)?;
    let action = action(&room, act).await?;
    let is_hand = matches!(action, RoomAction::Hand { .. });
    let is_entry = !matches!(
        action,
        RoomAction::Say(_) | RoomAction::React(_) | RoomAction::LowerHand(_)
    );
    match room.act(action.clone()).await {
        Ok(place) if is_hand => Ok(Json(json!({ "place": place })).into_response()),
        Ok(seq) if is_entry => Ok(Json(json!({ "seq": seq })).into_response()),
        Ok(_) => Ok(Json(json!({})).into_response()),
        Err(error) => Err(refusal(StatusCode::CONFLICT, room.explain(&action, &error).await)),
    }
}

async fn mic(
    State(context): State<Context>,
    Path(id): Path<String>,
    mic: Result<Json<Mic>, JsonRejection>,
) -> Result<Response, Refused> {
    let room = context.room(&id)?;
    let Json(mic) = mic.map_err(malformed)?;
    match room.microphone(mic.on).await {
        Ok(()) => Ok(Json(mic).into_response()),
        Err(error) => Err(refusal(StatusCode::CONFLICT, error)),
    }
}

async fn volume(
    State(context): State<Context>,
    Path(id): Path<String>,
    volume: Result<Json<Volume>, JsonRejection>,
) -> Result<Response, Refused> {
    let room = context.room(&id)?;
    let Json(Volume { key, percent }) = volume.map_err(malformed)?;
    let person = whom(&room, &key).await?;
    if let Some(percent) = percent {
        if percent > MOST_VOLUME {
            let why = format!("a volume is from 0 to {MOST_VOLUME} percent");
            return Err(refusal(StatusCode::BAD_REQUEST, why));
        }
        let kept = context.node.set_volume(person, percent).await;
        kept.map_err(|error| refusal(StatusCode::INTERNAL_SERVER_ERROR, error))?;
    }
    let percent = context.node.volume(person);
    Ok(Json(json!({ "key": person.to_string(), "percent": percent })).into_response())
}

impl Context {
    fn room(&self, id: &str) -> Result<RoomHandle, Refused> {
        let id: RoomId = id
            .parse()
            .map_err(|error| refusal(StatusCode::BAD_REQUEST, error))?;
        self.node
            .room(id)
            .ok_or_else(|| refusal(StatusCode::NOT_FOUND, "this node is not in that room"))
    }
}

/// What is known of a room while this node is in it.
async fn known(room: &RoomHandle) -> Result<RoomInfo, Refused> {
    room.info()
        .await
        .ok_or_else(|| refusal(StatusCode::NOT_FOUND, ActError::Left))
}

/// Whom a key, a name or a place in the queue means.
async fn whom(room: &RoomHandle, key: &str) -> Result<Person, Refused> {
    let info = known(room).await?;
    let people = info
        .people
        .iter()
        .filter_map(|one| Some((one.key, one.nick.as_deref()?, one.tag.as_str())));
    let waiting = info.hands.iter().map(|one| (one.key, &*one.nick, &*one.tag));
    let queue: Vec<Person> = info.hands.iter().map(|hand| hand.key).collect();
    keys::find(key, people.chain(waiting), &queue).map_err(|error| refusal(StatusCode::BAD_REQUEST, error))
}

/// The room's own action for what was asked, with persons in the place of their names.
async fn action(room: &RoomHandle, act: Act) -> Result<RoomAction, Refused> {
    let whom = async |key: String| whom(room, &key).await;
    Ok(match act {
        Act::Title { title } => RoomAction::Title(title),
        Act::Invite { key } => RoomAction::Invite(whom(key).await?),
        Act::Accept => RoomAction::Accept,
        Act::Decline => RoomAction::Decline,
        Act::LeaveStage => RoomAction::LeaveStage,
        Act::Move { key } => RoomAction::Move(whom(key).await?),
        Act::End => RoomAction::End,
        Act::Line { keys } => {
            let mut people = Vec::new();
            for key in keys {
                people.push(whom(key).await?);
            }
            RoomAction::Line(people)
        }
        Act::Lock => RoomAction::Lock(true),
        Act::Unlock => RoomAction::Lock(false),
        Act::Guest { key, listed } => RoomAction::Guest {
            person: whom(key).await?,
            listed,
        },
        Act::GuestList { list } => RoomAction::GuestList(match list {
            ForGuests::Off => GuestList::Off,
            ForGuests::Enter => GuestList::Enter,
            ForGuests::Speak => GuestList::Speak,
        }),
        Act::Speakers { most } => RoomAction::Speakers(most),
        Act::LowerHand { key } => RoomAction::LowerHand(whom(key).await?),
        Act::Hand { raised } => RoomAction::Hand { raised },
        Act::Chat { text } => RoomAction::Say(text),
        Act::React { reaction } => {
            let reaction = Reactions::one(&reaction);
            RoomAction::React(
                reaction.ok_or_else(|| refusal(StatusCode::BAD_REQUEST, "there is no such reaction"))?,
            )
        }
        Act::ChatPolicy { who } => RoomAction::Chat(match who {
            ChatFor::Anyone => Chat::Anyone,
            ChatFor::Stage => Chat::Stage,
            ChatFor::Nobody => Chat::Nobody,
        }),
        Act::SlowMode { seconds } => RoomAction::SlowMode(seconds),
        Act::SpeakingTime { seconds } => RoomAction::SpeakingTime(seconds),
        Act::Record { on } => RoomAction::Record { on },
        Act::Pin { link } => RoomAction::Pin { link, pinned: true },
        Act::Unpin { link } => RoomAction::Pin { link, pinned: false },
        Act::Hands { who } => RoomAction::Hands(match who {
            HandPolicy::Anyone => Hands::Anyone,
            HandPolicy::Nobody => Hands::Nobody,
        }),
        Act::Grant { key, role } => RoomAction::Grant {
            person: whom(key).await?,
            role: match role {
                Office::Moderator => Role::Moderator,
                Office::CoHost => Role::CoHost,
            },
        },
        Act::Revoke { key, reason } => RoomAction::Revoke {
            person: whom(key).await?,
            reason,
        },
        Act::Mute { key, reason } => RoomAction::Mute {
            person: whom(key).await?,
            reason,
        },
        Act::Unmute { key, reason } => RoomAction::Unmute {
            person: whom(key).await?,
            reason,
        },
        Act::Kick { key, reason } => RoomAction::Kick {
            person: whom(key).await?,
            reason,
        },
        Act::Ban { key, seconds, reason } => RoomAction::Ban {
            person: whom(key).await?,
            lasts: seconds.map(Duration::from_secs),
            reason,
        },
        Act::Unban { key, reason } => {
            let info = known(room).await?;
            let out = info.kept_out.iter().map(|one| (one.key, one.tag.as_str()));
            let person =
                keys::find_kept_out(&key, out).map_err(|error| refusal(StatusCode::BAD_REQUEST, error))?;
            RoomAction::Unban { person, reason }
        }
    })
}

fn malformed(rejection: JsonRejection) -> Refused {
    refusal(rejection.status(), rejection.body_text())
}
