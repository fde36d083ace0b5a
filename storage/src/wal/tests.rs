//! The log alone on a disk that loses power and flips bits.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tracelake_model::{TenantId, UnixNano};

use crate::disk::Disk;
use crate::simulation::SimDisk;
use crate::wal::frame::{WalId, find_frames};
use crate::wal::header::{DerivedHeader, FrameHeader};
use crate::wal::id::Ids;
use crate::wal::reader::{Recovery, read_range, recover};
use crate::wal::segment::Segments;
use crate::wal::writer::{Frame, Writer};

const ID: WalId = WalId([7; 8]);
const SEGMENT_BYTES: u64 = 2048;
/// No sync comes by itself while a test runs.
const LAG: Duration = Duration::from_secs(3600);

fn dir() -> PathBuf {
    PathBuf::from("/wal")
}

fn frame(number: u64, size: usize) -> Frame {
    let header = FrameHeader::Derived(DerivedHeader {
        tenant: TenantId::default(),
        source: Arc::from("test"),
        position: number,
        received: UnixNano(0),
        rows: Vec::new(),
    });
    let mut bytes = Vec::new();
    header.encode(&mut bytes);
    Frame { header: bytes, payload: Bytes::from(vec![number.to_le_bytes()[0]; size]), observable: true }
}

struct Log {
    segments: Arc<Segments>,
    writer: Writer,
    /// Position and number of every frame that recovery gave back.
    found: Vec<(u64, u64)>,
    recovery: Recovery,
}

fn open(disk: &SimDisk) -> Log {
    disk.create_dir(&dir()).expect("a directory");
    let mut found = Vec::new();
    let recovery = recover(disk, &dir(), &Ids::new(ID), &mut |located| {
        let FrameHeader::Derived(header) = &located.header else { panic!("what was written") };
        assert!(located.payload.iter().all(|&byte| byte == header.position.to_le_bytes()[0]));
        found.push((located.position, header.position));
        Ok(())
    })
    .expect("it recovers");
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let segments = Segments::open(shared, &dir(), SEGMENT_BYTES, recovery.segments.clone()).expect("it opens");
    let writer = Writer::new(ID, Arc::clone(&segments), recovery.next, LAG);
    Log { segments, writer, found, recovery }
}

/// Groups of one to three frames until the power goes or `groups` are written; numbers of the durable ones.
fn write(log: &mut Log, next_number: &mut u64, groups: usize) -> Vec<(u64, u64)> {
    let mut durable = Vec::new();
    for group in 0..groups {
        let numbers: Vec<u64> = (0..=(group as u64 % 3)).map(|add| *next_number + add).collect();
        *next_number += numbers.len() as u64;
        let frames: Vec<_> = numbers.iter().map(|&number| frame(number, 50 + 300 * (group % 4))).collect();
        let Ok(first) = log.writer.append(&frames, true) else { break };
        durable.extend((first..).zip(numbers));
    }
    durable
}

#[test]
fn whenever_the_power_goes_recovery_gives_what_was_synced_and_at_most_a_beginning_of_the_rest() {
    for cut in 0..60 {
        for seed in 0..6 {
            let disk = SimDisk::default();
            let (mut number, mut truth) = (1, Vec::new());
            for round in 0..3 {
                let mut log = open(&disk);
                assert!(log.recovery.damage.is_empty(), "cut {cut} seed {seed}: {:?}", log.recovery.damage);
                assert_eq!(&log.found[..truth.len()], truth, "cut {cut} seed {seed} round {round}");
                let extra = &log.found[truth.len()..];
                assert!(extra.len() <= 3, "cut {cut} seed {seed}: one group may be uncertain, not more");
                truth.clone_from(&log.found);
                disk.cut_after(cut / (round + 1));
                truth.extend(write(&mut log, &mut number, 20));
                disk.crash(seed * 1000 + cut);
            }
            let positions: Vec<_> = open(&disk).found.iter().map(|(position, _)| *position).collect();
            assert!(positions.iter().copied().eq(1..=positions.len() as u64), "positions have no gap");
        }
    }
}

