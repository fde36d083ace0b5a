//! What a check says. Deliberately plain data: the binary prints it and sends it as JSON.

use serde::{Deserialize, Serialize};

/// Findings that a report holds at most; the rest is counted.
const FINDINGS_MAX: usize = 10_000;

/// What a check looked at and found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Every table, by tenant and name.
    pub tables: Vec<TableReport>,
    /// Frames of the write-ahead log that are whole.
    pub wal_frames: u64,
    /// Documents that were read.
    pub documents: u64,
    /// Bytes of parts that were read.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
    /// What is damaged, and what stands in quarantine since earlier.
    pub findings: Vec<Finding>,
    /// Findings that did not fit into the list.
    pub findings_left_out: u64,
    /// It was ended before everything was looked at.
    pub stopped: bool,
}

/// One table as a check saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableReport {
    /// Whose.
    pub tenant: String,
    /// Its name.
    pub table: String,
    /// The version that was looked at; none before the first commit.
    pub version: Option<u64>,
    /// Live parts.
    pub parts: u64,
    /// Rows in them, as committed.
    pub rows: u64,
    /// Bytes of them, as committed.
    pub bytes: u64,
    /// Entries and checkpoints of its log.
    pub log_files: u64,
    /// Parts that are not as committed.
    pub damaged_parts: u64,
}

/// One thing that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What kind of file.
    pub kind: FindingKind,
    /// Which file.
    pub path: String,
    /// What is wrong with it.
    pub detail: String,
    /// Rows that it takes with it, where that is known.
    pub rows: Option<u64>,
    /// What was done about it, or what can be done.
    pub remedy: String,
    /// Whether this check put it right, as far as that can be.
    pub repaired: bool,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// `FORMAT`.
    Format,
    /// The log's id.
    Id,
    /// The payload hashes.
    Hashes,
    /// Frames of the write-ahead log.
    Wal,
    /// A commit of a table.
    Entry,
    /// A checkpoint of a table, or the checksum beside it.
    Checkpoint,
    /// The note that names the newest checkpoint.
    Hint,
    /// A part.
    Part,
    /// A document.
    Document,
    /// Something that is in quarantine already.
    Quarantined,
}

impl Finding {
    pub(crate) fn new(kind: FindingKind, path: String, detail: String, remedy: &str) -> Self {
        Self { kind, path, detail, rows: None, remedy: remedy.to_owned(), repaired: false }
    }

    /// Whether it is damage, not a reminder of what an earlier check or the server itself took out of service.
    pub fn is_damage(&self) -> bool {
        self.kind != FindingKind::Quarantined
    }
}

impl CheckReport {
    /// Whether nothing is damaged, or all that was is repaired.
    pub fn is_clean(&self) -> bool {
        !self.stopped && self.findings_left_out == 0 && self.findings.iter().all(|one| !one.is_damage() || one.repaired)
    }

    pub(crate) fn push(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        } else {
            self.findings_left_out += 1;
        }
    }

    /// The report for people.
    pub fn to_text(&self) -> String {
        let mut lines = Vec::new();
        for table in &self.tables {
            let state = match (table.damaged_parts, table.version) {
                (_, None) => "no commit can be read or there is none".to_owned(),
                (0, Some(version)) => format!("version {version}, whole"),
                (damaged, Some(version)) => format!("version {version}, {damaged} parts damaged"),
            };
            let (place, rows, parts, bytes) =
                (format!("{}/{}", table.tenant, table.table), table.rows, table.parts, table.bytes);
            lines.push(format!("{place}: {rows} rows in {parts} parts ({bytes} bytes), {state}"));
        }
        lines.push(format!("write-ahead log: {} frames; documents: {}", self.wal_frames, self.documents));
        for finding in &self.findings {
            let rows = finding.rows.map_or_else(String::new, |rows| format!(" ({rows} rows)"));
            let word = if finding.is_damage() { "damaged" } else { "missing" };
            let (path, detail, remedy) = (&finding.path, &finding.detail, &finding.remedy);
            lines.push(format!("{word}: {path}{rows}: {detail}; {remedy}"));
        }
        if self.findings_left_out > 0 {
            lines.push(format!("and {} more", self.findings_left_out));
        }
        let end = if self.stopped {
            "stopped early"
        } else if self.is_clean() {
            "whole"
        } else {
            "DAMAGED"
        };
        lines.push(format!("{end}: {} bytes of parts read in {:.1} s", self.bytes, self.seconds));
        lines.join("\n") + "\n"
    }
}

/// What a check does beside looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckAsk {
    /// Decode every row, beside taking every checksum.
    pub rows: bool,
    /// Move what is damaged to quarantine.
    pub repair: bool,
}

/// How far a check is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckProgress {
    /// Parts looked at, and how many there are in tables that were begun.
    pub parts: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Findings so far.
    pub findings: u64,
}
