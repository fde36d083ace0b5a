//! A backup holds what was acknowledged before the call, shares parts with earlier ones, and becomes a store again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path as Location;
use tracelake_model::{Clock as _, Table, TenantId, UnixNano};

use crate::backup::repository::Repository;
use crate::backup::restore::{RestoreAsk, RestoreReport, restore_on};
use crate::backup::take::{BackupAsk, BackupReport};
use crate::check::report::CheckAsk;
use crate::check::run::check_directory;
use crate::core::Core;
use crate::disk::Disk;
use crate::error::Error;
use crate::files::disk::DiskFiles;
use crate::files::file::Files;
use crate::tests::parts::live;
use crate::tests::rig::Rig;

const REPOSITORY: &str = "/backups";

fn ask(keep: Option<usize>) -> BackupAsk {
    BackupAsk { to: PathBuf::from(REPOSITORY), keep, copy: false }
}

fn back_up(core: &Core, keep: Option<usize>) -> Result<BackupReport, Error> {
    core.back_up(&ask(keep), &mut || Ok(vec![("alerting/journal".to_owned(), "state".into())]), &mut |_| true)
}

fn disk(rig: &Rig) -> Arc<dyn Disk> {
    Arc::new(rig.disk.clone())
}

fn restore(rig: &Rig, at: Option<UnixNano>, to: &str) -> Result<RestoreReport, Error> {
    let ask = RestoreAsk { from: PathBuf::from(REPOSITORY), at, to: PathBuf::from(to), skip_damaged: false };
    restore_on(&disk(rig), &ask, &rig.clock, &mut |_| true)
}

/// The same store over another directory of the same disk.
fn elsewhere(rig: &Rig, dir: &str) -> Rig {
    let mut other = Rig::closed();
    (other.disk, other.clock) = (rig.disk.clone(), rig.clock.clone());
    other.config.data_dir = PathBuf::from(dir);
    other
}

fn send(rig: &Rig, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        rig.send(&format!("logs {number}\naudit {number}")).expect("stored");
    }
}

fn texts(numbers: std::ops::RangeInclusive<u32>) -> Vec<String> {
    let mut texts: Vec<_> = numbers.map(|number| number.to_string()).collect();
    texts.sort();
    texts
}

fn files_in_repository(rig: &Rig) -> usize {
    fn below(files: &dyn Files, dir: &Location) -> usize {
        let here = files.list(dir).unwrap().len();
        let names = files.directories(dir).unwrap();
        here + names.iter().map(|name| below(files, &dir.clone().join(name.as_str()))).sum::<usize>()
    }
    below(&DiskFiles::new(disk(rig), Path::new(REPOSITORY)), &Location::from("parts"))
}

