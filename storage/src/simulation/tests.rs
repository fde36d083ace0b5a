//! The simulated disk keeps what a real one keeps for certain, and loses all that a real one may lose.

use std::collections::BTreeSet;
use std::path::Path;

use crate::disk::{Disk, DiskFile};
use crate::simulation::SimDisk;
use crate::simulation::fault::{Fault, Lasting};

const DIR: &str = "/d";

fn disk() -> SimDisk {
    let disk = SimDisk::default();
    disk.create_dir(Path::new(DIR)).expect("made");
    disk
}

fn at(name: &str) -> std::path::PathBuf {
    Path::new(DIR).join(name)
}

/// A file of 8 KiB whose bytes are all `byte`, durable.
fn filled(disk: &SimDisk, name: &str, byte: u8) -> std::sync::Arc<dyn DiskFile> {
    let file = disk.create(&at(name), 8192).expect("created");
    file.write_at(0, &[byte; 8192]).expect("written");
    file.sync_data().expect("synced");
    disk.sync_dir(Path::new(DIR)).expect("synced");
    file
}

/// What `look` sees after each of many crashes of the same moment.
fn outcomes<T: Ord>(disk: &SimDisk, look: impl Fn(&SimDisk) -> T) -> BTreeSet<T> {
    let image = disk.image();
    let crashed = |seed| {
        let disk = SimDisk::of(&image, tracelake_model::ManualClock::new(image.now));
        disk.crash(seed);
        look(&disk)
    };
    (0..400).map(crashed).collect()
}

#[test]
fn what_is_synced_stays_and_the_image_is_untouched_by_what_comes_after() {
    let disk = disk();
    let file = filled(&disk, "a", 1);
    let image = disk.image();
    file.write_at(0, &[2; 8192]).expect("written");
    disk.remove(&at("a")).expect("removed");
    assert!(disk.read(&at("a")).is_err());
    let earlier = SimDisk::of(&image, tracelake_model::ManualClock::new(image.now));
    earlier.crash(7);
    assert_eq!(earlier.read(&at("a")).expect("there"), [1; 8192]);
    assert_eq!(disk.recorded().len(), 1, "nothing was recorded but the end");
}

#[test]
fn an_unsynced_write_vanishes_stays_tears_at_sectors_and_pages_and_is_overtaken() {
    let disk = disk();
    let file = filled(&disk, "a", 1);
    file.write_at(0, &[2; 4096]).expect("written");
    file.write_at(4096, &[3; 4096]).expect("written");
    let seen = outcomes(&disk, |disk| {
        let content = disk.read(&at("a")).expect("there");
        content
            .chunks(512)
            .map(|sector| {
                assert!(sector.iter().all(|byte| *byte == sector[0]), "a sector is written whole or not");
                sector[0]
            })
            .collect::<Vec<_>>()
    });
    let pages = |first: u8, second: u8| [[first; 8], [second; 8]].concat();
    for whole in [pages(1, 1), pages(2, 3), pages(1, 3), pages(2, 1)] {
        assert!(seen.contains(&whole), "{whole:?}");
    }
    assert!(seen.iter().any(|sectors| sectors[..2] == [2, 1]), "torn at a sector");
    assert!(seen.iter().any(|sectors| sectors[..2] == [1, 2]), "a later sector without an earlier one");
}

#[test]
fn a_new_length_may_stand_without_its_content() {
    let disk = disk();
    filled(&disk, "other", 9);
    let file = disk.create(&at("a"), 0).expect("created");
    disk.sync_dir(Path::new(DIR)).expect("synced");
    file.write_at(0, &[1; 1024]).expect("written");
    let seen = outcomes(&disk, |disk| disk.read(&at("a")).expect("there"));
    for content in [vec![], vec![1; 1024], vec![0; 1024], vec![9; 1024], [vec![1; 512], vec![0; 512]].concat()] {
        assert!(seen.contains(&content), "{} bytes, first {:?}", content.len(), content.first());
    }
}

