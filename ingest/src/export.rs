//! One request's way from its body to the sink, the same for every door. What is not OTLP becomes OTLP on the way, and
//! is stored, counted and recognised as a repetition in that form.
//!
//! Deliberately knows neither HTTP nor gRPC: doors turn what comes back into their answers.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Semaphore;
use tracelake_model::{
    Caller, Clock, ContentType, Encoding, Fault, Header, PayloadHash, Permission, Request, Sample, Signal, Sink,
    TenantId, UnixNano,
};
use xxhash_rust::xxh3::Xxh3;

use crate::admission::{Admission, Permit};
use crate::body::inflate;
use crate::config::Config;
use crate::decode::{self, Context, Decoded};
use crate::error::Error;
use crate::foreign::draft::{Translated, Translator};
use crate::otlp::partial::Refused;
use crate::stats::{Outcome, Protocol, Stats, Work};

/// Work on bodies up to this size takes less than half a millisecond and stays on the async thread.
const INLINE_BYTES_MAX: usize = 32 << 10;
/// The same for compressed bodies, which unfold.
const INLINE_COMPRESSED_BYTES_MAX: usize = 2 << 10;
/// The same for bodies that become OTLP first.
const INLINE_FOREIGN_BYTES_MAX: usize = 8 << 10;

/// After the last refusal for want of room, load counts as over.
const OVERLOAD_ENDS: Duration = Duration::from_secs(2);

/// What all doors share.
pub(crate) struct Export {
    config: Config,
    sink: Arc<dyn Sink>,
    clock: Arc<dyn Clock>,
    admission: Arc<Admission>,
    /// One permit for each large request that may be decoded at the same time: as many as there are cores make the best
    /// of them, more would only hold half-made columns.
    decoding: Arc<Semaphore>,
    stats: Arc<Stats>,
    /// When a request was last refused for want of room, Unix nanoseconds; 0 before the first.
    overloaded_at: AtomicI64,
}

/// Which door a request came through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Door {
    /// What it sends.
    pub(crate) signal: Signal,
    /// How it came.
    pub(crate) protocol: Protocol,
}

/// A body received whole.
pub(crate) struct Received {
    /// How the bytes are compressed.
    pub(crate) encoding: Encoding,
    /// The bytes as sent.
    pub(crate) payload: Bytes,
    /// The bytes in flight that the request holds.
    pub(crate) permit: Permit,
}

/// A request to be taken.
pub(crate) struct Inbound {
    /// Whose.
    pub(crate) tenant: TenantId,
    /// How the bytes are written, or will be once they are OTLP.
    pub(crate) content_type: ContentType,
    /// How the bytes are compressed.
    pub(crate) encoding: Encoding,
    /// The bytes as sent.
    pub(crate) payload: Bytes,
    /// What turns the plain bytes into OTLP; `None` where they are.
    pub(crate) translator: Option<Translator>,
    /// The bytes in flight that this request holds.
    pub(crate) permit: Permit,
}

impl Inbound {
    /// A request that speaks OTLP.
    pub(crate) fn otlp(tenant: TenantId, content_type: ContentType, received: Received) -> Self {
        let Received { encoding, payload, permit } = received;
        Self { tenant, content_type, encoding, payload, translator: None, permit }
    }

    /// A request in another protocol.
    pub(crate) fn foreign(tenant: TenantId, translator: Translator, received: Received) -> Self {
        let otlp = Self::otlp(tenant, ContentType::Protobuf, received);
        Self { translator: Some(translator), ..otlp }
    }
}

impl Export {
    /// Shares nothing yet.
    pub(crate) fn new(config: Config, sink: Arc<dyn Sink>, clock: Arc<dyn Clock>) -> Self {
        let admission = Admission::new(config.clone(), Arc::clone(&clock));
        let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
        let (decoding, overloaded_at) = (Arc::new(Semaphore::new(cores)), AtomicI64::new(0));
        Self { config, sink, clock, admission, decoding, stats: Arc::default(), overloaded_at }
    }

