//! A log that was cut short or damaged: what is wrong is told, what is sound is served, and the store goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::config::Config;
use crate::disk::Disk;
use crate::simulation::disk::Image;
use crate::tests::machine::{Machine, small};
use crate::tests::power::soak;
use crate::tests::script::{Script, Shape};
use crate::tests::tape::flush;
use crate::tests::truth::{Known, look};
use crate::wal::frame::{WalId, find_frames};
use crate::wal::id::Ids;
use crate::wal::reader::recover;
use crate::wal::segment::Segment;

const WAL: &str = "/lake/wal";
const SHAPE: Shape = Shape { tenants: 1, payloads: 120, text_bytes: 1500, with_spans: false };

/// A frame as it was written.
#[derive(Clone, Copy, Debug)]
struct Written {
    position: u64,
    payload: usize,
    /// Which segment, from the oldest.
    segment: usize,
    /// Its first byte, and the first that means nothing: the padding behind it may be anything.
    from: usize,
    to: usize,
    /// Where the next one begins.
    end: usize,
    /// The newest position that it says was durable.
    durable: u64,
}

/// A store whose log is known frame by frame.
struct Log {
    image: Image,
    config: Config,
    script: Arc<Script>,
    known: Known,
    id: WalId,
    segments: Vec<PathBuf>,
    frames: Vec<Written>,
}

fn segments(machine: &Machine) -> Vec<PathBuf> {
    let mut names = machine.disk().list(Path::new(WAL)).expect("a list");
    names.retain(|name| Segment::parse(name).is_some());
    names.sort();
    names.iter().map(|name| Path::new(WAL).join(name)).collect()
}

impl Log {
    /// Sends single requests until there are so many segments, the last one about `fill` full.
    fn new(seed: u64, segment_bytes: u64, count: usize, fill: f64) -> Self {
        let script = Arc::new(Script::new(seed, SHAPE));
        let mut machine = Machine::new(Config { wal_segment_bytes: segment_bytes, ..small() }, &script);
        machine.open().expect("it opens");
        let mut payloads = vec![usize::MAX];
        let is_filled = |machine: &Machine| {
            let segments = &machine.core().segments;
            let rest = segments.used_bytes().saturating_sub((count as u64 - 1) * segment_bytes);
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let filled = rest as f64 >= segment_bytes as f64 * fill;
            segments.count() == count && filled
        };
        while !is_filled(&machine) {
            let payload = machine.fresh(1)[0];
            machine.send(&[payload]).remove(0).expect("stored");
            payloads.push(payload);
        }
        let (id, segments) = (machine.core().ids.current(), segments(&machine));
        let mut frames = Vec::new();
        for (segment, path) in segments.iter().enumerate() {
            let content = machine.disk().read(path).expect("a segment");
            let generation = Segment::parse(path.file_name().and_then(|name| name.to_str()).expect("a name"));
            for spot in find_frames(id, generation.expect("a segment").generation, &content) {
                let (position, durable) = (spot.head.sequence, spot.head.durable);
                let payload = payloads[usize::try_from(position).expect("small")];
                let (_, body) = spot.body(id, &content).expect("sound");
                let (from, to, end) = (spot.offset, body.end, spot.offset + spot.head.frame_bytes());
                frames.push(Written { position, payload, segment, from, to, end, durable });
            }
        }
        assert_eq!(frames.len(), payloads.len() - 1);
        let (image, config, known) = (machine.disk().image(), machine.rig.config.clone(), machine.known.clone());
        Self { image, config, script, known, id, segments, frames }
    }

    fn machine(&self) -> Machine {
        Machine::of(&self.image, self.config.clone(), &self.script, self.known.clone())
    }

    /// Positions that must be told as lost, and whether each frame is served, when only some can be read.
    fn expected(&self, is_sound: impl Fn(&Written) -> bool) -> (Vec<u64>, Vec<bool>) {
        let last = self.segments.len() - 1;
        let sound = |frame: &&Written| is_sound(frame);
        let base = self.frames.iter().find(|frame| frame.segment == last).map_or(1, |frame| frame.position);
        // What the sound frames of the newest segment say, or its name.
        let newest = self.frames.iter().filter(sound).filter(|frame| frame.segment == last);
        let known = newest.map(|frame| frame.durable).max().unwrap_or(0).max(base - 1);
        let lost = |frame: &&Written| !is_sound(frame) && frame.position <= known;
        let torn = self.frames.iter().find(|frame| !is_sound(frame) && frame.position > known);
        let end = torn.map_or(u64::MAX, |frame| frame.position);
        let served = self.frames.iter().map(|frame| is_sound(frame) && frame.position < end).collect();
        (self.frames.iter().filter(lost).map(|frame| frame.position).collect(), served)
    }

    /// Opens a machine whose log was damaged; whether it tells and serves what it must, and goes on if `further`.
    fn check(&self, machine: &mut Machine, is_sound: impl Fn(&Written) -> bool, further: bool) -> Result<(), String> {
        let (lost, served) = self.expected(is_sound);
        machine.open()?;
        let told = machine.core().counters.damaged.load(Ordering::Relaxed);
        if told != lost.len() as u64 {
            return Err(format!("{told} frames are told as lost, and these are: {lost:?}"));
        }
        let found = look(&self.script, machine.core())?;
        for (frame, served) in self.frames.iter().zip(&served) {
            let rows = self.script.payloads[frame.payload].rows.clone();
            if rows.into_iter().any(|row| found[row].is_some() != *served) {
                return Err(format!("served: {served}, but not so: {frame:?}"));
            }
        }
        if further { self.go_on(machine, &served) } else { Ok(()) }
    }

