//! Senders of a bench: so many requests at a time, or so many a second whatever the answers are.
//!
//! Every request is new (`stamp.rs`). Deliberately retries nothing: what was refused is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tracelake_model::{Clock as _, SystemClock};

use crate::server::Server;
use crate::stamp::{Request, Signal};

/// Requests that wait for an answer at most; beyond, the sender itself gives up and says so.
const UNDER_WAY_MAX: u64 = 2_000;

/// Which times a request carries when it is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "each bench has its own")]
pub(crate) enum Times {
    /// Those of the recording, a minute later with each pass.
    Pass,
    /// As if it had just happened.
    Now,
}

/// Which door is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "each bench has its own")]
pub(crate) enum Door {
    /// OTLP/HTTP, protobuf.
    Http,
    /// OTLP/gRPC.
    Grpc,
}

/// Requests of one size, new on each pass.
pub(crate) struct Source {
    #[allow(dead_code, reason = "not every bench asks")]
    pub(crate) signal: Signal,
    pub(crate) requests: Vec<Request>,
    times: Times,
    next: AtomicU64,
}

impl Source {
    pub(crate) fn new(signal: Signal, requests: Vec<Request>, times: Times) -> Self {
        Self { signal, requests, times, next: AtomicU64::new(0) }
    }

    fn take(&self) -> (Vec<u8>, u64) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let count = self.requests.len() as u64;
        let (pass, at) = (number / count, usize::try_from(number % count).unwrap_or(0));
        let request = &self.requests[at];
        let shift = match self.times {
            Times::Pass => pass * 60_000_000_000,
            Times::Now => u64::try_from(SystemClock.now().0).unwrap_or(0).wrapping_sub(request.newest),
        };
        (request.stamp(u32::try_from(pass + 1).unwrap_or(0), shift), request.records)
    }

    /// Records of a request on average.
    pub(crate) fn records_each(&self) -> f64 {
        self.requests.iter().map(|request| request.records).sum::<u64>() as f64 / self.requests.len() as f64
    }

    /// Bytes of a record on average.
    #[allow(dead_code, reason = "not every bench does")]
    pub(crate) fn record_bytes(&self) -> f64 {
        let bytes: usize = self.requests.iter().map(Request::size).sum();
        bytes as f64 / self.requests.len() as f64 / self.records_each()
    }
}

/// What a sender saw.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) accepted: AtomicU64,
    pub(crate) accepted_records: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) refused_without_time: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) not_sent: AtomicU64,
    under_way: AtomicU64,
    micros: parking_lot::Mutex<Vec<u32>>,
}

impl Seen {
    /// How long answers to accepted requests took.
    pub(crate) fn percentile_ms(&self, share: f64) -> f64 {
        let mut micros = self.micros.lock();
        micros.sort_unstable();
        let at = (micros.len().saturating_sub(1)) as f64 * share;
        micros.get(at as usize).map_or(0.0, |&micros| f64::from(micros) / 1000.0)
    }

    /// Records that were acknowledged.
    pub(crate) fn records(&self) -> u64 {
        self.accepted_records.load(Ordering::Relaxed)
    }

