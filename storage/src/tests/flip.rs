//! Every flipped bit of parts, entries, checkpoints and what stands beside them is found, by the file that has it; and
//! with it the store opens and serves everything else.
//!
//! The flips of the write-ahead log are protected elsewhere. `TRACELAKE_SOAK` multiplies them.

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::path::Path as Location;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tracelake_model::{ManualClock, Table, TenantId};

use crate::check::report::CheckAsk;
use crate::check::run::check_table;
use crate::disk::Disk;
use crate::files::disk::DiskFiles;
use crate::files::file::Files;
use crate::open;
use crate::seam::Seams;
use crate::simulation::SimDisk;
use crate::tests::parts::{part, put, times};
use crate::tests::rig::{LineDecoder, Rig, START, documents, rows};

const SEED: u64 = 20_261_121;
const FLIPS: u64 = 7_000;
/// One in so many is opened and read as a store too.
const SERVED: u64 = 20;

/// A store with several parts, entries and checkpoints per table, flushed whole.
fn store() -> Rig {
    let mut rig = Rig::closed();
    rig.config.checkpoint_every = 3;
    rig.reopen().expect("it opens");
    for number in 1..=7 {
        rig.send(&format!("logs {number}\naudit {number}")).expect("stored");
        rig.core().flush_step().expect("flushed");
        for table in [Table::Spans, Table::Metrics] {
            put(rig.core(), table, &part(rig.core(), table, &times(number * 1000, 30, 7), 3));
        }
    }
    rig
}

fn below(files: &dyn Files, dir: &Location, all: &mut Vec<Location>) {
    all.extend(files.list(dir).unwrap().into_iter().map(|file| dir.clone().join(file.name.as_str())));
    for name in files.directories(dir).unwrap() {
        below(files, &dir.clone().join(name.as_str()), all);
    }
}

fn kind(at: &Location) -> &'static str {
    let name = at.filename().unwrap_or_default();
    match name {
        _ if name.starts_with("part-") => "part",
        _ if name.ends_with(".json") => "entry",
        _ if name.ends_with(".checkpoint.parquet") => "checkpoint",
        _ => "beside a checkpoint",
    }
}

/// The texts or counts of every table.
fn content(files: &dyn Files, core: &crate::core::Core) -> BTreeMap<Table, Vec<(String, i64)>> {
    let snapshot = core.tail.lock().snapshot(&TenantId::default());
    let texts = [Table::Logs, Table::Audit].map(|table| (table, rows(files, &snapshot, table)));
    let counts = [Table::Spans, Table::Metrics].map(|table| {
        let parts = snapshot.parts(table).iter();
        (table, parts.map(|part| (part.location.to_string(), i64::try_from(part.rows).unwrap())).collect())
    });
    texts.into_iter().chain(counts).collect()
}

#[test]
fn every_flipped_bit_is_found_and_the_rest_is_served() {
    let factor = std::env::var("TRACELAKE_SOAK").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1);
    eprintln!("seed {SEED}, {} flips", FLIPS * factor);
    let rig = store();
    let (files, disk): (_, Arc<dyn Disk>) = (rig.files(), Arc::new(rig.disk.clone()));
    let want = content(files.as_ref(), rig.core());
    let mut all = Vec::new();
    below(files.as_ref(), &Location::from("default"), &mut all);
    all.sort();
    let mut kinds: BTreeMap<&str, Vec<&Location>> = BTreeMap::new();
    for at in &all {
        kinds.entry(kind(at)).or_default().push(at);
    }
    assert_eq!(kinds.len(), 4, "{kinds:?}");
    let kinds: Vec<_> = kinds.into_values().collect();
    let mut random = StdRng::seed_from_u64(SEED);
    let ask = CheckAsk { rows: false, repair: false };
    for number in 0..FLIPS * factor {
        let group = &kinds[random.random_range(0..kinds.len())];
        let at = group[random.random_range(0..group.len())];
        let whole = files.read(at).unwrap();
        let bit = random.random_range(0..whole.len() * 8);
        let mut content = whole.to_vec();
        content[bit / 8] ^= 1 << (bit % 8);
        files.replace(at, &content).unwrap();
        let table = Table::parse(at.parts().nth(1).unwrap().as_ref()).unwrap();
        let told = check_table((&disk, &files), (&TenantId::default(), table), ask).unwrap();
        let path = files.path(at).display().to_string();
        assert!(told.findings.iter().any(|finding| finding.path == path), "flip {number}: bit {bit} of {at}: {told:?}");
        if number % SERVED == 0 {
            serve(&rig, &all, table, &want, number);
        }
        files.replace(at, &whole).unwrap();
    }
    let told = [Table::Logs, Table::Audit, Table::Spans, Table::Metrics].map(|table| {
        check_table((&disk, &files), (&TenantId::default(), table), CheckAsk { rows: true, repair: false })
    });
    assert!(told.iter().all(|told| told.as_ref().unwrap().is_clean()), "what was flipped back is whole: {told:?}");
}

/// Opens the damaged store elsewhere: other tables are as they were; the damaged one has all of its rows, or says what
/// is missing once it is looked at.
fn serve(rig: &Rig, all: &[Location], table: Table, want: &BTreeMap<Table, Vec<(String, i64)>>, number: u64) {
    let disk = SimDisk::new(ManualClock::new(START));
    let files: Arc<dyn Files> = Arc::new(DiskFiles::new(Arc::new(disk.clone()), &rig.config.data_dir.join("data")));
    for at in all {
        files.replace(at, &rig.files().read(at).unwrap()).unwrap();
    }
    let seams = Seams {
        clock: Arc::new(rig.clock.clone()),
        decoder: Arc::new(LineDecoder),
        documents: documents(Arc::new(disk.clone()), &rig.config),
        disk: Arc::new(disk),
        files: Arc::clone(&files),
    };
    let core = open::open(rig.config.clone(), &seams).unwrap_or_else(|error| panic!("flip {number}: {error}"));
    core.check(CheckAsk { rows: false, repair: true }, &mut |_| true).unwrap();
    let found = content(files.as_ref(), &core);
    let rows = |rows: &[(String, i64)]| match table {
        Table::Logs | Table::Audit => rows.len() as u64,
        _ => rows.iter().map(|(_, rows)| u64::try_from(*rows).unwrap()).sum::<u64>(),
    };
    for (other, want) in want {
        if *other != table {
            assert!(found[other] == *want, "flip {number}: {other} is not as it was");
            continue;
        }
        let gaps = core.register.gaps(&TenantId::default(), table);
        let missing: u64 = gaps.iter().map(|gap| gap.rows).sum();
        let moved = gaps.iter().any(|gap| gap.rows == 0);
        assert!(
            moved || rows(&found[other]) + missing == rows(want),
            "flip {number}: {other} lost rows unheard: {gaps:?}"
        );
        assert!(found[other].iter().all(|row| want.contains(row)), "flip {number}: {other}");
    }
}
