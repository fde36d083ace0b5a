//! Counts the spans of a range minute by minute in bounded memory, however many there are.
//!
//! As long as they fit they are counted at once. What does not fit is read once, too, and put aside on disk by trace
//! (`spill.rs`); then some bins after the other are loaded and counted, each a pass. Edges join spans of a trace, so passes
//! add up; what joins traces, links and messages that another span worked on, is looked up in the other bins.
//!
//! A pass that turns out too large is split, in the end down to a single trace. Of a trace that alone is too large the
//! spans count in services and operations, its edges are not drawn, and its minutes say so ([`Tally::torn`]).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::DataFusionError;
use futures::TryStreamExt;
use tracelake_model::column::START_UNIX_NANO;
use tracelake_model::{Table, TimeRange, UnixNano};
use tracelake_storage::{Part, Snapshot};

use crate::engine::{Engine, Scan};
use crate::error::Error;
use crate::map::edge::{incomplete, unfound};
use crate::map::load::{beyond, near};
use crate::map::minute::margin::Margin;
use crate::map::minute::pace::Pace;
use crate::map::minute::row::OPERATIONS_MAX;
use crate::map::minute::spill::{BIN_BITS, Bins, Piece, Record, Spill, bin_of, mixed, records, trace_hash};
use crate::map::minute::tally::Tally;
use crate::map::role::Role;
use crate::map::span::{Detail, SpanSet};
use crate::view::column::int;

/// Bytes of spans that a pass may hold in memory.
pub(crate) const PASS_BYTES: usize = 16 << 20;
/// About the bytes of a span in memory with its share of what it names.
const SPAN_BYTES: usize = 112;
/// Spans that are gathered before they are put aside, as a share of a pass.
const GATHERED_SHARE: usize = 8;
/// With fewer spans around a range all of them are read.
pub(crate) const MARGIN_MIN: u64 = 50_000;
/// What is near a longer range is little beside it.
const MARGIN_RANGE_MAX: Duration = Duration::from_secs(300);
/// Traces that were linked to but not found, of which a block tells.
const UNFOUND_MAX: usize = 20_000;
/// Levels of bins: by so many times [`BIN_BITS`] of a hash traces are told apart, then spans.
const LEVELS: u32 = 3;
/// Traces that are looked for in older parts at once.
const TRACES_AT_ONCE: usize = 16_384;
/// Longest reading of a range's spans: there is no hurry, but it must end.
const READ_SECONDS: u64 = 3600;
/// What is read of a span.
const DETAIL: Detail = Detail { names: true, peers: true };

/// What is to be counted.
pub(crate) struct Ask<'a> {
    pub(crate) engine: &'a Engine,
    /// Parts of spans.
    pub(crate) snapshot: &'a Arc<Snapshot>,
    /// Whole minutes.
    pub(crate) range: TimeRange,
    /// Bytes of spans that may be in memory, about.
    pub(crate) bytes_max: usize,
    /// With fewer spans in parts around the range it does not pay to look which of them are worth reading.
    pub(crate) margin_min: u64,
}

/// What was counted.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    /// By the start of the minute.
    pub(crate) tallies: BTreeMap<i64, Tally>,
    /// Traces that were linked to, but not found (their hashes), and the minutes of the links.
    pub(crate) unfound: BTreeSet<(u64, i64)>,
    /// In so many passes.
    pub(crate) passes: u64,
}

/// Counts; `None` when it was told to end.
pub(crate) async fn count(ask: Ask<'_>, pace: &mut Pace<'_>) -> Result<Option<Counted>, Error> {
    let set = SpanSet::new(DETAIL);
    let margin = margin(&ask).await?;
    let mut counter = Counter { ask, margin, set, spill: None, levels: Vec::new(), counted: Counted::default() };
    let goes_on = counter.run(pace).await?;
    Ok(goes_on.then_some(counter.counted))
}

