//! What can go wrong in storage, with the remedy in the message.

use std::io;
use std::path::{Path, PathBuf};

use tracelake_model::{Fault, Table};

/// A failure of the storage wing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A configuration that cannot work; all problems at once.
    #[error("storage configuration: {0}")]
    Config(String),
    /// The directory was written by a newer version, or the file is no `FORMAT` of ours.
    #[error("{path} says {found:?}, this version reads \"tracelake 1\"; start the version that wrote this directory, or restore a backup made by it", path = .path.display())]
    Format {
        /// The `FORMAT` file.
        path: PathBuf,
        /// Its first line.
        found: String,
    },
    /// Another process uses the directory.
    #[error("{path} is locked: another tracelake process uses this data directory; stop it, or choose another --data-dir", path = .0.display())]
    Locked(PathBuf),
    /// The machine's files refused.
    #[error("cannot {what} {path}; check the path, its permissions and the free space", path = .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// An object store refused, or was not there.
    #[error(
        "cannot {what} {url}; check the URL, storage.s3.endpoint and region, and the credentials and what they allow (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the machine's role)"
    )]
    Bucket {
        /// What was tried.
        what: &'static str,
        /// Where.
        url: String,
        /// What the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An object store on which commits cannot stand.
    #[error(
        "{url} does not honour conditional writes ({detail}): two servers could commit the same version of a table and rows would be lost; use a store that does (AWS S3, Cloudflare R2, a recent MinIO), or keep the tables in the data directory (no storage.url)"
    )]
    Unconditional {
        /// Where.
        url: String,
        /// What it did.
        detail: String,
    },
    /// A file that is not what we wrote.
    #[error("{path} is damaged: {detail}; restore it from a backup", path = .path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A table that another program changed so that we cannot read it any more.
    #[error("{path}: {detail}; another program changed this table, undo that with it", path = .path.display())]
    Foreign {
        /// Which table.
        path: PathBuf,
        /// What it needs of a reader.
        detail: String,
    },
    /// A table whose log cannot be read.
    #[error("{0}; tracelake check tells more, tracelake check --repair moves what is damaged aside")]
    OutOfService(String),
    /// A backup that cannot be made or restored as asked.
    #[error("{0}")]
    Backup(String),
    /// Rows could not be turned into a part or back.
    #[error("cannot convert rows")]
    Arrow(#[from] arrow::error::ArrowError),
    /// Parts or commits could not be written; the rows stay in the log and the tail, and the flush is tried again.
    #[error("flush failed, it is tried again by itself: {0}")]
    Flush(String),
    /// A condition that cannot be asked of a row.
    #[error("the condition cannot be asked of every row: {0}; write it otherwise")]
    Condition(String),
    /// Rows of the audit table were to be erased.
    #[error(
        "the audit table is never erased by query, so that its proofs stand; its rows go by storage.retention.audit alone"
    )]
    AuditStays,
    /// Another erasure works on the table.
    #[error("another erasure of {0} is running; try again when it is done")]
    Erasing(Table),
    /// A hold stands on rows that were to go.
    #[error("{0} stands on rows of this table and range; release it, or erase outside of its range")]
    Held(String),
    /// Whoever asked for an erasure hung up, or the store closes.
    #[error("the erasure was stopped; what it erased by then is gone, ask again for the rest")]
    Stopped,
    /// A hold that cannot be.
    #[error("hold: {0}")]
    Hold(String),
    /// A hold of this name stands already.
    #[error("hold {0:?} stands already; release it first")]
    HoldStands(String),
    /// The store is closed or closing.
    #[error("storage is closed; start the server again")]
    Closed,
    /// A call that belongs before `start`, or a second `start`.
    #[error("{0} must be called before start, and start only once")]
    Started(&'static str),
}

impl Error {
    /// What an asker can do about it.
    pub fn kind(&self) -> Fault {
        match self {
            Self::Config(_) | Self::Backup(_) | Self::Condition(_) | Self::Hold(_) => Fault::Invalid,
            Self::AuditStays => Fault::Forbidden,
            Self::Erasing(_) | Self::Held(_) | Self::HoldStands(_) => Fault::Conflict,
            Self::Closed
            | Self::Locked(_)
            | Self::Flush(_)
            | Self::Stopped
            | Self::OutOfService(_)
            | Self::Bucket { .. } => Fault::Unavailable,
            Self::Unconditional { .. }
            | Self::Format { .. }
            | Self::Io { .. }
            | Self::Damaged { .. }
            | Self::Foreign { .. }
            | Self::Arrow(_)
            | Self::Started(_) => Fault::Internal,
        }
    }

    /// Whether a file that was looked for is not there.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Wraps what the system said about a path.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}
