//! The documents that people edit, as objects: `documents/<tenant>/<kind>/<id>.json`.
//!
//! A document's version is its object's entity tag, and a write names the tag that was read: the store itself decides
//! between writers, of whatever server. A write whose answer was lost and that another writer has followed since is told
//! as a conflict: whoever reads again finds it under the other's. Deliberately keeps nothing in memory: documents are few and small. The same text
//! written again may have the same version, since many stores make the tag of the content.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::Error;
use object_store::path::Path as Location;
use tracelake_model::{Document, DocumentError, DocumentStore, Expect, TenantId};

use crate::bucket::client::Client;
use crate::document::{ENDING, checked};

/// Documents that are read at once.
const READS: usize = 16;

/// Documents in an object store, below the root of a client's store.
#[derive(Debug)]
pub(crate) struct RemoteDocuments {
    client: Client,
}

impl RemoteDocuments {
    pub(crate) fn open(client: Client) -> Arc<dyn DocumentStore> {
        Arc::new(Self { client })
    }

    async fn read(&self, at: &Location, id: &str) -> Result<Option<Document>, DocumentError> {
        match self.client.get(at).await {
            Ok(stored) => {
                let body = String::from_utf8(stored.content.into()).map_err(store)?;
                let version = stored.meta.e_tag.unwrap_or_default();
                Ok(Some(Document { id: id.to_owned(), body, version }))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(fault) => Err(store(fault)),
        }
    }
}

#[async_trait]
impl DocumentStore for RemoteDocuments {
    async fn list(&self, tenant: &TenantId, kind: &str) -> Result<Vec<Document>, DocumentError> {
        let directory = directory(tenant, &checked(kind)?);
        let listed = self.client.list(&directory).await.map_err(store)?;
        let id = |at: &Location| checked(at.filename()?.strip_suffix(ENDING)?).ok();
        let ids = listed.objects.into_iter().filter_map(|object| Some((id(&object.location)?, object.location)));
        let reads = ids.map(|(id, at)| async move { self.read(&at, &id).await });
        let documents: Vec<_> = futures::stream::iter(reads).buffered(READS).try_collect().await?;
        let mut documents: Vec<_> = documents.into_iter().flatten().collect();
        documents.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(documents)
    }

    async fn get(&self, tenant: &TenantId, kind: &str, id: &str) -> Result<Option<Document>, DocumentError> {
        let id = checked(id)?;
        self.read(&place(tenant, &checked(kind)?, &id), &id).await
    }

    async fn put(
        &self,
        tenant: &TenantId,
        kind: &str,
        id: &str,
        body: &str,
        expect: Expect,
    ) -> Result<Document, DocumentError> {
        let id = checked(id)?;
        let (at, content) = (place(tenant, &checked(kind)?, &id), Bytes::copy_from_slice(body.as_bytes()));
        let put = match expect {
            Expect::Any => self.client.replace(&at, &content).await.map(Some),
            Expect::Absent => self.client.create(&at, &content).await,
            Expect::Version(version) => self.client.update(&at, &content, &version).await,
        };
        match put.map_err(store)? {
            Some(version) => Ok(Document { id, body: body.to_owned(), version }),
            None => Err(DocumentError::Conflict(format!("{kind}/{id}"))),
        }
    }

    async fn delete(&self, tenant: &TenantId, kind: &str, id: &str) -> Result<bool, DocumentError> {
        let id = checked(id)?;
        let at = place(tenant, &checked(kind)?, &id);
        // Stores remove what is not there without a word.
        match self.client.head(&at).await {
            Ok(_) => self.client.remove(&at).await.map_err(store),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(fault) => Err(store(fault)),
        }
    }
}

fn directory(tenant: &TenantId, kind: &str) -> Location {
    Location::from_iter(["documents", tenant.as_str(), kind])
}

fn place(tenant: &TenantId, kind: &str, id: &str) -> Location {
    directory(tenant, kind).join(format!("{id}{ENDING}"))
}

fn store(fault: impl std::error::Error + Send + Sync + 'static) -> DocumentError {
    DocumentError::Store(Box::new(fault))
}
