//! A row group under way: flat columns of texts and bytes by our own writer, all others by that of `parquet`.

use std::io::{self, Write};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowSchemaConverter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterPropertiesPtr;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::SchemaDescriptor;
use tracelake_model::column::{SERVICE_NAME, STATUS_CODE};
use tracelake_model::{Table, is_null_column, null_column};

use super::bytes::{BytesColumn, Output};
use super::squeeze::Squeezer;
use super::tell;
use crate::part::value_index::ValueGroup;
use crate::part::value_rows::{GroupValues, Told, told};

/// Rows of a column that is not ours that are copied at once.
const CHUNK_ROWS: usize = 8 << 10;

/// What row groups of a file are begun with.
pub(crate) struct Groups {
    schema: SchemaRef,
    descriptor: SchemaDescriptor,
    properties: WriterPropertiesPtr,
    /// For the columns that are not ours.
    others: ArrowRowGroupWriterFactory,
    squeezer: Squeezer,
    /// What a value index is told of each column; nothing where there is none.
    told: Vec<Option<Told>>,
    /// The columns of the status and the service, where a value index is told of failed spans.
    failed: Option<[usize; 2]>,
}

/// One row group.
pub(crate) struct Group {
    columns: Vec<Column>,
    rows: usize,
    /// What they hold, where somebody wants to know.
    values: Option<GroupValues>,
}

enum Column {
    Bytes(Box<BytesColumn>),
    /// Its leaves.
    Other(Vec<ArrowColumnWriter>),
}

fn is_ours(field: &Field) -> bool {
    match field.data_type() {
        DataType::Utf8 | DataType::Binary => true,
        DataType::Dictionary(key, value) => **key == DataType::Int32 && **value == DataType::Utf8,
        _ => false,
    }
}

impl Groups {
    /// Row groups of rows with the columns of `schema`.
    pub(crate) fn new(schema: SchemaRef, properties: WriterPropertiesPtr) -> Result<Self, ParquetError> {
        let descriptor = ArrowSchemaConverter::new().convert(&schema)?;
        let others: Vec<Arc<Field>> = schema.fields().iter().filter(|field| !is_ours(field)).cloned().collect();
        let others = Arc::new(Schema::new(others));
        let root = ArrowSchemaConverter::new().convert(&others)?.root_schema_ptr();
        // Never written to: writers of columns are made from a file's.
        let nowhere = SerializedFileWriter::new(io::sink(), root, Arc::clone(&properties))?;
        let others = ArrowRowGroupWriterFactory::new(&nowhere, others);
        let told = vec![None; schema.fields().len()];
        Ok(Self { schema, descriptor, properties, others, squeezer: Squeezer::new()?, told, failed: None })
    }

    /// Makes a value index of each row group, where rows of the table have one.
    pub(crate) fn index_values(&mut self, table: Table) {
        self.told = self.schema.fields().iter().map(|field| told(table, field.name())).collect();
        if table == Table::Spans {
            let place = |name| self.schema.index_of(name).ok();
            self.failed = place(STATUS_CODE).zip(place(SERVICE_NAME)).map(<[usize; 2]>::from);
        }
    }

    /// The columns of the file.
    pub(crate) fn descriptor(&self) -> &SchemaDescriptor {
        &self.descriptor
    }

    /// Begins a row group.
    pub(crate) fn begin(&self) -> Result<Group, ParquetError> {
        let mut others = self.others.create_column_writers(0)?.into_iter();
        let column = |(number, field): (usize, &Arc<Field>)| {
            let leaves = || {
                (0..self.descriptor.num_columns()).filter(|leaf| self.descriptor.get_column_root_idx(*leaf) == number)
            };
            match leaves().next() {
                Some(leaf) if is_ours(field) => {
                    let column = BytesColumn::new(&self.descriptor.column(leaf), &self.properties, self.told[number])?;
                    Ok(Column::Bytes(Box::new(column)))
                }
                _ => Ok(Column::Other(others.by_ref().take(leaves().count()).collect())),
            }
        };
        let columns = self.schema.fields().iter().enumerate().map(column).collect::<Result<_, ParquetError>>()?;
        let values = self.told.iter().any(Option::is_some).then(GroupValues::default);
        Ok(Group { columns, rows: 0, values })
    }

    /// Adds rows of batches, each named by its batch and its number there.
    pub(crate) fn push(
        &mut self,
        group: &mut Group,
        batches: &[&RecordBatch],
        rows: &[(usize, usize)],
    ) -> Result<(), ParquetError> {
        let first = group.rows;
        group.rows += rows.len();
        let mut out = Output { squeezer: &mut self.squeezer, values: group.values.as_mut() };
        for ((number, field), column) in self.schema.fields().iter().enumerate().zip(&mut group.columns) {
            let arrays: Vec<&ArrayRef> = batches.iter().map(|batch| batch.column(number)).collect();
            match column {
                Column::Bytes(column) => column.push(&arrays, rows, &mut out)?,
                Column::Other(leaves) => {
                    for (from, rows) in (first..).step_by(CHUNK_ROWS).zip(rows.chunks(CHUNK_ROWS)) {
                        let array = picked(field, &arrays, rows)?;
                        if let (Some(told), Some(values)) = (self.told[number], &mut out.values) {
                            tell::array(told, &array, &mut values.of_rows(from..from + rows.len()));
                        }
                        for (leaf, writer) in compute_leaves(field, &array)?.iter().zip(leaves.iter_mut()) {
                            writer.write(leaf)?;
                        }
                    }
                }
            }
        }
        if let (Some([status, service]), Some(values)) = (self.failed, &mut group.values) {
            let columns: Vec<_> = batches.iter().map(|rows| (rows.column(status), rows.column(service))).collect();
            tell::failed(&columns, first, rows, values);
        }
        Ok(())
    }

    /// Ends a row group; what is known of its values, where somebody wants to know.
    pub(crate) fn finish<W: Write + Send>(
        &mut self,
        mut group: Group,
        out: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<Option<ValueGroup>, ParquetError> {
        for column in group.columns {
            match column {
                Column::Bytes(column) => {
                    let mut with = Output { squeezer: &mut self.squeezer, values: group.values.as_mut() };
                    let chunk = column.finish(&mut with)?;
                    out.append_column(&chunk.bytes, chunk.close)?;
                }
                Column::Other(leaves) => {
                    for leaf in leaves {
                        leaf.close()?.append_to_row_group(out)?;
                    }
                }
            }
        }
        Ok(group.values.map(|values| values.finish(group.rows)))
    }
}

impl Group {
    /// Rows in it.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }
}

fn picked(field: &Field, arrays: &[&ArrayRef], rows: &[(usize, usize)]) -> Result<ArrayRef, ParquetError> {
    if arrays.iter().all(|array| is_null_column(array)) {
        return Ok(null_column(field.data_type(), rows.len()));
    }
    let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
    Ok(interleave(&arrays, rows)?)
}
