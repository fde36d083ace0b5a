//! What must be in a store at a moment, and whether it is: nothing acknowledged lost, nothing twice, nothing torn.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tracelake_model::{Table, UnixNano, column};

use crate::core::Core;
use crate::part::file::Part;
use crate::tests::rig::text_column;
use crate::tests::script::{Row, SOURCE, Script, TABLES};

/// What a store shows: of each row its `seq` (0 where its table has none), `None` when it is not there.
pub(crate) type Look = Vec<Option<i64>>;

/// What clients know of their payloads and rows.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// Payloads that were sent: they may be there.
    pub(crate) sent: Vec<bool>,
    /// Payloads that were acknowledged or shown: they must be there.
    pub(crate) certain: Vec<bool>,
    /// When the payload was first received; 0 when it never was.
    pub(crate) received: Vec<UnixNano>,
    /// Rows that retention removed: they must not come back.
    pub(crate) gone: Vec<bool>,
    /// Rows that retention is removing.
    pub(crate) going: Vec<bool>,
    /// Numbers of audit rows that were shown.
    seqs: Look,
}

impl Known {
    pub(crate) fn new(script: &Script) -> Self {
        let (payloads, rows) = (script.payloads.len(), script.rows.len());
        Self {
            sent: vec![false; payloads],
            certain: vec![false; payloads],
            received: vec![UnixNano(0); payloads],
            gone: vec![false; rows],
            going: vec![false; rows],
            seqs: vec![None; rows],
        }
    }

    /// Compares what a store shows with what is known; what is shown is certain from now on.
    pub(crate) fn check(&mut self, script: &Script, core: &Core) -> Result<(), String> {
        let look = look(script, core)?;
        for (number, payload) in script.payloads.iter().enumerate() {
            let rows = payload.rows.clone();
            let present = rows.clone().filter(|row| look[*row].is_some()).count();
            let missing = rows.clone().filter(|row| look[*row].is_none() && !self.gone[*row] && !self.going[*row]);
            let missing = missing.count();
            if present > 0 && !self.sent[number] {
                return Err(format!("payload {number} is there before it was sent"));
            }
            if missing > 0 && (self.certain[number] || present > 0) {
                let how = if self.certain[number] { "certain" } else { "unsure" };
                return Err(format!("payload {number} ({how}) has {present} rows, {missing} are lost: {payload:?}"));
            }
            if let Some(row) = rows.clone().find(|row| self.gone[*row] && look[*row].is_some()) {
                return Err(format!("row {row} came back after it was removed"));
            }
            self.certain[number] |= present > 0;
        }
        self.check_seqs(script, &look)?;
        self.check_streams(script, core)?;
        for (row, known) in self.going.iter_mut().enumerate() {
            let was_there = self.certain[script.rows[row].payload];
            self.gone[row] |= std::mem::take(known) && was_there && look[row].is_none();
        }
        Ok(())
    }

    /// Whatever retention may remove may be gone at the next check.
    pub(crate) fn may_go(&mut self, script: &Script) {
        self.going = script.rows.iter().map(|row| row.table != Table::Audit).collect();
    }

    /// Rows that are not there any more were removed by what the caller just did, if they `may`.
    pub(crate) fn let_go(&mut self, script: &Script, core: &Core, may: impl Fn(Table, UnixNano) -> bool) {
        let Ok(look) = look(script, core) else { return };
        for (row, shown) in look.iter().enumerate() {
            let Row { payload, table, .. } = script.rows[row];
            self.gone[row] |= shown.is_none() && self.certain[payload] && may(table, self.received[payload]);
        }
    }

    /// What is known while the disk is between two moments: `self` is true still, `after` may be.
    pub(crate) fn until(&self, after: &Self) -> Self {
        let going = after.gone.iter().zip(&self.gone).map(|(after, before)| *after && !before).collect();
        Self { sent: after.sent.clone(), received: after.received.clone(), going, ..self.clone() }
    }

