//! What a backup holds: versions, files, checksums. The text is sealed (`checksum.rs`), so a damaged one shows.

use serde::{Deserialize, Serialize};
use tracelake_model::UnixNano;

use crate::checksum::{self, Seal, check_seal};
use crate::open::FORMAT;

/// The version of this layout.
const VERSION: u32 = 1;
const SEAL: &str = "seal";

/// One backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    version: u32,
    seal: String,
    /// What the data directory's `FORMAT` said.
    pub format: String,
    /// Its name in the repository; sorts by time.
    pub id: String,
    /// Everything that was acknowledged before this is in it, Unix nanoseconds.
    pub at: i64,
    /// The same for people.
    pub time: String,
    /// The version of the program that made it.
    pub made_by: String,
    /// Whose log the positions below are.
    pub(crate) wal: String,
    /// Positions of a log that goes on from here begin with this one.
    pub(crate) next_position: u64,
    /// Rows up to this position of the log are in the tables of requests.
    pub flushed: u64,
    /// Alerting had not seen all of these rows when its state was taken: matches in the rest are not made up for.
    pub alerting_behind: bool,
    /// The tables, in order of tenants and names.
    pub tables: Vec<TableCopy>,
    /// The files in `small`, one after another.
    pub(crate) small: Vec<SmallFile>,
}

/// A table at a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCopy {
    /// Whose.
    pub tenant: String,
    /// Its name.
    pub table: String,
    /// The version of its log.
    pub log_version: u64,
    /// Rows of its live parts.
    pub rows: u64,
    /// Its live parts.
    pub parts: Vec<PartCopy>,
}

/// A part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartCopy {
    /// Its path below the data root.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// XXH3-64 of it.
    pub xxh3: String,
}

/// A small file, by its path below the data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SmallFile {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    pub(crate) xxh3: String,
}

impl Manifest {
    /// An empty one.
    pub(crate) fn new(id: String, at: UnixNano, wal: String) -> Self {
        Self {
            version: VERSION,
            seal: checksum::UNSEALED.to_owned(),
            format: FORMAT.to_owned(),
            id,
            at: at.0,
            time: at.to_rfc3339(),
            made_by: env!("CARGO_PKG_VERSION").to_owned(),
            wal,
            next_position: 0,
            flushed: 0,
            alerting_behind: false,
            tables: Vec::new(),
            small: Vec::new(),
        }
    }

    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).sum()
    }

    /// Bytes of all parts.
    pub fn bytes(&self) -> u64 {
        self.tables.iter().flat_map(|table| &table.parts).map(|part| part.bytes).sum()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("a manifest is plain data with text keys");
        let (spaced, tight) = (format!("\"{SEAL}\": \""), format!("\"{SEAL}\":\""));
        // The seal is looked for without the space that the writer puts behind a key.
        if let Some(at) = text.windows(spaced.len()).position(|window| window == spaced.as_bytes()) {
            text.splice(at..at + spaced.len(), tight.bytes());
        }
        checksum::seal(SEAL, &mut text);
        text
    }

    pub(crate) fn decode(text: &[u8]) -> Result<Self, String> {
        if check_seal(SEAL, text) != Seal::Whole {
            return Err("its checksum does not hold".to_owned());
        }
        let manifest: Self = serde_json::from_slice(text).map_err(|fault| format!("it cannot be read: {fault}"))?;
        if manifest.version > VERSION || manifest.format != FORMAT {
            let (format, by) = (&manifest.format, &manifest.made_by);
            return Err(format!("it is of the format {format:?}, made by version {by}; restore it with that version"));
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_reads_back_and_every_flipped_bit_and_newer_format_is_refused() {
        let mut manifest =
            Manifest::new("20260131T083000Z".to_owned(), UnixNano(1_769_848_200_000_000_000), "ab".to_owned());
        manifest.small.push(SmallFile { path: "wal/hashes".to_owned(), bytes: 3, xxh3: checksum::to_text(1) });
        let text = manifest.encode();
        let mut read = Manifest::decode(&text).unwrap();
        assert_ne!(read.seal, checksum::UNSEALED);
        read.seal.clone_from(&manifest.seal);
        assert_eq!(read, manifest);
        for bit in 0..text.len() * 8 {
            let mut flipped = text.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode(&flipped).is_err(), "bit {bit}");
        }
        manifest.format = "tracelake 2".to_owned();
        assert!(Manifest::decode(&manifest.encode()).unwrap_err().contains("tracelake 2"));
    }
}
