//! The documents that people edit, as files: `<directory>/<tenant>/<kind>/<id>.json`.
//!
//! A write is a new synced file renamed over the old one, so a document is whole or as it was. One lock orders all
//! writers of this process; the data directory's lock keeps other processes out. Deliberately keeps nothing in memory:
//! documents are few and small, and people may look at the files.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use object_store::path::Path as Location;
use parking_lot::RwLock;
use tracelake_model::{Document, DocumentError, DocumentStore, Expect, TenantId};
use xxhash_rust::xxh3::xxh3_64;

use crate::disk::RealDisk;
use crate::error::Error;
use crate::files::disk::DiskFiles;
use crate::files::file::Files;

pub(crate) const ENDING: &str = ".json";
/// Characters of an id at most.
pub(crate) const ID_CHARS_MAX: usize = 128;

/// Opens the documents below a directory (`data_dir/documents`), which is made when it is missing.
pub(crate) fn open_documents(directory: &Path) -> Result<Arc<dyn DocumentStore>, Error> {
    fs::create_dir_all(directory).map_err(Error::io("make", directory))?;
    let files = DiskFiles::new(Arc::new(RealDisk), directory);
    Ok(Arc::new(Documents { shelf: Arc::new(RwLock::new(Shelf { files })) }))
}

/// Documents as files of a directory.
#[derive(Debug)]
struct Documents {
    shelf: Arc<RwLock<Shelf>>,
}

/// The blocking side; whoever may write holds it alone.
#[derive(Debug)]
struct Shelf {
    files: DiskFiles,
}

#[async_trait]
impl DocumentStore for Documents {
    async fn list(&self, tenant: &TenantId, kind: &str) -> Result<Vec<Document>, DocumentError> {
        let (shelf, tenant, kind) = (Arc::clone(&self.shelf), tenant.clone(), checked(kind)?);
        blocking(move || shelf.read().list(&tenant, &kind)).await
    }

    async fn get(&self, tenant: &TenantId, kind: &str, id: &str) -> Result<Option<Document>, DocumentError> {
        let (shelf, tenant, kind, id) = (Arc::clone(&self.shelf), tenant.clone(), checked(kind)?, checked(id)?);
        blocking(move || shelf.read().get(&tenant, &kind, &id)).await
    }

    async fn put(
        &self,
        tenant: &TenantId,
        kind: &str,
        id: &str,
        body: &str,
        expect: Expect,
    ) -> Result<Document, DocumentError> {
        let (shelf, tenant, kind, id) = (Arc::clone(&self.shelf), tenant.clone(), checked(kind)?, checked(id)?);
        let body = body.to_owned();
        blocking(move || shelf.write().put(&tenant, &kind, &id, body, &expect)).await
    }

    async fn delete(&self, tenant: &TenantId, kind: &str, id: &str) -> Result<bool, DocumentError> {
        let (shelf, tenant, kind, id) = (Arc::clone(&self.shelf), tenant.clone(), checked(kind)?, checked(id)?);
        blocking(move || shelf.write().delete(&tenant, &kind, &id)).await
    }
}

impl Shelf {
    fn list(&self, tenant: &TenantId, kind: &str) -> Result<Vec<Document>, DocumentError> {
        let directory = self.files.path(&Location::from(format!("{tenant}/{kind}")));
        let entries = match fs::read_dir(&directory) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed("list", &directory))?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed("list", &directory))?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(ENDING));
            ids.extend(id.filter(|id| valid(id)).map(str::to_owned));
        }
        ids.sort_unstable();
        let documents = ids.into_iter().map(|id| self.get(tenant, kind, &id));
        Ok(documents.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    fn get(&self, tenant: &TenantId, kind: &str, id: &str) -> Result<Option<Document>, DocumentError> {
        let path = self.path(tenant, kind, id);
        match fs::read_to_string(&path) {
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(failed("read", &path)(fault)),
            Ok(body) => {
                let version = version(&path, &body)?;
                Ok(Some(Document { id: id.to_owned(), body, version }))
            }
        }
    }

    fn put(
        &self,
        tenant: &TenantId,
        kind: &str,
        id: &str,
        body: String,
        expect: &Expect,
    ) -> Result<Document, DocumentError> {
        let stands = self.get(tenant, kind, id)?;
        let holds = match expect {
            Expect::Any => true,
            Expect::Absent => stands.is_none(),
            Expect::Version(version) => stands.is_some_and(|document| document.version == *version),
        };
        if !holds {
            return Err(DocumentError::Conflict(format!("{kind}/{id}")));
        }
        let (at, path) = (place(tenant, kind, id), self.path(tenant, kind, id));
        self.files.replace(&at, body.as_bytes()).map_err(failed("write", &path))?;
        let version = version(&path, &body)?;
        Ok(Document { id: id.to_owned(), body, version })
    }

    fn delete(&self, tenant: &TenantId, kind: &str, id: &str) -> Result<bool, DocumentError> {
        let at = place(tenant, kind, id);
        let path = self.files.path(&at);
        if !self.files.remove(&at).map_err(failed("remove", &path))? {
            return Ok(false);
        }
        let directory = Location::from(format!("{tenant}/{kind}"));
        self.files.sync(&directory).map_err(failed("sync", &self.files.path(&directory)))?;
        Ok(true)
    }

    fn path(&self, tenant: &TenantId, kind: &str, id: &str) -> PathBuf {
        self.files.path(&place(tenant, kind, id))
    }
}

fn place(tenant: &TenantId, kind: &str, id: &str) -> Location {
    Location::from(format!("{tenant}/{kind}/{id}{ENDING}"))
}

