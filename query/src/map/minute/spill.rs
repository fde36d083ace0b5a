//! Spans that do not fit into memory, put aside on disk in bins: all of a trace in one, in the order in which they came.
//!
//! A span is written as
//!
//! ```text
//! bytes of all u32 | trace 16 | span u64 | parent u64 | start i64 | duration i64 | service u32 | name u32 | peer u32 |
//! adjusted f32 | kind i8 | status i8 | role u8 | kind of the peer u8 | links u32 | (trace 16 | span u64) x links |
//! (bytes u32 | text) x texts that have no number
//! ```
//!
//! Little-endian; read by the process that wrote it, so it has no version. The first texts have numbers as in the set that
//! they came from, the others stand with their spans: memory is bounded however many there are.
//! Deliberately knows nothing of who counts what (`pass.rs`).

use std::io;

use tracelake_storage::Scratch;

use crate::map::node::NodeKind;
use crate::map::parent::Link;
use crate::map::role::Role;
use crate::map::span::{NONE, Span, SpanSet, Target};

/// Bits of a hash that choose among bins.
pub(crate) const BIN_BITS: u32 = 6;
/// Bins of one level.
pub(crate) const BINS: usize = 1 << BIN_BITS;
/// Bytes that a bin gathers before it writes them.
const PIECE_BYTES: usize = 32 << 10;
/// Bytes of texts that have a number.
const TEXT_BYTES_MAX: usize = 2 << 20;
/// The number of a text that stands with its span.
const BESIDE: u32 = u32::MAX - 1;
/// Bytes before the links.
const HEAD_BYTES: usize = 76;

/// A hash of which all bits are equally good (the finalizer of MurmurHash3).
pub(crate) fn mixed(number: u64) -> u64 {
    let mut hash = number;
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// The hash of a trace.
pub(crate) fn trace_hash(id: &[u8; 16]) -> u64 {
    let (halves, _) = id.as_chunks::<8>();
    halves.iter().fold(0, |hash, half| mixed(hash ^ u64::from_le_bytes(*half)))
}

/// One written span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a>(&'a [u8]);

impl<'a> Record<'a> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0[at..].first_chunk().copied().unwrap_or([0; N])
    }

    fn number(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    /// Its trace's id.
    pub(crate) fn trace(&self) -> [u8; 16] {
        self.array(4)
    }

    /// Its id.
    pub(crate) fn span(&self) -> u64 {
        u64::from_le_bytes(self.array(20))
    }

    /// The id it names as its parent.
    pub(crate) fn parent(&self) -> u64 {
        u64::from_le_bytes(self.array(28))
    }

    /// The part it plays.
    pub(crate) fn role(&self) -> Role {
        Role::ALL.get(usize::from(self.0[70])).copied().unwrap_or(Role::Plain)
    }

    /// Traces and spans that it links to.
    pub(crate) fn links(self) -> impl Iterator<Item = ([u8; 16], u64)> + use<'a> {
        let links = self.0[HEAD_BYTES..].chunks_exact(24).take(place(self.number(72)));
        links.map(move |link| {
            let (trace, span) = link.split_at(16);
            let span = span.first_chunk().map_or(0, |span| u64::from_le_bytes(*span));
            (trace.first_chunk().copied().unwrap_or_default(), span)
        })
    }

    fn texts(self) -> Texts<'a> {
        Texts(self.0.get(HEAD_BYTES + 24 * place(self.number(72))..).unwrap_or_default())
    }

    /// Its service's place in a set that knows the numbered texts.
    pub(crate) fn service(self, set: &mut SpanSet) -> u32 {
        service(set, self.number(52), &mut self.texts())
    }

    /// Takes it into a set that knows the numbered texts.
    pub(crate) fn restore(self, set: &mut SpanSet) {
        let mut texts = self.texts();
        let service = service(set, self.number(52), &mut texts);
        let name = match self.number(56) {
            BESIDE => set.names.intern_text(texts.take()),
            name => name,
        };
        let peer = match self.number(60) {
            BESIDE => {
                let kind = NodeKind::ALL.get(usize::from(self.0[71])).copied().unwrap_or(NodeKind::External);
                set.peers.intern((kind, texts.take().to_owned()))
            }
            peer => peer,
        };
        let targets: Vec<Target> =
            self.links().map(|(trace, span)| Target { trace: set.traces.intern(trace), span }).collect();
        let links = set.link_to(targets);
        let kind = i8::from_le_bytes(self.array(68));
        set.spans.push(Span {
            trace: set.traces.intern(self.trace()),
            link: Link { span: self.span(), parent: self.parent(), kind, service },
            start: i64::from_le_bytes(self.array(36)),
            duration_ns: i64::from_le_bytes(self.array(44)),
            name,
            peer,
            links,
            adjusted: f32::from_le_bytes(self.array(64)),
            status: i8::from_le_bytes(self.array(69)),
            role: self.role(),
            is_folded: false,
            matched: false,
        });
    }
}

fn service(set: &mut SpanSet, number: u32, texts: &mut Texts<'_>) -> u32 {
    if number == BESIDE { set.services.intern_text(texts.take()) } else { number }
}

