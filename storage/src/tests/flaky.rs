//! An object store in memory that fails as real ones do, from a seed: before the effect, after it (the lost answer),
//! in bursts (503 SlowDown), slowly.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path as Location;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

/// What goes wrong, of a thousand requests each.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    /// Fails without effect.
    pub(crate) before: u32,
    /// Has its effect, and fails all the same.
    pub(crate) after: u32,
    /// Begins a burst: this request and the next ones fail without effect.
    pub(crate) burst: u32,
    /// Requests of a burst.
    pub(crate) burst_requests: u32,
    /// The longest delay.
    pub(crate) latency: Duration,
}

/// Some of everything.
pub(crate) const ROUGH: Faults =
    Faults { before: 60, after: 60, burst: 8, burst_requests: 3, latency: Duration::from_micros(300) };

#[derive(Debug)]
struct World {
    random: SmallRng,
    faults: Faults,
    burst_left: u32,
}

/// The store. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Flaky {
    inner: InMemory,
    world: Arc<Mutex<World>>,
    requests: Arc<AtomicU64>,
    given_up: Arc<AtomicU64>,
    lose_complete: Arc<AtomicBool>,
    unconditional: Arc<AtomicBool>,
}

#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Good,
    Before,
    After,
}

impl Flaky {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        let world = World { random: SmallRng::seed_from_u64(seed), faults, burst_left: 0 };
        Self {
            inner: InMemory::new(),
            world: Arc::new(Mutex::new(world)),
            requests: Arc::default(),
            given_up: Arc::default(),
            lose_complete: Arc::default(),
            unconditional: Arc::default(),
        }
    }

    /// The next upload in pieces is done, and nobody hears of it.
    pub(crate) fn lose_next_complete(&self) {
        self.lose_complete.store(true, Ordering::SeqCst);
    }

    /// From now on conditions of puts mean nothing, as on old stores.
    pub(crate) fn ignore_conditions(&self) {
        self.unconditional.store(true, Ordering::SeqCst);
    }

    /// From now on these faults.
    pub(crate) fn set(&self, faults: Faults) {
        let mut world = self.world.lock();
        (world.faults, world.burst_left) = (faults, 0);
    }

    /// Requests so far, those that failed too.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }

    /// Counts from none again.
    pub(crate) fn requests_reset(&self) {
        self.requests.store(0, Ordering::SeqCst);
    }

    /// Uploads in pieces that were given up.
    pub(crate) fn given_up(&self) -> u64 {
        self.given_up.load(Ordering::SeqCst)
    }

    async fn draw(&self) -> Fate {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let (fate, delay) = {
            let mut world = self.world.lock();
            let faults = world.faults;
            let drawn = world.random.random_range(0..1000);
            let delay = faults.latency.mul_f64(world.random.random());
            let fate = if world.burst_left > 0 {
                world.burst_left -= 1;
                Fate::Before
            } else if drawn < faults.before {
                Fate::Before
            } else if drawn < faults.before + faults.after {
                Fate::After
            } else if drawn < faults.before + faults.after + faults.burst {
                world.burst_left = faults.burst_requests.saturating_sub(1);
                Fate::Before
            } else {
                Fate::Good
            };
            (fate, delay)
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        fate
    }

    /// A request that fails as drawn.
    async fn pass<T>(&self, request: impl Future<Output = Result<T>>) -> Result<T> {
        match self.draw().await {
            Fate::Good => request.await,
            Fate::Before => Err(fault("503 SlowDown")),
            Fate::After => {
                request.await?;
                Err(fault("the answer is lost"))
            }
        }
    }
}

fn fault(detail: &str) -> Error {
    Error::Generic { store: "flaky", source: detail.to_owned().into() }
}

impl fmt::Display for Flaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flaky")
    }
}

#[async_trait]
impl ObjectStore for Flaky {
    async fn put_opts(&self, at: &Location, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let mut options = options;
        if self.unconditional.load(Ordering::SeqCst) {
            options.mode = PutMode::Overwrite;
        }
        self.pass(self.inner.put_opts(at, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Location,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.pass(self.inner.put_multipart_opts(at, options)).await?;
        Ok(Box::new(FlakyUpload { inner: upload, flaky: self.clone() }))
    }

    async fn get_opts(&self, at: &Location, options: GetOptions) -> Result<GetResult> {
        self.pass(self.inner.get_opts(at, options)).await
    }

    fn delete_stream(&self, places: BoxStream<'static, Result<Location>>) -> BoxStream<'static, Result<Location>> {
        let flaky = self.clone();
        let remove = move |at: Result<Location>| {
            let flaky = flaky.clone();
            async move {
                let one = futures::stream::iter([at]).boxed();
                let remove = async { flaky.inner.delete_stream(one).next().await.expect("an answer each") };
                flaky.pass(remove).await
            }
        };
        places.then(remove).boxed()
    }

    fn list(&self, below: Option<&Location>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        self.inner.list(below)
    }

    async fn list_with_delimiter(&self, below: Option<&Location>) -> Result<ListResult> {
        self.pass(self.inner.list_with_delimiter(below)).await
    }

    async fn copy_opts(&self, from: &Location, to: &Location, options: CopyOptions) -> Result<()> {
        self.pass(self.inner.copy_opts(from, to, options)).await
    }
}

#[derive(Debug)]
struct FlakyUpload {
    inner: Box<dyn MultipartUpload>,
    flaky: Flaky,
}

#[async_trait]
impl MultipartUpload for FlakyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        // Pieces are tried again below, by the client of a real store: here they fail for good.
        let (part, flaky) = (self.inner.put_part(data), self.flaky.clone());
        Box::pin(async move { flaky.pass(part).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let done = self.flaky.clone().pass(self.inner.complete()).await;
        if self.flaky.lose_complete.swap(false, Ordering::SeqCst) { Err(fault("the answer is lost")) } else { done }
    }

    async fn abort(&mut self) -> Result<()> {
        self.flaky.given_up.fetch_add(1, Ordering::SeqCst);
        self.inner.abort().await
    }
}