#[test]
fn names_come_and_go_in_order_a_rename_at_once_and_each_directory_by_itself() {
    let disk = disk();
    filled(&disk, "a", 1);
    disk.create_dir(Path::new("/e")).expect("made");
    disk.rename(&at("a"), &at("b")).expect("renamed");
    disk.link(&at("b"), &at("c")).expect("linked");
    disk.remove(&at("b")).expect("removed");
    disk.create(Path::new("/e/f"), 0).expect("created");
    let seen = outcomes(&disk, |disk| {
        let mut names = disk.list(Path::new(DIR)).expect("a list");
        names.extend(disk.list(Path::new("/e")).expect("a list"));
        names.concat()
    });
    let all: Vec<&str> = seen.iter().map(String::as_str).collect();
    assert_eq!(all, ["a", "af", "b", "bc", "bcf", "bf", "c", "cf"]);
}

#[test]
fn a_directory_without_a_durable_name_is_gone_with_all_in_it() {
    let disk = disk();
    disk.fail_after(1, Fault::Device, Lasting::Once);
    assert!(disk.create_dir(&at("sub")).is_err(), "its name is not synced");
    disk.create(&at("sub").join("f"), 100).expect("created");
    disk.sync_dir(&at("sub")).expect("synced");
    let seen = outcomes(&disk, |disk| disk.read(&at("sub").join("f")).is_ok());
    assert_eq!(seen, BTreeSet::from([false, true]));
}

#[test]
fn a_failed_sync_forgets_what_it_had_and_a_later_one_does_not_bring_it_back() {
    let disk = disk();
    let file = filled(&disk, "a", 1);
    file.write_at(0, &[2; 512]).expect("written");
    disk.fail_next_sync();
    assert!(file.sync_data().is_err());
    file.write_at(512, &[3; 512]).expect("written");
    file.sync_data().expect("synced");
    assert_eq!(disk.read(&at("a")).expect("there")[..1024], [[2; 512], [3; 512]].concat());
    disk.crash(1);
    assert_eq!(disk.read(&at("a")).expect("there")[..1024], [[1; 512], [3; 512]].concat());
}

#[test]
fn every_changing_operation_fails_when_told_to_once_or_on_and_short_writes_stay() {
    let run = |disk: &SimDisk| {
        let first = disk.create(&at("a"), 512).and_then(|file| file.write_at(0, &[5; 400])).is_ok();
        let second = disk.link(&at("a"), &at("b")).and_then(|()| disk.rename(&at("b"), &at("c"))).is_ok();
        let third = disk.sync_dir(Path::new(DIR)).is_ok();
        (u8::from(first) + u8::from(second) + u8::from(third), disk.remove(&at("c")).is_ok())
    };
    for fault in [Fault::Device, Fault::Space] {
        for (lasting, ok) in [(Lasting::Once, 2), (Lasting::On, 0)] {
            let told = disk();
            told.fail_after(0, fault, lasting);
            assert_eq!(run(&told).0, ok - u8::from(lasting == Lasting::Once), "{fault:?} {lasting:?}");
            assert_eq!(told.list(Path::new(DIR)).expect("a list").len(), 0);
        }
    }
    let before = disk();
    let start = before.operations();
    assert_eq!(run(&before), (3, true));
    assert_eq!(before.operations() - start, 8, "create, zeros, sync, write, link, rename, names, remove");
    let short = disk();
    let file = filled(&short, "a", 1);
    let lengths: BTreeSet<usize> = (0..4)
        .map(|_| {
            short.fail_after(0, Fault::Space, Lasting::Once);
            file.write_at(0, &[7; 8]).expect_err("no space");
            let written = short.read(&at("a")).expect("there").iter().filter(|byte| **byte == 7).count();
            short.mend();
            written
        })
        .collect();
    assert!(lengths.len() > 1 && lengths.iter().all(|written| *written < 8), "{lengths:?}");
}