/// What of the spans near the range is worth reading; `None` where that is not worth finding out.
async fn margin(ask: &Ask<'_>) -> Result<Option<Arc<Margin>>, Error> {
    let near = near(ask.range);
    let is_around = |part: &&Arc<Part>| part.time_max >= near.start && part.time_min < near.end;
    let spans: u64 = ask.snapshot.parts(Table::Spans).iter().filter(is_around).map(|part| part.rows).sum();
    if spans < ask.margin_min || ask.range.start.plus(MARGIN_RANGE_MAX) < ask.range.end {
        return Ok(None);
    }
    Margin::of(ask.engine, ask.snapshot, ask.range, READ_SECONDS).await.map(Some)
}

/// Some bins of a level.
#[derive(Clone, Copy, Debug)]
struct Class {
    /// Place in [`Counter::levels`] of what its bins are of; `None` for the first level.
    of: Option<usize>,
    from: usize,
    to: usize,
}

/// Bins into which one bin was dealt.
#[derive(Debug)]
struct Level {
    bins: Bins,
    /// Which bits of a hash choose among them.
    number: u32,
    /// The bits below are these.
    prefix: u64,
    /// Whether all is of one trace that is too large, and the hashes those of spans.
    torn: bool,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Done,
    /// It does not fit.
    TooLarge,
    /// It was told to end.
    End,
}

struct Counter<'a> {
    ask: Ask<'a>,
    margin: Option<Arc<Margin>>,
    set: SpanSet,
    spill: Option<Spill>,
    levels: Vec<Level>,
    counted: Counted,
}

