//! Requests to an object store whose outcome is known when they return, over any [`ObjectStore`].
//!
//! A put whose answer is lost (a timeout, a 5xx after the effect) is tried again, and the second attempt may find the
//! first one's object: what stands there is read and compared, by a mark that every put carries besides its bytes. So
//! "somebody was first" is never said of a writer's own object. Deliberately knows no tables and blocks no thread.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path as Location;
use object_store::prefix::PrefixStore;
use object_store::{
    Attribute, Attributes, Error, GetOptions, GetRange, ListResult, ObjectMeta, ObjectStore, ObjectStoreExt as _,
    PutMode, PutOptions, PutPayload, UpdateVersion,
};
use tokio::task::JoinHandle;

use crate::bucket::patience::{Patience, unsettled};
use crate::bucket::threads::Threads;

/// The name of a put's mark among an object's metadata (`x-amz-meta-...` on S3).
const MARK: &str = "tracelake-write";

/// A store with patience, and the threads that its requests run on.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    store: Arc<dyn ObjectStore>,
    threads: Arc<Threads>,
    patience: Patience,
}

/// What stands at a place.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) content: Bytes,
    pub(crate) meta: ObjectMeta,
    mark: Option<String>,
}

impl Client {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, threads: Arc<Threads>, patience: Patience) -> Self {
        Self { store, threads, patience }
    }

    /// The same store below a prefix.
    pub(crate) fn below(&self, prefix: &str) -> Self {
        Self { store: Arc::new(PrefixStore::new(Arc::clone(&self.store), prefix)), ..self.clone() }
    }

    /// Runs requests on the threads and waits for their answer; see [`Threads::wait`].
    pub(crate) fn wait<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> io::Result<T> {
        self.threads.wait(work)
    }

    /// Runs work on the threads without waiting for it.
    pub(crate) fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.threads.handle().spawn(work)
    }

    /// The store itself: its requests are made once.
    pub(crate) fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// Puts an object where nothing stands; its entity tag, or `None` when somebody else was first.
    pub(crate) async fn create(&self, at: &Location, content: &Bytes) -> Result<Option<String>, Error> {
        self.put_if(at, content, PutMode::Create).await
    }

    /// Replaces the object of an entity tag; the new tag, or `None` when it is not that object any more: another writer
    /// was first, or has replaced ours already while its answer was lost.
    pub(crate) async fn update(&self, at: &Location, content: &Bytes, tag: &str) -> Result<Option<String>, Error> {
        let version = UpdateVersion { e_tag: Some(tag.to_owned()), version: None };
        self.put_if(at, content, PutMode::Update(version)).await
    }

    /// Puts an object, whatever stands there; its entity tag.
    pub(crate) async fn replace(&self, at: &Location, content: &Bytes) -> Result<String, Error> {
        let options = PutOptions::from(PutMode::Overwrite);
        let put = || self.store.put_opts(at, PutPayload::from(content.clone()), options.clone());
        Ok(self.patience.spend(put).await?.e_tag.unwrap_or_default())
    }

    async fn put_if(&self, at: &Location, content: &Bytes, mode: PutMode) -> Result<Option<String>, Error> {
        let mark = mark()?;
        let attributes = Attributes::from_iter([(Attribute::Metadata(MARK.into()), mark.clone())]);
        let options = PutOptions { mode: mode.clone(), attributes, ..PutOptions::default() };
        let put = || async {
            match self.store.put_opts(at, PutPayload::from(content.clone()), options.clone()).await {
                Ok(put) => Ok(Some(put.e_tag.unwrap_or_default())),
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                    self.settle(at, content, &mark, mode == PutMode::Create).await
                }
                Err(fault) => Err(fault),
            }
        };
        self.patience.spend(put).await
    }

    /// A conditional put was refused: whether what stands there is of an earlier attempt of the same put.
    async fn settle(&self, at: &Location, content: &Bytes, mark: &str, create: bool) -> Result<Option<String>, Error> {
        match self.get_once(at).await {
            Ok(stored) => {
                // A store that keeps no metadata leaves the bytes to tell.
                let ours = stored.mark.as_deref().is_none_or(|found| found == mark) && stored.content == *content;
                Ok(ours.then(|| stored.meta.e_tag.unwrap_or_default()))
            }
            // S3 refuses rivals that arrive together with 409, and then nobody may have won.
            Err(Error::NotFound { .. }) if create => Err(unsettled("the put was refused, and nothing stands there")),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// An object whole.
    pub(crate) async fn get(&self, at: &Location) -> Result<Stored, Error> {
        self.patience.spend(|| self.get_once(at)).await
    }

    async fn get_once(&self, at: &Location) -> Result<Stored, Error> {
        let got = self.store.get_opts(at, GetOptions::default()).await?;
        let mark = got.attributes.get(&Attribute::Metadata(MARK.into())).map(|mark| mark.as_ref().to_owned());
        let meta = got.meta.clone();
        let content = got.bytes().await?;
        if content.len() as u64 != meta.size {
            return Err(unsettled(format!("{at}: {} of {} bytes came", content.len(), meta.size)));
        }
        Ok(Stored { content, meta, mark })
    }

    /// Bytes of an object, as many of the range as it has, and how many it has in all.
    pub(crate) async fn get_range(&self, at: &Location, range: Range<u64>) -> Result<(Bytes, u64), Error> {
        let get = || async {
            let options = GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
            let got = self.store.get_opts(at, options).await?;
            let (size, told) = (got.meta.size, got.range.clone());
            let content = got.bytes().await?;
            let expected = range.start..range.end.min(size);
            if told != expected || content.len() as u64 != expected.end - expected.start {
                return Err(unsettled(format!("{at}: {} bytes of {expected:?} came", content.len())));
            }
            Ok((content, size))
        };
        self.patience.spend(get).await
    }

    /// The last bytes of an object, all of it if it has no more, and how many it has in all.
    pub(crate) async fn get_tail(&self, at: &Location, bytes: u64) -> Result<(Bytes, u64), Error> {
        let get = || async {
            let options = GetOptions { range: Some(GetRange::Suffix(bytes)), ..GetOptions::default() };
            let got = self.store.get_opts(at, options).await?;
            let size = got.meta.size;
            let content = got.bytes().await?;
            if content.len() as u64 != bytes.min(size) {
                return Err(unsettled(format!("{at}: the last {} of {size} bytes came", content.len())));
            }
            Ok((content, size))
        };
        self.patience.spend(get).await
    }

    /// What is known of an object without reading it.
    pub(crate) async fn head(&self, at: &Location) -> Result<ObjectMeta, Error> {
        self.patience.spend(|| self.store.head(at)).await
    }

    /// What lies right below a place: objects, and prefixes of further ones.
    pub(crate) async fn list(&self, below: &Location) -> Result<ListResult, Error> {
        let below = (!below.as_ref().is_empty()).then_some(below);
        self.patience.spend(|| self.store.list_with_delimiter(below)).await
    }

    /// What lies below a place and sorts after another, however deep.
    pub(crate) async fn list_after(&self, below: &Location, after: &Location) -> Result<Vec<ObjectMeta>, Error> {
        self.patience.spend(|| self.store.list_with_offset(Some(below), after).try_collect()).await
    }

    /// Removes an object. False when the store says that it was not there; many do not say.
    pub(crate) async fn remove(&self, at: &Location) -> Result<bool, Error> {
        let remove = || async {
            let one: BoxStream<'static, _> = futures::stream::iter([Ok(at.clone())]).boxed();
            self.store.delete_stream(one).next().await.unwrap_or_else(|| Err(unsettled("no answer")))
        };
        match self.patience.spend(remove).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(fault) => Err(fault),
        }
    }
}

fn mark() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(unsettled)?;
    Ok(tracelake_model::to_hex(&bytes))
}
