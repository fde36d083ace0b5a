//! One door: accepts connections with bounds on all that a slow or hostile client could hold, serves HTTP/1 and
//! HTTP/2 on the same port, with or without TLS, and drains.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use crate::busy::{Busy, BusyTasks, Worked};
use crate::config::value::Address;
use crate::counted::{Counted, ENOUGH};
use crate::error::Error;

/// Connections of one door at a time; further ones wait in the system's backlog.
const CONNECTIONS_MAX: usize = 4096;
/// Until enough is said to be a request, and for a TLS handshake.
const GREETING: Duration = Duration::from_secs(10);
/// For the headers of an HTTP/1 request, and how long an idle HTTP/1 connection is kept.
const HEADERS: Duration = Duration::from_secs(60);
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_ANSWER: Duration = Duration::from_secs(20);
/// Requests at a time on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
const HEADER_BYTES: u32 = 64 << 10;
/// What one HTTP/1 connection may hold of bytes that nobody asked for yet: bodies wait with their sender instead.
const READ_AHEAD_BYTES: usize = 32 << 10;
/// The same for one stream and for all streams of an HTTP/2 connection.
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// Rest after the system refused to accept (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A door whose address is taken and that does not serve yet.
pub(crate) struct Listener {
    /// `otlp-grpc`, `otlp-http`, `http` ...
    name: &'static str,
    socket: TcpListener,
    tls: Option<TlsAcceptor>,
}

/// Ready once the server drains.
pub(crate) async fn drained(drain: &mut watch::Receiver<bool>) {
    // Not returned: it holds a lock.
    let _ = drain.wait_for(|draining| *draining).await;
}

/// Whether TLS is spoken, for logs and links.
fn scheme(tls: Option<&TlsAcceptor>) -> &'static str {
    if tls.is_some() { "https" } else { "http" }
}

impl Listener {
    /// Takes the address; `None` for a door that is off.
    pub(crate) async fn bind(
        name: &'static str,
        address: &Address,
        tls: Option<&Arc<rustls::ServerConfig>>,
    ) -> Result<Option<Self>, Error> {
        let Address::At { host, port } = address else { return Ok(None) };
        let fault = |source| Error::Bind { door: name, address: address.to_string(), source };
        let socket = TcpListener::bind((host.as_str(), *port)).await.map_err(fault)?;
        let tls = tls.map(|config| TlsAcceptor::from(Arc::clone(config)));
        Ok(Some(Self { name, socket, tls }))
    }

    /// The address that was taken.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves `router` until `drain` turns true; returns when every connection has ended. `worked` hears how long its
    /// connections and their requests work.
    pub(crate) async fn serve(self, router: Router, mut drain: watch::Receiver<bool>, worked: Worked) {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        info!(door = self.name, scheme = scheme(self.tls.as_ref()), "door open");
        loop {
            let accepted = tokio::select! {
                () = drained(&mut drain) => break,
                accepted = self.accept(&permits) => accepted,
            };
            let Some((stream, permit)) = accepted else { continue };
            let (router, tls, drain, worked) = (router.clone(), self.tls.clone(), drain.clone(), Arc::clone(&worked));
            tokio::spawn(async move {
                serve_stream(stream, tls, Serving { router, drain, worked, greeting: GREETING }).await;
                drop(permit);
            });
        }
        drop(self.socket);
        let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
        let _ = permits.acquire_many(all).await;
    }

    async fn accept(&self, permits: &Arc<Semaphore>) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
        let permit = Arc::clone(permits).acquire_owned().await.ok()?;
        match self.socket.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                Some((stream, permit))
            }
            Err(error) => {
                warn!(door = self.name, %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }
}

/// What every connection of a door is served with.
struct Serving {
    router: Router,
    drain: watch::Receiver<bool>,
    worked: Worked,
    /// Until enough is said to be a request.
    greeting: Duration,
}

async fn serve_stream(stream: TcpStream, tls: Option<TlsAcceptor>, mut serving: Serving) {
    let Some(tls) = tls else { return serve_connection(stream, serving).await };
    let greeted = tokio::select! {
        greeted = tokio::time::timeout(GREETING, tls.accept(stream)) => greeted,
        () = drained(&mut serving.drain) => return,
    };
    match greeted {
        Ok(Ok(stream)) => serve_connection(stream, serving).await,
        Ok(Err(error)) => debug!(%error, "connection ended before a request"),
        Err(_) => debug!("no tls handshake in time"),
    }
}

async fn serve_connection<S>(stream: S, serving: Serving)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Serving { router, mut drain, worked, greeting } = serving;
    let mut builder = Builder::new(BusyTasks(Arc::clone(&worked)));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_headers(100)
        .max_buf_size(READ_AHEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_ANSWER)
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADER_BYTES);
    let service = TowerToHyperService::new(router);
    let (stream, read) = Counted::new(stream);
    let mut connection = Busy::new(builder.serve_connection(TokioIo::new(stream), service), &worked);
    let mute = async {
        tokio::time::sleep(greeting).await;
        if read.load(Ordering::Relaxed) >= ENOUGH {
            std::future::pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = mute => return debug!("connection said too little in time"),
        () = drained(&mut drain) => {
            connection.inner().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "connection ended with an error");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Nobody asks how long it works.
    fn idle() -> Worked {
        Arc::new(|_| {})
    }

    /// A door on a free port, its address, and the switch that drains it.
    async fn open() -> (SocketAddr, watch::Sender<bool>, tokio::task::JoinHandle<()>) {
        let address = Address::parse("127.0.0.1:0").expect("an address");
        let listener = Listener::bind("http", &address, None).await.expect("bound").expect("open");
        let taken = listener.address().expect("an address");
        let (drain, draining) = watch::channel(false);
        let slow = || async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "done"
        };
        let router = Router::new().route("/", get(|| async { "here" })).route("/slow", get(slow));
        (taken, drain, tokio::spawn(listener.serve(router, draining, idle())))
    }

    async fn ask(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(text.as_bytes()).await.expect("written");
        stream
    }

    #[tokio::test]
    async fn draining_finishes_what_is_under_way_and_takes_nothing_new() {
        let (address, drain, serving) = open().await;
        let mut slow = ask(address, "GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut idle = ask(address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        let mut first = [0; 15];
        idle.read_exact(&mut first).await.expect("an answer");
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        // The slow request has had time to arrive: the other one, sent later, was answered.
        drain.send(true).expect("listening");
        let mut answer = String::new();
        slow.read_to_string(&mut answer).await.expect("an answer");
        assert!(answer.ends_with("done"), "{answer}");
        tokio::time::timeout(Duration::from_secs(5), serving).await.expect("ends").expect("without a panic");
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn a_connection_that_says_too_little_is_ended() {
        let short = Duration::from_millis(50);
        for said in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM"] {
            let (client, server) = tokio::io::duplex(1024);
            let (_drain, draining) = watch::channel(false);
            let serving = Serving { router: Router::new(), drain: draining, worked: idle(), greeting: short };
            let mut client = client;
            client.write_all(said.as_bytes()).await.expect("written");
            let ended = tokio::time::timeout(GREETING, serve_connection(server, serving)).await;
            assert!(ended.is_ok(), "{said:?} held the connection");
        }
    }
}
