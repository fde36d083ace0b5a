//! The files that queries read: passed on to where they are, and the newest of them remembered, so that a query that
//! failed can be asked which part it was.
//!
//! Remembers places only: a part that goes meanwhile is not held.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path as Location;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;
use tracelake_model::{Table, TenantId};

use crate::core::Core;
use crate::error::Error;

/// Places that are remembered, of all tenants.
const RECENT_MAX: usize = 256;
/// Bytes that are looked at for one failed query.
const SUSPECT_BYTES_MAX: u64 = 1 << 30;

/// Places that were read not long ago.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    places: Mutex<VecDeque<Location>>,
}

impl Recent {
    fn note(&self, at: &Location) {
        let mut places = self.places.lock();
        // A part is read piece by piece: mostly it is the one before, or one of the few that are read side by side.
        if places.iter().rev().take(8).any(|known| known == at) {
            return;
        }
        if places.len() >= RECENT_MAX {
            places.pop_front();
        }
        places.push_back(at.clone());
    }

    /// The places of a tenant, newest first, each once; forgets them.
    fn take(&self, tenant: &TenantId) -> Vec<Location> {
        let is_theirs = |at: &Location| at.parts().next().is_some_and(|name| name.as_ref() == tenant.as_str());
        let mut places = self.places.lock();
        let mut theirs: Vec<Location> = Vec::new();
        for at in places.iter().rev().filter(|at| is_theirs(at)) {
            if !theirs.contains(at) {
                theirs.push(at.clone());
            }
        }
        places.retain(|at| !is_theirs(at));
        theirs
    }
}

impl Core {
    /// Looks at the parts that a tenant's queries read last, within bounds. True: one of them is out of service or gone,
    /// so that the same question may have an answer now.
    pub(crate) fn suspect_recent(&self, recent: &Recent, tenant: &TenantId) -> std::result::Result<bool, Error> {
        let (mut changed, mut bytes) = (false, 0);
        for at in recent.take(tenant) {
            let Some(table) = at.parts().nth(1).and_then(|name| Table::parse(name.as_ref())) else { continue };
            let live = self.logs.get(tenant, table)?.lock().live();
            let Some(part) = live.into_iter().find(|part| part.location == at) else {
                changed = true;
                continue;
            };
            bytes += part.bytes;
            if bytes > SUSPECT_BYTES_MAX {
                break;
            }
            changed |= self.suspect(tenant, table, &part)?;
        }
        Ok(changed)
    }
}

/// The store that queries read.
#[derive(Debug)]
pub(crate) struct Reads {
    inner: Arc<dyn ObjectStore>,
    recent: Arc<Recent>,
}

impl Reads {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, recent: Arc<Recent>) -> Self {
        Self { inner, recent }
    }
}

impl fmt::Display for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Reads {
    async fn get_opts(&self, at: &Location, options: GetOptions) -> Result<GetResult> {
        self.recent.note(at);
        self.inner.get_opts(at, options).await
    }

    async fn get_ranges(&self, at: &Location, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.recent.note(at);
        self.inner.get_ranges(at, ranges).await
    }

    fn list(&self, below: Option<&Location>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(below)
    }

    async fn list_with_delimiter(&self, below: Option<&Location>) -> Result<ListResult> {
        self.inner.list_with_delimiter(below).await
    }

    async fn put_opts(&self, at: &Location, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(at, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Location,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    fn delete_stream(&self, places: BoxStream<'static, Result<Location>>) -> BoxStream<'static, Result<Location>> {
        self.inner.delete_stream(places)
    }

    async fn copy_opts(&self, from: &Location, to: &Location, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