/// Texts that stand with a span.
struct Texts<'a>(&'a [u8]);

impl<'a> Texts<'a> {
    fn take(&mut self) -> &'a str {
        let bytes = self.0.first_chunk().map_or(0, |bytes| place(u32::from_le_bytes(*bytes)));
        let text = self.0.get(4..4 + bytes).unwrap_or_default();
        self.0 = self.0.get(4 + bytes..).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

/// The written spans of a piece of a bin.
pub(crate) fn records(piece: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut rest = piece;
    std::iter::from_fn(move || {
        let bytes = place(u32::from_le_bytes(*rest.first_chunk()?));
        let (record, next) = rest.split_at_checked(bytes.max(HEAD_BYTES))?;
        rest = next;
        Some(Record(record))
    })
}

/// Which texts have numbers: the first ones of a set's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    services: usize,
    names: usize,
    peers: usize,
}

impl Known {
    /// Those that every set begins with.
    const NONE: Self = Self { services: 0, names: 0, peers: 2 };

    /// Gives numbers to more of a set's texts as long as there is room.
    fn extend(&mut self, set: &SpanSet) {
        let fits = |held: usize| held <= TEXT_BYTES_MAX;
        // All or none of what one reading brought.
        if fits(set.services.bytes()) {
            self.services = set.services.len();
        }
        if fits(set.names.bytes()) {
            self.names = set.names.len();
        }
        if fits(set.peers.bytes()) {
            self.peers = set.peers.len();
        }
    }

    /// Forgets a set's spans, and its texts but those that have numbers.
    pub(crate) fn clear(self, set: &mut SpanSet) {
        set.clear();
        set.services.truncate(self.services);
        set.names.truncate(self.names);
        set.peers.truncate(self.peers);
    }

    fn write(self, set: &SpanSet, span: &Span, buffer: &mut Vec<u8>) {
        let begin = buffer.len();
        let number =
            |place: u32, known: usize| if place == NONE || self::place(place) < known { place } else { BESIDE };
        let service = number(span.link.service, self.services);
        let (name, peer) = (number(span.name, self.names), number(span.peer, self.peers));
        let links = set.links_of(span);
        buffer.extend([0; 4]);
        buffer.extend(set.traces.get(span.trace));
        buffer.extend(span.link.span.to_le_bytes());
        buffer.extend(span.link.parent.to_le_bytes());
        buffer.extend(span.start.to_le_bytes());
        buffer.extend(span.duration_ns.to_le_bytes());
        [service, name, peer].iter().for_each(|number| buffer.extend(number.to_le_bytes()));
        buffer.extend(span.adjusted.to_le_bytes());
        buffer.extend(span.link.kind.to_le_bytes());
        buffer.extend(span.status.to_le_bytes());
        let peer_kind = if peer == BESIDE { set.peers.get(span.peer).0 } else { NodeKind::External };
        buffer.extend([span.role as u8, peer_kind as u8]);
        buffer.extend(bytes(links.len()).to_le_bytes());
        for link in links {
            buffer.extend(set.traces.get(link.trace));
            buffer.extend(link.span.to_le_bytes());
        }
        let mut text = |text: &str| {
            buffer.extend(bytes(text.len()).to_le_bytes());
            buffer.extend(text.as_bytes());
        };
        if service == BESIDE {
            text(set.services.get(span.link.service));
        }
        if name == BESIDE {
            text(set.names.get(span.name));
        }
        if peer == BESIDE {
            text(&set.peers.get(span.peer).1);
        }
        let length = bytes(buffer.len() - begin);
        buffer[begin..begin + 4].copy_from_slice(&length.to_le_bytes());
    }
}

/// Bins of one level.
#[derive(Debug)]
pub(crate) struct Bins(Vec<Bin>);

/// Where some written spans are: their offset and bytes.
pub(crate) type Piece = (u64, usize);

/// Written spans.
#[derive(Debug, Default)]
pub(crate) struct Bin {
    gathered: Vec<u8>,
    /// In the order in which they were written.
    pub(crate) pieces: Vec<Piece>,
    /// How many there are.
    pub(crate) spans: usize,
}

impl Bin {
    fn flush(&mut self, scratch: &mut Scratch) -> io::Result<()> {
        if !self.gathered.is_empty() {
            self.pieces.push((scratch.append(&self.gathered)?, self.gathered.len()));
            self.gathered.clear();
        }
        Ok(())
    }

    fn wrote(&mut self, scratch: &mut Scratch) -> io::Result<()> {
        self.spans += 1;
        if self.gathered.len() >= PIECE_BYTES { self.flush(scratch) } else { Ok(()) }
    }
}

impl Bins {
    fn new() -> Self {
        Self((0..BINS).map(|_| Bin::default()).collect())
    }

    /// The bins.
    pub(crate) fn all(&self) -> &[Bin] {
        &self.0
    }

