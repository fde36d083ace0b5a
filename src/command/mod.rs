//! The command line: one file a command.
//!
//! | file | command |
//! |---|---|
//! | `line.rs` | flags and their help; flags become a configuration layer |
//! | `serve.rs` | `serve`, also without a name |
//! | `demo.rs` | `demo` |
//! | `sql.rs` `table.rs` | `sql` and its table for people |
//! | `remote.rs` | asking a running server; `flush` |
//! | `erase.rs` | `erase` |
//! | `check.rs` | `check` |
//! | `backup.rs` | `backup`, `restore` |
//! | `settings.rs` | `config reference`, `token`, `completions` |

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod demo;
pub(crate) mod erase;
pub(crate) mod line;
pub(crate) mod remote;
pub(crate) mod serve;
pub(crate) mod settings;
pub(crate) mod sql;
mod table;
