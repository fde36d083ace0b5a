//! What a store stands on and tests replace: the clock, the decoder of payloads, the disk, the places of
//! tables and documents.

use std::sync::Arc;

use tracelake_model::{Clock, Decoder};

use crate::disk::Disk;
use crate::files::file::Files;

/// The seams.
#[derive(Clone)]
pub(crate) struct Seams {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) decoder: Arc<dyn Decoder>,
    /// Where the log is.
    pub(crate) disk: Arc<dyn Disk>,
    /// Where the tables are.
    pub(crate) files: Arc<dyn Files>,
    /// Where the documents are.
    pub(crate) documents: Arc<dyn Files>,
}
