//! `tracelake sql`: one question, of a running server or of a data directory that no server uses.
//!
//! Offline the same route answers in this process, so both ways give the same bytes.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Value, json};
use tower::ServiceExt;
use tracelake_model::{Caller, Clock, SystemClock};
use tracelake_query::Engine;
use tracelake_storage::Store;

use crate::command::line::{Format, SqlArgs};
use crate::command::remote::{post, problem_text};
use crate::command::table;
use crate::config::load::{Layers, load};
use crate::error::Error;
use crate::house::describe;

const ROUTE: &str = "/api/v1/sql";
/// Bytes of an answer that a table or a pretty object is made of; longer ones are for `--format csv`.
const ANSWER_MAX: usize = 1 << 30;

/// Asks and prints.
pub(crate) async fn run(args: SqlArgs, out: &mut dyn Write) -> Result<(), Error> {
    let query = read_query(&args.query)?;
    let params: Vec<Value> = args.params.iter().map(|text| read_param(text)).collect();
    let body = json!({ "query": query, "params": params });
    let accept = if args.format == Format::Csv { "text/csv" } else { "application/json" };
    let answer = match &args.data_dir {
        Some(dir) => ask_offline(dir, &args.tenant, accept, &body).await?,
        None => {
            let answer = post(&args.remote, ROUTE, accept, Some(&body)).await?;
            answer.bytes().await.map_err(|error| Error::Server(format!("the answer broke off: {error}")))?.to_vec()
        }
    };
    print(args.format, &answer, out).map_err(|source| Error::System { what: "cannot write the output", source })
}

fn read_query(query: &str) -> Result<String, Error> {
    if query != "-" {
        return Ok(query.to_owned());
    }
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|source| Error::System { what: "cannot read the statement", source })?;
    Ok(text)
}

/// Numbers, booleans and null as such; everything else is text.
fn read_param(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_) | Value::Null | Value::String(_))) => value,
        _ => Value::String(text.to_owned()),
    }
}

async fn ask_offline(dir: &Path, tenant: &str, accept: &str, body: &Value) -> Result<Vec<u8>, Error> {
    if !dir.join("FORMAT").exists() {
        return Err(Error::Usage(format!(
            "{} is not a data directory of Tracelake (it holds no FORMAT)",
            dir.display()
        )));
    }
    let flags = vec![("", "data_dir", dir.display().to_string()), ("", "tenant_default", tenant.to_owned())];
    let config = load(&Layers { flags, ..Layers::default() })?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let fault = |error: tracelake_storage::Error| Error::Storage(describe(&error));
    let store = Store::open(config.storage.clone(), Arc::clone(&clock), tracelake_ingest::decoder()).map_err(fault)?;
    let engine = Engine::new(store, config.query.clone(), clock);
    let request = Request::post(ROUTE)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, accept)
        .extension(Caller::anonymous(config.tenant_default))
        .body(Body::from(body.to_string()))
        .map_err(|error| Error::Usage(error.to_string()))?;
    let Ok(answer) = tracelake_query::router(engine).oneshot(request).await;
    let status = answer.status();
    let bytes = axum::body::to_bytes(answer.into_body(), ANSWER_MAX).await;
    let bytes = bytes.map_err(|error| Error::Server(format!("the answer broke off: {error}")))?.to_vec();
    if status.is_success() {
        return Ok(bytes);
    }
    Err(Error::Server(problem_text(status.as_u16(), &String::from_utf8_lossy(&bytes))))
}

fn print(format: Format, answer: &[u8], out: &mut dyn Write) -> std::io::Result<()> {
    if format == Format::Table {
        let drawn = serde_json::from_slice(answer).ok().and_then(|answer| table::draw(&answer));
        if let Some(drawn) = drawn {
            return out.write_all(drawn.as_bytes());
        }
    }
    out.write_all(answer)?;
    if answer.last() == Some(&b'\n') { Ok(()) } else { out.write_all(b"\n") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_json_where_it_is_and_text_otherwise() {
        for (text, expected) in
            [("5", json!(5)), ("ERROR", json!("ERROR")), ("true", json!(true)), ("[1]", json!("[1]"))]
        {
            assert_eq!(read_param(text), expected, "{text}");
        }
    }
}
