//! A damaged file is found, taken out of service and told; everything else is served, and nothing is deleted.

use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path as Location;
use tracelake_model::{Table, TenantId, UnixNano};

use crate::check::report::{CheckAsk, CheckReport, FindingKind};
use crate::check::run::check_directory;
use crate::core::Core;
use crate::disk::Disk;
use crate::files::file::Files;
use crate::tests::parts::live;
use crate::tests::rig::Rig;

const KEEP: Duration = Duration::from_secs(3600);
const LOOK: CheckAsk = CheckAsk { rows: true, repair: false };
const REPAIR: CheckAsk = CheckAsk { rows: true, repair: true };

/// Changes one bit of a file.
fn flip(files: &dyn Files, at: &Location, bit: usize) {
    let mut content = files.read(at).unwrap().to_vec();
    let bit = bit % (content.len() * 8);
    content[bit / 8] ^= 1 << (bit % 8);
    files.replace(at, &content).unwrap();
}

/// A store with three flushed parts of logs and audit records.
fn rig() -> Rig {
    let rig = Rig::new();
    for number in 1..=3 {
        rig.send(&format!("logs {number}\naudit {number}")).expect("stored");
        rig.core().flush_step().expect("flushed");
    }
    rig
}

fn quarantined(core: &Core, table: Table) -> Vec<String> {
    let found = core.files.list(&Location::from(format!("_quarantine/default/{table}"))).unwrap();
    let mut names: Vec<_> = found.into_iter().map(|file| file.name).filter(|name| name.ends_with(".parquet")).collect();
    names.sort();
    names
}

/// A check of the directory as the command makes it, with the server ended.
fn check(rig: &Rig, ask: CheckAsk) -> CheckReport {
    let (disk, files): (Arc<dyn Disk>, _) = (Arc::new(rig.disk.clone()), rig.files());
    check_directory((&disk, &files), &rig.config.data_dir, &rig.clock, ask, &mut |_| true).unwrap()
}

#[test]
fn a_damaged_part_is_taken_out_of_service_kept_and_told_also_after_a_restart() {
    let mut rig = rig();
    let tenant = TenantId::default();
    let part = Arc::clone(&live(rig.core(), Table::Logs)[1]);
    assert!(!rig.core().suspect(&tenant, Table::Logs, &part).unwrap(), "it is whole");
    flip(rig.core().files.as_ref(), &part.location, 4321);
    let damaged = rig.core().files.read(&part.location).unwrap();
    assert!(rig.core().suspect(&tenant, Table::Logs, &part).unwrap());
    assert!(rig.core().suspect(&tenant, Table::Logs, &part).unwrap(), "it is gone");
    for _ in 0..2 {
        assert_eq!(rig.texts(Table::Logs), ["1", "3"]);
        assert_eq!(rig.texts(Table::Audit), ["1", "2", "3"]);
        let snapshot = rig.core().tail.lock().snapshot(&tenant).with_damage(&rig.core().register);
        assert_eq!((snapshot.gaps(Table::Logs).len(), snapshot.gaps(Table::Audit).len()), (1, 0));
        let gap = &snapshot.gaps(Table::Logs)[0];
        assert_eq!((gap.rows, gap.time_min, gap.part.as_str()), (1, part.time_min.0, part.location.as_ref()));
        assert_eq!(rig.core().register.sentences().len(), 1);
        rig.clock.set(UnixNano(i64::MAX / 2));
        rig.core().sweep_step(KEEP).unwrap();
        rig.core().sweep_orphans().unwrap();
        let kept = quarantined(rig.core(), Table::Logs);
        assert_eq!(kept.len(), 1);
        let at = Location::from(format!("_quarantine/default/logs/{}", kept[0]));
        assert_eq!(rig.core().files.read(&at).unwrap(), damaged);
        rig.reopen().expect("it opens");
    }
}

#[test]
fn a_part_on_its_way_to_quarantine_is_in_one_of_both_places_wherever_the_power_goes() {
    for cut in 0.. {
        let mut rig = rig();
        let part = Arc::clone(&live(rig.core(), Table::Logs)[1]);
        flip(rig.core().files.as_ref(), &part.location, 99);
        rig.disk.cut_after(cut);
        let done = rig.core().suspect(&TenantId::default(), Table::Logs, &part).is_ok();
        rig.crash(cut);
        rig.clock.set(UnixNano(i64::MAX / 2));
        rig.core().sweep_step(KEEP).unwrap();
        rig.core().sweep_orphans().unwrap();
        let is_live = live(rig.core(), Table::Logs).contains(&part);
        assert!(is_live || quarantined(rig.core(), Table::Logs).len() == 1, "cut {cut}");
        assert!(!is_live || rig.core().files.read(&part.location).is_ok(), "cut {cut}");
        assert!(is_live || rig.core().register.gaps(&TenantId::default(), Table::Logs).len() == 1, "cut {cut}");
        rig.core().suspect(&TenantId::default(), Table::Logs, &part).expect("it is done in the end");
        assert_eq!(rig.texts(Table::Logs), ["1", "3"], "cut {cut}");
        if done {
            return;
        }
    }
}

