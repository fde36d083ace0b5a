//! The pages of one column chunk: compressed where that helps, with their headers, and what the footer says of them.

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, EncodingMask, PageType};
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use super::squeeze::Squeezer;

/// Pages up to this size do not tell whether a chunk is worth compressing: a chunk of such pages is left as it is, for
/// what it saves is less than what it costs readers.
const TELLING_BYTES: usize = 256;

/// Of a page's bytes, in percent, what is left at most when it counts as compressible.
const LEFT_PERCENT_MAX: usize = 95;

/// A page before it is compressed.
pub(super) struct RawPage {
    /// Levels and values.
    pub(super) content: Vec<u8>,
    /// Rows, nulls among them.
    pub(super) rows: usize,
    pub(super) encoding: Encoding,
}

/// The chunk as it goes into the file.
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    pub(crate) close: ColumnCloseResult,
}

/// What is known of the values of a chunk.
pub(super) struct Facts {
    pub(super) nulls: u64,
    /// The least and the greatest value.
    pub(super) bounds: Option<(Vec<u8>, Vec<u8>)>,
    /// The same for each page, in order.
    pub(super) index: Option<ColumnIndexBuilder>,
    pub(super) bloom_filter: Option<parquet::bloom_filter::Sbbf>,
}

/// Pages so far.
pub(super) struct Pages {
    descriptor: ColumnDescPtr,
    /// Whether pages are compressed; pages wait until that is known.
    compressed: Option<bool>,
    waiting: Vec<RawPage>,
    out: TrackedWrite<Vec<u8>>,
    offsets: Vec<(u64, usize, usize)>,
    encodings: Vec<PageEncodingStats>,
    rows: usize,
    uncompressed_bytes: usize,
}

impl Pages {
    pub(super) fn new(descriptor: ColumnDescPtr) -> Self {
        Self {
            descriptor,
            compressed: None,
            waiting: Vec::new(),
            out: TrackedWrite::new(Vec::new()),
            offsets: Vec::new(),
            encodings: Vec::new(),
            rows: 0,
            uncompressed_bytes: 0,
        }
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0 && self.waiting.is_empty()
    }

    /// Adds a page. The first large one decides for the chunk whether its pages are compressed; those of a dictionary's
    /// numbers say nothing of the dictionary, which shrinks.
    pub(super) fn add(&mut self, page: RawPage, squeezer: &mut Squeezer) -> Result<(), ParquetError> {
        match self.compressed {
            None if page.content.len() <= TELLING_BYTES => self.waiting.push(page),
            None => {
                let (size, packed) = (page.content.len(), squeezer.compress(&page.content)?);
                let has_dictionary = page.encoding == Encoding::RLE_DICTIONARY;
                self.decide(has_dictionary || helps(size, packed.len()), squeezer)?;
                let buf = if self.compressed == Some(true) { packed } else { page.content.into() };
                self.write(buf, (size, page.rows, page.encoding))?;
            }
            Some(_) => {
                let size = page.content.len();
                let buf = self.packed(page.content, squeezer)?;
                self.write(buf, (size, page.rows, page.encoding))?;
            }
        }
        Ok(())
    }

    fn decide(&mut self, compressed: bool, squeezer: &mut Squeezer) -> Result<(), ParquetError> {
        self.compressed = Some(compressed);
        std::mem::take(&mut self.waiting).into_iter().try_for_each(|page| self.add(page, squeezer))
    }

