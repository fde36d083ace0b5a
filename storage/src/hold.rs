//! Legal holds: what neither retention nor an erasure removes while they stand.
//!
//! A hold is a document of the kind `holds`. It names tables and, if it wants, a range of times; a part is held when any
//! of its rows may lie in it. One that cannot be read holds all of its tenant: whoever wrote it meant to keep something.
//! Deliberately pure: `holding.rs` reads and writes the documents.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracelake_model::{Table, TimeRange, UnixNano};

use crate::part::file::Part;

/// Characters of a reason at most.
const REASON_CHARS_MAX: usize = 2_000;

/// A hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// Its name: `[A-Za-z0-9._-]{1,128}`.
    pub id: String,
    /// What it covers.
    pub tables: Vec<Table>,
    /// The times it covers; rows without a time count as inside.
    pub range: TimeRange,
    /// Why, for those who wonder.
    pub reason: String,
    /// Since when.
    pub created: UnixNano,
}

/// The document.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    id: String,
    #[serde(default = "audit")]
    tables: Vec<Table>,
    start: Option<String>,
    end: Option<String>,
    reason: String,
    created: String,
}

fn audit() -> Vec<Table> {
    vec![Table::Audit]
}

impl Hold {
    /// Refuses a hold that holds nothing or does not say why.
    pub fn check(&self) -> Result<(), String> {
        if self.tables.is_empty() {
            return Err("tables: name at least one table".to_owned());
        }
        if self.range.start >= self.range.end {
            return Err(format!("start ({}) must lie before end ({})", self.range.start, self.range.end));
        }
        if self.reason.trim().is_empty() || self.reason.chars().count() > REASON_CHARS_MAX {
            return Err(format!("reason: say why, in at most {REASON_CHARS_MAX} characters"));
        }
        Ok(())
    }

    /// The hold as API answers and the document show it.
    pub fn to_json(&self) -> Value {
        let time = |at: UnixNano, open: UnixNano| (at != open).then(|| at.to_rfc3339());
        json!(Body {
            id: self.id.clone(),
            tables: self.tables.clone(),
            start: time(self.range.start, TimeRange::ALL.start),
            end: time(self.range.end, TimeRange::ALL.end),
            reason: self.reason.clone(),
            created: self.created.to_rfc3339(),
        })
    }

    /// Reads a document.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let body: Body = serde_json::from_str(text).map_err(|fault| fault.to_string())?;
        let time = |text: Option<&str>, open: UnixNano| {
            text.map_or(Ok(open), |text| UnixNano::parse(text, open).map_err(|fault| fault.to_string()))
        };
        let start = time(body.start.as_deref(), TimeRange::ALL.start)?;
        let end = time(body.end.as_deref(), TimeRange::ALL.end)?;
        let created = time(Some(&body.created), UnixNano(0))?;
        let range = TimeRange { start, end };
        let hold = Self { id: body.id, tables: body.tables, range, reason: body.reason, created };
        hold.check().map(|()| hold)
    }

    /// Whether it holds rows of a table with times in `range`.
    fn meets(&self, table: Table, range: TimeRange) -> bool {
        // Rows without a time might belong anywhere.
        let timeless = range.start <= UnixNano(0);
        let before = |at: UnixNano, end: UnixNano| at < end || end == UnixNano::MAX;
        let inside = before(range.start, self.range.end) && before(self.range.start, range.end);
        self.tables.contains(&table) && (inside || timeless)
    }
}

/// The holds of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// Those that can be read, by id.
    pub holds: Vec<Hold>,
    /// Documents that cannot; as long as there is one, nothing of the tenant is removed.
    pub unreadable: Vec<String>,
}

impl Holds {
    /// What holds rows of a table with times in `range`, in words.
    pub(crate) fn on_range(&self, table: Table, range: TimeRange) -> Option<String> {
        if let Some(id) = self.unreadable.first() {
            return Some(format!("hold {id:?}, which cannot be read and therefore holds everything"));
        }
        let found = self.holds.iter().find(|hold| hold.meets(table, range))?;
        Some(format!("hold {:?} ({})", found.id, found.reason))
    }

    /// Whether any row of a part may be held.
    pub(crate) fn on_part(&self, table: Table, part: &Part) -> bool {
        let end = UnixNano(part.time_max.0.saturating_add(1));
        self.on_range(table, TimeRange { start: part.time_min, end }).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(tables: &[Table], start: i64, end: i64) -> Hold {
        let range = TimeRange { start: UnixNano(start), end: UnixNano(end) };
        Hold { id: "h".to_owned(), tables: tables.to_vec(), range, reason: "case 7".to_owned(), created: UnixNano(5) }
    }

    #[test]
    fn a_hold_covers_what_may_lie_in_it_and_nothing_else() {
        let check = |hold: &Hold, table: Table, start: i64, end: i64, expected: bool| {
            let holds = Holds { holds: vec![hold.clone()], unreadable: Vec::new() };
            let range = TimeRange { start: UnixNano(start), end: UnixNano(end) };
            assert_eq!(holds.on_range(table, range).is_some(), expected, "{hold:?} {start} {end}");
        };
        let narrow = hold(&[Table::Audit, Table::Logs], 100, 200);
        check(&narrow, Table::Logs, 1, 100, false);
        check(&narrow, Table::Logs, 1, 101, true);
        check(&narrow, Table::Audit, 199, 200, true);
        check(&narrow, Table::Audit, 200, 300, false);
        check(&narrow, Table::Spans, 100, 200, false);
        check(&narrow, Table::Logs, 0, 50, true);
        let all = hold(&[Table::Audit], TimeRange::ALL.start.0, TimeRange::ALL.end.0);
        check(&all, Table::Audit, i64::MAX - 1, i64::MAX, true);
        check(&all, Table::Audit, i64::MAX, i64::MAX, true);
        check(&all, Table::Logs, 1, 2, false);
    }

    #[test]
    fn a_hold_reads_back_as_it_was_written_and_what_is_no_hold_is_refused() {
        for hold in [hold(&[Table::Spans], 100, 200), hold(&[Table::Audit], i64::MIN, i64::MAX)] {
            assert_eq!(Hold::parse(&hold.to_json().to_string()), Ok(hold));
        }
        let created = "\"created\":\"2026-01-01T00:00:00Z\"";
        let plain = Hold::parse(&format!("{{\"id\":\"h\",\"reason\":\"x\",{created}}}")).unwrap();
        assert_eq!((plain.tables, plain.range), (vec![Table::Audit], TimeRange::ALL));
        for bad in [
            "{".to_owned(),
            format!("{{\"id\":\"h\",{created}}}"),
            format!("{{\"id\":\"h\",\"reason\":\" \",{created}}}"),
            format!("{{\"id\":\"h\",\"reason\":\"x\",\"tables\":[],{created}}}"),
            format!("{{\"id\":\"h\",\"reason\":\"x\",\"tables\":[\"all\"],{created}}}"),
            format!("{{\"id\":\"h\",\"reason\":\"x\",\"until\":\"now\",{created}}}"),
            format!("{{\"id\":\"h\",\"reason\":\"x\",\"start\":\"soon\",{created}}}"),
            format!("{{\"id\":\"h\",\"reason\":\"x\",\"start\":\"5\",\"end\":\"5\",{created}}}"),
        ] {
            assert!(Hold::parse(&bad).is_err(), "{bad}");
        }
        let holds = Holds { holds: Vec::new(), unreadable: vec!["x".to_owned()] };
        assert!(holds.on_range(Table::Spans, TimeRange { start: UnixNano(1), end: UnixNano(2) }).is_some());
    }
}
