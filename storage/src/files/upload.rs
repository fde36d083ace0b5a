//! A new object, written from front to back in bounded memory.
//!
//! A small one is a single put when it is finished; a larger one goes in pieces while it is written, and only the last
//! request makes it an object. One that is dropped before is given up, its pieces too. A crash can leave pieces behind
//! that no listing shows: a lifecycle rule of the bucket for incomplete uploads removes them.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path as Location;
use object_store::{Error, MultipartUpload, ObjectStoreExt as _, PutPayload};
use tokio::task::JoinHandle;

use crate::bucket::client::Client;
use crate::bucket::patience::unsettled;
use crate::files::fault::told;
use crate::files::file::Draft;

/// Bytes of a piece; S3 takes no smaller ones, but for the last.
const PIECE_BYTES: usize = 8 << 20;
/// Pieces that are on their way at once; a writer that is faster waits.
const PIECES_UNDER_WAY_MAX: usize = 2;
/// How long giving up an upload may take; afterwards the bucket's lifecycle rule must.
const ABORT_MAX: Duration = Duration::from_secs(30);

/// The object under way.
pub(crate) struct Upload {
    client: Client,
    at: Location,
    piece: Vec<u8>,
    bytes: u64,
    running: Option<Running>,
}

/// An upload in pieces.
struct Running {
    upload: Box<dyn MultipartUpload>,
    pieces: VecDeque<JoinHandle<Result<(), Error>>>,
}

impl Upload {
    pub(crate) fn new(client: Client, at: Location) -> Self {
        Self { client, at, piece: Vec::new(), bytes: 0, running: None }
    }

    /// Sends what is gathered as a piece; waits while too many are on their way.
    fn send(&mut self) -> io::Result<()> {
        if self.running.is_none() {
            let (store, at) = (Arc::clone(self.client.store()), self.at.clone());
            let upload = self.client.wait(async move { store.put_multipart(&at).await })?.map_err(told)?;
            self.running = Some(Running { upload, pieces: VecDeque::new() });
        }
        let Some(running) = &mut self.running else { return Ok(()) };
        if running.pieces.len() >= PIECES_UNDER_WAY_MAX
            && let Some(piece) = running.pieces.pop_front()
        {
            arrive(&self.client, piece)?;
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        let sending = running.upload.put_part(PutPayload::from(piece));
        running.pieces.push_back(self.client.spawn(sending));
        Ok(())
    }

    /// Makes the pieces one object.
    fn complete(&mut self) -> io::Result<()> {
        if !self.piece.is_empty() {
            self.send()?;
        }
        while let Some(piece) = self.running.as_mut().and_then(|running| running.pieces.pop_front()) {
            arrive(&self.client, piece)?;
        }
        let Some(running) = self.running.take() else { return Ok(()) };
        let (client, at, bytes, mut upload) = (self.client.clone(), self.at.clone(), self.bytes, running.upload);
        let complete = async move {
            let Err(fault) = upload.complete().await else { return Ok(()) };
            // The answer may be lost, not the object: its name is ours alone.
            if client.head(&at).await.is_ok_and(|meta| meta.size == bytes) {
                return Ok(());
            }
            abort(upload).await;
            Err(fault)
        };
        self.client.wait(complete)?.map_err(told)
    }
}

impl Write for Upload {
    fn write(&mut self, content: &[u8]) -> io::Result<usize> {
        let fits = content.len().min(PIECE_BYTES - self.piece.len());
        self.piece.extend_from_slice(&content[..fits]);
        self.bytes += fits as u64;
        if self.piece.len() == PIECE_BYTES {
            self.send()?;
        }
        Ok(fits)
    }

    /// Nothing of an object shows before it is finished.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Draft for Upload {
    fn finish(&mut self) -> io::Result<u64> {
        if self.running.is_some() {
            self.complete()?;
            return Ok(self.bytes);
        }
        let (client, at) = (self.client.clone(), self.at.clone());
        let content = Bytes::from(std::mem::take(&mut self.piece));
        self.client.wait(async move { client.replace(&at, &content).await })?.map_err(told)?;
        Ok(self.bytes)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.pieces.iter().for_each(JoinHandle::abort);
            self.client.spawn(abort(running.upload));
        }
    }
}

fn arrive(client: &Client, piece: JoinHandle<Result<(), Error>>) -> io::Result<()> {
    client.wait(async move { piece.await.unwrap_or_else(|fault| Err(unsettled(fault))) })?.map_err(told)
}

async fn abort(mut upload: Box<dyn MultipartUpload>) {
    if let Ok(Err(error)) = tokio::time::timeout(ABORT_MAX, upload.abort()).await {
        tracing::debug!(%error, "an upload could not be given up; the bucket's lifecycle rule removes it");
    }
}
