//! Reading a log: recovery at start, and a range of positions again for taps that fell behind.
//!
//! Recovery tells a torn tail (never acknowledged: the log ends there) from corruption (reported and stepped over);
//! `mod.rs` says how. It reads one segment at a time into memory; a range is read by the piece, since requests come in
//! meanwhile.

use std::io;
use std::ops::{ControlFlow, RangeInclusive};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::disk::Disk;
use crate::error::Error;
use crate::wal::frame::{ALIGN, Next, Spot, WalId, find_frames, next_frame};
use crate::wal::header::FrameHeader;
use crate::wal::id::Ids;
use crate::wal::segment::Segment;

/// Bytes of a segment that are in memory while a range is read.
const PIECE_BYTES: usize = 1 << 20;

/// A sound frame.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    /// Its place in the log.
    pub(crate) position: u64,
    /// Whether a sync is known to have covered it before it was read; else one will before the log is open.
    pub(crate) durable: bool,
    /// Its header.
    pub(crate) header: FrameHeader,
    /// Its payload, a slice of its segment.
    pub(crate) payload: Bytes,
}

/// Frames that were durable once and cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Which positions.
    pub(crate) positions: RangeInclusive<u64>,
    /// Where they should stand.
    pub(crate) path: PathBuf,
}

/// What recovery found.
#[derive(Debug)]
pub(crate) struct Recovery {
    /// The segments, oldest first.
    pub(crate) segments: Vec<Segment>,
    /// The position that the next frame gets.
    pub(crate) next: u64,
    /// What is lost. Empty after any number of crashes; only a failing disk makes damage.
    pub(crate) damage: Vec<Damage>,
}

/// Reads a whole log in order of positions, handing each sound frame to `each`. What stood there without being known
/// as durable is written again and synced, so that it may count from now on.
pub(crate) fn recover(
    disk: &dyn Disk,
    dir: &Path,
    ids: &Ids,
    each: &mut dyn FnMut(Located) -> Result<(), Error>,
) -> Result<Recovery, Error> {
    walk(disk, dir, ids, each, true)
}

/// Reads a whole log that no server uses, as [`recover`] does, and writes nothing.
pub(crate) fn inspect(
    disk: &dyn Disk,
    dir: &Path,
    ids: &Ids,
    each: &mut dyn FnMut(Located) -> Result<(), Error>,
) -> Result<Recovery, Error> {
    walk(disk, dir, ids, each, false)
}

/// Looks at segments of a running log as they were listed: how many frames are sound, and which are not. What is
/// recycled meanwhile is left out.
pub(crate) fn inspect_running(
    disk: &dyn Disk,
    ids: &Ids,
    files: &[(Segment, PathBuf)],
) -> Result<(u64, Vec<Damage>), Error> {
    let (mut sound, mut damage) = (0, Vec::new());
    for (segment, path) in files.iter().filter(|(segment, _)| segment.last >= segment.base) {
        let content = match disk.read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            content => content.map_err(Error::io("read", path))?,
        };
        let id = ids.of(segment.base);
        let mut missing: std::collections::BTreeSet<u64> = (segment.base..=segment.last).collect();
        for spot in find_frames(id, segment.generation, &content) {
            let is_sound = spot.body(id, &content).is_some_and(|(header, _)| FrameHeader::decode(header).is_ok());
            sound += u64::from(is_sound && missing.remove(&spot.head.sequence));
        }
        // Under its name stands what it was when it was listed, unless it was recycled under the read.
        if disk.about(path).is_ok() {
            let lost =
                missing.into_iter().map(|position| Damage { positions: position..=position, path: path.clone() });
            damage.extend(lost);
        }
    }
    Ok((sound, damage))
}

