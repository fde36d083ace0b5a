//! From a URL and settings to a store that commits can stand on: the client, the trial of its promise, the marker.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::client::SpawnedReqwestConnector;
use object_store::path::Path as Location;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use crate::bucket::client::Client;
use crate::bucket::counted::{Counted, Requests};
use crate::bucket::patience::Patience;
use crate::bucket::probe::{Flaw, probe};
use crate::bucket::settings::S3;
use crate::bucket::threads::Threads;
use crate::error::Error;

/// What the client does by itself when the service says 5xx or 429, or the connection breaks.
const RETRIES_MAX: usize = 6;
const RETRY_PAUSE_FIRST: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(30);

const FORMAT_FILE: &str = "FORMAT";

/// A store that was tried, at its prefix.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    /// Everything below the prefix.
    pub(crate) root: Client,
    /// What was asked of it so far.
    pub(crate) requests: Arc<Requests>,
    /// As people write it.
    pub(crate) url: String,
}

impl Bucket {
    /// A bucket of an S3-compatible service. Makes no request yet.
    pub(crate) fn of_s3(bucket: &str, prefix: &Location, settings: &S3, url: String) -> Result<Self, Error> {
        let threads = Threads::start().map_err(Error::io("start threads for", &PathBuf::from(&url)))?;
        let store = client(bucket, settings, &threads).map_err(|source| Error::Bucket {
            what: "use",
            url: url.clone(),
            source: Box::new(source),
        })?;
        Ok(Self::over(Arc::new(PrefixStore::new(store, prefix.clone())), Arc::new(threads), Patience::default(), url))
    }

    /// Any store, at its root.
    pub(crate) fn over(store: Arc<dyn ObjectStore>, threads: Arc<Threads>, patience: Patience, url: String) -> Self {
        let requests = Arc::<Requests>::default();
        let root = Client::new(Arc::new(Counted::new(store, Arc::clone(&requests))), threads, patience);
        Self { root, requests, url }
    }

    /// Tries the promise that commits stand on. Blocks.
    pub(crate) fn prove(&self) -> Result<(), Error> {
        let root = self.root.clone();
        let proven = self.root.wait(async move { probe(&root).await }).map_err(|fault| self.failed("reach", fault))?;
        proven.map_err(|flaw| match flaw {
            Flaw::Failed(fault) => self.failed("put objects into", fault),
            Flaw::Unconditional(detail) => Error::Unconditional { url: self.url.clone(), detail },
        })
    }

    /// Refuses a store of another version; marks a new one.
    pub(crate) fn mark(&self, format: &str) -> Result<(), Error> {
        let (root, content) = (self.root.clone(), Bytes::from(format!("{format}\n")));
        let marked = self.root.wait(async move {
            let at = Location::from(FORMAT_FILE);
            match root.create(&at, &content).await? {
                Some(_) => Ok(content),
                None => root.get(&at).await.map(|stored| stored.content),
            }
        });
        let marked = marked.map_err(|fault| self.failed("mark", fault))?;
        let content = marked.map_err(|fault: object_store::Error| self.failed("mark", fault))?;
        let found = String::from_utf8_lossy(&content).lines().next().unwrap_or_default().to_owned();
        let path = PathBuf::from(format!("{}/{FORMAT_FILE}", self.url));
        if found == format { Ok(()) } else { Err(Error::Format { path, found }) }
    }

    fn failed(&self, what: &'static str, fault: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::Bucket { what, url: self.url.clone(), source: Box::new(fault) }
    }
}

fn client(bucket: &str, settings: &S3, threads: &Threads) -> object_store::Result<impl ObjectStore + use<>> {
    let mut builder = AmazonS3Builder::new();
    for (name, value) in &settings.environment {
        // Others of the AWS tools' variables mean nothing to this client.
        if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    if let Some(region) = &settings.region {
        builder = builder.with_region(region);
    }
    if settings.allow_http {
        builder = builder.with_allow_http(true);
    }
    if settings.virtual_host {
        builder = builder.with_virtual_hosted_style_request(true);
    }
    let backoff = BackoffConfig { init_backoff: RETRY_PAUSE_FIRST, max_backoff: RETRY_PAUSE_MAX, base: 2.0 };
    builder
        .with_bucket_name(bucket)
        .with_retry(RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: RETRY_MAX })
        // Connections live on these threads, whatever runtime asks.
        .with_http_connector(SpawnedReqwestConnector::new(threads.handle()))
        .build()
}
