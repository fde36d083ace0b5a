//! Exceptions grouped by fingerprint, most recently seen first.
//!
//! Deliberately knows no states (resolved, ignored): those are documents that people edit.

use std::collections::{BTreeSet, HashMap};

use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use tracelake_model::column::{FINGERPRINT, MESSAGE, SERVICE_NAME, SERVICE_VERSION, TIME_UNIX_NANO, TYPE};
use tracelake_model::{Table, TenantId, TimeRange, UnixNano};

use crate::engine::{Engine, Scan};
use crate::error::Error;
use crate::view::column::{int, text, text_at};

/// Groups that one question may hold in memory.
const ISSUES_MAX: usize = 100_000;

/// One group.
#[derive(Debug, Serialize)]
pub(crate) struct Issue {
    /// The fingerprint.
    pub(crate) id: String,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    /// Of the last occurrence.
    pub(crate) message: Option<String>,
    pub(crate) services: Vec<String>,
    first_seen: String,
    last_seen: String,
    pub(crate) count: u64,
    pub(crate) versions: Vec<String>,
}

/// The place of an issue in the order: last seen, then fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct After {
    pub(crate) last_seen: i64,
    pub(crate) id: String,
}

/// A question: issues with occurrences in `range`, of one service or all.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) range: TimeRange,
    pub(crate) service: Option<String>,
    pub(crate) limit: usize,
    pub(crate) after: Option<After>,
}

#[derive(Default)]
struct Group {
    kind: Option<String>,
    message: Option<String>,
    services: BTreeSet<String>,
    versions: BTreeSet<String>,
    first: i64,
    last: i64,
    count: u64,
}

/// A page of issues, and where the next one begins.
pub(crate) async fn issues(engine: &Engine, tenant: &TenantId, ask: Ask) -> Result<(Vec<Issue>, Option<After>), Error> {
    let groups = groups(engine, tenant, ask.range, ask.service.as_deref()).await?;
    let mut groups: Vec<(String, Group)> = groups.into_iter().collect();
    groups.sort_by(|(a_id, a), (b_id, b)| b.last.cmp(&a.last).then_with(|| a_id.cmp(b_id)));
    if let Some(after) = ask.after {
        let is_behind = |(id, group): &(String, Group)| (-group.last, id) > (-after.last_seen, &after.id);
        groups.retain(is_behind);
    }
    let more = groups.len() > ask.limit;
    groups.truncate(ask.limit);
    let next = groups.last().filter(|_| more).map(|(id, group)| After { last_seen: group.last, id: id.clone() });
    Ok((groups.into_iter().map(|(id, group)| issue(id, group)).collect(), next))
}

async fn groups(
    engine: &Engine,
    tenant: &TenantId,
    range: TimeRange,
    service: Option<&str>,
) -> Result<HashMap<String, Group>, Error> {
    let columns = vec![TIME_UNIX_NANO, SERVICE_NAME, TYPE, MESSAGE, FINGERPRINT, SERVICE_VERSION];
    let ask = Scan { columns, range, ..Scan::default() };
    let mut stream = engine.rows(tenant, Table::Exceptions, ask).await?;
    let mut groups: HashMap<String, Group> = HashMap::new();
    while let Some(batch) = stream.try_next().await? {
        let (times, names, ids) = (int(&batch, TIME_UNIX_NANO), text(&batch, SERVICE_NAME), text(&batch, FINGERPRINT));
        let (kinds, messages, versions) = (text(&batch, TYPE), text(&batch, MESSAGE), text(&batch, SERVICE_VERSION));
        for row in 0..batch.num_rows() {
            if service.is_some_and(|service| names.value(row) != service) {
                continue;
            }
            let time = times.value(row);
            let group = groups.entry(ids.value(row).to_owned()).or_default();
            if group.count == 0 || time >= group.last {
                group.last = time;
                group.kind = text_at(kinds, row).map(str::to_owned);
                group.message = text_at(messages, row).map(str::to_owned);
            }
            group.first = if group.count == 0 { time } else { group.first.min(time) };
            group.count += 1;
            group.services.insert(names.value(row).to_owned());
            group.versions.extend(text_at(versions, row).map(str::to_owned));
        }
        if groups.len() > ISSUES_MAX {
            let detail = format!("the time range holds more than {ISSUES_MAX} issues; narrow start and end");
            return Err(Error::TooLarge(detail));
        }
    }
    Ok(groups)
}

fn issue(id: String, group: Group) -> Issue {
    Issue {
        id,
        kind: group.kind,
        message: group.message,
        services: group.services.into_iter().collect(),
        first_seen: UnixNano(group.first).to_rfc3339(),
        last_seen: UnixNano(group.last).to_rfc3339(),
        count: group.count,
        versions: group.versions.into_iter().collect(),
    }
}
