import { describe, expect, test } from 'vitest';
import type { OtlpSpan, OtlpTraces } from '../answer';
import { buildTree, plainValue, selfTime } from './tree';

const BASE = 1_700_000_000_000_000_000n;
const span = (spanId: string, parentSpanId: string, start: number, end: number, more: Partial<OtlpSpan> = {}): OtlpSpan => ({
  traceId: 't', spanId, parentSpanId, name: spanId, kind: 2, startTimeUnixNano: String(BASE + BigInt(start)), endTimeUnixNano: String(BASE + BigInt(end)), ...more,
});
const trace = (services: Record<string, OtlpSpan[]>): OtlpTraces => ({
  resourceSpans: Object.entries(services).map(([name, spans]) => ({
    resource: { attributes: [{ key: 'service.name', value: { stringValue: name } }] },
    scopeSpans: [{ spans }],
  })),
});
const shape = (data: OtlpTraces) => buildTree(data).spans.map((each) => `${'.'.repeat(each.depth)}${each.service}:${each.name}`);

describe('the order of a waterfall', () => {
  test('is depth first with children by start, whatever the order of arrival', () => {
    const data = trace({ web: [span('c', 'a', 50, 60), span('a', '', 0, 100)], api: [span('b', 'a', 10, 40), span('d', 'b', 12, 20)] });
    expect(shape(data)).toEqual(['web:a', '.api:b', '..api:d', '.web:c']);
    expect(buildTree(data).spans.map((each) => each.below)).toEqual([3, 1, 0, 0]);
  });

  test('shows spans whose parent never arrived, and says so', () => {
    const tree = buildTree(trace({ web: [span('a', '', 0, 10), span('x', 'gone', 5, 8)] }));
    expect(tree.spans.map((each) => [each.name, each.depth, each.orphan])).toEqual([['a', 0, false], ['x', 0, true]]);
  });

  test('puts a server that shares its id with the client below it, and children below the one of their service', () => {
    const data = trace({ web: [span('root', '', 0, 99), span('s', 'root', 1, 9, { kind: 3, name: 'call' })], api: [span('s', 'root', 2, 8, { name: 'serve' }), span('q', 's', 3, 4)] });
    expect(shape(data)).toEqual(['web:root', '.web:call', '..api:serve', '...api:q']);
  });

  test('loses no span of a circle and ends', () => {
    expect(shape(trace({ a: [span('x', 'y', 0, 1), span('y', 'x', 1, 2), span('z', 'z', 2, 3)] }))).toHaveLength(3);
  });

  test('a span that ends before it starts lasts nothing', () => {
    expect(buildTree(trace({ a: [span('x', '', 10, 5)] })).spans[0]!.duration).toBe(0);
  });

  test('nanoseconds do not get lost in large times', () => {
    const tree = buildTree(trace({ a: [span('x', '', 1, 1001), span('y', 'x', 8, 9)] }));
    expect(tree.spans[1]!.start).toBe(7);
    expect(tree.duration).toBe(1000);
  });
});

test('self time counts overlapping and overhanging children once', () => {
  const tree = buildTree(trace({ a: [span('p', '', 0, 100), span('b', 'p', 10, 30), span('c', 'p', 20, 40), span('d', 'p', 90, 200)] }));
  expect(selfTime(tree.spans, 0)).toBe(60);
  expect(selfTime(tree.spans, 1)).toBe(20);
});

test('values keep their kind, large integers their digits', () => {
  expect(plainValue({ intValue: '42' })).toBe(42);
  expect(plainValue({ intValue: '9223372036854775807' })).toBe('9223372036854775807');
  expect(plainValue({ arrayValue: { values: [{ boolValue: true }, { stringValue: 'x' }] } })).toEqual([true, 'x']);
  expect(plainValue({ kvlistValue: { values: [{ key: 'a', value: { doubleValue: 1.5 } }] } })).toEqual({ a: 1.5 });
  expect(plainValue(undefined)).toBeNull();
});

test('ten thousand spans deep or wide are built without overflowing anything', () => {
  const deep = Array.from({ length: 10_000 }, (_, i) => span(`s${i}`, i ? `s${i - 1}` : '', i, 20_000 - i));
  const tree = buildTree(trace({ a: deep }));
  expect(tree.spans[9_999]!.depth).toBe(9_999);
  expect(tree.spans[0]!.below).toBe(9_999);
});
