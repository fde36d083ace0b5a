//! Services and their operations with rate, errors and exact percentiles, from each span once.
//!
//! A service's requests are its SERVER and CONSUMER spans, as on the map; an operation's are its spans of one kind.

use std::collections::{BTreeMap, HashMap};

use datafusion::prelude::{col, lit};
use serde::Serialize;
use tracelake_model::column::SERVICE_NAME;
use tracelake_model::{TenantId, TimeRange};

use crate::engine::Engine;
use crate::error::Error;
use crate::map::load::spans;
use crate::map::parent::{CONSUMER, SERVER};
use crate::map::red::{Percentiles, Red};
use crate::map::span::{Detail, SpanSet};
use crate::view::name::kind_name;

/// Figures as answers name them.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) requests: u64,
    rate: f64,
    pub(crate) errors: u64,
    error_rate: f64,
    #[serde(flatten)]
    pub(crate) percentiles: Percentiles,
}

/// One service.
#[derive(Debug, Serialize)]
pub(crate) struct Service {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) figures: Figures,
    /// Spans of all kinds.
    pub(crate) spans: u64,
}

/// One operation of a service.
#[derive(Debug, Serialize)]
pub(crate) struct Operation {
    name: String,
    kind: &'static str,
    #[serde(flatten)]
    figures: Figures,
}

/// The services with spans that start in `range`, by name.
pub(crate) async fn services(engine: &Engine, tenant: &TenantId, range: TimeRange) -> Result<Vec<Service>, Error> {
    let set = spans(engine, tenant, range, Detail::default(), None).await?;
    Ok(off_thread(move || list_services(&set, range)).await)
}

/// The operations of one service: requests first, then by kind and number.
pub(crate) async fn operations(
    engine: &Engine,
    tenant: &TenantId,
    service: &str,
    range: TimeRange,
) -> Result<Vec<Operation>, Error> {
    let detail = Detail { names: true, peers: false };
    let only = col(SERVICE_NAME).eq(lit(service));
    let set = spans(engine, tenant, range, detail, Some(only)).await?;
    Ok(off_thread(move || list_operations(&set, range)).await)
}

pub(crate) fn list_services(set: &SpanSet, range: TimeRange) -> Vec<Service> {
    let mut by_service: BTreeMap<&str, (Red, u64)> = BTreeMap::new();
    for span in &set.spans {
        let (red, spans) = by_service.entry(set.services.get(span.link.service)).or_default();
        *spans += 1;
        if span.is_request() {
            red.add(span.duration_ns, span.is_error());
        }
    }
    let service = |(name, (red, spans)): (&str, (Red, u64))| Service {
        name: name.to_owned(),
        figures: figures(red, range),
        spans,
    };
    by_service.into_iter().map(service).collect()
}

fn list_operations(set: &SpanSet, range: TimeRange) -> Vec<Operation> {
    let mut by_operation: HashMap<(u32, i8), Red> = HashMap::new();
    for span in &set.spans {
        by_operation.entry((span.name, span.link.kind)).or_default().add(span.duration_ns, span.is_error());
    }
    let mut found: Vec<((u32, i8), Red)> = by_operation.into_iter().collect();
    found.sort_by_cached_key(|((name, kind), red)| {
        let answers = matches!(*kind, SERVER | CONSUMER);
        (!answers, *kind, std::cmp::Reverse(red.count()), set.names.get(*name).to_string())
    });
    let operation = |((name, kind), red)| Operation {
        name: set.names.get(name).to_string(),
        kind: kind_name(kind),
        figures: figures(red, range),
    };
    found.into_iter().map(operation).collect()
}

fn figures(mut red: Red, range: TimeRange) -> Figures {
    Figures {
        requests: red.count(),
        rate: red.rate(range),
        errors: red.errors(),
        error_rate: red.error_rate(),
        percentiles: red.percentiles(),
    }
}

/// Sorting the durations of a million spans must not hold up other answers.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("figures do not panic and are not cancelled")
}