fn walk(
    disk: &dyn Disk,
    dir: &Path,
    ids: &Ids,
    each: &mut dyn FnMut(Located) -> Result<(), Error>,
    writes: bool,
) -> Result<Recovery, Error> {
    let names = disk.list(dir).map_err(Error::io("list", dir))?;
    let mut segments: Vec<Segment> = names.iter().filter_map(|name| Segment::parse(name)).collect();
    segments.sort_by_key(|segment| segment.generation);
    let known = known_durable(disk, dir, ids, &segments)?;
    let expected = segments.first().map_or(ids.first(), |segment| segment.base);
    let mut walk = Walk { id: ids.current(), known, expected, ended: false, damage: Vec::new(), each };
    let mut at = 0;
    while at < segments.len() {
        let limit = segments.get(at + 1).map_or(u64::MAX, |next| next.base);
        let segment = &mut segments[at];
        let path = dir.join(segment.file_name());
        let content = Bytes::from(disk.read(&path).map_err(Error::io("read", &path))?);
        segment.bytes = content.len() as u64;
        walk.id = ids.of(segment.base);
        let uncertain = walk.segment(segment, limit, &path, &content)?;
        if writes {
            keep(disk, &path, &content, &uncertain).map_err(Error::io("write", &path))?;
        }
        at += 1;
    }
    let (path, end) = (dir.to_owned(), walk.known);
    if walk.expected <= end && !walk.ended {
        walk.lost(end, &path);
    }
    let next = walk.expected.max(known + 1).max(ids.first());
    Ok(Recovery { segments, next, damage: walk.damage })
}

/// The greatest position that the log itself proves to have been durable.
fn known_durable(disk: &dyn Disk, dir: &Path, ids: &Ids, segments: &[Segment]) -> Result<u64, Error> {
    let mut known = segments.last().map_or(0, |segment| segment.base.saturating_sub(1));
    // Frames of the newest segment that holds any prove more than all earlier ones.
    for segment in segments.iter().rev() {
        let path = dir.join(segment.file_name());
        let content = disk.read(&path).map_err(Error::io("read", &path))?;
        let spots = find_frames(ids.of(segment.base), segment.generation, &content);
        if let Some(durable) = spots.iter().map(|spot| spot.head.durable).max() {
            known = known.max(durable);
            break;
        }
    }
    Ok(known)
}

/// Writes frames again that may be in the system's memory only, and syncs: a page whose write-back failed counts as
/// clean, so a sync alone would prove nothing.
fn keep(disk: &dyn Disk, path: &Path, content: &[u8], uncertain: &[Spot]) -> io::Result<()> {
    if uncertain.is_empty() {
        return Ok(());
    }
    let file = disk.open(path)?;
    for spot in uncertain {
        let frame = &content[spot.offset..spot.offset + spot.head.frame_bytes()];
        file.write_at(spot.offset as u64, frame)?;
    }
    file.sync_data()
}

struct Walk<'a> {
    /// Of the segment that is walked.
    id: WalId,
    known: u64,
    expected: u64,
    ended: bool,
    damage: Vec<Damage>,
    each: &'a mut dyn FnMut(Located) -> Result<(), Error>,
}

impl Walk<'_> {
    /// Walks one segment; the frames that count from now on but were not known as durable.
    fn segment(&mut self, segment: &mut Segment, limit: u64, path: &Path, content: &Bytes) -> Result<Vec<Spot>, Error> {
        let mut uncertain = Vec::new();
        if segment.base > self.expected && !self.ended {
            self.lost(segment.base - 1, path);
        }
        for spot in find_frames(self.id, segment.generation, content) {
            let sequence = spot.head.sequence;
            if sequence >= limit || self.ended {
                break;
            }
            if sequence < self.expected {
                continue;
            }
            if sequence > self.expected && !self.lost(sequence - 1, path) {
                break;
            }
            let Some(located) = read(self.id, self.known, spot, content, path) else {
                if self.lost(sequence, path) {
                    continue;
                }
                break;
            };
            if sequence > self.known {
                uncertain.push(spot);
            }
            if located.header.observable() {
                segment.observable = sequence;
            }
            self.expected = sequence + 1;
            (self.each)(located)?;
        }
        segment.last = segment.last.max(self.expected - 1);
        Ok(uncertain)
    }

    /// Frames from the expected one to `last` are missing. Whether reading goes on: damage that was durable is stepped
    /// over, a torn tail ends the log.
    fn lost(&mut self, last: u64, path: &Path) -> bool {
        let end = last.min(self.known);
        if self.expected <= end {
            let positions = self.expected..=end;
            tracing::error!(path = %path.display(), ?positions, "acknowledged frames of the log are damaged");
            self.damage.push(Damage { positions, path: path.to_owned() });
            self.expected = end + 1;
        }
        self.ended = last > self.known;
        !self.ended
    }
}