    /// Writes a page of so many bytes before it was packed, rows and this encoding.
    fn write(&mut self, buf: Bytes, (size, rows, encoding): (usize, usize, Encoding)) -> Result<(), ParquetError> {
        let data = Page::DataPage {
            buf,
            num_values: u32::try_from(rows).unwrap_or(u32::MAX),
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let spec = SerializedPageWriter::new(&mut self.out).write_page(CompressedPage::new(data, size))?;
        self.note(&spec, encoding);
        self.offsets.push((spec.offset, spec.compressed_size, rows));
        self.rows += rows;
        Ok(())
    }

    fn packed(&self, content: Vec<u8>, squeezer: &mut Squeezer) -> Result<Bytes, ParquetError> {
        if self.compressed == Some(true) { squeezer.compress(&content) } else { Ok(content.into()) }
    }

    fn note(&mut self, spec: &PageWriteSpec, encoding: Encoding) {
        self.uncompressed_bytes += spec.uncompressed_size;
        match self.encodings.last_mut() {
            Some(last) if last.page_type == spec.page_type && last.encoding == encoding => last.count += 1,
            _ => self.encodings.push(PageEncodingStats { page_type: spec.page_type, encoding, count: 1 }),
        }
    }

    /// Ends the chunk. `dictionary` is its page and how many values it has.
    pub(super) fn finish(
        mut self,
        dictionary: Option<(&[u8], usize)>,
        facts: Facts,
        squeezer: &mut Squeezer,
    ) -> Result<Chunk, ParquetError> {
        if self.compressed.is_none() {
            let telling = dictionary.filter(|(content, _)| content.len() > TELLING_BYTES);
            let helps = |(content, _): (&[u8], usize)| Ok(helps(content.len(), squeezer.compress(content)?.len()));
            let compressed = telling.map_or(Ok::<_, ParquetError>(false), helps)?;
            self.decide(compressed, squeezer)?;
        }
        let mut head = TrackedWrite::new(Vec::new());
        if let Some((content, values)) = dictionary {
            let page = Page::DictionaryPage {
                buf: self.packed(content.to_vec(), squeezer)?,
                num_values: u32::try_from(values).unwrap_or(u32::MAX),
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            let spec = SerializedPageWriter::new(&mut head).write_page(CompressedPage::new(page, content.len()))?;
            self.note(&spec, Encoding::PLAIN);
        }
        self.close(head.into_inner()?, dictionary.is_some(), facts)
    }

    /// Puts the dictionary before the data and tells the footer of both.
    fn close(self, head: Vec<u8>, has_dictionary: bool, facts: Facts) -> Result<Chunk, ParquetError> {
        let data_offset = head.len();
        let mut bytes = head;
        bytes.extend_from_slice(&self.out.into_inner()?);
        let mut index = OffsetIndexBuilder::new();
        for (offset, size, rows) in self.offsets {
            let place = i64::try_from(offset).unwrap_or(i64::MAX) + signed(data_offset);
            index.append_offset_and_size(place, i32::try_from(size).unwrap_or(i32::MAX));
            index.append_row_count(signed(rows));
        }
        let (low, high) = facts.bounds.unzip();
        let range =
            ValueStatistics::new(low.map(ByteArray::from), high.map(ByteArray::from), None, Some(facts.nulls), false);
        let is_data = |stats: &&PageEncodingStats| stats.page_type != PageType::DICTIONARY_PAGE;
        let mut encodings: Vec<Encoding> = self.encodings.iter().filter(is_data).map(|stats| stats.encoding).collect();
        encodings.push(Encoding::RLE);
        if has_dictionary {
            encodings.push(Encoding::PLAIN);
        }
        let codec = if self.compressed == Some(true) { super::squeeze::codec()? } else { Compression::UNCOMPRESSED };
        let metadata = ColumnChunkMetaData::builder(self.descriptor)
            .set_compression(codec)
            .set_encodings_mask(EncodingMask::new_from_encodings(encodings.iter()))
            .set_page_encoding_stats(self.encodings)
            .set_total_compressed_size(signed(bytes.len()))
            .set_total_uncompressed_size(signed(self.uncompressed_bytes))
            .set_num_values(signed(self.rows))
            .set_data_page_offset(signed(data_offset))
            .set_dictionary_page_offset(has_dictionary.then_some(0))
            .set_statistics(Statistics::ByteArray(range))
            .build()?;
        let close = ColumnCloseResult {
            bytes_written: bytes.len() as u64,
            rows_written: self.rows as u64,
            metadata,
            bloom_filter: facts.bloom_filter,
            column_index: facts.index.map(ColumnIndexBuilder::build).transpose()?,
            offset_index: Some(index.build()),
        };
        Ok(Chunk { bytes: bytes.into(), close })
    }
}

/// Whether compression makes a page notably smaller. Ids stay as long as they are.
fn helps(size: usize, packed: usize) -> bool {
    packed * 100 <= size * LEFT_PERCENT_MAX
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