    /// Bytes that a body may have, compressed or not.
    pub(crate) fn request_bytes(&self) -> u64 {
        self.config.limits.request_bytes
    }

    /// Whether a caller may send at all.
    pub(crate) fn authorize(caller: &Caller) -> Result<(), Error> {
        if caller.may(Permission::Ingest) { Ok(()) } else { Err(Error::Forbidden) }
    }

    /// A permit for one more request of a tenant, which may announce its size.
    pub(crate) fn permit(&self, tenant: &TenantId, announced: Option<u64>) -> Result<Permit, Error> {
        // A store that is full now says so before a body is read and decoded in vain.
        self.sink.check().map_err(Error::Sink)?;
        self.admission.permit(tenant, announced)
    }

    /// A connection of a door worked for so long.
    pub(crate) fn note_work(&self, spent: Duration) {
        self.stats.connection(spent);
    }

    /// The wing's own figures.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.stats.samples(self.admission.figures())
    }

    /// Whether requests of any tenant were refused for want of room just now. A tenant's own rate is no such want.
    pub(crate) fn is_overloaded(&self) -> bool {
        let last = UnixNano(self.overloaded_at.load(Ordering::Relaxed));
        last.plus(OVERLOAD_ENDS) > self.clock.now()
    }

    /// Counts a request that was refused, and says so once in the log where it is our fault.
    pub(crate) fn refused(&self, door: Door, error: &Error) {
        let outcome = Outcome::of(error.kind());
        self.stats.request(door.signal, door.protocol, outcome);
        self.stats.refusal(error.reason());
        if error.kind() == Fault::Overloaded && !matches!(error, Error::Rate { .. }) {
            self.overloaded_at.store(self.clock.now().0, Ordering::Relaxed);
        }
        if outcome == Outcome::Failed && error.kind() == Fault::Internal && !matches!(error, Error::Frame(_)) {
            tracing::error!(%error, signal = door.signal.as_str(), "export failed");
        } else {
            tracing::debug!(%error, signal = door.signal.as_str(), "export refused");
        }
    }

    /// Decompresses, decodes and stores one request; returns once it is durable.
    pub(crate) async fn export(&self, door: Door, inbound: Inbound) -> Result<Refused, Error> {
        self.stats.bytes(door.signal, door.protocol, inbound.payload.len());
        let foreign = inbound.translator.is_some();
        let prepared = self.prepare(door, inbound).await?;
        let Prepared { request, refused, mut permit } = prepared;
        let accepted: u64 = request.header.accepted.iter().map(|(_, rows)| u64::from(*rows)).sum();
        if foreign && accepted == 0 && refused.total() > 0 {
            self.stats.records(door.signal, door.protocol, 0, refused.total());
            return Err(Error::Records(refused.message(door.signal)));
        }
        let mut outcome = Outcome::Accepted;
        let mut stored = accepted;
        if accepted > 0 {
            let receipt = self.sink.append(request).await.map_err(|refusal| {
                let error = Error::Sink(refusal);
                if error.retry_after().is_some() {
                    permit.refund();
                }
                error
            })?;
            if receipt.duplicate {
                (outcome, stored) = (Outcome::Duplicate, 0);
            }
        }
        drop(permit);
        self.stats.records(door.signal, door.protocol, stored, refused.total());
        self.stats.request(door.signal, door.protocol, outcome);
        Ok(refused)
    }

    async fn prepare(&self, door: Door, inbound: Inbound) -> Result<Prepared, Error> {
        let context = Context {
            decoder: decode::VERSION,
            signal: door.signal,
            content_type: inbound.content_type,
            received: self.clock.now(),
            limits: self.config.limits,
        };
        let inline_max = match (inbound.encoding, inbound.translator) {
            (Encoding::Identity, None) => INLINE_BYTES_MAX,
            (Encoding::Identity, Some(_)) => INLINE_FOREIGN_BYTES_MAX,
            _ => INLINE_COMPRESSED_BYTES_MAX,
        };
        let job = Job { door, context, inline: inbound.payload.len() <= inline_max, stats: Arc::clone(&self.stats) };
        if job.inline {
            return job.run(inbound);
        }
        let turn = Arc::clone(&self.decoding).acquire_owned().await;
        let task = tokio::task::spawn_blocking(move || {
            let prepared = job.run(inbound);
            drop(turn);
            prepared
        });
        task.await.unwrap_or_else(|error| Err(Error::Defect(error.to_string())))
    }
}

