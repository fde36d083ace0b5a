import { describe, expect, test } from 'vitest';
import type { Before, Change, MapEdge, MapNode } from '../answer';
import { changesOf, changeText, markOf } from './change';

const before: Before = { calls: 100, errors: 1, rate: 1, error_rate: 0.01, p50_ms: 10, p95_ms: 20, p99_ms: 30 };

function edge(change: Change | undefined, more: Partial<MapEdge> = {}): MapEdge {
  const plain: MapEdge = {
    source: 'service:shop',
    target: 'service:cart',
    kind: 'call',
    calls: 100,
    errors: 1,
    error_rate: 0.01,
    rate: 2,
    p50_ms: 10,
    p95_ms: 20,
    p99_ms: 30,
    inferred: false,
    examples: [],
  };
  return { ...plain, ...(change ? { change, before } : {}), ...more };
}

function node(id: string, change: Change): MapNode {
  const [kind, name] = id.split(':') as [MapNode['kind'], string];
  return { id, name, kind, requests: 1, errors: 0, rate: 1, error_rate: 0, p50_ms: 1, p95_ms: 1, p99_ms: 1, change, before };
}

describe('markOf', () => {
  test('tells the share of errors without a comparison, and the change with one', () => {
    expect(markOf(edge(undefined, { error_rate: 0 }))).toEqual({ tone: 'plain', text: '' });
    expect(markOf(edge(undefined))).toEqual({ tone: 'warning', text: '△ 1.0%' });
    expect(markOf(edge(undefined, { error_rate: 0.5 }))).toEqual({ tone: 'error', text: '▲ 50%' });
    expect(markOf(edge('same', { error_rate: 0.5 }))).toEqual({ tone: 'plain', text: '' });
    expect(markOf(edge('slower'))).toEqual({ tone: 'warning', text: '◷ slower' });
    expect(markOf(edge('gone')).tone).toBe('quiet');
  });
});

describe('changeText', () => {
  test('names the figure that the change is about', () => {
    expect(changeText(edge('failing', { error_rate: 0.25 }))).toBe('1.0% → 25% errors');
    expect(changeText(edge('slower', { p95_ms: 80 }))).toBe('p95 20.0 ms → 80.0 ms');
    expect(changeText(edge('slower', { p50_ms: 90, p95_ms: 100 }))).toBe('p50 10.0 ms → 90.0 ms');
    expect(changeText(edge('gone', { rate: 0, p95_ms: null }))).toBe('was 1.0/s');
    expect(changeText(edge('new', { before: null }))).toBe('2.0/s, p95 20.0 ms');
  });
});

describe('changesOf', () => {
  test('lists what changed, worst first, by name', () => {
    const nodes = [node('service:shop', 'same'), node('service:cart', 'new')];
    const map = { start: '', end: '', nodes, edges: [edge('failing'), edge('same', { kind: 'messaging' })] };
    expect(changesOf(map).map((item) => [item.change, item.name])).toEqual([
      ['failing', 'shop → cart'],
      ['new', 'cart'],
    ]);
  });
});
