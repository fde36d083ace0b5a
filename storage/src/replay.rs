//! Frames of the log back into the tail and the dedup window, one by one.
//!
//! A frame's rows go only to tables that are behind it, so what a flush committed before a crash is not seen twice.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use tracelake_model::{Batch, Decoder, Position, Table, TenantId};

use crate::arrival::Arrival;
use crate::audit::AUDIT_SEQ;
use crate::dedup::Dedup;
use crate::disk::{Disk, replace};
use crate::error::Error;
use crate::gather::gather_ripe;
use crate::logs::Logs;
use crate::relief::Relief;
use crate::rows::{memory_bytes, rows_of};
use crate::seam::Seams;
use crate::tail::Tail;
use crate::wal::header::FrameHeader;
use crate::wal::reader::{Located, Recovery};

/// A replay under way.
struct Replay<'a> {
    decoder: &'a dyn Decoder,
    disk: &'a dyn Disk,
    wal_dir: &'a Path,
    flushed: HashMap<(TenantId, Table), u64>,
    /// Positions below it stand in the tables, under an earlier id of the log.
    first: u64,
    relief: &'a Relief<'a>,
    /// Whether every frame so far is known to be on disk.
    durable: bool,
    dedup: Dedup,
    undecodable: u64,
}

/// What a replay gathered.
pub(crate) struct Replayed {
    /// The position that the next frame gets: as the log says, or later when tables are further.
    pub(crate) next: u64,
    pub(crate) tail: Tail,
    pub(crate) dedup: Dedup,
    /// Frames that could not be decoded.
    pub(crate) undecodable: u64,
}

/// Where a replay stands: rows before position `first` are all in the tables.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) wal_dir: &'a Path,
    pub(crate) first: u64,
    pub(crate) tail_bytes: u64,
}

/// Hands each sound frame of the log, which `recover` reads, to tail and dedup window. Beyond `tail_bytes` rows move to
/// parts on the way.
pub(crate) fn replay(
    seams: &Seams,
    place: Place<'_>,
    logs: &Logs,
    dedup: Dedup,
    recover: impl FnOnce(&mut dyn FnMut(Located) -> Result<(), Error>) -> Result<Recovery, Error>,
) -> Result<(Recovery, Replayed), Error> {
    let (tail, flushed) = as_tables_say(logs);
    let far = flushed.values().copied().max().unwrap_or(0);
    let relief = Relief::new(seams, logs, tail, place.tail_bytes);
    let (decoder, disk) = (seams.decoder.as_ref(), seams.disk.as_ref());
    let Place { wal_dir, first, .. } = place;
    let mut replay =
        Replay { decoder, disk, wal_dir, flushed, first, relief: &relief, durable: true, dedup, undecodable: 0 };
    let recovery = relief.beside(|hand_on| {
        recover(&mut |located| {
            replay.durable &= located.durable;
            if replay.durable {
                relief.relieve(hand_on);
            }
            replay.apply(&located)
        })
    })?;
    let Replay { dedup, undecodable, .. } = replay;
    let mut tail = relief.tail.into_inner();
    let next = recovery.next.max(far + 1);
    tail.see(next - 1);
    Ok((recovery, Replayed { next, tail, dedup, undecodable }))
}

fn as_tables_say(logs: &Logs) -> (Tail, HashMap<(TenantId, Table), u64>) {
    let (mut tail, mut flushed) = (Tail::default(), HashMap::new());
    for (tenant, table, log) in logs.all() {
        let log = log.lock();
        tail.set_parts(&tenant, table, log.live());
        tail.raise_audit_seq(&tenant, log.derived(AUDIT_SEQ));
        flushed.insert((tenant, table), log.flushed().0);
    }
    for (tenant, seq) in logs.derived_in_closed(AUDIT_SEQ) {
        tail.raise_audit_seq(&tenant, seq);
    }
    (tail, flushed)
}

impl Replay<'_> {
    /// Takes one frame in.
    fn apply(&mut self, located: &Located) -> Result<(), Error> {
        let (header, position) = (&located.header, located.position);
        let (mut audit_seq, mut derived) = (None, None);
        match header {
            FrameHeader::Request(request) => {
                if let Some(hash) = request.hash {
                    self.dedup.remember(hash, request.received, Position(position));
                }
                let rows = request.accepted.iter().filter(|(table, _)| *table == Table::Audit);
                let rows: u64 = rows.map(|(_, rows)| u64::from(*rows)).sum();
                audit_seq = (rows > 0).then(|| request.audit_seq + rows - 1);
            }
            FrameHeader::Derived(source) => derived = Some((Arc::clone(&source.source), source.position)),
        }
        let batches = self.rows_behind(located)?;
        let bytes = memory_bytes(&batches);
        let (tenant, received, batches) = (header.tenant().clone(), header.received(), Arc::from(batches));
        let mut tail = self.relief.tail.lock();
        tail.push(&Arrival { position, tenant, received, batches, bytes, audit_seq, derived });
        gather_ripe(&mut tail);
        Ok(())
    }

    /// The frame's rows of tables that are behind it; decodes only when there are any.
    fn rows_behind(&mut self, located: &Located) -> Result<Vec<Batch>, Error> {
        let tenant = located.header.tenant();
        let mut key = (tenant.clone(), Table::Spans);
        let mut behind = |table: Table| {
            key.1 = table;
            located.position >= self.first && self.flushed.get(&key).is_none_or(|&flushed| flushed < located.position)
        };
        if !located.header.rows().iter().any(|(table, _)| behind(*table)) {
            return Ok(Vec::new());
        }
        match rows_of(self.decoder, located) {
            Ok(batches) => Ok(batches.into_iter().filter(|batch| behind(batch.table())).collect()),
            Err(_) => {
                self.undecodable += 1;
                self.set_aside(located)?;
                Ok(Vec::new())
            }
        }
    }

    /// Its segment will go one day: what was acknowledged is kept in a file, header first, for whoever can read it.
    fn set_aside(&self, located: &Located) -> Result<(), Error> {
        let name = format!("undecodable-{:016x}.frame", located.position);
        let mut content = Vec::new();
        located.header.encode(&mut content);
        content.extend(&located.payload);
        let path = self.wal_dir.join(&name);
        tracing::error!(path = %path.display(), position = located.position, "the frame is set aside");
        replace(self.disk, self.wal_dir, &name, &content).map_err(Error::io("write", &path))
    }
}
