//! Hangs the wings' doors on listeners, and drains top down.
//!
//! Nothing here knows what a span or a rule is: the wings export routers, this file puts the gate in front of them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use futures::StreamExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracelake_model::{Caller, Fault};
use tracing::{info, warn};

use crate::auth::guard::{Door, Gate, Guard, guard, refuse};
use crate::auth::token::Tokens;
use crate::busy::Worked;
use crate::config::check::is_private;
use crate::config::schema::Config;
use crate::error::Error;
use crate::house::House;
use crate::listener::{Listener, drained};
use crate::{admin, health, tls};

/// How long requests that are under way may take once the server ends.
const DRAIN: Duration = Duration::from_secs(10);
/// Paths of the API and the query protocols: what is not found there is not a page.
const API_PREFIXES: &[&str] = &["/api", "/v1", "/jaeger", "/loki", "/prometheus", "/tempo"];

/// Serves until a signal, then drains. Calls `ready` with the line that names the addresses taken.
pub(crate) async fn run(config: &Config, ready: impl FnOnce(&str)) -> Result<(), Error> {
    let tokens = config.tokens_file.as_deref().map(Tokens::read).transpose()?;
    let gate = Arc::new(Gate::new(tokens, Caller::anonymous(config.tenant_default.clone()), is_private(config)));
    let doors = Doors::bind(config).await?;
    let mut signals = Signals::new()?;
    let house = House::open(config)?;
    let line = doors.line()?;
    let (drain, draining) = watch::channel(false);
    let mut serving = doors.serve(&house, &gate, &draining);
    info!(%line, version = crate::command::line::VERSION, "serving");
    ready(&line);
    signals.wait().await;
    info!("ending: no new connections, finishing what is under way; a second signal ends at once");
    house.begin_drain();
    let _ = drain.send(true);
    let finish = async {
        let all = async { while serving.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, all).await.is_err() {
            warn!(seconds = DRAIN.as_secs(), "some requests did not end in time");
        }
        serving.abort_all();
        house.close().await
    };
    tokio::select! {
        result = finish => result.inspect(|()| info!("ended, everything is on disk")),
        () = signals.wait() => {
            warn!("second signal: ending at once; what was acknowledged is in the write-ahead log");
            Ok(())
        }
    }
}

/// The doors that are open.
struct Doors {
    otlp_grpc: Option<Listener>,
    otlp_http: Option<Listener>,
    http: Option<Listener>,
    zipkin: Option<Listener>,
    jaeger_http: Option<Listener>,
}

impl Doors {
    async fn bind(config: &Config) -> Result<Self, Error> {
        let tls = tls::read(&config.tls)?;
        Ok(Self {
            otlp_grpc: Listener::bind("otlp-grpc", &config.listen.otlp_grpc, tls.as_ref()).await?,
            otlp_http: Listener::bind("otlp-http", &config.listen.otlp_http, tls.as_ref()).await?,
            http: Listener::bind("http", &config.listen.http, tls.as_ref()).await?,
            zipkin: Listener::bind("zipkin", &config.listen.zipkin, tls.as_ref()).await?,
            jaeger_http: Listener::bind("jaeger-http", &config.listen.jaeger_http, tls.as_ref()).await?,
        })
    }

    /// `listening otlp_grpc=127.0.0.1:4317 otlp_http=... http=...`, for people and programs that start us. Doors that
    /// are open only when asked for are named only then.
    fn line(&self) -> Result<String, Error> {
        let mut line = "listening".to_owned();
        let usual = [("otlp_grpc", &self.otlp_grpc), ("otlp_http", &self.otlp_http), ("http", &self.http)];
        let others = [("zipkin", &self.zipkin), ("jaeger_http", &self.jaeger_http)];
        for (name, door) in usual.into_iter().chain(others.into_iter().filter(|(_, door)| door.is_some())) {
            let address = match door {
                None => "off".to_owned(),
                Some(door) => {
                    let fault = |source| Error::System { what: "cannot tell the address of a door", source };
                    door.address().map_err(fault)?.to_string()
                }
            };
            line.push_str(&format!(" {name}={address}"));
        }
        Ok(line)
    }

    fn serve(self, house: &Arc<House>, gate: &Arc<Gate>, draining: &watch::Receiver<bool>) -> JoinSet<()> {
        let mut serving = JoinSet::new();
        let guarded = |router: Router, door: Door| {
            let guard_of_door = Guard { gate: Arc::clone(gate), door };
            router.layer(axum::middleware::from_fn_with_state(guard_of_door, guard))
        };
        let ingest = Arc::clone(&house.ingest);
        let receives: Worked = Arc::new(move |spent| ingest.note_work(spent));
        if let Some(door) = self.otlp_grpc {
            let router = guarded(house.ingest.grpc_router(), Door::OtlpGrpc);
            serving.spawn(door.serve(router, draining.clone(), Arc::clone(&receives)));
        }
        let (zipkin, jaeger) = (house.ingest.zipkin_router(), house.ingest.jaeger_router());
        if let Some(door) = self.otlp_http {
            let others = guarded(zipkin.clone().merge(jaeger.clone()), Door::Foreign);
            // What is nowhere is answered in the words of the router that comes last.
            let router = others.merge(guarded(house.ingest.http_router(), Door::OtlpHttp));
            serving.spawn(door.serve(router, draining.clone(), Arc::clone(&receives)));
        }
        for (door, router) in [(self.zipkin, zipkin), (self.jaeger_http, jaeger)] {
            if let Some(door) = door {
                serving.spawn(door.serve(guarded(router, Door::Foreign), draining.clone(), Arc::clone(&receives)));
            }
        }
        if let Some(door) = self.http {
            let api = guarded(api_router(house), Door::Api);
            let router = api.merge(health::router(Arc::clone(house))).fallback(answer_elsewhere);
            let ending = draining.clone();
            let router =
                router.layer(axum::middleware::map_response(move |response| end_stream(response, ending.clone())));
            serving.spawn(door.serve(router, draining.clone(), Arc::new(|_| {})));
        }
        serving
    }
}

fn api_router(house: &Arc<House>) -> Router {
    let query = tracelake_query::router(Arc::clone(&house.engine));
    let alerting = house.alerting.router();
    query.merge(alerting).merge(admin::router(Arc::clone(house))).method_not_allowed_fallback(answer_wrong_method)
}

async fn answer_wrong_method(headers: HeaderMap) -> Response {
    refuse(Door::Api, &headers, Fault::Method, "this route does not take this method")
}

/// Everything that no wing's route takes: pages, or a problem where programs ask.
async fn answer_elsewhere(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path();
    let is_api =
        |prefix: &&str| path.strip_prefix(*prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if API_PREFIXES.iter().any(is_api) {
        return refuse(Door::Api, &headers, Fault::NotFound, &format!("there is nothing at {path} in this version"));
    }
    tracelake_ui::page(uri, headers).await
}

/// An event stream never ends by itself, so it ends when the server drains.
#[expect(clippy::unused_async, reason = "a layer's function is async")]
async fn end_stream(response: Response, mut draining: watch::Receiver<bool>) -> Response {
    let kind = response.headers().get(CONTENT_TYPE);
    if kind.is_none_or(|kind| !kind.as_bytes().starts_with(b"text/event-stream")) {
        return response;
    }
    let end = async move { drained(&mut draining).await };
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(Box::pin(end))))
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, Error> {
        use tokio::signal::unix::{SignalKind, signal};
        let fault = |source| Error::System { what: "cannot watch for signals", source };
        let terminate = signal(SignalKind::terminate()).map_err(fault)?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt()).map_err(fault)? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
