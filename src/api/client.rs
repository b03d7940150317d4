//! A client of the API, for programs of the same user: one request, one connection.

use std::{net::Ipv4Addr, path::Path, path::PathBuf, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::home::{ApiAccess, HomeError};

/// Longest that an answer may take: longer than the server itself gives a request.
const ANSWER: Duration = Duration::from_secs(40);

/// Most bytes of an answer: a directory full of rooms.
const ANSWER_BYTES: usize = 16 << 20;

/// A client of the node that runs in one home.
#[derive(Debug, Clone)]
pub struct Client {
    home: PathBuf,
    access: ApiAccess,
}

/// Why a request has no good answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// No node runs in the home: start one.
    #[error("no node runs in {}: start one with `majlis host`, `join` or `node`, or name its home with --home DIR", .0.display())]
    NotRunning(PathBuf),
    /// The access cannot be read: the home's permissions.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The node refuses, and says why.
    #[error("{0}")]
    Refused(String),
    /// The node answers what is no answer, or not in time: perhaps another version. A retry may help.
    #[error("the node in {} does not answer as it should ({reason}); if it goes on, start it again", home.display())]
    Answer {
        /// The home.
        home: PathBuf,
        /// What was wrong.
        reason: String,
    },
}

impl Client {
    /// A client of the node that runs in `home`.
    ///
    /// # Errors
    /// [`ClientError::NotRunning`] when none has left its access there.
    pub fn of(home: &Path) -> Result<Self, ClientError> {
        let access = ApiAccess::find(home)?.ok_or_else(|| ClientError::NotRunning(home.to_owned()))?;
        Ok(Self {
            home: home.to_owned(),
            access,
        })
    }

    /// Asks for something, such as `/v1/info`.
    ///
    /// # Errors
    /// [`ClientError`] says why there is no good answer.
    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// Has something done.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with the room's reason, or what else is in the way.
    pub async fn post(&self, path: &str, body: &impl Serialize) -> Result<Value, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| self.odd(error))?;
        self.ask(Method::POST, path, body.into()).await
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Value, ClientError> {
        // What a killed node left behind names a port on which nobody listens.
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.access.port))
            .await
            .map_err(|_| ClientError::NotRunning(self.home.clone()))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, format!("127.0.0.1:{}", self.access.port))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.access.token))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| self.odd(error))?;
        match tokio::time::timeout(ANSWER, exchange(stream, request)).await {
            Ok(Ok((status, answer))) => self.read(status, &answer),
            Ok(Err(error)) => Err(self.odd(error)),
            Err(_) => Err(self.odd("no answer in time")),
        }
    }

    fn read(&self, status: StatusCode, answer: &[u8]) -> Result<Value, ClientError> {
        let value: Value = serde_json::from_slice(answer).map_err(|error| self.odd(error))?;
        if status.is_success() {
            return Ok(value);
        }
        match value.get("error").and_then(Value::as_str) {
            Some(reason) => Err(ClientError::Refused(reason.to_owned())),
            None => Err(self.odd(status)),
        }
    }

    fn odd(&self, reason: impl ToString) -> ClientError {
        ClientError::Answer {
            home: self.home.clone(),
            reason: reason.to_string(),
        }
    }
}

/// One request over one connection, and the whole of its answer.
async fn exchange(
    stream: TcpStream,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(answer);
    tokio::select! {
        // The connection may end before the last of the answer is read.
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}