fn read(id: WalId, known: u64, spot: Spot, content: &Bytes, path: &Path) -> Option<Located> {
    let (header, payload) = spot.body(id, content)?;
    match FrameHeader::decode(header) {
        Ok(header) => Some(Located {
            position: spot.head.sequence,
            durable: spot.head.sequence <= known,
            header,
            payload: content.slice(payload),
        }),
        Err(detail) => {
            tracing::error!(path = %path.display(), position = spot.head.sequence, detail, "unreadable frame");
            None
        }
    }
}

/// Reads the sound frames of `positions` again, in order. The positions are durable; frames that are gone meanwhile
/// are left out.
pub(crate) fn read_range(
    disk: &dyn Disk,
    ids: &Ids,
    files: &[(Segment, PathBuf)],
    positions: RangeInclusive<u64>,
    each: &mut dyn FnMut(Located),
) -> Result<(), Error> {
    for (at, (segment, path)) in files.iter().enumerate() {
        let limit = files.get(at + 1).map_or(u64::MAX, |(next, _)| next.base);
        if segment.last < *positions.start() || segment.base > *positions.end() {
            continue;
        }
        let id = ids.of(segment.base);
        let mut wanted = |spot: Spot, piece: &Bytes| {
            let sequence = spot.head.sequence;
            if sequence >= limit || sequence > *positions.end() {
                return ControlFlow::Break(());
            }
            if sequence >= *positions.start() {
                let body = spot.body(id, piece);
                let body = body.and_then(|(header, payload)| Some((FrameHeader::decode(header).ok()?, payload)));
                match body {
                    Some((header, payload)) => {
                        each(Located { position: sequence, durable: true, header, payload: piece.slice(payload) });
                    }
                    None => tracing::error!(path = %path.display(), sequence, "a frame cannot be read again"),
                }
            }
            ControlFlow::Continue(())
        };
        match read_pieces(disk, path, (id, segment.generation), &mut wanted) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            read => read.map_err(Error::io("read", path))?,
        }
    }
    Ok(())
}

/// Hands on the frames of a segment's use with the piece that holds each, until told to stop. Pieces have
/// [`PIECE_BYTES`], or the bytes of a frame that is longer.
fn read_pieces(
    disk: &dyn Disk,
    path: &Path,
    (id, generation): (WalId, u64),
    each: &mut dyn FnMut(Spot, &Bytes) -> ControlFlow<()>,
) -> io::Result<()> {
    let file = disk.open(path)?;
    let size = file.bytes()?;
    let (mut start, mut want) = (0, PIECE_BYTES);
    while start < size {
        let piece = Bytes::from(file.read_at(start, want)?);
        let is_last = piece.len() < want || start + piece.len() as u64 >= size;
        let mut offset = 0;
        loop {
            match next_frame(id, generation, &piece, offset) {
                Next::Whole(spot) => {
                    if each(spot, &piece).is_break() {
                        return Ok(());
                    }
                    offset = spot.offset + spot.head.frame_bytes();
                }
                Next::Cut(spot) if is_last => offset = spot.offset + ALIGN,
                Next::Cut(spot) => {
                    (offset, want) = (spot.offset, spot.head.frame_bytes().max(PIECE_BYTES));
                    break;
                }
                Next::None(_) if is_last => return Ok(()),
                Next::None(end) => {
                    (offset, want) = (end, PIECE_BYTES);
                    break;
                }
            }
        }
        start += offset as u64;
    }
    Ok(())
}
