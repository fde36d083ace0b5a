//! Wakes the gatherer: which tables have small pieces. What it then does stands in `gather.rs`.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};
use tracelake_model::{Table, TenantId};

/// Which tables have small pieces to gather, each at most once per run.
#[derive(Debug, Default)]
pub(crate) struct GatherSignal {
    state: Mutex<Ripe>,
    ready: Condvar,
}

#[derive(Debug, Default)]
struct Ripe {
    tables: VecDeque<(TenantId, Table)>,
    stopped: bool,
}

impl GatherSignal {
    /// Tables that are worth a step.
    pub(crate) fn offer(&self, tables: Vec<(TenantId, Table)>) {
        if !tables.is_empty() {
            self.state.lock().tables.extend(tables);
            self.ready.notify_one();
        }
    }

    /// Ends the gatherer; what is left stays as it is.
    pub(crate) fn stop(&self) {
        self.state.lock().stopped = true;
        self.ready.notify_all();
    }

    /// The next table; with `wait` waits for one. `None` when there is none, or when stopped.
    pub(crate) fn next(&self, wait: bool) -> Option<(TenantId, Table)> {
        let mut state = self.state.lock();
        while wait && state.tables.is_empty() && !state.stopped {
            self.ready.wait(&mut state);
        }
        if state.stopped { None } else { state.tables.pop_front() }
    }
}
