//! Compression of pages, by one context for all columns of a file.

use bytes::Bytes;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;

use crate::part::encoding::ZSTD_LEVEL;

/// Compresses pages.
pub(crate) struct Squeezer {
    context: zstd::bulk::Compressor<'static>,
    /// Compressed bytes, before they are as long as they must be.
    scratch: Vec<u8>,
}

/// How its pages are compressed.
pub(super) fn codec() -> Result<Compression, ParquetError> {
    Ok(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
}

impl Squeezer {
    pub(crate) fn new() -> Result<Self, ParquetError> {
        Ok(Self { context: zstd::bulk::Compressor::new(ZSTD_LEVEL)?, scratch: Vec::new() })
    }

    /// A page compressed.
    pub(super) fn compress(&mut self, content: &[u8]) -> Result<Bytes, ParquetError> {
        let bound = zstd::zstd_safe::compress_bound(content.len());
        if self.scratch.len() < bound {
            self.scratch.resize(bound, 0);
        }
        let size = self.context.compress_to_buffer(content, self.scratch.as_mut_slice())?;
        Ok(Bytes::copy_from_slice(&self.scratch[..size]))
    }
}