    fn check_seqs(&mut self, script: &Script, look: &Look) -> Result<(), String> {
        for tenant in 0..script.tenants.len() {
            let of_tenant = |row: &usize| {
                let row = &script.rows[*row];
                row.table == Table::Audit && script.payloads[row.payload].tenant == tenant
            };
            let rows: Vec<usize> = (0..look.len()).filter(of_tenant).collect();
            let mut seqs: Vec<i64> = rows.iter().filter_map(|row| look[*row]).collect();
            seqs.sort_unstable();
            if !seqs.iter().copied().eq(1..=i64::try_from(seqs.len()).expect("few")) {
                return Err(format!("audit numbers of tenant {tenant} have gaps: {seqs:?}"));
            }
            for row in rows {
                if look[row].is_some() && self.seqs[row].is_some_and(|known| Some(known) != look[row]) {
                    return Err(format!("audit row {row} was {:?} and is {:?}", self.seqs[row], look[row]));
                }
                self.seqs[row] = look[row].or(self.seqs[row]);
            }
        }
        Ok(())
    }

    fn check_streams(&self, script: &Script, core: &Core) -> Result<(), String> {
        for (tenant, id) in script.tenants.iter().enumerate() {
            let of_tenant = script.payloads.iter().zip(&self.certain);
            let of_tenant = of_tenant.filter(|(payload, certain)| payload.tenant == tenant && **certain);
            let far = of_tenant.filter_map(|(payload, _)| payload.derived).max().unwrap_or(0);
            let told = core.derived_position(id, SOURCE);
            if told != far {
                return Err(format!("the stream of tenant {tenant} is at {far}, the store says {told}"));
            }
        }
        Ok(())
    }
}

/// All that a store shows; an error when it shows a row twice or one that nobody sent.
pub(crate) fn look(script: &Script, core: &Core) -> Result<Look, String> {
    let mut look = vec![None; script.rows.len()];
    for (tenant, id) in script.tenants.iter().enumerate() {
        let snapshot = core.tail.lock().snapshot(id);
        for table in TABLES {
            let mut found = Vec::new();
            for batch in snapshot.tail(table) {
                read(script, tenant, table, batch, &mut found)?;
            }
            for part in snapshot.parts(table) {
                read_part(script, core, tenant, table, part, &mut found)?;
            }
            for (row, seq) in found {
                if look[row].replace(seq).is_some() {
                    return Err(format!("row {row} of {table} is there twice"));
                }
            }
        }
    }
    Ok(look)
}

fn read_part(
    script: &Script,
    core: &Core,
    tenant: usize,
    table: Table,
    part: &Part,
    found: &mut Vec<(usize, i64)>,
) -> Result<(), String> {
    let told = |error: &dyn std::fmt::Display| format!("part {} cannot be read: {error}", part.location);
    let content = core.files.read(&part.location).map_err(|error| told(&error))?;
    if let Some((_, rows)) = script.parts.lock().get(&part.location).filter(|(known, _)| *known == content) {
        found.extend(rows);
        return Ok(());
    }
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(content.clone()).and_then(ParquetRecordBatchReaderBuilder::build);
    let mut rows = Vec::new();
    for batch in reader.map_err(|error| told(&error))? {
        read(script, tenant, table, &batch.map_err(|error| told(&error))?, &mut rows)?;
    }
    found.extend(&rows);
    script.parts.lock().insert(part.location.clone(), (content, rows));
    Ok(())
}

fn read(
    script: &Script,
    tenant: usize,
    table: Table,
    batch: &RecordBatch,
    found: &mut Vec<(usize, i64)>,
) -> Result<(), String> {
    let texts = batch.column_by_name(text_column(table)).expect("text");
    let texts = cast(texts, &DataType::Utf8).map_err(|error| format!("no text: {error}"))?;
    let texts = texts.as_string::<i32>();
    let seqs = (table == Table::Audit).then(|| batch.column_by_name(column::SEQ).expect("seq"));
    for at in 0..texts.len() {
        let (text, seq) = (texts.value(at), seqs.map_or(0, |seqs| seqs.as_primitive::<Int64Type>().value(at)));
        let row = script.row(tenant, table, text);
        found.push((row.ok_or_else(|| format!("a row of {table} from nowhere: {text:.60}"))?, seq));
    }
    Ok(())
}
