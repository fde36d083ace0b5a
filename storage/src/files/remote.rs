//! The files of tables in an object store: [`Files`] over any [`ObjectStore`] with conditional puts.
//!
//! An object is durable and whole once it is put, so there is nothing to sync, and directories are only the beginnings
//! of names. Callers block; the requests are made on threads of their own. A large file that is open is read from the
//! store while it is read: one that others delete meanwhile ends in an error. Deliberately holds nothing else: every
//! answer is the store's.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use object_store::path::Path as Location;
use object_store::{Error, ObjectStore};
use tracelake_model::UnixNano;

use crate::bucket::client::Client;
use crate::files::fault::told;
use crate::files::file::{Draft, Files, Found, Source};
use crate::files::spool::{Spool, SpooledFile};
use crate::files::upload::Upload;

/// Small files that are read at once.
const READS: usize = 16;

/// Files in an object store, below its root.
#[derive(Debug)]
pub(crate) struct RemoteFiles {
    client: Client,
    spool: Spool,
    url: PathBuf,
}

impl RemoteFiles {
    /// Files below the root of the client's store, called `url`; what is read of large ones is kept in `spool` for a
    /// while.
    pub(crate) fn new(client: Client, spool: Spool, url: &str) -> Self {
        Self { client, spool, url: PathBuf::from(url) }
    }

    /// One request, made on the threads, waited for here.
    fn ask<T, F>(&self, request: impl FnOnce(Client) -> F) -> io::Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        self.client.wait(request(self.client.clone()))?.map_err(told)
    }
}

impl Files for RemoteFiles {
    fn put_new(&self, at: &Location, content: &[u8]) -> io::Result<bool> {
        let (at, content) = (at.clone(), Bytes::copy_from_slice(content));
        self.ask(|client| async move { client.create(&at, &content).await }).map(|tag| tag.is_some())
    }

    fn replace(&self, at: &Location, content: &[u8]) -> io::Result<()> {
        let (at, content) = (at.clone(), Bytes::copy_from_slice(content));
        self.ask(|client| async move { client.replace(&at, &content).await }).map(drop)
    }

    fn create(&self, at: &Location) -> io::Result<Box<dyn Draft>> {
        Ok(Box::new(Upload::new(self.client.clone(), at.clone())))
    }

    fn open(&self, at: &Location) -> io::Result<Arc<dyn Source>> {
        let file = SpooledFile::open(self.client.clone(), &self.spool, at.clone())?;
        Ok(Arc::new(file))
    }

    fn bytes(&self, at: &Location) -> io::Result<u64> {
        let at = at.clone();
        self.ask(|client| async move { client.head(&at).await }).map(|meta| meta.size)
    }

    fn read(&self, at: &Location) -> io::Result<Bytes> {
        let at = at.clone();
        self.ask(|client| async move { client.get(&at).await }).map(|stored| stored.content)
    }

    fn read_many(&self, at: &[Location]) -> io::Result<Vec<Option<Bytes>>> {
        let at = at.to_vec();
        self.ask(|client| async move {
            let read = async |at: Location| match client.get(&at).await {
                Err(Error::NotFound { .. }) => Ok(None),
                content => content.map(|stored| Some(stored.content)),
            };
            stream::iter(at.into_iter().map(read)).buffered(READS).try_collect().await
        })
    }

    fn list(&self, dir: &Location) -> io::Result<Vec<Found>> {
        let dir = dir.clone();
        let listed = self.ask(|client| async move { client.list(&dir).await })?;
        let found = listed.objects.into_iter().filter_map(|object| {
            let name = object.location.filename()?.to_owned();
            let modified = object.last_modified.timestamp_nanos_opt().unwrap_or(i64::MAX);
            Some(Found { name, bytes: object.size, modified: UnixNano(modified) })
        });
        Ok(found.collect())
    }

    fn names_after(&self, dir: &Location, name: &str) -> io::Result<Vec<String>> {
        let (below, after) = (dir.clone(), dir.clone().join(name));
        let found = self.ask(|client| async move { client.list_after(&below, &after).await })?;
        let depth = dir.parts().count() + 1;
        let names = found.iter().filter(|object| object.location.parts().count() == depth);
        Ok(names.filter_map(|object| Some(object.location.filename()?.to_owned())).collect())
    }

    fn directories(&self, dir: &Location) -> io::Result<Vec<String>> {
        let dir = dir.clone();
        let listed = self.ask(|client| async move { client.list(&dir).await })?;
        Ok(listed.common_prefixes.iter().filter_map(|prefix| Some(prefix.filename()?.to_owned())).collect())
    }

    fn remove(&self, at: &Location) -> io::Result<bool> {
        let at = at.clone();
        self.ask(|client| async move { client.remove(&at).await })
    }

    fn sync(&self, _dir: &Location) -> io::Result<()> {
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX / 4)
    }

    fn path(&self, at: &Location) -> PathBuf {
        self.url.join(at.as_ref())
    }

    fn object_store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(self.client.store())
    }
}
