import { describe, expect, test } from 'vitest';
import type { OtlpSpan, OtlpTraces, TraceSummary } from '../answer';
import { moveSpans, moveTold } from './clock';
import { findSpan, keyOf, lay } from './told';
import { buildTree } from './tree';

const BASE = 1_700_000_000_000_000_000n;
const span = (spanId: string, parentSpanId: string, kind: number, start: number, end: number): OtlpSpan => ({
  traceId: 't', spanId, parentSpanId, name: spanId, kind, startTimeUnixNano: String(BASE + BigInt(start)), endTimeUnixNano: String(BASE + BigInt(end)),
  events: [{ name: 'e', timeUnixNano: String(BASE + BigInt(start)) }],
});
const trace = (services: Record<string, OtlpSpan[]>): OtlpTraces => ({
  resourceSpans: Object.entries(services).map(([name, spans]) => ({
    resource: { attributes: [{ key: 'service.name', value: { stringValue: name } }] },
    scopeSpans: [{ spans }],
  })),
});
const plain: TraceSummary = {
  trace_id: 't', span_count: 3, error_count: 0, start_time: '', duration_ns: 100, root: null, services: [], critical_path: ['r', 's'], missing_parents: [], complete: true,
};
/** A client and its server that share the id `s`. */
const tree = buildTree(trace({ web: [span('r', '', 2, 0, 100), span('s', 'r', 3, 10, 60)], api: [span('s', 'r', 2, 20, 50)] }));

describe('what is told of spans', () => {
  test('lands on the right one of two that share an id', () => {
    const times = [
      { span_id: 's', service: 'api', kind: 'SERVER', self_ns: 30 },
      { span_id: 's', service: 'web', kind: 'CLIENT', self_ns: 20 },
    ];
    expect(lay(tree.spans, { ...plain, spans: times }).times.map((time) => time?.self_ns)).toEqual([undefined, 20, 30]);
  });

  test('the path is told by pieces, or by whole spans where only those are known', () => {
    const segments = [
      { span_id: 'r', kind: 'SERVER', offset_ns: 0, duration_ns: 10 },
      { span_id: 's', kind: 'SERVER', offset_ns: 20, duration_ns: 30 },
      { span_id: 'gone', kind: 'SERVER', offset_ns: 50, duration_ns: 1 },
    ];
    const exact = lay(tree.spans, { ...plain, critical_segments: segments }).critical;
    expect(exact.of(0, 2)).toEqual([{ at: 0, from: 0, until: 10 }, { at: 2, from: 20, until: 50 }]);
    expect(lay(tree.spans, plain).critical.of(0)).toEqual([{ at: 0, from: 0, until: 100 }]);
    expect(lay(tree.spans, null).critical.size).toBe(0);
  });
});

test('an address names each of two spans that share an id', () => {
  expect(tree.spans.map((_, i) => findSpan(tree.spans, keyOf(tree.spans, i)))).toEqual([0, 1, 2]);
  expect([keyOf(tree.spans, 1), keyOf(tree.spans, 2), keyOf(tree.spans, -1)]).toEqual(['s', 's/SERVER/api', '']);
  expect([findSpan(tree.spans, 's/SERVER/gone'), findSpan(tree.spans, 'x'), findSpan(tree.spans, '')]).toEqual([1, -1, -1]);
});

describe('moving spans', () => {
  const skewed = buildTree(trace({ web: [span('r', '', 2, 50, 150), span('a', 'r', 3, 60, 70)], api: [span('b', 'r', 2, 0, 20), span('c', 'b', 1, 5, 10)] }));
  const names = skewed.spans.map((each) => each.name);
  const by = names.map((name) => (name === 'b' || name === 'c' ? 90 : 0));
  const moved = moveSpans(skewed, by);

  test('puts siblings in the order of the new times and keeps who is below whom', () => {
    expect(names).toEqual(['r', 'b', 'c', 'a']);
    expect(moved.tree.spans.map((each) => [each.name, each.start, each.parent, each.below])).toEqual([
      ['r', 0, -1, 3], ['a', 10, 0, 0], ['b', 40, 0, 1], ['c', 45, 2, 0],
    ]);
    expect([moved.start, moved.tree.duration, moved.by]).toEqual([50, 100, [0, 0, 90, 90]]);
  });

  test('takes events and pieces of the path along', () => {
    expect(moved.tree.spans.map((each) => each.events[0]!.at - each.start)).toEqual([0, 0, 0, 0]);
    const segments = [{ span_id: 'b', kind: 'SERVER', offset_ns: 0, duration_ns: 20 }];
    const times = [{ span_id: 'a', service: 'web', kind: 'CLIENT', self_ns: 7 }];
    const told = moveTold(lay(skewed.spans, { ...plain, critical_path: ['b'], critical_segments: segments, spans: times }), moved);
    expect(told.critical.of(0, 3)).toEqual([{ at: 2, from: 40, until: 60 }]);
    expect([...told.onPath]).toEqual([0, 0, 1, 0]);
    expect(told.times.map((time) => time?.self_ns)).toEqual([undefined, 7, undefined, undefined]);
  });
});
