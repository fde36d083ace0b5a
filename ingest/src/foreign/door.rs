//! One request in another protocol over HTTP: 202 once it is durable, as Zipkin and Jaeger answer, refusals in plain
//! text. Their answers have no place for single spans that were refused: the header `tracelake-warning` and the body
//! say so, and the counters do.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tracelake_model::{Caller, Signal};

use crate::error::Error;
use crate::export::{Door, Export, Inbound};
use crate::foreign::draft::Translator;
use crate::intake::{receive, refuse, warn_of};
use crate::stats::Protocol;

/// Takes one request of spans. `spoken` is what its content type says.
pub(crate) async fn take(
    export: &Export,
    caller: Caller,
    request: Request,
    protocol: Protocol,
    spoken: Result<Translator, Error>,
) -> Response {
    let door = Door { signal: Signal::Traces, protocol };
    let answered = match receive(export, &caller, request, spoken).await {
        Ok((translator, received)) => export.export(door, Inbound::foreign(caller.tenant, translator, received)).await,
        Err(error) => Err(error),
    };
    match answered {
        Ok(refused) => {
            let message = refused.message(Signal::Traces);
            let body = if message.is_empty() { String::new() } else { format!("{message}\n") };
            let mut response = (StatusCode::ACCEPTED, body).into_response();
            warn_of(&mut response, &message);
            response
        }
        Err(error) => {
            export.refused(door, &error);
            refuse(format!("{error}\n").into_response(), &error)
        }
    }
}
