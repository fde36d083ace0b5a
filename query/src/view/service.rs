//! Services and their operations with rate, errors and percentiles, from each span once.
//!
//! A service's requests are its SERVER and CONSUMER spans, as on the map; an operation's are its spans of one kind.

use std::sync::Arc;

use serde::Serialize;
use tracelake_model::{TenantId, TimeRange};

use crate::engine::Engine;
use crate::error::Error;
use crate::map::minute::read::{Want, tally};
use crate::map::minute::tally::{ServiceTally, Tally};
use crate::map::parent::{CONSUMER, SERVER};
use crate::map::red::{Percentiles, Red};
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
    let tally = tally(engine, tenant, range, Want::Services).await?;
    Ok(off_thread(move || list_services(tally, range)).await)
}

/// The operations of one service: requests first, then by kind and number.
pub(crate) async fn operations(
    engine: &Engine,
    tenant: &TenantId,
    service: &str,
    range: TimeRange,
) -> Result<Vec<Operation>, Error> {
    let tally = tally(engine, tenant, range, Want::Operations(service)).await?;
    Ok(off_thread(move || list_operations(tally, range)).await)
}

pub(crate) fn list_services(tally: Tally, range: TimeRange) -> Vec<Service> {
    let service = |(name, service): (Arc<str>, ServiceTally)| Service {
        name: name.to_string(),
        figures: figures(service.red, range),
        spans: service.spans,
    };
    tally.services.into_iter().map(service).collect()
}

fn list_operations(tally: Tally, range: TimeRange) -> Vec<Operation> {
    let found = tally.operations.into_iter().map(|((_, operation), red)| (operation, red));
    let mut found: Vec<((Arc<str>, i8), Red)> = found.collect();
    found.sort_by_cached_key(|((name, kind), red)| {
        let answers = matches!(*kind, SERVER | CONSUMER);
        (!answers, *kind, std::cmp::Reverse(red.count()), Arc::clone(name))
    });
    let operation = |((name, kind), red): ((Arc<str>, i8), Red)| Operation {
        name: name.to_string(),
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
