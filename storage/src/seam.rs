//! What a store stands on and tests replace: the clock, the decoder of payloads, the disk.

use std::sync::Arc;

use tracelake_model::{Clock, Decoder};

use crate::disk::Disk;

/// The seams.
#[derive(Clone)]
pub(crate) struct Seams {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) decoder: Arc<dyn Decoder>,
    pub(crate) disk: Arc<dyn Disk>,
}
