//! A set of tables in one number.

use tracelake_model::Table;

pub(crate) const TABLES: usize = Table::ALL.len();

/// A set of tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TableSet(u16);

impl TableSet {
    pub(crate) fn contains(self, table: Table) -> bool {
        self.0 & (1 << table as u16) != 0
    }

    pub(crate) fn insert(&mut self, table: Table) {
        self.0 |= 1 << table as u16;
    }
}