/// A body's way to batches on one thread, counted.
struct Job {
    door: Door,
    context: Context,
    /// Whether the thread is the connection's own.
    inline: bool,
    stats: Arc<Stats>,
}

impl Job {
    fn run(&self, inbound: Inbound) -> Result<Prepared, Error> {
        let (started, mut plain_bytes) = (Instant::now(), 0);
        let prepared = prepare(self.context, inbound, &mut plain_bytes);
        let (rows, refused) = prepared.as_ref().map_or((0, 0), |prepared| {
            let accepted = prepared.request.header.accepted.iter().map(|(_, rows)| u64::from(*rows)).sum();
            (accepted, u64::from(prepared.refused.total()))
        });
        let work = Work { spent: started.elapsed(), inline: self.inline, plain_bytes, rows };
        self.stats.decoded(self.door.signal, self.door.protocol, work, refused);
        prepared
    }
}

struct Prepared {
    request: Request,
    refused: Refused,
    permit: Permit,
}

/// Tells how many bytes there were once they are decompressed.
fn prepare(context: Context, inbound: Inbound, plain_bytes: &mut u64) -> Result<Prepared, Error> {
    let Inbound { tenant, content_type, mut encoding, mut payload, translator, mut permit } = inbound;
    let mut plain = inflate(encoding, &payload, context.limits.request_bytes, |bytes| permit.inflate(bytes))?;
    *plain_bytes = plain.len() as u64;
    let mut untranslated = Refused::default();
    let is_translated = translator.is_some();
    if let Some(translate) = translator {
        let Translated { otlp, refused } = translate(&context.limits, &plain)?;
        // What was sent goes before more is made of it, so that only growth is held besides.
        let grown = otlp.len().saturating_sub(plain.len());
        (payload, plain, encoding, untranslated) = (otlp.clone(), otlp, Encoding::Identity, refused);
        permit.inflate(grown as u64)?;
    }
    let Decoded { batches, mut refused, timed } = decode::decode(context, &plain)?;
    refused.merge(untranslated);
    let hash = timed.then(|| hash(&tenant, context.signal, &plain));
    drop(plain);
    // What was translated is kept as it is now.
    let rows_bytes = batches.iter().map(tracelake_model::Batch::memory_bytes).sum();
    permit.decode(rows_bytes, is_translated);
    let rows = |batch: &tracelake_model::Batch| u32::try_from(batch.row_count()).unwrap_or(u32::MAX);
    let header = Header {
        hash,
        tenant,
        signal: context.signal,
        content_type,
        encoding,
        received: context.received,
        decoder: decode::VERSION,
        limits: context.limits,
        accepted: batches.iter().map(|batch| (batch.table(), rows(batch))).collect(),
        refused: refused.total(),
        audit_seq: 0,
    };
    Ok(Prepared { request: Request { header, payload, batches }, refused, permit })
}

/// XXH3-128 over tenant, signal and plain bytes; the zero bytes between them are in no tenant and no signal.
fn hash(tenant: &TenantId, signal: Signal, plain: &[u8]) -> PayloadHash {
    let mut hasher = Xxh3::new();
    for part in [tenant.as_str().as_bytes(), &[0], signal.as_str().as_bytes(), &[0], plain] {
        hasher.update(part);
    }
    hasher.digest128().to_be_bytes()
}
