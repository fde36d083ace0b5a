//! Which changing operations of the simulated disk fail, and how: one of them or all from one on, and the power.
//!
//! Deliberately decides only; what a failed operation leaves behind is `disk.rs`.

use std::io;

/// Why an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The device fails (EIO).
    Device,
    /// No space is left (ENOSPC).
    Space,
}

/// For how long operations fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasting {
    /// One operation.
    Once,
    /// All from there on, until [`Plan::mend`].
    On,
}

/// What is going to happen, by numbers of operations.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plan {
    cut_at: Option<u64>,
    fault: Option<(u64, Fault, Lasting)>,
    fail_sync: bool,
}

impl Fault {
    pub(crate) fn error(self) -> io::Error {
        match self {
            // What the system's EIO reads as.
            Self::Device => io::Error::from_raw_os_error(5),
            Self::Space => io::Error::from_raw_os_error(28),
        }
    }
}

impl Plan {
    pub(super) fn cut(&mut self, at: u64) {
        self.cut_at = Some(at);
    }

    pub(super) fn fail(&mut self, at: u64, fault: Fault, lasting: Lasting) {
        self.fault = Some((at, fault, lasting));
    }

    pub(super) fn fail_sync(&mut self) {
        self.fail_sync = true;
    }

    /// Nothing fails any more.
    pub(super) fn mend(&mut self) {
        *self = Self::default();
    }

    /// Whether the power is off for this operation.
    pub(super) fn is_off(&self, operation: u64) -> bool {
        self.cut_at.is_some_and(|at| operation >= at)
    }

    /// How this operation fails, if it does.
    pub(super) fn fault(&mut self, operation: u64, is_sync: bool) -> Option<Fault> {
        if is_sync && std::mem::take(&mut self.fail_sync) {
            return Some(Fault::Device);
        }
        let (at, fault, lasting) = self.fault?;
        let hit = operation == at || (operation > at && lasting == Lasting::On);
        hit.then_some(fault)
    }
}
