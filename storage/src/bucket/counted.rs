//! Every request to an object store passes here: counted by kind for `/metrics`, and no more than so many at once.
//!
//! Counts what is asked of the client; what the client tries again by itself counts once.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::limit::LimitStore;
use object_store::path::Path as Location;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};

/// Requests that are under way at once; further ones wait.
const REQUESTS_MAX: usize = 64;

/// Requests by kind since the start.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    pub(crate) put: AtomicU64,
    pub(crate) get: AtomicU64,
    pub(crate) list: AtomicU64,
    pub(crate) delete: AtomicU64,
    /// Those of any kind that failed, whatever the reason; "not there" and "somebody was first" are none.
    pub(crate) failed: AtomicU64,
}

/// The store behind the counters.
#[derive(Debug)]
pub(crate) struct Counted<S: ObjectStore> {
    inner: LimitStore<S>,
    requests: Arc<Requests>,
}

impl<S: ObjectStore> Counted<S> {
    pub(crate) fn new(store: S, requests: Arc<Requests>) -> Self {
        Self { inner: LimitStore::new(store, REQUESTS_MAX), requests }
    }

    fn tally<T>(&self, kind: &AtomicU64, outcome: Result<T>) -> Result<T> {
        kind.fetch_add(1, Ordering::Relaxed);
        if outcome.as_ref().is_err_and(is_failure) {
            self.requests.failed.fetch_add(1, Ordering::Relaxed);
        }
        outcome
    }
}

fn is_failure(fault: &object_store::Error) -> bool {
    use object_store::Error::{AlreadyExists, NotFound, NotModified, Precondition};
    !matches!(fault, NotFound { .. } | AlreadyExists { .. } | Precondition { .. } | NotModified { .. })
}

impl<S: ObjectStore> fmt::Display for Counted<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for Counted<S> {
    async fn put_opts(&self, at: &Location, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.tally(&self.requests.put, self.inner.put_opts(at, payload, options).await)
    }

    async fn put_multipart_opts(
        &self,
        at: &Location,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.tally(&self.requests.put, self.inner.put_multipart_opts(at, options).await)
    }

    async fn get_opts(&self, at: &Location, options: GetOptions) -> Result<GetResult> {
        self.tally(&self.requests.get, self.inner.get_opts(at, options).await)
    }

    async fn get_ranges(&self, at: &Location, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.tally(&self.requests.get, self.inner.get_ranges(at, ranges).await)
    }

    fn delete_stream(&self, places: BoxStream<'static, Result<Location>>) -> BoxStream<'static, Result<Location>> {
        let requests = Arc::clone(&self.requests);
        let count = move |removed: &Result<Location>| {
            requests.delete.fetch_add(1, Ordering::Relaxed);
            requests.failed.fetch_add(u64::from(removed.as_ref().is_err_and(is_failure)), Ordering::Relaxed);
        };
        self.inner.delete_stream(places).inspect(count).boxed()
    }

    fn list(&self, below: Option<&Location>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.requests.list.fetch_add(1, Ordering::Relaxed);
        self.inner.list(below)
    }

    fn list_with_offset(&self, below: Option<&Location>, after: &Location) -> BoxStream<'static, Result<ObjectMeta>> {
        self.requests.list.fetch_add(1, Ordering::Relaxed);
        self.inner.list_with_offset(below, after)
    }

    async fn list_with_delimiter(&self, below: Option<&Location>) -> Result<ListResult> {
        self.tally(&self.requests.list, self.inner.list_with_delimiter(below).await)
    }

    async fn copy_opts(&self, from: &Location, to: &Location, options: CopyOptions) -> Result<()> {
        self.tally(&self.requests.put, self.inner.copy_opts(from, to, options).await)
    }
}