    fn finish(&mut self, scratch: &mut Scratch) -> io::Result<()> {
        self.0.iter_mut().try_for_each(|bin| {
            bin.flush(scratch)?;
            bin.gathered = Vec::new();
            Ok(())
        })
    }
}

/// Which of [`BINS`] bins a hash belongs to, by the bits of a level.
pub(crate) fn bin_of(hash: u64, level: u32) -> usize {
    let bits = (hash >> (level * BIN_BITS)) & (BINS as u64 - 1);
    usize::try_from(bits).unwrap_or(0)
}

/// Spans put aside.
#[derive(Debug)]
pub(crate) struct Spill {
    scratch: Scratch,
    /// Which texts have numbers.
    pub(crate) known: Known,
    /// By trace.
    pub(crate) first: Bins,
}

impl Spill {
    /// None yet.
    pub(crate) fn new(scratch: Scratch) -> Self {
        Self { scratch, known: Known::NONE, first: Bins::new() }
    }

    /// Puts all spans of a set that is not sealed aside, and forgets them there.
    pub(crate) fn take(&mut self, set: &mut SpanSet) -> io::Result<()> {
        self.known.extend(set);
        for span in &set.spans {
            let bin = &mut self.first.0[bin_of(trace_hash(set.traces.get(span.trace)), 0)];
            self.known.write(set, span, &mut bin.gathered);
            bin.wrote(&mut self.scratch)?;
        }
        self.known.clear(set);
        Ok(())
    }

    /// Nothing more is put aside.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.first.finish(&mut self.scratch)
    }

    /// A piece of a bin.
    pub(crate) fn piece(&self, (offset, bytes): Piece) -> io::Result<Vec<u8>> {
        self.scratch.read(offset, bytes)
    }

    /// Deals the spans of some pieces to bins of another level, by what `hash` says of each.
    pub(crate) fn deal(&mut self, pieces: &[Piece], level: u32, hash: fn(Record<'_>) -> u64) -> io::Result<Bins> {
        let mut bins = Bins::new();
        for piece in pieces {
            let piece = self.piece(*piece)?;
            for record in records(&piece) {
                let bin = &mut bins.0[bin_of(hash(record), level)];
                bin.gathered.extend(record.0);
                bin.wrote(&mut self.scratch)?;
            }
        }
        bins.finish(&mut self.scratch)?;
        Ok(bins)
    }
}

fn place(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn bytes(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::span::Detail;

    fn set() -> SpanSet {
        SpanSet::new(Detail { names: true, peers: true })
    }

    #[test]
    fn spans_come_back_as_they_were_with_texts_by_number_and_beside() {
        let mut from = set();
        let mut buffer = Vec::new();
        let mut known = Known::NONE;
        for number in 0..8_u32 {
            let trace = from.traces.intern([u8::try_from(number % 3).expect("small"); 16]);
            let links = (0..number % 4).map(|span| Target { trace, span: u64::from(span) }).collect();
            let links = from.link_to(links);
            from.spans.push(Span {
                trace,
                link: Link {
                    span: u64::from(number),
                    parent: u64::MAX - u64::from(number),
                    kind: 4,
                    service: from.services.intern_text(&format!("service {number}")),
                },
                start: i64::MIN + i64::from(number),
                duration_ns: i64::from(number) << 40,
                name: if number == 5 { NONE } else { from.names.intern_text(&format!("name {number}")) },
                peer: match number {
                    6 => NONE,
                    _ => from.peers.intern((NodeKind::ALL[place(number % 5)], format!("peer {number}"))),
                },
                links,
                adjusted: 1.5,
                status: 2,
                role: Role::ALL[place(number % 7)],
                is_folded: false,
                matched: false,
            });
            if number == 3 {
                known.extend(&from);
            }
        }
        from.spans.iter().for_each(|span| known.write(&from, span, &mut buffer));
        let shown = |set: &SpanSet| {
            let span = |span: &Span| {
                let links: Vec<_> =
                    set.links_of(span).iter().map(|link| (*set.traces.get(link.trace), link.span)).collect();
                let texts = (
                    set.services.get(span.link.service).to_string(),
                    (span.name != NONE).then(|| set.names.get(span.name).to_string()),
                    (span.peer != NONE).then(|| set.peers.get(span.peer).clone()),
                );
                let ids = (*set.traces.get(span.trace), span.link.span, span.link.parent, span.link.kind);
                let rest = (span.start, span.duration_ns, span.adjusted, span.status, span.role);
                format!("{ids:?} {rest:?} {texts:?} {links:?}")
            };
            set.spans.iter().map(span).collect::<Vec<_>>()
        };
        let before = shown(&from);
        known.clear(&mut from);
        assert_eq!((from.spans.len(), from.names.len(), from.peers.len()), (0, 4, 6));
        records(&buffer).for_each(|record| record.restore(&mut from));
        assert_eq!(shown(&from), before);
        let first = records(&buffer).nth(3).expect("a record");
        assert_eq!((first.links().count(), first.role(), first.span()), (3, Role::ALL[3], 3));
        let service = first.service(&mut from);
        assert_eq!(from.services.get(service).as_ref(), "service 3");
    }
}
