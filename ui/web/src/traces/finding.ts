// What a summary says about the state of a trace, in words: what is missing, doubled, odd, late, or out of step.
import type { Completeness, TraceSummary } from '../answer';
import { count, duration, millis } from '../number';

export interface Finding {
  /** 1: the picture is not what happened. 0: worth knowing, and taken care of. */
  level: 0 | 1;
  text: string;
  note: string;
  /** Spans to look at; the list may be shorter than `all`. */
  spans: { id: string; detail: string }[];
  all: number;
}

/** What is wrong comes first. */
export function findings(summary: TraceSummary): Finding[] {
  const found = [...missing(summary), ...(summary.completeness ? oddities(summary.completeness) : []), ...clocks(summary)];
  for (const warning of summary.warnings ?? []) found.push({ level: 1, text: 'Stored data is damaged', note: warning, spans: [], all: 0 });
  return found.sort((a, b) => b.level - a.level);
}

const many = (n: number, one: string, more = `${one}s`) => `${count(n)} ${n === 1 ? one : more}`;
const ids = (list: string[]) => list.map((id) => ({ id, detail: '' }));

function missing(summary: TraceSummary): Finding[] {
  const n = summary.missing_parents.length;
  if (n === 0) return [];
  const orphans = summary.completeness?.orphans ?? [];
  const all = summary.completeness?.orphan_count ?? n;
  const spans = orphans.map((each) => ({ id: each.span_id, detail: `${each.service}, called by ${each.parent_span_id}` }));
  const note = 'Not stored: never sent, still on the way, or dropped by retention. What was called from there stands at the margin, marked ⚠.';
  return [{ level: 1, text: many(n, 'parent span missing', 'parent spans missing'), note, spans, all: orphans.length ? all : 0 }];
}

function oddities(told: Completeness): Finding[] {
  const found: Finding[] = [];
  const add = (level: 0 | 1, all: number, text: string, note: string, spans: Finding['spans'] = []) => {
    if (all > 0) found.push({ level, text, note, spans, all: spans.length ? all : 0 });
  };
  if (told.root_count === 0) add(1, 1, 'No root span', 'Every span names a parent.');
  add(1, told.root_count > 1 ? told.root_count : 0, many(told.root_count, 'root'), 'A whole trace has one span that nothing called.', ids(told.roots));
  add(1, told.circular_count, `${many(told.circular_count, 'span')} in a circle`, 'They are their own ancestors.', ids(told.circular));
  const versions = told.conflicting.map((each) => ({ id: each.span_id, detail: `${each.service}, ${many(each.versions, 'version')}` }));
  add(1, told.conflicting_count, `${many(told.conflicting_count, 'span')} stored with different contents`, 'The version stored last is shown.', versions);
  const sharers = (isCall: boolean) => told.shared_ids.filter((each) => each.is_call === isCall);
  const named = (isCall: boolean) => sharers(isCall).map((each) => ({ id: each.span_id, detail: each.spans.map((span) => span.service).join(', ') }));
  // The list may be cut; what is beyond it is not told apart.
  const accidents = sharers(false).length;
  add(1, accidents, `${many(accidents, 'span id')} used twice`, 'Spans that have nothing to do with each other share an id; what is below them may stand in the wrong place.', named(false));
  add(1, told.end_before_start_count, `${many(told.end_before_start_count, 'span')} ended before the start`, 'Shown as lasting no time.', ids(told.end_before_start));
  const calls = told.shared_id_count - accidents;
  add(0, calls, `${many(calls, 'span id')} shared by caller and called`, 'As Zipkin does it: the called one stands below its caller.', named(true));
  add(0, told.repeated_rows, `${many(told.repeated_rows, 'row')} stored again`, 'Sent more than once with the same contents; counted once.');
  const late = told.late.spans.map((each) => ({ id: each.span_id, detail: `at least ${millis(each.late_ms)} later` }));
  add(0, told.late.count, many(told.late.count, 'late span'), 'Stored more than a minute after the first spans of the trace.', late);
  if (!told.late.is_known) add(0, 1, 'Late spans not known', 'When single spans were stored is no longer known, because their files have been merged.');
  return found;
}

function clocks(summary: TraceSummary): Finding[] {
  const skew = summary.clock_skew;
  if (!skew?.span_count) return [];
  const note = `${many(skew.span_count, 'span')} of ${skew.services.join(', ')} would have to move, by up to ${duration(skew.most_ms * 1e6)}. Times are shown as they were sent until you adjust them.`;
  return [{ level: 1, text: 'Clocks disagree', note, spans: [], all: 0 }];
}
