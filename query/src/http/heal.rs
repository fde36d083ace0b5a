//! A question that trips over a damaged part is asked again without it, and the answer says what is missing.
//!
//! Stands around every route of this wing. Storage looks at the parts that were read last and takes a damaged one out of
//! service; an answer that has begun to flow is broken off, and the next one is whole. Deliberately knows nothing of what
//! was asked.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracelake_model::Caller;

use crate::engine::Engine;
use crate::error::Error;

/// A question is asked again so often.
const AGAIN_MAX: u32 = 3;

/// In a response: the engine failed, so that a part may be damaged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EngineFailed;

/// Asks, and asks again while something is found and taken out of service.
pub(crate) async fn heal(
    State(engine): State<Arc<Engine>>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let limit = engine.config().sql_request_bytes;
    let Ok(body) = axum::body::to_bytes(body, limit).await else {
        let detail = format!("the request's body is longer than {limit} bytes, or broke off");
        return Error::TooLarge(detail).into_response();
    };
    let ask = || {
        let request = Request::from_parts(head.clone(), Body::from(body.clone()));
        next.clone().run(request)
    };
    let mut response = ask().await;
    for _ in 0..AGAIN_MAX {
        if response.extensions().get::<EngineFailed>().is_none() {
            break;
        }
        match engine.store().suspect_recent(&caller.tenant).await {
            Ok(true) => response = ask().await,
            Ok(false) => break,
            Err(error) => {
                tracing::warn!(%error, "parts could not be looked at after a query failed");
                break;
            }
        }
    }
    response
}
