//! The place of tables and documents, opened as the configuration says: the data directory, another one, or a bucket.
//!
//! The log, the hashes and alerting's journal stay in the data directory whatever the place. Writes nothing into the
//! data directory: that is done once it is locked (`open.rs`).

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use tracelake_model::DocumentStore;

use crate::bucket::counted::Requests;
use crate::bucket::document::RemoteDocuments;
use crate::bucket::open::Bucket;
use crate::config::Config;
use crate::disk::Disk;
use crate::document::open_documents;
use crate::error::Error;
use crate::files::disk::DiskFiles;
use crate::files::file::Files;
use crate::files::remote::RemoteFiles;
use crate::files::spool::Spool;
use crate::open::{FORMAT, check_format, write_format};
use crate::place::Place;

/// Names below the place's root.
const DATA: &str = "data";
const DOCUMENTS: &str = "documents";
/// Blocks of a bucket's large objects while they are read, below the data directory.
pub(crate) const SPOOL: &str = "spool";

/// An opened place.
pub(crate) struct Home {
    disk: Arc<dyn Disk>,
    kind: Kind,
}

enum Kind {
    /// A directory; whether it is another one than the data directory.
    Directory(PathBuf, bool),
    /// Its tables' files and its documents'.
    Bucket(Bucket, Arc<RemoteFiles>, Arc<RemoteFiles>),
}

impl Home {
    /// Opens the place that the configuration names. A bucket is tried and marked, or refused.
    pub(crate) fn open(config: &Config, disk: Arc<dyn Disk>) -> Result<Self, Error> {
        config.check()?;
        let place = config.url.as_deref().map(Place::parse).transpose().map_err(Error::Config)?;
        let kind = match place {
            None => Kind::Directory(config.data_dir.clone(), false),
            Some(Place::Directory(root)) => {
                check_format(disk.as_ref(), &root)?;
                Kind::Directory(root, true)
            }
            Some(place @ Place::Bucket { .. }) => {
                let bucket = open_bucket(&place, config)?;
                bucket.mark(FORMAT)?;
                let files = |name: &str| {
                    let spool = Spool::new(Arc::clone(&disk), config.data_dir.join(SPOOL));
                    Arc::new(RemoteFiles::new(bucket.root.below(name), spool, &format!("{}/{name}", bucket.url)))
                };
                let (data, documents) = (files(DATA), files(DOCUMENTS));
                Kind::Bucket(bucket, data, documents)
            }
        };
        Ok(Self { disk, kind })
    }

    /// The tables' files.
    pub(crate) fn files(&self) -> Arc<dyn Files> {
        match &self.kind {
            Kind::Directory(root, _) => Arc::new(DiskFiles::new(Arc::clone(&self.disk), &root.join(DATA))),
            Kind::Bucket(_, files, _) => Arc::clone(files) as Arc<dyn Files>,
        }
    }

    /// The documents' files.
    pub(crate) fn document_files(&self) -> Arc<dyn Files> {
        match &self.kind {
            Kind::Directory(root, _) => Arc::new(DiskFiles::new(Arc::clone(&self.disk), &root.join(DOCUMENTS))),
            Kind::Bucket(_, _, documents) => Arc::clone(documents) as Arc<dyn Files>,
        }
    }

    /// The same files for queries. The data directory is locked by now.
    pub(crate) fn objects(&self) -> Result<Arc<dyn ObjectStore>, Error> {
        let (root, is_other) = match &self.kind {
            Kind::Bucket(_, files, _) => return Ok(files.object_store()),
            Kind::Directory(root, is_other) => (root, *is_other),
        };
        let data = root.join(DATA);
        self.disk.create_dir(&data).map_err(Error::io("make the directory", &data))?;
        if is_other {
            write_format(self.disk.as_ref(), root)?;
        }
        let files = LocalFileSystem::new_with_prefix(&data);
        Ok(Arc::new(files.map_err(|error| Error::io("open", &data)(io::Error::other(error)))?))
    }

    /// The documents. The data directory is locked by now.
    pub(crate) fn documents(&self) -> Result<Arc<dyn DocumentStore>, Error> {
        match &self.kind {
            Kind::Directory(root, _) => open_documents(&root.join(DOCUMENTS)),
            Kind::Bucket(bucket, ..) => Ok(RemoteDocuments::open(bucket.root.clone())),
        }
    }

    /// What a bucket was asked so far.
    pub(crate) fn requests(&self) -> Option<Arc<Requests>> {
        match &self.kind {
            Kind::Directory(..) => None,
            Kind::Bucket(bucket, ..) => Some(Arc::clone(&bucket.requests)),
        }
    }
}

/// Tries the bucket that the configuration names, and tells what was found; `None` without a bucket. Blocks.
pub(crate) fn try_place(config: &Config) -> Result<Option<String>, Error> {
    config.check()?;
    let place = config.url.as_deref().map(Place::parse).transpose().map_err(Error::Config)?;
    match place {
        Some(place @ Place::Bucket { .. }) => {
            open_bucket(&place, config)?;
            Ok(Some(format!("{place}: reached, honours conditional writes")))
        }
        _ => Ok(None),
    }
}

fn open_bucket(place: &Place, config: &Config) -> Result<Bucket, Error> {
    let Place::Bucket { bucket, prefix } = place else {
        return Err(Error::Config(format!("{place} is no bucket")));
    };
    let opened = Bucket::of_s3(bucket, prefix, &config.s3, place.to_string())?;
    opened.prove()?;
    Ok(opened)
}
