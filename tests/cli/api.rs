//! The local API lets in who can read the home, and nobody else; its events are those of `--json`.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
    time::Duration,
};

use futures::StreamExt;
use serde_json::Value;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

use super::program::{PATIENCE, host, succeeds};

struct Access {
    port: String,
    token: String,
}

fn access(home: &Path) -> Access {
    let read = |name| fs::read_to_string(home.join(name)).unwrap();
    Access {
        port: read("api.port"),
        token: read("api.token"),
    }
}

impl Access {
    /// Sends the bytes of a request; the status and body of the answer.
    fn send(&self, request: &[u8]) -> (u16, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port.parse().unwrap())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // The server may answer and close before it has read all.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head
            .split(' ')
            .nth(1)
            .unwrap_or_else(|| panic!("no status: {answer}"));
        (status.parse().unwrap(), body.to_owned())
    }

    fn ask(&self, line: &str, host: &str, headers: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        );
        self.send(request.as_bytes())
    }

    fn own_host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn bearer(&self) -> String {
        format!("Authorization: Bearer {}\r\n", self.token)
    }
}

#[test]
fn only_who_has_the_token_and_means_this_server_is_let_in() {
    let home = tempfile::tempdir().unwrap();
    let (_host, _) = host(home.path(), &[]);
    let api = access(home.path());
    let (name, bearer) = (api.own_host(), api.bearer());
    let status = |host: &str, headers: &str| api.ask("GET /v1/info", host, headers, "").0;
    assert_eq!(status(&name, &bearer), 200);
    assert_eq!(status(&format!("localhost:{}", api.port), &bearer), 200);
    assert_eq!(status(&name, &format!("{bearer}Origin: http://{name}\r\n")), 200);
    assert_eq!(status(&name, ""), 401);
    assert_eq!(status(&name, "Authorization: Bearer wrong\r\n"), 401);
    assert_eq!(status("evil.example", &bearer), 403);
    assert_eq!(
        status(&name, &format!("{bearer}Origin: http://evil.example\r\n")),
        403
    );
    let in_url = format!("GET /v1/info?token={}", api.token);
    assert_eq!(api.ask(&in_url, &name, "", "").0, 401);
    assert_eq!(
        api.ask(
            "GET /v1/events",
            &name,
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
            ""
        )
        .0,
        401
    );
}

#[test]
fn what_is_malformed_or_too_large_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let (_host, _) = host(home.path(), &[]);
    let api = access(home.path());
    let (name, bearer) = (api.own_host(), api.bearer());
    let room = succeeds(home.path(), &["ctl", "info"])[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let act = format!("POST /v1/room/{room}/act");
    let other = format!("GET /v1/room/ae{}", "a".repeat(51));
    for (line, body, expected) in [
        ("GET /nothing", String::new(), 404),
        (other.as_str(), String::new(), 404),
        ("GET /v1/room/x", String::new(), 400),
        ("GET /v1/rooms?tag=two+words", String::new(), 400),
        ("POST /v1/info", String::new(), 405),
        (&act, "{".into(), 400),
        (&act, "{}".into(), 422),
        (&act, r#"{"action":"fly"}"#.into(), 422),
        (&act, r#"{"action":"invite","key":"nobody"}"#.into(), 400),
        (&act, r#"{"action":"title","title":""}"#.into(), 409),
        (
            &act,
            format!(r#"{{"action":"title","title":"{}"}}"#, "x".repeat(20_000)),
            413,
        ),
    ] {
        let (status, answer) = api.ask(line, &name, &bearer, &body);
        assert_eq!(status, expected, "{line} {body}: {answer}");
        let answer: Value = serde_json::from_str(&answer).unwrap_or_else(|_| panic!("{line}: {answer}"));
        assert!(
            answer["error"].as_str().is_some_and(|why| !why.is_empty()),
            "{answer}"
        );
    }
    let long = format!("{bearer}X-Long: {}\r\n", "x".repeat(100_000));
    let (status, _) = api.ask("GET /v1/info", &name, &long, "");
    assert_eq!(status, 431);
    let (status, _) = api.ask(&act, &name, &bearer, r#"{"action":"title","title":"Fine"}"#);
    assert_eq!(status, 200);
}

#[tokio::test]
async fn events_come_over_a_socket_and_end_with_the_node() {
    let home = tempfile::tempdir().unwrap();
    let (mut host, _) = host(home.path(), &[]);
    let api = access(home.path());
    let mut request = format!("ws://{}/v1/events", api.own_host())
        .into_client_request()
        .unwrap();
    let bearer = format!("Bearer {}", api.token).parse().unwrap();
    request.headers_mut().insert("Authorization", bearer);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("let in");
    let mut until = async |name: &str| loop {
        let message = tokio::time::timeout(PATIENCE, socket.next())
            .await
            .expect("in time");
        match message {
            Some(Ok(Message::Text(text))) => {
                let event: Value = serde_json::from_str(&text).unwrap();
                if event["event"] == name {
                    break Some(event);
                }
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => break None,
            Some(Ok(_)) => {}
        }
    };
    assert!(until("listening").await.is_some());
    let stats = until("stats").await.expect("each second");
    let home = home.path().to_owned();
    let (info, done) = tokio::task::spawn_blocking(move || {
        let info = succeeds(&home, &["ctl", "info"])[0].clone();
        (info, succeeds(&home, &["ctl", "title", "New"])[0].clone())
    })
    .await
    .unwrap();
    assert_eq!(stats["room"], info["id"]);
    assert_eq!(until("log").await.expect("the title")["seq"], done["seq"]);
    host.signal("TERM");
    assert_eq!(until("no such event").await, None);
    assert_eq!(host.finish().0, Some(0));
}

#[test]
fn a_client_that_says_nothing_is_let_go_and_holds_nobody_up() {
    let home = tempfile::tempdir().unwrap();
    let (mut host, _) = host(home.path(), &[]);
    let port: u16 = access(home.path()).port.parse().unwrap();
    // As many as the server takes at a time.
    let mut idle: Vec<TcpStream> = (0..32)
        .map(|_| TcpStream::connect(("127.0.0.1", port)).unwrap())
        .collect();
    for stream in &mut idle {
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert_eq!(stream.read(&mut [0; 64]).unwrap_or(0), 0, "closed without a word");
    }
    succeeds(home.path(), &["ctl", "info"]);
    host.signal("TERM");
    assert_eq!(host.finish().0, Some(0));
}

#[tokio::test]
async fn there_are_places_for_so_many_sockets_and_no_more() {
    let home = tempfile::tempdir().unwrap();
    let (_host, _) = host(home.path(), &[]);
    let api = access(home.path());
    let open = async || {
        let mut request = format!("ws://{}/v1/events", api.own_host())
            .into_client_request()
            .unwrap();
        let bearer = format!("Bearer {}", api.token).parse().unwrap();
        request.headers_mut().insert("Authorization", bearer);
        tokio_tungstenite::connect_async(request).await
    };
    let mut open_ones = Vec::new();
    for _ in 0..32 {
        open_ones.push(open().await.expect("a place"));
    }
    let refused = open().await.expect_err("no place is left").to_string();
    assert!(refused.contains("503"), "{refused}");
    let name = api.own_host();
    let (status, _) = api.ask(
        "GET /v1/info",
        &name,
        &format!("Authorization: Bearer {}\r\n", api.token),
        "",
    );
    assert_eq!(status, 200);
}