#[test]
fn what_is_not_synced_at_once_is_lost_from_the_end_only_and_never_what_a_sync_came_after() {
    let mut lost = 0;
    for seed in 0..400 {
        let mut random = SmallRng::seed_from_u64(seed);
        let disk = SimDisk::default();
        let (mut written, mut synced) = (Vec::new(), 0);
        for round in 0..3 {
            let mut log = open(&disk);
            assert!(log.recovery.damage.is_empty(), "seed {seed}: {:?}", log.recovery.damage);
            let found = log.found.len();
            assert!(found >= synced && written.starts_with(&log.found), "seed {seed} round {round}: {:?}", log.found);
            lost += written.len() - found;
            written.truncate(found);
            for _ in 0..random.random_range(1..30) {
                let number = 1000 * round + written.len() as u64;
                let at_once = random.random_bool(0.2);
                let frames = [frame(number, random.random_range(0..900)), frame(number + 1, 10)];
                let first = log.writer.append(&frames, at_once).expect("written");
                written.extend([(first, number), (first + 1, number + 1)]);
                if random.random_bool(0.1) {
                    log.writer.sync().expect("synced");
                }
                synced = usize::try_from(log.writer.durable()).expect("few");
                assert!(!at_once || synced == written.len(), "seed {seed}");
            }
            disk.crash(seed * 10 + round);
        }
    }
    assert!(lost > 100, "the power cuts cost nothing: {lost}");
}

#[test]
fn a_log_that_is_too_far_ahead_of_the_disk_is_synced_without_being_asked() {
    let disk = SimDisk::default();
    let mut log = open(&disk);
    for number in 1..=3000 {
        log.writer.append(&[frame(number, 1)], false).expect("written");
        assert!(number - log.writer.durable() <= 1024);
    }
    assert!(log.writer.durable() > 1024);
    let mut writer = Writer::new(ID, Arc::clone(&log.segments), 3001, Duration::ZERO);
    writer.append(&[frame(3001, 1)], false).expect("written");
    assert_eq!(writer.durable(), 3001, "its time is over at once");
}

#[test]
fn a_full_disk_costs_nothing_that_was_written_before() {
    let disk = SimDisk::default();
    let mut log = open(&disk);
    log.writer.append(&[frame(1, 10)], false).expect("written");
    disk.set_full(true);
    assert!(log.writer.append(&[frame(2, 5000)], false).is_err(), "no segment can be made");
    disk.set_full(false);
    disk.crash(4);
    assert_eq!(open(&disk).found, [(1, 1)]);
}

#[test]
fn a_torn_tail_is_not_corruption_and_its_positions_are_used_again() {
    let disk = SimDisk::default();
    let mut log = open(&disk);
    let mut number = 1;
    let durable = write(&mut log, &mut number, 2);
    disk.cut_after(1);
    assert!(log.writer.append(&[frame(90, 600), frame(91, 600)], true).is_err(), "the sync does not come");
    disk.crash(2);
    let mut log = open(&disk);
    assert!(log.recovery.damage.is_empty());
    assert_eq!(log.found[..durable.len()], durable[..]);
    let next = log.recovery.next;
    assert_eq!(log.writer.append(&[frame(100, 10)], true), Ok(next));
    let again = open(&disk);
    assert_eq!(again.found.last(), Some(&(next, 100)));
    assert!(again.found.iter().copied().map(|(position, _)| position).eq(1..=next), "no frame twice");
}

fn segment_paths(disk: &SimDisk) -> Vec<PathBuf> {
    let mut names: Vec<_> = disk.list(&dir()).expect("a list").into_iter().filter(|n| n.ends_with(".wal")).collect();
    names.sort();
    names.iter().map(|name| dir().join(name)).collect()
}

#[test]
fn flipped_bits_are_reported_and_cost_their_own_frame_only() {
    let disk = SimDisk::default();
    let mut log = open(&disk);
    let durable = write(&mut log, &mut 1, 12);
    let known = durable.len() as u64 - 3;
    for (path, generation) in segment_paths(&disk).iter().zip(1..) {
        let content = disk.read(path).expect("a segment");
        for spot in find_frames(ID, generation, &content) {
            if spot.head.sequence > known {
                continue;
            }
            for at in [spot.offset, spot.offset + 20, spot.offset + 41, spot.offset + 50, spot.offset + 80] {
                disk.flip(path, at);
                let log = open(&disk);
                let lost: Vec<_> = log.recovery.damage.iter().flat_map(|damage| damage.positions.clone()).collect();
                assert_eq!(lost, [spot.head.sequence], "byte {at} of {}", path.display());
                assert_eq!(log.found.len(), durable.len() - 1);
                disk.flip(path, at);
            }
        }
    }
}

#[test]
fn a_missing_segment_is_reported() {
    let disk = SimDisk::default();
    let durable = write(&mut open(&disk), &mut 1, 20);
    let paths = segment_paths(&disk);
    assert!(paths.len() > 3);
    disk.remove(&paths[1]).expect("removed");
    let log = open(&disk);
    let lost: u64 = log.recovery.damage.iter().map(|damage| damage.positions.clone().count() as u64).sum();
    assert!(lost > 0 && log.found.len() as u64 + lost == durable.len() as u64);
}

