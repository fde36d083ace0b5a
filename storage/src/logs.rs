//! The table logs of all tenants, opened once each.

use std::collections::HashMap;
use std::sync::Arc;

use object_store::path::Path as Location;
use parking_lot::Mutex;
use tracelake_model::{Table, TenantId};

use crate::damage::Register;
use crate::error::Error;
use crate::files::file::Files;
use crate::table::action::Keep;
use crate::table::inspect::inspect;
use crate::table::log::TableLog;
use crate::wal::id::Ids;

/// One committer, shared by those who hold it for a moment.
pub(crate) type SharedLog = Arc<Mutex<TableLog>>;

/// Committers by tenant and table.
pub(crate) struct Logs {
    files: Arc<dyn Files>,
    wal: String,
    /// What our WAL was called before its directory was copied.
    earlier: Vec<String>,
    keep: Keep,
    register: Arc<Register>,
    open: Mutex<HashMap<(TenantId, Table), SharedLog>>,
    /// Transactions of tables that cannot be read, as far as their logs still tell.
    closed: Mutex<HashMap<(TenantId, Table), HashMap<String, u64>>>,
}

impl Logs {
    /// Opens every table that exists below the data root. One whose log is damaged is noted in `register`, and the others
    /// are served.
    pub(crate) fn open(files: &Arc<dyn Files>, ids: &Ids, keep: Keep, register: &Arc<Register>) -> Result<Self, Error> {
        let logs = Self {
            files: Arc::clone(files),
            wal: ids.current().to_text(),
            earlier: ids.earlier(),
            keep,
            register: Arc::clone(register),
            open: Mutex::default(),
            closed: Mutex::default(),
        };
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
                match self.get(&tenant, table) {
                    Err(error @ (Error::Damaged { .. } | Error::Foreign { .. } | Error::Arrow(_))) => {
                        self.close(&tenant, table, &error)?;
                    }
                    Err(Error::OutOfService(_)) => {}
                    opened => drop(opened?),
                }
            }
        }
        Ok(())
    }

    /// A table cannot be read. Its numbers go on all the same, as far as they are known.
    fn close(&self, tenant: &TenantId, table: Table, error: &Error) -> Result<(), Error> {
        tracing::error!(%error, %tenant, %table, "the table is out of service, its new rows stay in the log");
        let seen = inspect(self.files.as_ref(), &Location::from(format!("{tenant}/{table}")), table)?;
        self.closed.lock().insert((tenant.clone(), table), seen.txns);
        self.register.close(tenant, table, &error.to_string());
        Ok(())
    }

    /// A table that was closed begins anew.
    pub(crate) fn reopen(&self, tenant: &TenantId, table: Table) -> Result<SharedLog, Error> {
        self.closed.lock().remove(&(tenant.clone(), table));
        self.register.reopen(tenant, table);
        self.get(tenant, table)
    }

    /// How far a derived stream is in tables that cannot be read.
    pub(crate) fn derived_in_closed(&self, source: &str) -> Vec<(TenantId, u64)> {
        let txn = format!("derived/{source}");
        let closed = self.closed.lock();
        closed.iter().filter_map(|((tenant, _), txns)| Some((tenant.clone(), *txns.get(&txn)?))).collect()
    }

    /// The committer of a table, opened when it is not yet.
    pub(crate) fn get(&self, tenant: &TenantId, table: Table) -> Result<SharedLog, Error> {
        if let Some(why) = self.register.closed(tenant, table) {
            return Err(Error::OutOfService(format!("{tenant}/{table} is out of service: {why}")));
        }
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
        let ours: Vec<_> = [&self.wal].into_iter().chain(&self.earlier).map(|wal| stream(wal, source)).collect();
        let far = |log: &TableLog| ours.iter().map(|ours| log.derived(ours)).max().unwrap_or(0);
        let open = of_tenant.map(|(_, _, log)| far(&log.lock()));
        let closed = ours.iter().flat_map(|ours| self.derived_in_closed(ours)).filter(|(of, _)| of == tenant);
        open.chain(closed.map(|(_, far)| far)).max().unwrap_or(0)
    }

    /// What a derived stream is called in a table's log: positions are those of our WAL, and other servers have theirs.
    pub(crate) fn stream(&self, source: &str) -> String {
        stream(&self.wal, source)
    }
}

fn stream(wal: &str, source: &str) -> String {
    format!("{wal}/{source}")
}