    fn go_on(&self, machine: &mut Machine, served: &[bool]) -> Result<(), String> {
        let payload = machine.fresh(1)[0];
        machine.send(&[payload]).remove(0).map_err(|refusal| format!("refused: {refusal:?}"))?;
        flush(machine)?;
        machine.crash(1);
        machine.open()?;
        let found = look(&self.script, machine.core())?;
        let all = self.frames.iter().zip(served).map(|(frame, served)| (frame.payload, *served));
        for (payload, served) in all.chain([(payload, true)]) {
            if self.script.payloads[payload].rows.clone().any(|row| found[row].is_some() != served) {
                return Err(format!("after it went on, payload {payload} is not served: {served}"));
            }
        }
        Ok(())
    }
}

#[test]
fn a_log_cut_at_any_byte_of_its_last_segment_ends_there_and_goes_on() {
    let (since, log) = (Instant::now(), Log::new(1, 1 << 16, 1, 0.97));
    for cut in 0..1_usize << 16 {
        let mut machine = log.machine();
        machine.disk().damage(&log.segments[0], |content| content.truncate(cut));
        let checked = log.check(&mut machine, |frame| frame.end <= cut, cut.is_multiple_of(256));
        checked.unwrap_or_else(|error| panic!("cut at byte {cut}: {error}"));
    }
    eprintln!("{} cuts of {} frames in {:.1?}", 1 << 16, log.frames.len(), since.elapsed());
}

#[test]
fn a_log_cut_at_any_byte_of_an_earlier_segment_tells_what_is_lost_and_serves_the_rest() {
    let (since, log) = (Instant::now(), Log::new(2, 1 << 16, 2, 0.1));
    for cut in 0..1_usize << 16 {
        let machine = log.machine();
        machine.disk().damage(&log.segments[0], |content| content.truncate(cut));
        let mut found = Vec::new();
        let recovery = recover(machine.disk(), Path::new(WAL), &Ids::new(log.id), &mut |located| {
            found.push(located.position);
            Ok(())
        });
        let damage = recovery.unwrap_or_else(|error| panic!("cut at byte {cut}: {error}")).damage;
        let told: Vec<u64> = damage.into_iter().flat_map(|damage| damage.positions).collect();
        let (lost, served) = log.expected(|frame| frame.segment > 0 || frame.end <= cut);
        let served = log.frames.iter().zip(served).filter(|(_, served)| *served);
        let served: Vec<u64> = served.map(|(frame, _)| frame.position).collect();
        assert_eq!((told, found), (lost, served), "cut at byte {cut}");
    }
    eprintln!("{} cuts of {} frames in {:.1?}", 1 << 16, log.frames.len(), since.elapsed());
}

#[test]
fn a_flipped_bit_of_a_segment_costs_its_own_frame_at_most_and_is_told() {
    let seed = 7;
    let (since, log) = (Instant::now(), Log::new(seed, 1 << 14, 4, 0.5));
    let mut random = SmallRng::seed_from_u64(seed);
    let (mut costly, flips) = (0, 2_700 * soak());
    for flip in 0..flips {
        let segment = random.random_range(0..log.segments.len());
        let machine = log.machine();
        let content = machine.disk().read(&log.segments[segment]).expect("a segment");
        let (at, bit) = (random.random_range(0..content.len()), random.random_range(0..8));
        machine.disk().damage(&log.segments[segment], |content| content[at] ^= 1 << bit);
        let is_hit = |frame: &Written| frame.segment == segment && (frame.from..frame.to).contains(&at);
        costly += u64::from(log.frames.iter().any(is_hit));
        let mut machine = machine;
        let checked = log.check(&mut machine, |frame| !is_hit(frame), flip.is_multiple_of(32));
        checked.unwrap_or_else(|error| panic!("seed {seed}, bit {bit} of byte {at} of segment {segment}: {error}"));
    }
    assert!(costly > flips / 2, "only {costly} flips hit a frame");
    eprintln!("seed {seed}: {flips} flips, {costly} of them in frames, in {:.1?}", since.elapsed());
}

#[test]
fn a_flipped_bit_of_the_files_beside_the_segments_is_told_or_mended() {
    let seed = 8;
    let script = Arc::new(Script::new(seed, SHAPE));
    let mut machine = Machine::new(small(), &script);
    machine.open().expect("it opens");
    for _ in 0..40 {
        let payload = machine.fresh(1);
        machine.send(&payload).remove(0).expect("stored");
        flush(&machine).expect("flushed");
    }
    let (image, mut refused) = (machine.disk().image(), 0);
    let mut bits = 0;
    for path in ["/lake/FORMAT", "/lake/wal/id", "/lake/wal/hashes"].map(Path::new) {
        let size = machine.disk().read(path).expect("a file").len();
        for bit in (0..size * 8).step_by(if size > 100 { 61 } else { 1 }) {
            let mut machine = Machine::of(&image, small(), &script, machine.known.clone());
            machine.disk().damage(path, |content| content[bit / 8] ^= 1 << (bit % 8));
            bits += 1;
            match machine.open() {
                Ok(()) => machine.check().unwrap_or_else(|error| panic!("bit {bit} of {}: {error}", path.display())),
                Err(error) => {
                    assert!(error.contains("FORMAT") || error.contains("Damaged"), "bit {bit}: {error}");
                    refused += 1;
                }
            }
        }
    }
    eprintln!("seed {seed}: {bits} flips, {refused} of them refused to open");
}
