//! A directory of a disk as an object store: deltalake reads and writes its checkpoints through it, and what it writes
//! is synced. Queries of the machine's disk go another, faster way (`store.rs`).

use std::fmt;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::DateTime;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use object_store::path::Path as Location;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::files::file::{Files, Found, walk};

const NAME: &str = "disk";

/// The directory.
#[derive(Clone, Debug)]
pub(crate) struct DiskStore(Arc<dyn Files>);

impl DiskStore {
    pub(crate) fn new(files: Arc<dyn Files>) -> Self {
        Self(files)
    }

    fn about(&self, at: &Location) -> Result<ObjectMeta> {
        let mut parts: Vec<_> = at.parts().collect();
        let name = parts.pop();
        let found = self.0.list(&Location::from_iter(parts)).map_err(|fault| failed(at, fault))?;
        let found = found.into_iter().find(|found| name.as_ref().is_some_and(|name| name.as_ref() == found.name));
        found.map(|found| meta(at.clone(), &found)).ok_or_else(|| failed(at, io::ErrorKind::NotFound.into()))
    }

    fn put(&self, at: &Location, content: &[u8], mode: &PutMode) -> Result<()> {
        match mode {
            PutMode::Overwrite => self.0.replace(at, content).map_err(|fault| failed(at, fault)),
            PutMode::Create => match self.0.put_new(at, content) {
                Ok(true) => Ok(()),
                Ok(false) => Err(failed(at, io::ErrorKind::AlreadyExists.into())),
                Err(fault) => Err(failed(at, fault)),
            },
            PutMode::Update(_) => Err(unbuilt("conditional updates")),
        }
    }
}

fn meta(location: Location, found: &Found) -> ObjectMeta {
    let e_tag = format!("{:x}-{:x}", found.modified.0, found.bytes);
    ObjectMeta {
        location,
        last_modified: DateTime::from_timestamp_nanos(found.modified.0),
        size: found.bytes,
        e_tag: Some(e_tag),
        version: None,
    }
}

fn failed(at: &Location, fault: io::Error) -> Error {
    let (path, kind) = (at.to_string(), fault.kind());
    match kind {
        io::ErrorKind::NotFound => Error::NotFound { path, source: fault.into() },
        io::ErrorKind::AlreadyExists => Error::AlreadyExists { path, source: fault.into() },
        _ => Error::Generic { store: NAME, source: fault.into() },
    }
}

fn unbuilt(what: &str) -> Error {
    Error::NotSupported { source: format!("a directory of a disk has no {what}").into() }
}

impl fmt::Display for DiskStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

#[async_trait]
impl ObjectStore for DiskStore {
    async fn put_opts(&self, at: &Location, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let content: Vec<u8> = payload.iter().flat_map(|bytes| bytes.iter().copied()).collect();
        self.put(at, &content, &options.mode)?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(&self, at: &Location, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Ok(Box::new(Upload { store: self.clone(), at: at.clone(), content: Vec::new() }))
    }

    async fn get_opts(&self, at: &Location, options: GetOptions) -> Result<GetResult> {
        let meta = self.about(at)?;
        options.check_preconditions(&meta)?;
        let whole = 0..meta.size;
        let range = match &options.range {
            Some(range) => {
                range.as_range(meta.size).map_err(|fault| Error::Generic { store: NAME, source: fault.into() })?
            }
            None => whole,
        };
        let bytes = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let content = if options.head {
            Ok(bytes::Bytes::new())
        } else {
            self.0.open(at).and_then(|source| source.read_at(range.start, bytes))
        };
        let content = content.map_err(|fault| failed(at, fault))?;
        let payload = GetResultPayload::Stream(stream::once(async { Ok(content) }).boxed());
        Ok(GetResult { payload, meta, range, attributes: object_store::Attributes::default() })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Location>>) -> BoxStream<'static, Result<Location>> {
        let store = self.clone();
        let delete = move |at: Result<Location>| {
            let at = at?;
            match store.0.remove(&at) {
                Ok(true) => Ok(at),
                Ok(false) => Err(failed(&at, io::ErrorKind::NotFound.into())),
                Err(fault) => Err(failed(&at, fault)),
            }
        };
        locations.map(delete).boxed()
    }

    fn list(&self, prefix: Option<&Location>) -> BoxStream<'static, Result<ObjectMeta>> {
        let root = Location::default();
        let dir = prefix.unwrap_or(&root);
        let found = match walk(self.0.as_ref(), dir) {
            Err(fault) => vec![Err(failed(dir, fault))],
            Ok(mut found) => {
                // As buckets do: deltalake takes entries as they come.
                found.sort_by(|(a, _), (b, _)| a.cmp(b));
                found.into_iter().map(|(at, file)| Ok(meta(at, &file))).collect()
            }
        };
        stream::iter(found).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Location>) -> Result<ListResult> {
        let root = Location::default();
        let dir = prefix.unwrap_or(&root);
        let files = self.0.list(dir).map_err(|fault| failed(dir, fault))?;
        let names = self.0.directories(dir).map_err(|fault| failed(dir, fault))?;
        Ok(ListResult {
            objects: files.iter().map(|file| meta(dir.clone().join(file.name.as_str()), file)).collect(),
            common_prefixes: names.iter().map(|name| dir.clone().join(name.as_str())).collect(),
        })
    }

    async fn copy_opts(&self, from: &Location, to: &Location, options: CopyOptions) -> Result<()> {
        let content = self.0.read(from).map_err(|fault| failed(from, fault))?;
        let mode = match options.mode {
            CopyMode::Overwrite => PutMode::Overwrite,
            CopyMode::Create => PutMode::Create,
        };
        self.put(to, &content, &mode)
    }
}

/// A checkpoint under way: held in memory, written at its end.
#[derive(Debug)]
struct Upload {
    store: DiskStore,
    at: Location,
    content: Vec<u8>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> object_store::UploadPart {
        data.iter().for_each(|bytes| self.content.extend_from_slice(bytes));
        Box::pin(std::future::ready(Ok(())))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.store.put(&self.at, &std::mem::take(&mut self.content), &PutMode::Overwrite)?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        self.content.clear();
        Ok(())
    }
}