#[test]
fn a_backup_becomes_a_store_with_what_was_acknowledged_before_it_and_goes_on() {
    let mut rig = Rig::closed();
    rig.config.checkpoint_every = 3;
    rig.reopen().expect("it opens");
    send(&rig, 1..=4);
    rig.send_derived(4).expect("stored");
    for number in 5..=9 {
        send(&rig, number..=number);
        rig.core().flush_step().expect("flushed");
    }
    send(&rig, 10..=10);
    let report = back_up(rig.core(), None).expect("made");
    assert_eq!((report.parts_shared, report.alerting_behind), (0, false));
    assert_eq!(report.rows.iter().map(|(_, rows)| rows).sum::<u64>(), 21);
    // What comes after is not in it, whatever happens to the store.
    send(&rig, 11..=12);
    rig.core().flush_step().expect("flushed");
    rig.core().compact_step(&mut || true).expect("merged");
    let made = restore(&rig, None, "/other").expect("restored");
    assert_eq!((made.id, made.rows), (report.id, report.rows));
    let files: Arc<dyn Files> = Arc::new(DiskFiles::new(disk(&rig), Path::new("/other/data")));
    let look = CheckAsk { rows: true, repair: false };
    let told = check_directory((&disk(&rig), &files), Path::new("/other"), &rig.clock, look, &mut |_| true).unwrap();
    assert!(told.is_clean() && told.findings.is_empty(), "{}", told.to_text());
    let mut other = elsewhere(&rig, "/other");
    let old = rig.core().tail.lock().visible();
    other.reopen().expect("it opens");
    assert_ne!(other.core().ids.current(), rig.core().ids.current());
    assert_eq!(other.texts(Table::Logs), texts(1..=10));
    assert_eq!(other.texts(Table::Exceptions), ["e4"]);
    assert_eq!(rig.disk.read(Path::new("/other/alerting/journal")).unwrap(), b"state");
    // A retry within the window is known, one of what came after the backup is not; numbers and positions go on.
    assert!(other.send("logs 7\naudit 7").expect("known").duplicate);
    let receipt = other.send("logs 12\naudit 12").expect("stored");
    assert!(!receipt.duplicate && receipt.position.0 >= old - 4, "{receipt:?} after {old}");
    assert_eq!(other.rows(Table::Audit).iter().map(|(_, seq)| *seq).max(), Some(11));
    assert!(other.send_derived(4).expect("known").duplicate, "the stream goes on under the new id");
    assert!(!other.send_derived(5).expect("stored").duplicate);
    other.core().flush_step().expect("flushed");
    other.reopen().expect("it opens again");
    assert_eq!(other.texts(Table::Logs).len(), 11);
}

#[test]
fn later_backups_share_parts_any_of_them_restores_and_pruning_keeps_what_is_named() {
    let rig = Rig::new();
    let mut times = Vec::new();
    for round in 1..=4_u32 {
        send(&rig, round * 10..=round * 10 + 2);
        rig.clock.advance(Duration::from_secs(60));
        let report = back_up(rig.core(), None).expect("made");
        assert_eq!(report.parts_shared, u64::from(round - 1) * 2, "{report:?}");
        assert_eq!(report.parts_linked, 2);
        times.push(rig.clock.now());
        rig.clock.advance(Duration::from_secs(60));
    }
    assert_eq!(files_in_repository(&rig), 8);
    for (number, at) in (1..=4).zip(&times) {
        let dir = format!("/at-{number}");
        restore(&rig, Some(*at), &dir).expect("restored");
        let mut other = elsewhere(&rig, &dir);
        other.reopen().expect("it opens");
        assert_eq!(other.texts(Table::Logs).len(), number * 3);
    }
    let before = rig.clock.now().minus(Duration::from_secs(86_400));
    assert!(matches!(restore(&rig, Some(before), "/none"), Err(Error::Backup(_))));
    assert!(matches!(restore(&rig, None, "/at-1"), Err(Error::Backup(_))), "it is not empty");
    // Parts that were merged are named by older backups only.
    rig.clock.advance(Duration::from_secs(86_400));
    while rig.core().compact_step(&mut || true).expect("merged") {}
    let report = back_up(rig.core(), Some(2)).expect("made");
    assert_eq!(report.removed, 3);
    assert_eq!(files_in_repository(&rig), 10, "two of the merge, eight of the backup before");
    let report = back_up(rig.core(), Some(1)).expect("made");
    assert_eq!((report.removed, report.parts_shared, files_in_repository(&rig)), (2, 2, 2));
    restore(&rig, None, "/last").expect("restored");
    let mut other = elsewhere(&rig, "/last");
    other.reopen().expect("it opens");
    assert_eq!(other.texts(Table::Logs).len(), 12);
}