    fn accept(&self, records: u64, since: Instant) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.accepted_records.fetch_add(records, Ordering::Relaxed);
        self.micros.lock().push(u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX));
    }

    fn refuse(&self, told_when: bool) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.refused_without_time.fetch_add(u64::from(!told_when), Ordering::Relaxed);
    }

    fn fail(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

/// A way to one door of a server.
#[derive(Clone)]
pub(crate) struct Way {
    client: reqwest::Client,
    url: String,
    door: Door,
}

impl Way {
    pub(crate) fn new(server: &Server, door: Door, signal: Signal) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder().no_proxy();
        let (client, url) = match door {
            Door::Http => (client, format!("http://{}/v1/{}", server.otlp, signal.path())),
            Door::Grpc => {
                let (name, service) = match signal {
                    Signal::Traces => ("trace", "TraceService"),
                    Signal::Logs => ("logs", "LogsService"),
                    Signal::Metrics => ("metrics", "MetricsService"),
                };
                let path = format!("opentelemetry.proto.collector.{name}.v1.{service}/Export");
                (client.http2_prior_knowledge(), format!("http://{}/{path}", server.grpc))
            }
        };
        Ok(Self { client: client.build()?, url, door })
    }

    async fn send(&self, body: Vec<u8>, records: u64, since: Instant, seen: &Seen) {
        match self.door {
            Door::Http => self.send_http(body, records, since, seen).await,
            Door::Grpc => self.send_grpc(body, records, since, seen).await,
        }
    }

    async fn send_http(&self, body: Vec<u8>, records: u64, since: Instant, seen: &Seen) {
        let request = self.client.post(&self.url).header("content-type", "application/x-protobuf");
        match request.body(body).send().await {
            Ok(answer) if answer.status().is_success() => seen.accept(records, since),
            Ok(answer) if matches!(answer.status().as_u16(), 429 | 503) => {
                seen.refuse(answer.headers().contains_key("retry-after"));
            }
            _ => seen.fail(),
        }
    }

    /// A refusal is told in the headers alone; success comes with a message.
    async fn send_grpc(&self, body: Vec<u8>, records: u64, since: Instant, seen: &Seen) {
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
        let framed = [&[0], length.as_slice(), body.as_slice()].concat();
        drop(body);
        let request = self.client.post(&self.url).header("content-type", "application/grpc").header("te", "trailers");
        let Ok(answer) = request.body(framed).send().await else { return seen.fail() };
        let header = |name: &str| answer.headers().get(name).map(|value| value.as_bytes().to_vec());
        let (code, told_when) = (header("grpc-status"), header("grpc-status-details-bin").is_some());
        match code.as_deref() {
            None if answer.status().is_success() => match answer.bytes().await {
                Ok(_) => seen.accept(records, since),
                Err(_) => seen.fail(),
            },
            // RESOURCE_EXHAUSTED and UNAVAILABLE; the time stands in RetryInfo.
            Some(b"8" | b"14") => seen.refuse(told_when),
            _ => seen.fail(),
        }
    }
}

/// Sends so many records a second whatever the answers are, for so long, over these ways in turn. Latency counts from
/// the moment when a request was due.
pub(crate) async fn open_loop(ways: &[Way], source: &Source, rate: f64, long: Duration) -> Arc<Seen> {
    let seen = Arc::new(Seen::default());
    let (begun, mut due, mut turn) = (Instant::now(), 0.0, 0);
    while begun.elapsed() < long {
        while due <= begun.elapsed().as_secs_f64() {
            let since = begun + Duration::from_secs_f64(due);
            due += source.records_each() / rate;
            if seen.under_way.load(Ordering::Relaxed) >= UNDER_WAY_MAX {
                seen.not_sent.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let (body, records) = source.take();
            seen.under_way.fetch_add(1, Ordering::Relaxed);
            let (way, seen) = (ways[turn % ways.len()].clone(), Arc::clone(&seen));
            turn += 1;
            tokio::spawn(async move {
                way.send(body, records, since, &seen).await;
                seen.under_way.fetch_sub(1, Ordering::Relaxed);
            });
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    while seen.under_way.load(Ordering::Relaxed) > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    seen
}

/// Sends with so many requests under way over these ways, each followed by the next, until `until` says so.
pub(crate) async fn closed_loop(
    ways: &[Way],
    source: &Source,
    under_way: usize,
    until: impl Fn(&Seen) -> bool,
) -> Arc<Seen> {
    let seen = Arc::new(Seen::default());
    let sender = async |number: usize| {
        while !until(&seen) {
            let (body, records) = source.take();
            ways[number % ways.len()].send(body, records, Instant::now(), &seen).await;
        }
    };
    futures::future::join_all((0..under_way).map(sender)).await;
    seen
}
