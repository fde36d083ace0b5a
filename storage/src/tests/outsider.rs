//! What the Delta library sees of a store's tables, as any other reader would: the very parts that we have.

use std::collections::BTreeSet;

use deltalake_core::DeltaTableBuilder;
use url::Url;

use crate::core::Core;

/// Reads all tables of a store by their logs; how many, or how one differs from what the store shows.
pub(crate) fn check(core: &Core) -> Result<usize, String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let mut count = 0;
    for (tenant, table, shared) in core.logs.all() {
        let ours: BTreeSet<(String, usize)> = {
            let live = shared.lock().live();
            let about = |part: &std::sync::Arc<crate::part::file::Part>| {
                let name = part.location.filename().unwrap_or_default();
                (format!("date={}/{name}", part.date), usize::try_from(part.rows).unwrap_or_default())
            };
            live.iter().map(about).collect()
        };
        if shared.lock().flushed().0 == 0 {
            // A table begins with its first commit.
            continue;
        }
        let told = |error: &dyn std::fmt::Display| format!("{tenant}/{table} cannot be read by others: {error}");
        let url = Url::parse(&format!("memory:///{tenant}/{table}/")).map_err(|error| told(&error))?;
        let builder = DeltaTableBuilder::from_url(url.clone()).map_err(|error| told(&error))?;
        let builder = builder.with_storage_backend(core.files.object_store(), url);
        let theirs = runtime.block_on(builder.load()).map_err(|error| told(&error))?;
        let files = theirs.snapshot().map_err(|error| told(&error))?.log_data();
        let files = files.iter().map(|file| (file.path().into_owned(), file.num_records().unwrap_or_default()));
        let theirs: BTreeSet<(String, usize)> = files.collect();
        if theirs != ours {
            return Err(format!("others see of {tenant}/{table}: {theirs:?}, and not: {ours:?}"));
        }
        count += 1;
    }
    Ok(count)
}
