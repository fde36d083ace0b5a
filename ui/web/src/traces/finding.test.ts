import { expect, test } from 'vitest';
import type { Completeness, TraceSummary } from '../answer';
import { findings } from './finding';

const whole: Completeness = {
  root_count: 1, roots: ['r'], orphan_count: 0, orphans: [], circular_count: 0, circular: [], repeated_rows: 0,
  conflicting_count: 0, conflicting: [], shared_id_count: 0, shared_ids: [], end_before_start_count: 0, end_before_start: [],
  late: { is_known: true, count: 0, spans: [] },
};
const plain: TraceSummary = {
  trace_id: 't', span_count: 1, error_count: 0, start_time: '', duration_ns: 1, root: null, services: [], critical_path: [], missing_parents: [], complete: true,
};
const told = (more: Partial<Completeness>, summary: Partial<TraceSummary> = {}) =>
  findings({ ...plain, ...summary, completeness: { ...whole, ...more } }).map((each) => [each.level, each.text, each.all]);

test('a whole trace has nothing to say', () => {
  expect(told({})).toEqual([]);
  expect(findings(plain)).toEqual([]);
});

test('missing parents are told without the details too', () => {
  expect(findings({ ...plain, missing_parents: ['x', 'y'] }).map((each) => each.text)).toEqual(['2 parent spans missing']);
  const orphans = [{ span_id: 'a', parent_span_id: 'x', service: 'web' }];
  expect(told({ orphan_count: 7, orphans }, { missing_parents: ['x'] })).toEqual([[1, '1 parent span missing', 7]]);
});

test('what is wrong comes before what is taken care of', () => {
  const found = told({
    repeated_rows: 3,
    root_count: 2,
    roots: ['r', 's'],
    shared_id_count: 2,
    shared_ids: [{ span_id: 'a', is_call: true, spans: [] }, { span_id: 'b', is_call: false, spans: [] }],
    late: { is_known: false, count: 1, spans: [{ span_id: 'l', late_ms: 90_000 }] },
  });
  expect(found).toEqual([
    [1, '2 roots', 2],
    [1, '1 span id used twice', 1],
    [0, '1 span id shared by caller and called', 1],
    [0, '3 rows stored again', 0],
    [0, '1 late span', 1],
    [0, 'Late spans not known', 0],
  ]);
});

test('clocks name their services and how far they are off', () => {
  const [clock] = findings({ ...plain, clock_skew: { span_count: 2, most_ms: 12.5, services: ['api', 'db'] } });
  expect(clock!.note).toContain('2 spans of api, db would have to move, by up to 12.5 ms.');
});
