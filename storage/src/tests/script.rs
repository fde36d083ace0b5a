//! Everything that clients and wings of ours will ever send in a run, made from a seed before it begins.
//!
//! Each row's text names its payload, so whatever a store shows can be told apart: whose, which, torn, or from nowhere.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path as Location;
use parking_lot::Mutex;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tracelake_model::{Batch, DecodeError, Decoder, Derived, Header, Request, Source, Table, TenantId, UnixNano};

use crate::tests::rig::{LineDecoder, batch, unread};

/// The tables that runs write.
pub(crate) const TABLES: [Table; 4] = [Table::Logs, Table::Audit, Table::Spans, Table::Exceptions];

/// What a script is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) tenants: usize,
    pub(crate) payloads: usize,
    /// Bytes of a row's text at most.
    pub(crate) text_bytes: usize,
    pub(crate) with_spans: bool,
}

/// One payload, or one position of a derived stream.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    pub(crate) tenant: usize,
    /// The position in the tenant's stream of exceptions; `None` for a request.
    pub(crate) derived: Option<u64>,
    text: String,
    /// Numbers of its rows.
    pub(crate) rows: std::ops::Range<usize>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) payload: usize,
    pub(crate) table: Table,
    pub(crate) text: String,
}

/// The very bytes of a part, and its rows.
pub(crate) type ReadPart = (Bytes, Vec<(usize, i64)>);

/// The payloads of a run in the order of their sending.
pub(crate) struct Script {
    pub(crate) tenants: Vec<TenantId>,
    pub(crate) payloads: Vec<Payload>,
    pub(crate) rows: Vec<Row>,
    pub(crate) decoder: Arc<Memo>,
    /// Rows of parts that were read before, with the very bytes they were read from.
    pub(crate) parts: Mutex<HashMap<Location, ReadPart>>,
}

/// Decodes each payload once: decoding is pure.
#[derive(Default)]
pub(crate) struct Memo(Mutex<HashMap<(Bytes, UnixNano), Vec<Batch>>>);

impl Decoder for Memo {
    fn decode(&self, header: &Header, payload: &Bytes) -> Result<Vec<Batch>, DecodeError> {
        let mut known = self.0.lock();
        let key = (payload.clone(), header.received);
        if let Some(batches) = known.get(&key) {
            return Ok(batches.clone());
        }
        let batches = LineDecoder.decode(header, payload)?;
        // A payload is a slice of its whole segment, which need not be held.
        known.insert((Bytes::copy_from_slice(payload), header.received), batches.clone());
        Ok(batches)
    }
}

impl Script {
    pub(crate) fn new(seed: u64, shape: Shape) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let tenants = ["default", "one", "two"].into_iter().take(shape.tenants);
        let tenants = tenants.map(|name| TenantId::new(name).expect("a tenant")).collect();
        let decoder = Arc::default();
        let mut script = Self { tenants, payloads: Vec::new(), rows: Vec::new(), decoder, parts: Mutex::default() };
        let mut positions = vec![0; shape.tenants];
        for _ in 0..shape.payloads {
            let tenant = random.random_range(0..shape.tenants);
            if random.random_bool(0.1) {
                positions[tenant] += 1;
                script.add(&mut random, tenant, Some(positions[tenant]), &[Table::Exceptions], 30);
            } else {
                let tables: &[Table] = match random.random_range(0..if shape.with_spans { 5 } else { 3 }) {
                    0 => &[Table::Audit],
                    1 => &[Table::Logs, Table::Audit],
                    2 => &[Table::Logs],
                    _ => &[Table::Spans],
                };
                script.add(&mut random, tenant, None, tables, shape.text_bytes);
            }
        }
        script
    }

    fn add(&mut self, random: &mut SmallRng, tenant: usize, derived: Option<u64>, tables: &[Table], bytes: usize) {
        let (first, payload) = (self.rows.len(), self.payloads.len());
        for table in tables {
            for _ in 0..random.random_range(1..3) {
                let text = format!("{}:{}", self.rows.len(), "x".repeat(random.random_range(0..bytes)));
                self.rows.push(Row { payload, table: *table, text });
            }
        }
        let lines = self.rows[first..].iter().map(|row| format!("{} {}\n", row.table.as_str(), row.text));
        let text = lines.collect();
        self.payloads.push(Payload { tenant, derived, text, rows: first..self.rows.len() });
    }

    /// The row that a stored text is; `None` when nobody sent it so.
    pub(crate) fn row(&self, tenant: usize, table: Table, text: &str) -> Option<usize> {
        let number: usize = text.split_once(':')?.0.parse().ok()?;
        let row = self.rows.get(number)?;
        (row.table == table && row.text == text && self.payloads[row.payload].tenant == tenant).then_some(number)
    }

    pub(crate) fn tenant(&self, payload: usize) -> &TenantId {
        &self.tenants[self.payloads[payload].tenant]
    }

    /// A payload as a door hands it over.
    pub(crate) fn request(&self, payload: usize, received: UnixNano) -> Request {
        let (header, payload) = unread(&self.payloads[payload].text, self.tenant(payload), received);
        let batches = self.decoder.decode(&header, &payload).expect("lines");
        Request { header, payload, batches }
    }

    /// A payload as a wing of ours hands it over.
    pub(crate) fn derived(&self, payload: usize, received: UnixNano) -> Derived {
        let position = self.payloads[payload].derived.expect("a derived payload");
        let rows = &self.rows[self.payloads[payload].rows.clone()];
        let texts: Vec<String> = rows.iter().map(|row| row.text.clone()).collect();
        let batches = vec![batch(Table::Exceptions, &texts, received)];
        Derived { tenant: self.tenant(payload).clone(), source: Source { name: SOURCE, position }, batches }
    }
}

/// The derived stream.
pub(crate) const SOURCE: &str = "exceptions";
