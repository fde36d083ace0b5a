//! Static bearer tokens: a TOML file of hashes, never of the tokens themselves.
//!
//! ```toml
//! [[token]]
//! name = "collector"
//! sha256 = "<64 hex digits>"
//! tenant = "default"
//! roles = ["ingest"]
//! ```

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest;
use serde::Deserialize;
use tracelake_model::{Caller, Permission, TenantId, from_hex, to_hex};

/// Why a tokens file cannot be used; all of its problems.
#[derive(Debug, thiserror::Error)]
#[error("auth.tokens_file {path}: {}", .problems.join("; "))]
pub(crate) struct TokenError {
    path: String,
    problems: Vec<String>,
}

/// Callers by the SHA-256 of their token.
///
/// A lookup hashes what came and compares hashes: how long it takes tells nothing about the tokens.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    callers: HashMap<[u8; 32], Caller>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    token: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    sha256: String,
    tenant: String,
    roles: Vec<String>,
}

impl Tokens {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self, TokenError> {
        let fault = |problems| TokenError { path: path.display().to_string(), problems };
        let text = std::fs::read_to_string(path).map_err(|error| fault(vec![format!("cannot be read: {error}")]))?;
        Self::parse(&text).map_err(fault)
    }

    fn parse(text: &str) -> Result<Self, Vec<String>> {
        let file: File = toml::from_str(text).map_err(|error| vec![error.message().to_owned()])?;
        let mut callers = HashMap::new();
        let mut problems = Vec::new();
        for entry in &file.token {
            match entry.read() {
                Ok((hash, caller)) => {
                    if callers.insert(hash, caller).is_some() {
                        problems.push(format!("token {:?} has the hash of another one; make a new token", entry.name));
                    }
                }
                Err(found) => problems.extend(found.into_iter().map(|what| format!("token {:?}: {what}", entry.name))),
            }
        }
        if file.token.is_empty() {
            problems.push("holds no [[token]]; `tracelake token` makes one".to_owned());
        }
        if problems.is_empty() { Ok(Self { callers }) } else { Err(problems) }
    }

    /// The caller of a token.
    pub(crate) fn find(&self, token: &str) -> Option<&Caller> {
        self.callers.get(&hash(token))
    }
}

impl Entry {
    fn read(&self) -> Result<([u8; 32], Caller), Vec<String>> {
        let mut problems = Vec::new();
        let hash: Option<[u8; 32]> = from_hex(&self.sha256).and_then(|bytes| bytes.try_into().ok());
        if hash.is_none() {
            problems.push("sha256 is not 64 hexadecimal digits".to_owned());
        }
        let tenant = TenantId::new(&self.tenant).map_err(|error| problems.push(error.to_string())).ok();
        let mut permissions = Vec::new();
        for role in &self.roles {
            match Permission::parse(role) {
                Some(permission) => permissions.push(permission),
                None => problems.push(format!("role {role:?} is not known; use ingest, read, admin")),
            }
        }
        if self.roles.is_empty() {
            problems.push("has no roles; use ingest, read, admin".to_owned());
        }
        match (hash, tenant) {
            (Some(hash), Some(tenant)) if problems.is_empty() => {
                let subject = Arc::from(self.name.as_str());
                Ok((hash, Caller { tenant, subject, permissions: Arc::from(permissions) }))
            }
            _ => Err(problems),
        }
    }
}

/// SHA-256 of a token.
pub(crate) fn hash(token: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
    out
}

/// The entry of a token for the file.
pub(crate) fn write_entry(name: &str, token: &str, tenant: &TenantId, roles: &[Permission]) -> String {
    let roles: Vec<_> = roles
        .iter()
        .map(|role| match role {
            Permission::Ingest => "\"ingest\"",
            Permission::Read => "\"read\"",
            Permission::Admin => "\"admin\"",
        })
        .collect();
    format!(
        "[[token]]\nname = {}\nsha256 = \"{}\"\ntenant = \"{tenant}\"\nroles = [{}]\n",
        toml::Value::String(name.to_owned()),
        to_hex(&hash(token)),
        roles.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_was_written_is_found_by_its_token_only() {
        let tenant = TenantId::new("team-7").expect("a tenant");
        let text = write_entry("a \"collector\"", "secret", &tenant, &[Permission::Ingest, Permission::Admin]);
        let tokens = Tokens::parse(&text).expect("reads back");
        let caller = tokens.find("secret").expect("found");
        assert_eq!((&caller.tenant, &*caller.subject), (&tenant, "a \"collector\""));
        assert!(caller.may(Permission::Ingest) && caller.may(Permission::Admin) && !caller.may(Permission::Read));
        assert!(tokens.find("Secret").is_none() && tokens.find("").is_none());
    }

    #[test]
    fn a_wrong_file_is_refused_with_every_reason() {
        let check = |text: &str, expected: &str| {
            let problems = Tokens::parse(text).expect_err("refused").join("; ");
            assert!(problems.contains(expected), "{expected} in {problems}");
        };
        let entry = |hash: &str, tenant: &str, roles: &str| {
            format!("[[token]]\nname = \"t\"\nsha256 = \"{hash}\"\ntenant = \"{tenant}\"\nroles = {roles}\n")
        };
        let good = "ab".repeat(32);
        check("", "holds no [[token]]");
        check("[[token]]\nname = \"t\"", "missing field");
        check(&format!("{}secret = 1", entry(&good, "a", "[\"read\"]")), "unknown field");
        check(&entry("ab", "a", "[\"read\"]"), "64 hexadecimal digits");
        check(&entry(&good, "../a", "[\"king\"]"), "role \"king\"");
        check(&entry(&good, "../a", "[\"read\"]"), "tenant");
        check(&entry(&good, "a", "[]"), "no roles");
        check(&(entry(&good, "a", "[\"read\"]") + &entry(&good, "b", "[\"read\"]")), "another one");
    }
}