#[test]
fn segments_are_used_again_and_frames_of_their_earlier_use_never_come_back() {
    let disk = SimDisk::default();
    let mut log = open(&disk);
    let mut durable = write(&mut log, &mut 1, 24);
    for round in 0..5 {
        let used = log.segments.used_bytes();
        let middle = durable[durable.len() / 2].0;
        let last = log.segments.droppable(middle, Some(u64::MAX)).expect("old segments");
        assert!(last < middle);
        log.segments.drop_through(last).expect("dropped");
        assert!(log.segments.used_bytes() < used);
        durable.retain(|(position, _)| *position > last);
        let mut number = 50 * (round + 2);
        durable.extend(write(&mut log, &mut number, 24));
        disk.crash(round);
        log = open(&disk);
        assert!(log.recovery.damage.is_empty());
        assert_eq!(log.found, durable, "round {round}");
    }
    let files = disk.list(Path::new("/wal")).expect("a list").len();
    assert!(files < 40, "{files} files");
}

#[test]
fn segments_stay_for_tables_and_for_taps() {
    let disk = SimDisk::default();
    let mut log = open(&disk);
    let durable = write(&mut log, &mut 1, 24);
    let last = durable.last().expect("frames").0;
    assert_eq!(log.segments.droppable(1, None), None, "nothing is flushed");
    assert_eq!(log.segments.droppable(last + 1, Some(0)), None, "a tap has seen nothing");
    let taps = log.segments.droppable(last + 1, Some(last / 2)).expect("some");
    let all = log.segments.droppable(last + 1, None).expect("some");
    assert!(taps <= last / 2 && taps < all && all < last, "the newest segment stays: {taps} {all} {last}");
}

#[test]
fn a_range_is_read_again_in_order() {
    let disk = SimDisk::default();
    let mut log = open(&disk);
    let durable = write(&mut log, &mut 1, 24);
    let (from, to) = (durable[3].0, durable[30].0);
    let mut found = Vec::new();
    read_range(&disk, &Ids::new(ID), &log.segments.files(), from..=to, &mut |located| found.push(located.position))
        .expect("read");
    assert_eq!(found, (from..=to).collect::<Vec<_>>());
}

#[test]
fn a_range_is_read_by_the_piece_whatever_the_frames_and_the_damage() {
    let disk = SimDisk::default();
    let mut log = open(&disk);
    // Sizes that end pieces within heads and payloads; one that is longer than two pieces.
    let sizes = (0..24).map(|number| if number == 11 { 2_500_000 } else { 149_990 + 8 * number });
    let frames: Vec<Frame> = (1..).zip(sizes).map(|(number, size)| frame(number, size)).collect();
    log.writer.append(&frames, true).expect("a group");
    let read = |from: u64, to: u64| {
        let (mut found, mut bytes) = (Vec::new(), 0);
        read_range(&disk, &Ids::new(ID), &log.segments.files(), from..=to, &mut |located| {
            assert!(located.payload.iter().all(|&byte| byte == located.position.to_le_bytes()[0]));
            found.push(located.position);
            bytes += located.payload.len();
        })
        .expect("read");
        (found, bytes)
    };
    let all: usize = frames.iter().map(|frame| frame.payload.len()).sum();
    assert_eq!(read(1, 24), ((1..=24).collect(), all));
    assert_eq!(read(12, 13).0, [12, 13]);
    let (_, path) = log.segments.files().into_iter().next_back().expect("a segment");
    let content = disk.read(&path).expect("content");
    let spots = find_frames(ID, log.segments.files()[0].0.generation, &content);
    // The head of the sixth and the payload of the ninth.
    let file = disk.open(&path).expect("a file");
    file.write_at(spots[5].offset as u64 + 20, &[0xff]).expect("written");
    file.write_at(spots[8].offset as u64 + 5_000, &[0xff]).expect("written");
    let left: Vec<u64> = (1..=24).filter(|position| ![6, 9].contains(position)).collect();
    assert_eq!(read(1, 24).0, left);
}

#[test]
fn a_frame_larger_than_a_segment_is_taken() {
    let disk = SimDisk::default();
    let mut log = open(&disk);
    assert_eq!(log.writer.append(&[frame(1, 10_000)], true), Ok(1));
    assert_eq!(log.writer.append(&[frame(2, 10)], true), Ok(2));
    assert_eq!(open(&disk).found, [(1, 1), (2, 2)]);
}
