//! Names of metrics with type, unit, services and how many points they have. Deliberately evaluates nothing.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use serde::Serialize;
use tracelake_model::column::{DESCRIPTION, NAME, SERVICE_NAME, TYPE, UNIT};
use tracelake_model::{Table, TenantId, TimeRange};

use crate::engine::{Engine, Scan};
use crate::error::Error;
use crate::view::column::{text, text_at};

/// Metrics that one question may hold in memory.
const METRICS_MAX: usize = 100_000;

/// One metric: its name and type.
#[derive(Debug, Serialize)]
pub(crate) struct Metric {
    pub(crate) name: String,
    #[serde(rename = "type")]
    kind: String,
    unit: Option<String>,
    description: Option<String>,
    services: BTreeSet<String>,
    pub(crate) points: u64,
}

/// The metrics with points in `range`, by name.
pub(crate) async fn metrics(engine: &Engine, tenant: &TenantId, range: TimeRange) -> Result<Vec<Metric>, Error> {
    let columns = vec![NAME, TYPE, UNIT, DESCRIPTION, SERVICE_NAME];
    let mut stream = engine.rows(tenant, Table::Metrics, Scan { columns, range, ..Scan::default() }).await?;
    let mut found: BTreeMap<(String, String), Metric> = BTreeMap::new();
    while let Some(batch) = stream.try_next().await? {
        let (names, kinds, services) = (text(&batch, NAME), text(&batch, TYPE), text(&batch, SERVICE_NAME));
        for row in 0..batch.num_rows() {
            let key = (names.value(row).to_owned(), kinds.value(row).to_owned());
            let words = |name| text_at(text(&batch, name), row).map(str::to_owned);
            let metric = found.entry(key).or_insert_with_key(|(name, kind)| Metric {
                name: name.clone(),
                kind: kind.clone(),
                unit: words(UNIT),
                description: words(DESCRIPTION),
                services: BTreeSet::new(),
                points: 0,
            });
            metric.points += 1;
            if !metric.services.contains(services.value(row)) {
                metric.services.insert(services.value(row).to_owned());
            }
        }
        if found.len() > METRICS_MAX {
            let detail = format!("the time range holds more than {METRICS_MAX} metrics; narrow start and end");
            return Err(Error::TooLarge(detail));
        }
    }
    Ok(found.into_values().collect())
}
