//! Who may ask: programs that can read the home, and no page of the web.
//!
//! Invariants: a request passes only with the node's token, compared in constant time; `Host` must name this server,
//! so that a name which resolves to loopback (DNS rebinding) does not pass; a browser's `Origin` must be this server.
//! A request that takes too long is given up.

use std::time::Duration;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use subtle::ConstantTimeEq;

use super::routes::refusal;
use crate::home::ApiAccess;

/// Longest that a request may take: beyond the wait for a chair that does not answer.
const REQUEST: Duration = Duration::from_secs(30);

/// Lets a request through that may pass, and answers all others.
pub(super) async fn guard(State(access): State<ApiAccess>, request: Request, next: Next) -> Response {
    match admit(&access, request.headers()) {
        Ok(()) => match tokio::time::timeout(REQUEST, next.run(request)).await {
            Ok(response) => response,
            Err(_) => refusal(StatusCode::REQUEST_TIMEOUT, "the request took too long").into_response(),
        },
        Err((status, why)) => refusal(status, why).into_response(),
    }
}

/// Decides on the headers of a request.
fn admit(access: &ApiAccess, headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
    let names = ["127.0.0.1", "localhost"].map(|host| format!("{host}:{}", access.port));
    let one = |name| {
        let mut values = headers.get_all(name).iter();
        let first = values.next().and_then(|value| value.to_str().ok());
        if values.next().is_some() { None } else { first }
    };
    if !one(header::HOST).is_some_and(|host| names.iter().any(|name| name == host)) {
        return Err((
            StatusCode::FORBIDDEN,
            "this API answers to 127.0.0.1 and localhost only",
        ));
    }
    let own = |origin: &str| {
        names
            .iter()
            .any(|name| origin.strip_prefix("http://") == Some(name))
    };
    if headers.contains_key(header::ORIGIN) && !one(header::ORIGIN).is_some_and(own) {
        return Err((StatusCode::FORBIDDEN, "this API is not for pages from elsewhere"));
    }
    let token = one(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let right = token.is_some_and(|token| token.as_bytes().ct_eq(access.token.as_bytes()).into());
    if right {
        Ok(())
    } else {
        Err((
            StatusCode::UNAUTHORIZED,
            "send `Authorization: Bearer TOKEN` with the token in the home's file api.token",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(headers: &[(header::HeaderName, &str)]) -> Option<StatusCode> {
        let access = ApiAccess {
            port: 4001,
            token: "secret".into(),
        };
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().expect("a header"));
        }
        admit(&access, &map).err().map(|(status, _)| status)
    }

    const TOKEN: (header::HeaderName, &str) = (header::AUTHORIZATION, "Bearer secret");
    const HOST: (header::HeaderName, &str) = (header::HOST, "127.0.0.1:4001");

    #[test]
    fn the_token_opens_and_nothing_else_does() {
        assert_eq!(asked(&[HOST, TOKEN]), None);
        assert_eq!(asked(&[(header::HOST, "localhost:4001"), TOKEN]), None);
        for value in [
            "",
            "secret",
            "Bearer ",
            "Bearer secre",
            "Bearer secrets",
            "Basic secret",
        ] {
            let answer = asked(&[HOST, (header::AUTHORIZATION, value)]);
            assert_eq!(answer, Some(StatusCode::UNAUTHORIZED), "{value}");
        }
        assert_eq!(asked(&[HOST]), Some(StatusCode::UNAUTHORIZED));
    }

    #[test]
    fn a_name_that_merely_resolves_to_this_machine_is_refused() {
        for host in [
            "evil.example:4001",
            "127.0.0.1",
            "127.0.0.1:4002",
            "127.0.0.1.evil.example:4001",
        ] {
            assert_eq!(
                asked(&[(header::HOST, host), TOKEN]),
                Some(StatusCode::FORBIDDEN),
                "{host}"
            );
        }
        assert_eq!(asked(&[TOKEN]), Some(StatusCode::FORBIDDEN));
        assert_eq!(asked(&[HOST, HOST, TOKEN]), Some(StatusCode::FORBIDDEN));
    }

    #[test]
    fn a_page_from_elsewhere_is_refused_even_with_the_token() {
        let origin = |value| asked(&[HOST, TOKEN, (header::ORIGIN, value)]);
        assert_eq!(origin("http://127.0.0.1:4001"), None);
        assert_eq!(origin("http://localhost:4001"), None);
        for value in [
            "null",
            "http://evil.example",
            "https://127.0.0.1:4001",
            "http://127.0.0.1:4002",
        ] {
            assert_eq!(origin(value), Some(StatusCode::FORBIDDEN), "{value}");
        }
    }
}