/// Each write makes a new file, so its number tells writes of the same text apart; the text's hash tells edits by hand.
fn version(path: &Path, body: &str) -> Result<String, DocumentError> {
    let file = fs::metadata(path).map_err(failed("measure", path))?;
    let written = file.mtime().wrapping_mul(1_000_000_000).wrapping_add(file.mtime_nsec());
    Ok(format!("{:x}-{written:x}-{:016x}", file.ino(), xxh3_64(body.as_bytes())))
}

/// Ids become file names, so nothing else is ever let through.
pub(crate) fn checked(id: &str) -> Result<String, DocumentError> {
    if valid(id) { Ok(id.to_owned()) } else { Err(DocumentError::BadId(id.to_owned())) }
}

/// Whether an id may become a file's name.
pub(crate) fn valid(id: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=ID_CHARS_MAX).contains(&id.len()) && !id.starts_with('.') && id.bytes().all(fits)
}

/// Syncs take milliseconds: they run beside the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DocumentError> + Send + 'static,
) -> Result<T, DocumentError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|fault| Err(DocumentError::Store(Box::new(fault))))
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DocumentError {
    let wrap = Error::io(what, path);
    move |fault| store(wrap(fault))
}

fn store(error: Error) -> DocumentError {
    DocumentError::Store(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> TenantId {
        TenantId::default()
    }

    #[tokio::test]
    async fn a_document_is_written_only_if_what_was_read_still_stands() {
        let dir = tempfile::tempdir().unwrap();
        let store = open_documents(dir.path()).unwrap();
        let put = |body: &'static str, expect: Expect| {
            let store = Arc::clone(&store);
            async move { store.put(&tenant(), "rules", "r1", body, expect).await }
        };
        assert!(matches!(put("0", Expect::Version("x".into())).await, Err(DocumentError::Conflict(_))));
        let first = put("1", Expect::Absent).await.unwrap();
        assert!(matches!(put("2", Expect::Absent).await, Err(DocumentError::Conflict(_))));
        let second = put("2", Expect::Version(first.version.clone())).await.unwrap();
        assert!(matches!(put("3", Expect::Version(first.version.clone())).await, Err(DocumentError::Conflict(_))));
        let same = put("2", Expect::Any).await.unwrap();
        assert_ne!(same.version, second.version, "every write is a new version");
        assert_eq!(store.get(&tenant(), "rules", "r1").await.unwrap(), Some(same.clone()));
        assert!(store.delete(&tenant(), "rules", "r1").await.unwrap());
        assert!(!store.delete(&tenant(), "rules", "r1").await.unwrap());
        assert!(matches!(put("4", Expect::Version(same.version)).await, Err(DocumentError::Conflict(_))));
        assert_eq!(store.get(&tenant(), "rules", "r1").await.unwrap(), None);
    }

    #[tokio::test]
    async fn documents_are_listed_by_kind_and_tenant_and_outlive_the_store() {
        let dir = tempfile::tempdir().unwrap();
        let store = open_documents(&dir.path().join("new/documents")).unwrap();
        let other = TenantId::new("other").unwrap();
        for (tenant, kind, id) in [(&tenant(), "rules", "b"), (&tenant(), "rules", "a.1"), (&other, "rules", "c")] {
            store.put(tenant, kind, id, id, Expect::Any).await.unwrap();
        }
        fs::write(dir.path().join("new/documents/default/rules/.half.tmp"), "torn").unwrap();
        let again = open_documents(&dir.path().join("new/documents")).unwrap();
        let listed = again.list(&tenant(), "rules").await.unwrap();
        let ids: Vec<_> = listed.iter().map(|document| (document.id.as_str(), document.body.as_str())).collect();
        assert_eq!(ids, [("a.1", "a.1"), ("b", "b")]);
        assert_eq!(listed, store.list(&tenant(), "rules").await.unwrap());
        assert!(again.list(&tenant(), "receivers").await.unwrap().is_empty());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn of_writers_that_read_the_same_version_one_wins() {
        let dir = tempfile::tempdir().unwrap();
        let store = open_documents(dir.path()).unwrap();
        store.put(&tenant(), "counters", "c", "0", Expect::Absent).await.unwrap();
        let add = |store: Arc<dyn DocumentStore>| async move {
            let mut added = 0;
            while added < 10 {
                let read = store.get(&tenant(), "counters", "c").await.unwrap().unwrap();
                let next = (read.body.parse::<u32>().unwrap() + 1).to_string();
                match store.put(&tenant(), "counters", "c", &next, Expect::Version(read.version)).await {
                    Ok(_) => added += 1,
                    Err(DocumentError::Conflict(_)) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        };
        let writers: Vec<_> = (0..4).map(|_| tokio::spawn(add(Arc::clone(&store)))).collect();
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(store.get(&tenant(), "counters", "c").await.unwrap().unwrap().body, "40");
    }

    #[tokio::test]
    async fn an_id_never_becomes_another_path() {
        let dir = tempfile::tempdir().unwrap();
        let store = open_documents(dir.path()).unwrap();
        for id in ["", ".", "..", ".hidden", "a/b", "../x", "a\\b", "é", "a b", "a\0", &"x".repeat(129)] {
            let put = store.put(&tenant(), "rules", id, "1", Expect::Any).await;
            assert!(matches!(put, Err(DocumentError::BadId(_))), "{id:?}");
            assert!(matches!(store.get(&tenant(), id, "a").await, Err(DocumentError::BadId(_))), "{id:?}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
