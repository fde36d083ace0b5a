//! Limits around a running query: how many at a time, how long, how many rows.
//!
//! Memory is the pool's business (`engine.rs`); a dropped stream stops its query.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::{Stream, StreamExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until};
use tracelake_storage::Snapshot;

use crate::error::Error;

/// How many statements run at a time. A further one is refused at once rather than queued.
#[derive(Debug)]
pub(crate) struct Gate {
    places: Arc<Semaphore>,
    place_count: usize,
    admitted: AtomicU64,
    refused: AtomicU64,
}

impl Gate {
    pub(crate) fn new(place_count: usize) -> Self {
        let places = Arc::new(Semaphore::new(place_count));
        Self { places, place_count, admitted: AtomicU64::new(0), refused: AtomicU64::new(0) }
    }

    /// A place to run in, held until it is dropped.
    pub(crate) fn enter(&self) -> Result<OwnedSemaphorePermit, Error> {
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => {
                self.admitted.fetch_add(1, Ordering::Relaxed);
                Ok(place)
            }
            Err(_) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(Error::Busy(self.place_count))
            }
        }
    }

    pub(crate) fn running(&self) -> usize {
        self.place_count - self.places.available_permits()
    }

    pub(crate) fn admitted(&self) -> u64 {
        self.admitted.load(Ordering::Relaxed)
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// The limits of one stream.
pub(crate) struct Limit {
    /// When it must be done, and the seconds that were granted, for the message.
    pub(crate) deadline: Instant,
    pub(crate) seconds: u64,
    /// Rows that may come out; `None` for any number.
    pub(crate) rows: Option<u64>,
    /// Set when rows were cut.
    pub(crate) truncated: Arc<AtomicBool>,
    /// Held as long as the stream lives.
    pub(crate) place: Option<OwnedSemaphorePermit>,
    /// Held as long as the stream lives: files of parts that a snapshot names are not deleted.
    #[expect(dead_code, reason = "held, not read")]
    pub(crate) snapshot: Arc<Snapshot>,
}

/// A stream over a snapshot that ends with [`Error::Timeout`] when it takes longer than `limit` from now on.
pub(crate) fn bound(
    stream: SendableRecordBatchStream,
    snapshot: &Arc<Snapshot>,
    limit: Duration,
) -> SendableRecordBatchStream {
    let limit = Limit {
        deadline: Instant::now() + limit,
        seconds: limit.as_secs(),
        rows: None,
        truncated: Arc::default(),
        place: None,
        snapshot: Arc::clone(snapshot),
    };
    limited(stream, limit)
}

/// A stream under `limit`.
pub(crate) fn limited(stream: SendableRecordBatchStream, limit: Limit) -> SendableRecordBatchStream {
    let alarm = Box::pin(sleep_until(limit.deadline));
    let schema = stream.schema();
    Box::pin(Limited { stream: Some(stream), schema, alarm, limit })
}

struct Limited {
    /// Gone once the answer is complete or cut, which stops the query.
    stream: Option<SendableRecordBatchStream>,
    schema: SchemaRef,
    alarm: Pin<Box<Sleep>>,
    limit: Limit,
}

impl Limited {
    fn end(&mut self) {
        self.stream = None;
        self.limit.place = None;
    }

    /// Cuts a batch to the rows that are left.
    fn take(&mut self, batch: RecordBatch) -> RecordBatch {
        let Some(left) = self.limit.rows else { return batch };
        let rows = batch.num_rows() as u64;
        if rows <= left {
            self.limit.rows = Some(left - rows);
            return batch;
        }
        self.limit.truncated.store(true, Ordering::Relaxed);
        self.limit.rows = Some(0);
        self.end();
        batch.slice(0, usize::try_from(left).unwrap_or(usize::MAX))
    }
}

impl Stream for Limited {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let Some(stream) = &mut this.stream else { return Poll::Ready(None) };
        if this.alarm.as_mut().poll(context).is_ready() {
            this.end();
            return Poll::Ready(Some(Err(Error::Timeout(this.limit.seconds).into_datafusion())));
        }
        match stream.poll_next_unpin(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(batch))) => {
                let batch = this.take(batch);
                if batch.num_rows() == 0 && this.stream.is_none() {
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Ok(batch)))
            }
            Poll::Ready(end) => {
                this.end();
                Poll::Ready(end)
            }
        }
    }
}

impl RecordBatchStream for Limited {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}
