//! The layer in front of every guarded route: a credential becomes the request's [`Caller`], or a refusal.
//!
//! Deliberately decides nothing about what a caller may do: handlers ask [`Caller::may`].

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use tracelake_model::{Caller, Fault};

use crate::auth::origin::find_foreign;
use crate::auth::token::Tokens;

pub(crate) use crate::auth::refuse::{Door, refuse};

/// Who is let in, shared by all doors.
#[derive(Debug)]
pub(crate) struct Gate {
    /// `None`: nobody is asked for a credential.
    tokens: Option<Tokens>,
    anonymous: Caller,
    /// Only this machine reaches us and nobody is asked: foreign web pages must be kept away.
    private: bool,
}

/// A gate as one door sees it.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    pub(crate) gate: Arc<Gate>,
    pub(crate) door: Door,
}

impl Gate {
    /// A gate that asks for `tokens`, or lets everybody in as `anonymous`.
    pub(crate) fn new(tokens: Option<Tokens>, anonymous: Caller, private: bool) -> Self {
        Self { tokens, anonymous, private }
    }

    fn admit(&self, headers: &HeaderMap) -> Result<Caller, (Fault, &'static str)> {
        let caller = match &self.tokens {
            None => self.anonymous.clone(),
            Some(tokens) => {
                let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
                let value = value.ok_or((Fault::Unauthenticated, "send a token as Authorization: Bearer <token>"))?;
                let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
                let found = scheme.eq_ignore_ascii_case("bearer").then(|| tokens.find(token.trim())).flatten();
                found.cloned().ok_or((Fault::Unauthenticated, "the token is not known here"))?
            }
        };
        match headers.get("x-scope-orgid") {
            Some(tenant) if tenant.as_bytes() != caller.tenant.as_str().as_bytes() => {
                Err((Fault::Forbidden, "X-Scope-OrgID names another tenant than the credential; leave it out"))
            }
            _ => Ok(caller),
        }
    }
}

/// The layer's function: for `axum::middleware::from_fn_with_state`.
pub(crate) async fn guard(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let is_preflight = request.method() == Method::OPTIONS && matches!(guard.door, Door::OtlpHttp | Door::Foreign);
    let is_health = guard.door == Door::OtlpGrpc && request.uri().path().starts_with("/grpc.health.v1.Health/");
    if is_preflight || is_health {
        return next.run(request).await;
    }
    if guard.gate.private
        && guard.door == Door::Api
        && let Some(reason) = find_foreign(request.method(), request.uri(), request.headers())
    {
        return refuse(guard.door, request.headers(), Fault::Forbidden, reason);
    }
    match guard.gate.admit(request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err((fault, detail)) => refuse(guard.door, request.headers(), fault, detail),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::request::Builder;
    use axum::routing::{any, get};
    use axum::{Extension, Router};
    use tower::ServiceExt;
    use tracelake_model::{Permission, TenantId};

    use super::*;
    use crate::auth::token::write_entry;

    fn router(door: Door, with_tokens: bool) -> Router {
        let tenant = TenantId::new("team-7").expect("a tenant");
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("tokens.toml");
        std::fs::write(&file, write_entry("t", "good", &tenant, &[Permission::Read])).expect("written");
        let tokens = with_tokens.then(|| Tokens::read(&file).expect("reads"));
        let gate = Arc::new(Gate::new(tokens, Caller::anonymous(TenantId::default()), !with_tokens));
        let tenant_of = |Extension(caller): Extension<Caller>| async move { caller.tenant.to_string() };
        Router::new()
            .route("/who", get(tenant_of).post(tenant_of))
            .route("/grpc.health.v1.Health/Check", any(|| async { "serving" }))
            .layer(axum::middleware::from_fn_with_state(Guard { gate, door }, guard))
    }

    async fn ask(router: Router, request: Builder) -> (u16, HeaderMap, String) {
        let request = request.header("host", "127.0.0.1:4319").body(Body::empty()).expect("a request");
        let response = router.oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 16).await.expect("a body");
        (parts.status.as_u16(), parts.headers, String::from_utf8_lossy(&bytes).into_owned())
    }

    #[tokio::test]
    async fn a_credential_tells_the_tenant_and_nothing_else_does() {
        let check = async |with_tokens: bool, headers: &[(&str, &str)], expected: (u16, &str)| {
            let mut request = Request::builder().uri("/who");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (status, _, body) = ask(router(Door::Api, with_tokens), request).await;
            assert!(status == expected.0 && body.contains(expected.1), "{headers:?}: {status} {body}");
        };
        check(false, &[], (200, "default")).await;
        check(false, &[("authorization", "Bearer whatever")], (200, "default")).await;
        check(false, &[("x-scope-orgid", "team-7")], (403, "another tenant")).await;
        check(true, &[], (401, "Authorization: Bearer")).await;
        check(true, &[("authorization", "Bearer bad")], (401, "not known")).await;
        check(true, &[("authorization", "Basic good")], (401, "not known")).await;
        check(true, &[("authorization", "Bearer good")], (200, "team-7")).await;
        check(true, &[("authorization", "bearer good"), ("x-scope-orgid", "team-7")], (200, "team-7")).await;
        check(true, &[("authorization", "Bearer good"), ("x-scope-orgid", "default")], (403, "another")).await;
    }

    #[tokio::test]
    async fn each_door_refuses_in_its_own_words() {
        let (status, headers, _) = ask(router(Door::OtlpGrpc, true), Request::builder().uri("/who")).await;
        assert_eq!((status, headers["grpc-status"].as_bytes()), (200, b"16".as_slice()));
        let json = Request::builder().uri("/who").header("content-type", "application/json");
        let (status, headers, body) = ask(router(Door::OtlpHttp, true), json).await;
        assert_eq!((status, headers["content-type"].as_bytes()), (401, b"application/json".as_slice()));
        assert!(body.contains("\"code\":16"), "{body}");
        let (status, headers, _) = ask(router(Door::OtlpHttp, true), Request::builder().uri("/who")).await;
        assert_eq!((status, headers["content-type"].as_bytes()), (401, b"application/x-protobuf".as_slice()));
        let (status, headers, body) = ask(router(Door::Foreign, true), Request::builder().uri("/who")).await;
        assert_eq!((status, headers["content-type"].as_bytes()), (401, b"text/plain; charset=utf-8".as_slice()));
        assert!(body.contains("Authorization: Bearer"), "{body}");
        let (_, headers, _) = ask(router(Door::Api, true), Request::builder().uri("/who")).await;
        assert_eq!(headers["content-type"], "application/problem+json");
        assert!(headers.contains_key("www-authenticate"));
    }

    #[tokio::test]
    async fn probes_and_preflights_need_no_credential() {
        let probe = Request::builder().method("POST").uri("/grpc.health.v1.Health/Check");
        assert_eq!(ask(router(Door::OtlpGrpc, true), probe).await.2, "serving");
        for door in [Door::OtlpHttp, Door::Foreign] {
            let preflight = Request::builder().method("OPTIONS").uri("/who");
            assert_eq!(ask(router(door, true), preflight).await.0, 405);
        }
    }

    #[tokio::test]
    async fn a_foreign_page_cannot_post_to_a_server_without_authentication() {
        let post = || Request::builder().method("POST").uri("/who").header("origin", "https://evil.example");
        assert_eq!(ask(router(Door::Api, false), post()).await.0, 403);
        let authorised = post().header("authorization", "Bearer good");
        assert_eq!(ask(router(Door::Api, true), authorised).await.0, 200);
    }
}
