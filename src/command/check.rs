//! `tracelake check`: reads the configuration, tries the bucket if it names one, and opens the data directory if no
//! server uses it.
//!
//! Opening replays the write-ahead log, which finds damage there; then every live file must be there in its size.
//! Deliberately reads no rows of the files.

use std::io::Write;
use std::sync::Arc;

use tracelake_model::{Clock, SystemClock, Table};
use tracelake_storage::{Snapshot, Store};

use crate::auth::token::Tokens;
use crate::command::line::ConfigArgs;
use crate::error::Error;
use crate::house::describe;
use crate::tls;

/// Checks and tells what was found.
pub(crate) fn run(args: &ConfigArgs, out: &mut dyn Write) -> Result<(), Error> {
    let config = args.load()?;
    config.tokens_file.as_deref().map(Tokens::read).transpose()?;
    tls::read(&config.tls)?;
    let mut lines = vec!["configuration: good".to_owned()];
    let storage = |error: tracelake_storage::Error| Error::Storage(describe(&error));
    lines.extend(Store::try_place(&config.storage).map_err(storage)?);
    let dir = &config.storage.data_dir;
    let mut faults = Vec::new();
    if dir.join("FORMAT").exists() {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = Store::open(config.storage.clone(), clock, tracelake_ingest::decoder()).map_err(storage)?;
        for tenant in store.tenants() {
            let snapshot = store.snapshot(&tenant);
            lines.extend(Table::ALL.into_iter().filter_map(|table| describe_table(&snapshot, table)));
            faults.extend(find_damage(&store, &snapshot));
        }
    } else {
        lines.push(format!("data directory {}: empty, a server will make it", dir.display()));
    }
    let text = lines.join("\n") + "\n";
    out.write_all(text.as_bytes()).map_err(|source| Error::System { what: "cannot write the output", source })?;
    if faults.is_empty() { Ok(()) } else { Err(Error::Found(faults.join("\n"))) }
}

fn describe_table(snapshot: &Snapshot, table: Table) -> Option<String> {
    let parts = snapshot.parts(table);
    let tail: usize = snapshot.tail(table).iter().map(arrow::array::RecordBatch::num_rows).sum();
    let rows: u64 = parts.iter().map(|part| part.rows).sum();
    let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
    (rows > 0 || tail > 0).then(|| {
        let place = format!("{}/{}", snapshot.tenant(), table.as_str());
        format!("{place}: {rows} rows in {} files ({bytes} bytes), {tail} rows in the write-ahead log", parts.len())
    })
}

/// Live files that are not there, or not in their size.
fn find_damage(store: &Store, snapshot: &Snapshot) -> Vec<String> {
    let parts = Table::ALL.into_iter().flat_map(|table| snapshot.parts(table));
    let damage = parts.filter_map(|part| match store.part_bytes(part) {
        Ok(found) if found == part.bytes => None,
        Ok(found) => Some(format!("{}: {found} bytes, {} expected", part.location, part.bytes)),
        Err(error) => Some(format!("{}: {error}; {} rows are missing", part.location, part.rows)),
    });
    damage.collect()
}
