//! Opens a data directory: format, lock, id of the log, tables, and the log's frames back into memory.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::{Mutex, RwLock};

use crate::config::Config;
use crate::core::Core;
use crate::counter::Counters;
use crate::damage::Register;
use crate::dedup::Dedup;
use crate::disk::{Disk, Lock, make_durable, replace};
use crate::erasing::Erasing;
use crate::error::Error;
use crate::feed::Feed;
use crate::flush::HASHES_FILE;
use crate::gather_signal::GatherSignal;
use crate::keeper::Keeper;
use crate::logs::Logs;
use crate::quarantine;
use crate::queue::Queue;
use crate::replay::{Place, Replayed, replay};
use crate::seam::Seams;
use crate::signal::{FlushReport, FlushSignal};
use crate::table::action::Keep;
use crate::traces::TraceIndexes;
use crate::wal::id::Ids;
use crate::wal::reader::recover;
use crate::wal::segment::Segments;
use crate::wal::writer::Writer;

pub(crate) const FORMAT: &str = "tracelake 1";
pub(crate) const FORMAT_FILE: &str = "FORMAT";

/// Opens (or makes) a data directory and replays its log. The log of a copied directory goes on under a new id, once
/// everything that came with it is in the tables.
pub(crate) fn open(config: Config, seams: &Seams) -> Result<Core, Error> {
    let mut core = open_as_it_is(config, seams)?;
    let disk = seams.disk.as_ref();
    if !core.ids.are_copied(disk, &core.wal_dir)? {
        return Ok(core);
    }
    if let Err(error) = core.move_tail(&mut FlushReport::default()) {
        tracing::warn!(%error, "this directory is a copy, its log keeps its id until the next start: the flush failed");
        return Ok(core);
    }
    let next = core.tail.lock().visible() + 1;
    let (old, new) = (core.ids.current(), core.ids.renew(disk, &core.wal_dir, next)?);
    tracing::info!(old = old.to_text(), new = new.to_text(), next, "this directory is a copy, its log has a new id");
    let config = core.config.clone();
    // Lets go of the directory's lock.
    drop(core);
    let core = open_as_it_is(config, seams)?;
    for (_, _, log) in core.logs.all() {
        log.lock().carry_streams(&old.to_text(), core.clock.now())?;
    }
    Ok(core)
}

fn open_as_it_is(config: Config, seams: &Seams) -> Result<Core, Error> {
    config.check()?;
    let files = seams.disk.as_ref();
    let wal_dir = config.data_dir.join("wal");
    // A directory that is marked was durable before; what stands there without may be the rest of a start that failed.
    let made = if check_format(files, &config.data_dir)? {
        files.create_dir(&wal_dir).and_then(|()| files.sync_dir(&config.data_dir))
    } else {
        make_durable(files, &wal_dir)
    };
    made.map_err(Error::io("make the directory", &wal_dir))?;
    let lock = take_lock(files, &config.data_dir, &wal_dir)?;
    write_format(files, &config.data_dir)?;
    let ids = Ids::open(files, &wal_dir)?;
    let (log, removed, checkpoint_every) = (config.delta_log_keep, config.removed_keep, config.checkpoint_every);
    let register = Arc::new(Register::default());
    let keep = Keep { log, removed, checkpoint_every };
    let logs = Logs::open(&seams.files, &ids, keep, &register)?;
    quarantine::remember(seams.files.as_ref(), &register)?;
    let mut dedup = Dedup::new(config.dedup_window, config.dedup_hashes_max);
    load_hashes(files, &wal_dir, &mut dedup, &register)?;
    let place = Place { wal_dir: &wal_dir, first: ids.first(), tail_bytes: config.tail_bytes };
    let (recovery, Replayed { next, tail, dedup, undecodable }) =
        replay(seams, place, &logs, dedup, |each| recover(files, &wal_dir, &ids, each))?;
    let counters = Counters::default();
    counters.set_losses(&recovery.damage, undecodable);
    let segments = Segments::open(Arc::clone(&seams.disk), &wal_dir, config.wal_segment_bytes, recovery.segments)
        .map_err(Error::io("list", &wal_dir))?;
    Ok(Core {
        writer: Mutex::new(Writer::new(ids.current(), Arc::clone(&segments), next, config.durability_interval)),
        feed: Feed::new(config.feed_requests_max, config.feed_bytes_max),
        queue: Queue::default(),
        gathering: GatherSignal::default(),
        tail: Mutex::new(tail),
        dedup: Mutex::new(dedup),
        flushing: Mutex::default(),
        flush_signal: FlushSignal::default(),
        keeper: Keeper::default(),
        traces: Arc::new(TraceIndexes::new(config.trace_index_bytes)),
        erasing: Erasing::default(),
        removing: RwLock::default(),
        accepting: AtomicBool::new(false),
        flush_failure: Mutex::default(),
        write_failure: Mutex::default(),
        lock: Mutex::new(Some(lock)),
        #[cfg(test)]
        crash_at: Mutex::default(),
        config,
        wal_dir,
        files: Arc::clone(&seams.files),
        documents: Arc::clone(&seams.documents),
        clock: Arc::clone(&seams.clock),
        decoder: Arc::clone(&seams.decoder),
        disk: Arc::clone(&seams.disk),
        ids,
        segments,
        logs,
        counters,
        register,
    })
}

/// Refuses a directory of another version before anything in it is touched; whether it is marked with this one.
pub(crate) fn check_format(disk: &dyn Disk, dir: &Path) -> Result<bool, Error> {
    let path = dir.join(FORMAT_FILE);
    match disk.read(&path) {
        Ok(content) => {
            let found = String::from_utf8_lossy(&content).lines().next().unwrap_or_default().to_owned();
            if found == FORMAT { Ok(true) } else { Err(Error::Format { path, found }) }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}

pub(crate) fn write_format(disk: &dyn Disk, dir: &Path) -> Result<(), Error> {
    let path = dir.join(FORMAT_FILE);
    if disk.read(&path).is_ok() {
        return Ok(());
    }
    replace(disk, dir, FORMAT_FILE, format!("{FORMAT}\n").as_bytes()).map_err(Error::io("write", &path))
}

/// Takes the lock of a data directory; it is held as long as the answer lives.
pub(crate) fn take_lock(disk: &dyn Disk, data_dir: &Path, wal_dir: &Path) -> Result<Box<dyn Lock>, Error> {
    let path = wal_dir.join("lock");
    disk.lock(&path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::Locked(data_dir.to_owned()),
        _ => Error::io("lock", &path)(error),
    })
}

fn load_hashes(disk: &dyn Disk, wal_dir: &Path, dedup: &mut Dedup, register: &Register) -> Result<(), Error> {
    let path = wal_dir.join(HASHES_FILE);
    match disk.read(&path) {
        Ok(content) => {
            if !dedup.load(&content) {
                register.note(&format!("{} is damaged: older payloads sent again are stored again", path.display()));
            }
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::io("read", &path)(error)),
    }
}
