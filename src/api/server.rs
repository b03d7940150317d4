//! The server: a bounded number of connections on loopback, each with bounded headers and time.

use std::{io, net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::{JoinHandle, JoinSet},
};

use super::routes::{self, Context};
use crate::{
    home::{ApiAccess, Granted, HomeError},
    node::Node,
};

/// Most connections at a time, and most WebSockets. A person's own programs need a handful; a program that leaks them must not use up
/// the files that the room needs.
const CONNECTIONS: usize = 32;

/// Most bytes of a request's line and headers together; hyper allows no less than 8 KiB.
const HEADERS: usize = 8 << 10;

/// Most headers of a request; browsers send about twenty.
const HEADER_COUNT: usize = 64;

/// How long a client may take to send its headers. On loopback more is a client that hangs.
const HEADER_TIME: Duration = Duration::from_secs(2);

/// How long to wait after an accept that failed, as for want of files, before trying again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The API of a node, served until this is dropped.
#[derive(Debug)]
pub struct Server {
    granted: Granted,
    task: JoinHandle<()>,
    /// Tells open WebSockets to end; they hold the node.
    _end: watch::Sender<()>,
}

/// Why the API cannot be served. This machine is at fault; a retry seldom helps.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// No socket on loopback.
    #[error("the local API gets no socket on 127.0.0.1: {0}; `majlis doctor` says what works here")]
    Bind(io::Error),
    /// The token cannot be kept in the home.
    #[error(transparent)]
    Home(#[from] HomeError),
}

impl Server {
    /// Serves the API of a node whose home this is.
    ///
    /// # Errors
    /// [`ApiError`] when there is no socket, or no place for the token.
    pub async fn start(node: Node, home: &Path) -> Result<Self, ApiError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .map_err(ApiError::Bind)?;
        let port = listener.local_addr().map_err(ApiError::Bind)?.port();
        let granted = ApiAccess::grant(home, port)?;
        let (end, ended) = watch::channel(());
        let context = Context {
            node,
            end: ended,
            sockets: Arc::new(Semaphore::new(CONNECTIONS)),
        };
        let router = routes::router(context, granted.access().clone());
        let task = tokio::spawn(accept(listener, router));
        Ok(Self {
            granted,
            task,
            _end: end,
        })
    }

    /// Where it listens, and what it asks for.
    #[must_use]
    pub fn access(&self) -> &ApiAccess {
        self.granted.access()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Accepts connections for as long as the task lives; they end with it.
async fn accept(listener: TcpListener, router: Router) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let place = Arc::clone(&free)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                connections.spawn(async move {
                    serve(stream, router).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "the local API could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, router: Router) {
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME)
        .max_headers(HEADER_COUNT)
        .max_buf_size(HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a client of the local API went");
    }
}
