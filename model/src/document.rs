//! Small JSON documents that people edit: rules, receivers, silences, issue states, saved views.
//!
//! A trait that storage fulfils over an object store and that wings above use, so that the same document works on a
//! directory and on S3 alike. Deliberately has no queries: a kind's documents are few and listed whole.

use async_trait::async_trait;

use crate::tenant::TenantId;

/// One document with the version that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The name within its kind.
    pub id: String,
    /// JSON text.
    pub body: String,
    /// Opaque; changes with every write.
    pub version: String,
}

/// What must be true for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing stands there.
    Absent,
    /// The version that was read still stands there.
    Version(String),
    /// Whatever stands there.
    Any,
}

/// Why a document could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Somebody else wrote or made it first.
    #[error("document {0} exists already or was changed meanwhile; read it again and repeat")]
    Conflict(String),
    /// The id is not `[A-Za-z0-9._-]{1,128}`, or begins with a dot.
    #[error("document id {0:?} is not valid; use 1 to 128 characters of A-Z, a-z, 0-9, '.', '_' and '-'")]
    BadId(String),
    /// The store failed.
    #[error("document store failed")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Conditional reads and writes of documents.
///
/// Ownership: the store owns the bytes, callers hold copies. Ordering: a `put` that returned is durable and seen by
/// every later `get` and `list` of this process. Empty cases: a kind without documents lists as empty, never as an error.
#[async_trait]
pub trait DocumentStore: Send + Sync {
    /// All documents of a kind (`rules`, `receivers`), in order of their ids.
    async fn list(&self, tenant: &TenantId, kind: &str) -> Result<Vec<Document>, DocumentError>;
    /// One document, or `None`.
    async fn get(&self, tenant: &TenantId, kind: &str, id: &str) -> Result<Option<Document>, DocumentError>;
    /// Writes one document if `expect` holds; the answer carries its new version.
    async fn put(
        &self,
        tenant: &TenantId,
        kind: &str,
        id: &str,
        body: &str,
        expect: Expect,
    ) -> Result<Document, DocumentError>;
    /// Removes one document; whether it was there.
    async fn delete(&self, tenant: &TenantId, kind: &str, id: &str) -> Result<bool, DocumentError>;
}