#[test]
fn a_backup_that_the_power_ended_is_none_and_the_next_one_is_whole() {
    for cut in (0..).step_by(3) {
        let mut rig = Rig::new();
        send(&rig, 1..=3);
        back_up(rig.core(), None).expect("made");
        send(&rig, 4..=5);
        rig.disk.cut_after(cut);
        let ended = back_up(rig.core(), None).is_ok();
        rig.crash(cut);
        let repository = Repository::open(&disk(&rig), Path::new(REPOSITORY)).expect("it opens");
        let (backups, _) = repository.backups().expect("listed");
        assert!(!ended || backups.len() == 2, "cut {cut}");
        // Whatever is listed restores.
        for (number, backup) in backups.iter().enumerate() {
            let dir = format!("/again-{number}");
            restore(&rig, Some(UnixNano(backup.at)), &dir).unwrap_or_else(|error| panic!("cut {cut}: {error}"));
            let mut other = elsewhere(&rig, &dir);
            other.reopen().expect("it opens");
            assert_eq!(other.texts(Table::Logs), texts(1..=[3, 5][number]), "cut {cut}");
        }
        let report = back_up(rig.core(), Some(1)).expect("made");
        assert!(report.removed >= 1, "cut {cut}");
        restore(&rig, None, "/last").expect("restored");
        let mut other = elsewhere(&rig, "/last");
        other.reopen().expect("it opens");
        assert_eq!(other.texts(Table::Logs), texts(1..=5), "cut {cut}");
        if ended {
            return;
        }
    }
}

#[test]
fn damage_is_never_copied_nor_restored() {
    let rig = Rig::new();
    for number in 1..=3 {
        send(&rig, number..=number);
        rig.core().flush_step().expect("flushed");
    }
    let flip = |files: &dyn Files, at: &Location| {
        let mut content = files.read(at).unwrap().to_vec();
        content[100] ^= 4;
        files.replace(at, &content).unwrap();
    };
    let parts = live(rig.core(), Table::Logs);
    flip(rig.core().files.as_ref(), &parts[1].location);
    let copying = BackupAsk { copy: true, ..ask(None) };
    let report = rig.core().back_up(&copying, &mut || Ok(Vec::new()), &mut |_| true).expect("made");
    assert_eq!(report.rows, [("default/audit".to_owned(), 3), ("default/logs".to_owned(), 2)]);
    assert_eq!(rig.core().register.gaps(&TenantId::default(), Table::Logs).len(), 1, "and it is in quarantine");
    let repository = DiskFiles::new(disk(&rig), Path::new(REPOSITORY));
    let copied = Repository::part(parts[2].location.as_ref());
    flip(&repository, &copied);
    assert!(matches!(restore(&rig, None, "/strict"), Err(Error::Damaged { .. })));
    assert!(elsewhere(&rig, "/strict").reopen().is_err(), "half a restore is not opened");
    let (from, to) = (PathBuf::from(REPOSITORY), PathBuf::from("/lenient"));
    let lenient = RestoreAsk { from, at: None, to, skip_damaged: true };
    let made = restore_on(&disk(&rig), &lenient, &rig.clock, &mut |_| true).expect("restored");
    assert_eq!(made.damaged, [parts[2].location.to_string()]);
    let mut other = elsewhere(&rig, "/lenient");
    other.reopen().expect("it opens");
    other.core().look_for_parts().expect("looked");
    assert_eq!(other.texts(Table::Logs), ["1"]);
    assert_eq!(other.core().register.gaps(&TenantId::default(), Table::Logs).len(), 1);
}

#[test]
fn a_repository_is_no_place_that_holds_something_else() {
    let rig = Rig::new();
    send(&rig, 1..=1);
    rig.disk.create_dir(Path::new("/photos")).unwrap();
    crate::disk::replace(&rig.disk, Path::new("/photos"), "cat.jpg", b"x").unwrap();
    let to = |to: &str| BackupAsk { to: PathBuf::from(to), keep: None, copy: false };
    for place in ["/photos", "/server/backups", "/"] {
        let made = rig.core().back_up(&to(place), &mut || Ok(Vec::new()), &mut |_| true);
        assert!(matches!(made, Err(Error::Backup(_))), "{place}");
    }
}