#[test]
fn a_part_whose_file_is_gone_is_found_at_the_start_and_a_damaged_one_within_the_round() {
    let rig = rig();
    let parts = live(rig.core(), Table::Logs);
    rig.core().files.remove(&parts[0].location).unwrap();
    rig.core().look_for_parts().unwrap();
    assert_eq!(rig.texts(Table::Logs), ["2", "3"]);
    assert_eq!(rig.core().scrub_step(&mut |_| true).unwrap(), 0, "nothing is due");
    flip(rig.core().files.as_ref(), &parts[1].location, 7777);
    rig.clock.advance(rig.config.scrub_every * 2);
    assert_eq!(rig.core().scrub_step(&mut |_| true).unwrap(), 5);
    assert_eq!(rig.texts(Table::Logs), ["3"]);
    assert_eq!(rig.core().scrub_step(&mut |_| true).unwrap(), 0, "the round is over");
    assert_eq!(rig.core().register.gaps(&TenantId::default(), Table::Logs).len(), 2);
}

#[test]
fn a_table_whose_log_is_damaged_is_out_of_service_and_everything_else_goes_on() {
    let mut rig = rig();
    rig.send("logs 4").expect("stored");
    flip(rig.core().files.as_ref(), &Location::from("default/logs/_delta_log/00000000000000000001.json"), 1234);
    rig.reopen().expect("the rest is served");
    let tenant = TenantId::default();
    let snapshot = || rig.core().tail.lock().snapshot(&tenant).with_damage(&rig.core().register);
    assert!(snapshot().out_of_service(Table::Logs).is_some());
    assert_eq!(snapshot().out_of_service(Table::Audit), None);
    assert_eq!(rig.texts(Table::Audit), ["1", "2", "3"]);
    rig.send("logs 5\naudit 5").expect("appends are durable");
    assert!(rig.core().flush_step().is_err(), "the rows of logs stay in the log");
    assert_eq!(live(rig.core(), Table::Audit).len(), 4, "others are flushed");
    rig.reopen().expect("again");
    let told = check(&rig, LOOK);
    let kinds: Vec<_> = told.findings.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [FindingKind::Entry], "{}", told.to_text());
    assert!(!told.is_clean());
    // Online repair: what was in parts is in quarantine, what is in the log is served.
    let told = rig.core().check(REPAIR, &mut |_| true).unwrap();
    assert!(told.is_clean(), "{}", told.to_text());
    let all = ["1", "2", "3", "4", "5"];
    assert_eq!(rig.texts(Table::Logs), all, "the log still had what the parts had");
    rig.core().flush_step().expect("flushed");
    rig.send("logs 6\naudit 6").expect("stored");
    rig.reopen().expect("it opens");
    assert_eq!(rig.texts(Table::Logs), [&all[..], &["6"]].concat());
    let told = check(&rig, LOOK);
    assert!(told.is_clean(), "{}", told.to_text());
    assert_eq!(told.findings.len(), 1, "it is still said what is missing: {}", told.to_text());
}

#[test]
fn audit_numbers_go_on_when_the_table_begins_anew_offline() {
    let mut rig = rig();
    flip(rig.core().files.as_ref(), &Location::from("default/audit/_delta_log/00000000000000000001.json"), 1234);
    let told = check(&rig, REPAIR);
    assert!(told.is_clean(), "{}", told.to_text());
    assert!(check(&rig, LOOK).is_clean());
    rig.reopen().expect("it opens");
    assert_eq!(rig.texts(Table::Audit), ["1", "2", "3"], "the log still had them");
    rig.send("audit 4").expect("stored");
    assert_eq!(rig.rows(Table::Audit).last(), Some(&("4".to_owned(), 4)));
    assert_eq!(rig.texts(Table::Logs), ["1", "2", "3"]);
}

#[test]
fn a_check_tells_damage_of_every_kind_and_repair_puts_it_right() {
    let rig = rig();
    let (disk, dir) = (&rig.disk, rig.config.data_dir.clone());
    let write = |path: &str, content: &[u8]| {
        let path = dir.join(path);
        let (parent, name) = (path.parent().unwrap(), path.file_name().unwrap().to_str().unwrap());
        disk.create_dir(parent).unwrap();
        crate::disk::replace(disk, parent, name, content).unwrap();
    };
    assert!(check(&rig, LOOK).is_clean(), "{}", check(&rig, LOOK).to_text());
    write("documents/default/rules/good.json", b"{\"id\":\"good\"}");
    write("documents/default/rules/bad.json", b"{\"id\":");
    write("FORMAT", b"tracelake 3\n");
    write("wal/hashes", b"TLHASH01xxxx");
    let parts = live(rig.core(), Table::Logs);
    flip(rig.core().files.as_ref(), &parts[0].location, 555);
    let told = check(&rig, LOOK);
    let mut kinds: Vec<_> = told.findings.iter().map(|finding| format!("{:?}", finding.kind)).collect();
    kinds.sort();
    assert_eq!(kinds, ["Document", "Format", "Hashes", "Part"], "{}", told.to_text());
    assert_eq!((told.documents, told.tables.len()), (2, 2));
    let told = check(&rig, REPAIR);
    assert!(told.is_clean(), "{}", told.to_text());
    let told = check(&rig, LOOK);
    assert!(told.is_clean() && told.findings.len() == 1, "{}", told.to_text());
}
