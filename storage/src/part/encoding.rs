//! How each column of a part is encoded.
//!
//! Deliberately one page of rules by column: the figures behind them are in `docs/decisions/`.

use arrow::datatypes::Schema;
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{Compression, Encoding, Type, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::{ColumnDescriptor, ColumnPath};
use tracelake_model::{Table, column};

/// Rows of a row group at most: enough for good compression, few enough to read one without much waste.
pub(crate) const ROW_GROUP_ROWS_MAX: usize = 256 << 10;

/// Rows of a page at most.
pub(crate) const PAGE_ROWS_MAX: usize = 20_000;
/// Bytes of a page at most, but for its last value.
pub(crate) const PAGE_BYTES_MAX: usize = 1 << 20;
/// Bytes of a dictionary page at most, but for its last value; further values are written as they are.
pub(crate) const DICTIONARY_BYTES_MAX: usize = 1 << 20;

/// One in a hundred lookups of a trace opens a row group in vain.
const BLOOM_FALSE_POSITIVES: f64 = 0.01;

/// Integers that are dense or grow: their differences are small.
const DELTA: &[&str] = &[
    column::START_UNIX_NANO,
    column::END_UNIX_NANO,
    column::TIME_UNIX_NANO,
    column::OBSERVED_UNIX_NANO,
    column::FIRST_SEEN_UNIX_NANO,
    column::LAST_SEEN_UNIX_NANO,
    column::NEXT_ATTEMPT_UNIX_NANO,
    column::DURATION_NS,
    column::SEQ,
];

/// Columns whose values hardly repeat: a dictionary would only be one more page to read.
const DISTINCT: &[&str] = &[
    column::TRACE_ID,
    column::SPAN_ID,
    column::PARENT_SPAN_ID,
    column::ATTRIBUTES_REST,
    column::BODY,
    column::RECORD_ID,
    column::RECORD_HASH,
    column::NOTICE_ID,
    column::MESSAGE,
    column::STACKTRACE,
    column::ANSWER,
];

/// Columns whose least and greatest value say nothing.
const UNBOUNDED: &[&str] = &[
    column::SPAN_ID,
    column::PARENT_SPAN_ID,
    column::ATTRIBUTES_REST,
    column::BODY,
    column::MESSAGE,
    column::STACKTRACE,
    column::ANSWER,
];

/// Columns whose pages carry statistics, so that a reader can skip pages.
const PAGED: &[&str] = &[column::SERVICE_NAME, column::TRACE_ID];

/// Writer properties for a part of `rows` rows with the columns of `schema`.
pub(crate) fn properties(table: Table, schema: &Schema, rows: usize) -> Result<WriterProperties, ParquetError> {
    let descriptor = ArrowSchemaConverter::new().convert(schema)?;
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("tracelake version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL)?))
        .set_data_page_row_count_limit(PAGE_ROWS_MAX)
        .set_data_page_size_limit(PAGE_BYTES_MAX)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX)
        .set_statistics_enabled(EnabledStatistics::Chunk);
    for leaf in descriptor.columns() {
        builder = encode(builder, table, leaf);
    }
    if matches!(table, Table::Spans | Table::Logs) {
        let id = || vec![column::TRACE_ID.to_owned()].into();
        builder = builder
            .set_column_bloom_filter_fpp(id(), BLOOM_FALSE_POSITIVES)
            .set_column_bloom_filter_max_ndv(id(), rows.clamp(1, ROW_GROUP_ROWS_MAX) as u64);
    }
    Ok(builder.build())
}

pub(crate) const ZSTD_LEVEL: i32 = 3;

/// Whether statistics hold the least and the greatest value of a text or bytes: not of random ids, which rule nothing
/// out, nor of long texts, which nobody compares whole.
pub(crate) fn is_bounded(column: &ColumnPath) -> bool {
    column.parts().first().is_some_and(|root| !UNBOUNDED.contains(&root.as_str()))
}

fn encode(builder: WriterPropertiesBuilder, table: Table, leaf: &ColumnDescriptor) -> WriterPropertiesBuilder {
    let path = || leaf.path().clone();
    let parts = leaf.path().parts();
    let (root, nested) = (parts[0].as_str(), parts.len() > 1);
    let last = parts[parts.len() - 1].as_str();
    let mut builder = builder;
    if nested && last != "name" && leaf.physical_type() == Type::BYTE_ARRAY || !nested && DISTINCT.contains(&root) {
        builder = builder
            .set_column_dictionary_enabled(path(), false)
            .set_column_encoding(path(), Encoding::DELTA_LENGTH_BYTE_ARRAY);
    }
    if leaf.physical_type() == Type::INT64 && (nested && last == "time" || !nested && DELTA.contains(&root)) {
        builder = builder
            .set_column_dictionary_enabled(path(), false)
            .set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED);
    }
    if !nested && (root == table.time_column() || PAGED.contains(&root)) {
        builder = builder.set_column_statistics_enabled(path(), EnabledStatistics::Page);
    }
    builder
}
