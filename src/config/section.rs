//! The one table of sections and their keys, and finding a key in it.

use crate::config::schema::{ALERTING, AUTH, DEMO, LIMITS, LISTEN, LOG, Section, Setting, TLS, TOP};
use crate::config::storage::STORAGE;

/// The environment twin of a key: `TRACELAKE_<SECTION>_<KEY>`, dots as `_`.
pub(crate) fn environment_name(section: &str, key: &str) -> String {
    let section = if section.is_empty() { String::new() } else { format!("{section}_") };
    format!("TRACELAKE_{section}{key}").replace('.', "_").to_ascii_uppercase()
}

/// The key of this section and name.
pub(crate) fn find_setting(section: &str, key: &str) -> Option<&'static Setting> {
    let section = SECTIONS.iter().find(|candidate| candidate.name == section)?;
    section.settings.iter().find(|setting| setting.key == key)
}

/// Every section in the order of the reference.
pub(crate) const SECTIONS: &[Section] = &[
    Section { name: "", doc: "Keys at the top of the file.", settings: TOP },
    Section { name: "listen", doc: "The doors: host:port, or off. Port 0 lets the system choose.", settings: LISTEN },
    Section { name: "limits", doc: "What one request, one question and the memory may take.", settings: LIMITS },
    Section { name: "storage", doc: "How records reach the disk.", settings: STORAGE },
    Section { name: "alerting", doc: "Rules over arriving records, and where notices go.", settings: ALERTING },
    Section { name: "auth", doc: "Who may do what.", settings: AUTH },
    Section { name: "tls", doc: "TLS on every door; both files or none.", settings: TLS },
    Section { name: "log", doc: "The server's own log, on standard error.", settings: LOG },
    Section { name: "demo", doc: "What `tracelake demo` does unless flags say otherwise.", settings: DEMO },
];