impl Counter<'_> {
    async fn run(&mut self, pace: &mut Pace<'_>) -> Result<bool, Error> {
        let mut step = self.read(self.ask.bytes_max, pace).await?;
        if step == Step::Done && self.spill.is_none() {
            self.set.seal();
            step = self.relatives(pace).await?;
            if step == Step::Done {
                self.count_set(false);
                return Ok(true);
            }
            if step == Step::TooLarge {
                self.set = SpanSet::new(DETAIL);
                step = self.read(0, pace).await?;
            }
        }
        let mut classes = match (step, &mut self.spill) {
            (Step::Done, Some(spill)) => {
                spill.finish().map_err(failed)?;
                grouped(None, &spill.first, self.ask.bytes_max)
            }
            (step, _) => return Ok(step != Step::End),
        };
        while let Some(class) = classes.pop() {
            match self.load(class, pace).await? {
                Step::Done => self.count_set(self.is_torn(class)),
                Step::TooLarge => self.split(class, &mut classes)?,
                Step::End => return Ok(false),
            }
            if !pace.turn() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads what starts near the range. Puts it aside once it takes more than `bytes_max`.
    async fn read(&mut self, bytes_max: usize, pace: &mut Pace<'_>) -> Result<Step, Error> {
        let range = near(self.ask.range);
        let filter = self.margin.as_ref().map(Margin::filter);
        let scan = Scan {
            columns: DETAIL.columns(),
            filter,
            as_stored: true,
            range,
            seconds: Some(READ_SECONDS),
            ..Scan::default()
        };
        let mut stream = self.ask.engine.rows_at(self.ask.snapshot, Table::Spans, scan).await?;
        let mut limit = bytes_max;
        while let Some(batch) = stream.try_next().await? {
            self.set.push(&batch);
            if self.set.bytes() > limit {
                self.put_aside()?;
                // What stays are texts that have numbers.
                limit = self.set.bytes() + self.ask.bytes_max / GATHERED_SHARE;
            }
            if !pace.turn() {
                return Ok(Step::End);
            }
        }
        if self.spill.is_some() {
            self.put_aside()?;
        }
        Ok(Step::Done)
    }

    fn put_aside(&mut self) -> Result<(), Error> {
        let spill = match &mut self.spill {
            Some(spill) => spill,
            none => none.insert(Spill::new(self.ask.engine.store().scratch().map_err(failed)?)),
        };
        spill.take(&mut self.set).map_err(failed)
    }

    /// Takes in what stands around the spans: of older and newer parts, and what was not worth reading but is linked to.
    async fn relatives(&mut self, pace: &mut Pace<'_>) -> Result<Step, Error> {
        let ids = incomplete(&self.set, self.ask.range);
        let was_read = |id: &[u8; 16]| self.margin.as_ref().is_none_or(|margin| margin.may_hold(id));
        let (read, unread): (Vec<_>, Vec<_>) = ids.into_iter().partition(was_read);
        let beyond = beyond(self.ask.snapshot, self.ask.range, false);
        for (ids, snapshot, outside) in [(read, &beyond, true), (unread, self.ask.snapshot, false)] {
            if snapshot.parts(Table::Spans).is_empty() {
                continue;
            }
            for ids in ids.chunks(TRACES_AT_ONCE) {
                let ids = ids.iter().copied().map(Vec::from).collect();
                let step = self.take_traces(snapshot, ids, outside).await?;
                if step != Step::Done {
                    return Ok(step);
                }
                self.set.seal();
                if !pace.turn() {
                    return Ok(Step::End);
                }
            }
        }
        Ok(self.fits())
    }

    /// Takes in spans of some traces: all, or those that start outside of the range and what is near it.
    async fn take_traces(
        &mut self,
        snapshot: &Arc<Snapshot>,
        ids: BTreeSet<Vec<u8>>,
        outside: bool,
    ) -> Result<Step, Error> {
        let near = near(self.ask.range);
        let columns = DETAIL.columns();
        let mut stream = self.ask.engine.rows_of_traces(snapshot, Table::Spans, ids, &columns).await?;
        while let Some(batch) = stream.try_next().await? {
            let start = int(&batch, START_UNIX_NANO);
            let is_new = |row: &usize| !outside || !near.contains(UnixNano(start.value(*row)));
            self.set.push_rows(&batch, (0..batch.num_rows()).filter(is_new).map(|row| (row, false)));
            if self.fits() == Step::TooLarge {
                return Ok(Step::TooLarge);
            }
        }
        Ok(Step::Done)
    }

    /// Whether the set is within its bound, if need be without what came twice.
    fn fits(&mut self) -> Step {
        if self.set.bytes() > self.ask.bytes_max {
            self.set.seal();
        }
        if self.set.bytes() > self.ask.bytes_max { Step::TooLarge } else { Step::Done }
    }

    /// Loads some bins and what decides about their edges.
    async fn load(&mut self, class: Class, pace: &mut Pace<'_>) -> Result<Step, Error> {
        let Some(spill) = self.spill.take() else { return Ok(Step::Done) };
        spill.known.clear(&mut self.set);
        let loaded = self.load_from(&spill, class, pace);
        self.spill = Some(spill);
        let step = loaded?;
        if step != Step::Done || self.is_torn(class) {
            return Ok(step);
        }
        self.relatives(pace).await
    }

    fn load_from(&mut self, spill: &Spill, class: Class, pace: &mut Pace<'_>) -> Result<Step, Error> {
        for number in class.from..class.to {
            for place in self.pieces(spill, class.of, number) {
                let piece = spill.piece(place).map_err(failed)?;
                records(&piece).for_each(|record| record.restore(&mut self.set));
                if self.fits() == Step::TooLarge {
                    if !self.is_last(class) {
                        return Ok(Step::TooLarge);
                    }
                    // Spans of one id that differ in service or kind alone: no system makes so many.
                    self.set.seal();
                    return Ok(Step::Done);
                }
                if !pace.turn() {
                    return Ok(Step::End);
                }
            }
        }
        self.set.seal();
        if self.is_torn(class) { Ok(Step::Done) } else { self.guests(spill, class, pace) }
    }

    /// Takes in what spans of the class link to, and learns what spans elsewhere worked on.
    fn guests(&mut self, spill: &Spill, class: Class, pace: &mut Pace<'_>) -> Result<Step, Error> {
        let (mut linked_to, mut messages) = (HashSet::new(), HashSet::new());
        for span in self.set.spans.iter().filter(|span| self.ask.range.contains(UnixNano(span.start))) {
            let trace = *self.set.traces.get(span.trace);
            let links = self.set.links_of(span).iter().map(|target| (*self.set.traces.get(target.trace), target.span));
            for (linked, id) in links {
                if !self.holds(class, trace_hash(&linked)) {
                    linked_to.insert((linked, id));
                }
                if span.role == Role::Receive {
                    messages.insert((linked, id));
                }
            }
            if span.role == Role::Receive {
                messages.insert((trace, span.link.parent));
            }
        }
        if linked_to.is_empty() && messages.is_empty() {
            return Ok(Step::Done);
        }
        let mut proxied = HashSet::new();
        let step = self.look_elsewhere(spill, class, pace, &mut |set, record| {
            if linked_to.contains(&(record.trace(), record.span())) {
                record.restore(set);
                if record.role().is_sidecar() {
                    proxied.insert(record.trace());
                }
            }
            if record.role() == Role::Process && !messages.is_empty() {
                note_processed(set, record, &messages);
            }
        })?;
        if step != Step::Done {
            return Ok(step);
        }
        // Whether a sidecar's span stands for its application's, its whole trace says.
        if !proxied.is_empty() {
            let step = self.look_elsewhere(spill, class, pace, &mut |set, record| {
                if proxied.contains(&record.trace()) {
                    record.restore(set);
                }
            })?;
            if step != Step::Done {
                return Ok(step);
            }
        }
        self.set.seal();
        let guests: Vec<bool> = self.set.traces.values().iter().map(|id| !self.holds(class, trace_hash(id))).collect();
        self.set.mark_guests(guests);
        Ok(Step::Done)
    }

    /// Shows all spans that were put aside and are not of a class.
    fn look_elsewhere(
        &mut self,
        spill: &Spill,
        class: Class,
        pace: &mut Pace<'_>,
        look: &mut dyn FnMut(&mut SpanSet, Record<'_>),
    ) -> Result<Step, Error> {
        for bin in spill.first.all() {
            for place in &bin.pieces {
                let piece = spill.piece(*place).map_err(failed)?;
                for record in records(&piece) {
                    if self.holds(class, by_trace(record)) {
                        continue;
                    }
                    look(&mut self.set, record);
                }
                if self.fits() == Step::TooLarge {
                    return Ok(Step::TooLarge);
                }
                if !pace.turn() {
                    return Ok(Step::End);
                }
            }
        }
        Ok(Step::Done)
    }

    /// Makes smaller classes of one that is too large.
    fn split(&mut self, class: Class, classes: &mut Vec<Class>) -> Result<(), Error> {
        if class.to - class.from > 1 {
            let middle = usize::midpoint(class.from, class.to);
            classes.extend([Class { from: middle, ..class }, Class { to: middle, ..class }]);
            return Ok(());
        }
        let Some(mut spill) = self.spill.take() else { return Ok(()) };
        let dealt = self.deal(&mut spill, class);
        self.spill = Some(spill);
        let level = dealt.map_err(failed)?;
        classes.extend(grouped(Some(self.levels.len()), &level.bins, self.ask.bytes_max));
        self.levels.push(level);
        Ok(())
    }

    /// Deals a bin to the bins of a further level: by trace, or by span where one trace alone is too large.
    fn deal(&self, spill: &mut Spill, class: Class) -> io::Result<Level> {
        let (above, prefix, torn) =
            self.level(class.of).map_or((0, 0, false), |level| (level.number, level.prefix, level.torn));
        let prefix = prefix | (class.from as u64) << (above * BIN_BITS);
        let pieces = self.pieces(spill, class.of, class.from);
        let (number, prefix, torn) = match (torn, above + 1) {
            (false, next) if next < LEVELS => (next, prefix, false),
            (false, _) => (0, 0, true),
            (true, next) => (next, prefix, true),
        };
        let hash = if torn { by_span } else { by_trace };
        let bins = spill.deal(&pieces, number, hash)?;
        Ok(Level { bins, number, prefix, torn })
    }

    fn count_set(&mut self, torn: bool) {
        self.counted.passes += 1;
        let range = self.ask.range;
        for (trace, start) in unfound(&self.set, range).into_iter().filter(|_| !torn) {
            if self.counted.unfound.len() < UNFOUND_MAX {
                self.counted.unfound.insert((trace_hash(&trace), UnixNano(start).minute().0));
            }
        }
        let tallies = if torn { Tally::of_torn(&self.set, range) } else { Tally::by_minute(&self.set, range) };
        for (minute, mut tally) in tallies {
            tally.shrink(OPERATIONS_MAX);
            let sum = self.counted.tallies.entry(minute).or_default();
            sum.merge(tally);
            sum.shrink(OPERATIONS_MAX);
        }
    }

    /// The level that bins are of; `None` for the first.
    fn level(&self, of: Option<usize>) -> Option<&Level> {
        self.levels.get(of?)
    }

    /// Where the spans of a bin are.
    fn pieces(&self, spill: &Spill, of: Option<usize>, number: usize) -> Vec<Piece> {
        let bins = self.level(of).map_or(&spill.first, |level| &level.bins);
        bins.all().get(number).map_or_else(Vec::new, |bin| bin.pieces.clone())
    }

    fn is_torn(&self, class: Class) -> bool {
        self.level(class.of).is_some_and(|level| level.torn)
    }

    /// Whether the spans of a class cannot be told apart any further.
    fn is_last(&self, class: Class) -> bool {
        let is_lowest = |level: &Level| level.torn && level.number + 1 >= LEVELS;
        class.to - class.from == 1 && self.level(class.of).is_some_and(is_lowest)
    }

    /// Whether the trace of a hash is of a class.
    fn holds(&self, class: Class, hash: u64) -> bool {
        let (number, prefix) = self.level(class.of).map_or((0, 0), |level| (level.number, level.prefix));
        let below = (1 << (number * BIN_BITS)) - 1;
        hash & below == prefix && (class.from..class.to).contains(&bin_of(hash, number))
    }
}

fn note_processed(set: &mut SpanSet, record: Record<'_>, messages: &HashSet<([u8; 16], u64)>) {
    let parent = (record.trace(), record.parent());
    for source in record.links().chain([parent]).filter(|source| messages.contains(source)) {
        let service = record.service(set);
        set.note_processed(service, source);
    }
}

fn by_trace(record: Record<'_>) -> u64 {
    trace_hash(&record.trace())
}

fn by_span(record: Record<'_>) -> u64 {
    mixed(record.span())
}

/// Neighbouring bins that together fit into a pass, by their numbers of spans; the first ones last.
fn grouped(of: Option<usize>, bins: &Bins, bytes_max: usize) -> Vec<Class> {
    let mut classes: Vec<Class> = Vec::new();
    let mut bytes = 0;
    for (number, bin) in bins.all().iter().enumerate() {
        if bin.spans == 0 {
            continue;
        }
        bytes += bin.spans * SPAN_BYTES;
        match classes.last_mut() {
            Some(class) if bytes <= bytes_max => class.to = number + 1,
            _ => {
                classes.push(Class { of, from: number, to: number + 1 });
                bytes = bin.spans * SPAN_BYTES;
            }
        }
    }
    classes.reverse();
    classes
}

fn failed(fault: io::Error) -> Error {
    Error::Engine(DataFusionError::IoError(fault))
}
