//! The table logs of all tenants, opened once each.

use std::collections::HashMap;
use std::sync::Arc;

use object_store::path::Path as Location;
use parking_lot::Mutex;
use tracelake_model::{Table, TenantId};

use crate::error::Error;
use crate::files::file::Files;
use crate::table::action::Keep;
use crate::table::log::TableLog;

/// One committer, shared by those who hold it for a moment.
pub(crate) type SharedLog = Arc<Mutex<TableLog>>;

/// Committers by tenant and table.
pub(crate) struct Logs {
    files: Arc<dyn Files>,
    wal: String,
    keep: Keep,
    open: Mutex<HashMap<(TenantId, Table), SharedLog>>,
}

impl Logs {
    /// Opens every table that exists below the data root.
    pub(crate) fn open(files: &Arc<dyn Files>, wal: String, keep: Keep) -> Result<Self, Error> {
        let logs = Self { files: Arc::clone(files), wal, keep, open: Mutex::default() };
        logs.discover()?;
        Ok(logs)
    }

    /// Opens the tables that exist and are not open yet.
    pub(crate) fn discover(&self) -> Result<(), Error> {
        let files = self.files.as_ref();
        let below = |dir: &Location| files.directories(dir).map_err(Error::io("list", &files.path(dir)));
        for name in below(&Location::default())? {
            let Ok(tenant) = TenantId::new(&name) else { continue };
            let tables = below(&Location::from(name))?;
            for table in Table::ALL.into_iter().filter(|table| tables.iter().any(|name| name == table.as_str())) {
                self.get(&tenant, table)?;
            }
        }
        Ok(())
    }

    /// The committer of a table, opened when it is not yet.
    pub(crate) fn get(&self, tenant: &TenantId, table: Table) -> Result<SharedLog, Error> {
        let mut open = self.open.lock();
        if let Some(log) = open.get(&(tenant.clone(), table)) {
            return Ok(Arc::clone(log));
        }
        let log = Arc::new(Mutex::new(self.read(tenant, table)?));
        open.insert((tenant.clone(), table), Arc::clone(&log));
        Ok(log)
    }

    /// The table as its files say now.
    pub(crate) fn read(&self, tenant: &TenantId, table: Table) -> Result<TableLog, Error> {
        Ok(TableLog::open(&self.files, tenant, table, &self.wal)?.keeping(self.keep))
    }

    /// All that are open, in order of their names.
    pub(crate) fn all(&self) -> Vec<(TenantId, Table, SharedLog)> {
        let open = self.open.lock();
        let all = open.iter().map(|((tenant, table), log)| (tenant.clone(), *table, Arc::clone(log)));
        let mut all: Vec<_> = all.collect();
        all.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        all
    }

    /// How far a derived stream of ours is in a tenant's tables; 0 when it never wrote.
    pub(crate) fn derived(&self, tenant: &TenantId, source: &str) -> u64 {
        let of_tenant = self.all().into_iter().filter(|(of, ..)| of == tenant);
        let ours = self.stream(source);
        of_tenant.map(|(_, _, log)| log.lock().derived(&ours)).max().unwrap_or(0)
    }

    /// What a derived stream is called in a table's log: positions are those of our WAL, and other servers have theirs.
    pub(crate) fn stream(&self, source: &str) -> String {
        format!("{}/{source}", self.wal)
    }
}
