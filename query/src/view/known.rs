//! Names that stored spans have: of services, and of a service's operations.
//!
//! Exact over all that is stored; reads the few columns that it needs and holds at most [`NAMES_MAX`] names.

use std::collections::{BTreeSet, HashSet};

use datafusion::prelude::{Expr, col, lit};
use futures::TryStreamExt;
use tracelake_model::column::{KIND, NAME, SERVICE_NAME};
use tracelake_model::{Table, TenantId};

use crate::engine::{Engine, Scan};
use crate::error::Error;
use crate::view::column::{small, text};

/// Names of one answer.
const NAMES_MAX: usize = 100_000;

/// The names of all services, in order.
pub(crate) async fn services(engine: &Engine, tenant: &TenantId) -> Result<BTreeSet<String>, Error> {
    let scan = Scan { columns: vec![SERVICE_NAME], ..Scan::default() };
    let mut stream = engine.rows(tenant, Table::Spans, scan).await?;
    let mut names = BTreeSet::new();
    while let Some(batch) = stream.try_next().await? {
        let service = text(&batch, SERVICE_NAME);
        let mut last = "";
        for name in (0..batch.num_rows()).map(|row| service.value(row)) {
            // Rows of a service stand together.
            if name != last {
                last = name;
                if !names.contains(name) {
                    names.insert(name.to_owned());
                }
            }
        }
        check(names.len())?;
    }
    Ok(names)
}

/// The operations of a service with their kinds, in order; of one kind where it is given.
pub(crate) async fn operations(
    engine: &Engine,
    tenant: &TenantId,
    service: &str,
    kind: Option<i8>,
) -> Result<BTreeSet<(String, i8)>, Error> {
    let filter = kind.map(|kind| col(KIND).eq(lit(kind)));
    let filter = filter.into_iter().fold(col(SERVICE_NAME).eq(lit(service)), Expr::and);
    let scan = Scan { columns: vec![NAME, KIND], filter: Some(filter), ..Scan::default() };
    let mut stream = engine.rows(tenant, Table::Spans, scan).await?;
    let mut seen: HashSet<(String, i8)> = HashSet::new();
    while let Some(batch) = stream.try_next().await? {
        let (name, kind) = (text(&batch, NAME), small(&batch, KIND));
        let (mut last, mut last_kind) = ("", i8::MIN);
        for row in 0..batch.num_rows() {
            if (name.value(row), kind.value(row)) != (last, last_kind) {
                (last, last_kind) = (name.value(row), kind.value(row));
                seen.insert((last.to_owned(), last_kind));
            }
        }
        check(seen.len())?;
    }
    Ok(seen.into_iter().collect())
}

fn check(count: usize) -> Result<(), Error> {
    if count <= NAMES_MAX {
        return Ok(());
    }
    Err(Error::TooLarge(format!("there are more than {NAMES_MAX} names; ask for them by SQL")))
}
