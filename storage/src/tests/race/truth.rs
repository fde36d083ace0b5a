//! What clients were told and what retention took, and the table checked against both.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::AsArray as _;
use deltalake_core::DeltaTableBuilder;
use parking_lot::Mutex;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tracelake_model::{Table, TenantId, column};
use url::Url;

use crate::core::Core;
use crate::files::file::{Chunks, Files};
use crate::part::file::Part;

/// Rows by their texts, which are unique.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    told: Mutex<BTreeSet<String>>,
    removed: Mutex<BTreeSet<String>>,
}

/// The table of all runs: one with few columns.
pub(crate) const TABLE: Table = Table::Exceptions;

/// The texts of parts, sorted; `None` when a file is gone.
pub(crate) fn texts(files: &dyn Files, parts: &[Arc<Part>]) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    for part in parts {
        let file = files.open(&part.location).map(Chunks).ok()?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).expect("a part");
        let mask = ProjectionMask::columns(builder.parquet_schema(), [column::FINGERPRINT]);
        for batch in builder.with_projection(mask).build().expect("a reader") {
            let batch = batch.expect("rows");
            texts.extend(batch.column(0).as_string::<i32>().iter().flatten().map(str::to_owned));
        }
    }
    texts.sort();
    Some(texts)
}

impl Truth {
    /// A row is acknowledged.
    pub(crate) fn tell(&self, text: &str) {
        assert!(self.told.lock().insert(text.to_owned()));
    }

    /// Rows are removed for good.
    pub(crate) fn remove(&self, texts: Vec<String>) {
        for text in texts {
            assert!(self.removed.lock().insert(text.clone()), "{text} is removed a second time");
        }
    }

    /// Every row that was acknowledged is there once or was removed.
    pub(crate) fn check(&self, reader: &Core) {
        let snapshot = reader.tail.lock().snapshot(&TenantId::default());
        let found = texts(reader.files.as_ref(), snapshot.parts(TABLE)).expect("a live part exists");
        let present: BTreeSet<_> = found.iter().cloned().collect();
        let (told, removed) = (self.told.lock(), self.removed.lock());
        let twice: Vec<_> = found.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| &pair[0]).collect();
        assert!(twice.is_empty(), "rows twice: {twice:?}");
        let back: Vec<_> = present.intersection(&removed).collect();
        assert!(back.is_empty(), "removed rows that came back: {back:?}");
        let lost: Vec<_> = told.iter().filter(|text| !present.contains(*text) && !removed.contains(*text)).collect();
        assert!(lost.is_empty(), "rows lost: {lost:?} of {}", told.len());
        assert!(present.is_subset(&told), "rows from nowhere");
    }

    /// How many rows were acknowledged, and removed.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.told.lock().len(), self.removed.lock().len())
    }
}

/// deltalake-core opens the table to the same files.
pub(crate) fn check_with_deltalake(files: &Arc<dyn Files>, reader: &Core) {
    let log = reader.logs.get(&TenantId::default(), TABLE).expect("a table");
    let ours: BTreeSet<String> = log.lock().live().iter().map(|part| part.location.to_string()).collect();
    let url = Url::parse("memory:///default/exceptions/").expect("a URL");
    let store = files.object_store();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().expect("a runtime");
    let theirs = runtime.block_on(async {
        let builder = DeltaTableBuilder::from_url(url.clone()).expect("a URL").with_storage_backend(store, url);
        builder.load().await.expect("deltalake opens the table")
    });
    let found = theirs.snapshot().expect("a snapshot").log_data();
    let theirs: BTreeSet<String> = found.iter().map(|file| format!("default/exceptions/{}", file.path())).collect();
    assert_eq!(theirs, ours);
}
