//! Who is asking, and whose data it is.
//!
//! Deliberately does not authenticate: the binary turns a credential into a [`Caller`] and hands it on as a request
//! extension; every handler's signature asks for one, so a route without a tenant does not compile.

use std::fmt;
use std::sync::Arc;

/// A tenant's name, `[a-z0-9-]{1,63}`. It names a directory, so nothing else is ever accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId(Arc<str>);

/// A tenant name that is not `[a-z0-9-]{1,63}`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tenant {0:?} is not valid; use 1 to 63 characters of a-z, 0-9 and '-'")]
pub struct TenantError(pub String);

impl TenantId {
    /// The tenant of a server without authentication.
    pub const DEFAULT: &'static str = "default";

    /// Checks and takes a tenant's name.
    pub fn new(name: &str) -> Result<Self, TenantError> {
        let fits = (1..=63).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(Arc::from(name))) } else { Err(TenantError(name.to_owned())) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TenantId {
    fn default() -> Self {
        Self(Arc::from(Self::DEFAULT))
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Send telemetry.
    Ingest,
    /// Ask questions.
    Read,
    /// Change rules, receivers, silences and issue states; flush.
    Admin,
}

impl Permission {
    /// All of them: what a server without authentication grants.
    pub const ALL: [Permission; 3] = [Permission::Ingest, Permission::Read, Permission::Admin];

    /// The role's name in a tokens file.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "ingest" => Some(Self::Ingest),
            "read" => Some(Self::Read),
            "admin" => Some(Self::Admin),
            _ => None,
        }
    }
}

/// An authenticated caller: whose data, in whose name, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The tenant that the credential belongs to.
    pub tenant: TenantId,
    /// Who: a token's name, a certificate's subject, or `anonymous`.
    pub subject: Arc<str>,
    /// What the credential allows.
    pub permissions: Arc<[Permission]>,
}

impl Caller {
    /// The caller of a server without authentication: everything in one tenant.
    pub fn anonymous(tenant: TenantId) -> Self {
        Self { tenant, subject: Arc::from("anonymous"), permissions: Arc::from(Permission::ALL) }
    }

    /// Whether this caller may do `permission`.
    pub fn may(&self, permission: Permission) -> bool {
        self.permissions.contains(&permission)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_name_is_a_safe_directory_name() {
        for good in ["default", "a", "team-7", &"x".repeat(63)] {
            assert!(TenantId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "a/b", "..", "a.b", "a b", "é", &"x".repeat(64)] {
            assert!(TenantId::new(bad).is_err(), "{bad}");
        }
    }
}
