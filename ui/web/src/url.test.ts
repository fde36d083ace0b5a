import { describe, expect, test } from 'vitest';
import { formatView, parseView, splitConditions, viewOf, type View } from './url';

const plain: View = { page: 'map', traceId: null, range: { kind: 'last', ms: 3_600_000 }, refreshSeconds: 10, zone: 'local', fields: {} };

function roundTrip(view: View): View | null {
  const url = new URL(formatView(view), 'http://tracelake.test');
  return parseView(url.pathname, url.search);
}

describe('addresses', () => {
  test('every view reads back as it was written', () => {
    const views: View[] = [
      plain,
      { ...plain, fields: { select: 'service:cart & more', find: 'a/b?c=d', as: 'table' } },
      { ...plain, page: 'traces', range: { kind: 'all' }, fields: { service: '결제', attr: 'http.route=/x y', status: 'ERROR' } },
      { ...plain, page: 'trace', traceId: '4bf92f3577b34da6a3ce929d0e0e4736', fields: { span: 'ab/SERVER/cart', path: 'off', clocks: 'adjusted' } },
      { ...plain, page: 'logs', range: { kind: 'absolute', start: 1000, end: 2500 }, zone: 'utc', fields: { q: '"time out" -debug' } },
      { ...plain, page: 'alerts', refreshSeconds: 0, range: { kind: 'last', ms: 90_000 }, fields: { tab: 'rules' } },
      { ...plain, page: 'start' },
    ];
    for (const view of views) expect(roundTrip(view)).toEqual(view);
  });

  test('the plain page has the plain address', () => {
    expect(formatView(plain)).toBe('/');
    expect(formatView({ ...plain, page: 'logs' })).toBe('/logs');
  });

  test('what is not understood falls back to the default and never throws', () => {
    expect(parseView('/map', '?last=tomorrow&refresh=3&tz=mars&nonsense=1')).toEqual(plain);
    expect(parseView('/', '?start=2026-01-02T00:00:00Z&end=2026-01-01T00:00:00Z')).toEqual(plain);
    expect(parseView('/nowhere', '')).toBeNull();
    expect(parseView('/traces/not-hex', '')).toBeNull();
    expect(parseView('/traces/abc/def', '')).toBeNull();
  });

  test('a short trace id is padded as OTLP has it', () => {
    expect(parseView('/traces/ABC', '')?.traceId).toBe('abc'.padStart(32, '0'));
  });

  test('going to another page keeps the range and drops the fields', () => {
    const there = viewOf({ ...plain, range: { kind: 'all' }, fields: { find: 'x' } }, 'logs', { service: 'cart', q: '' });
    expect(there).toEqual({ ...plain, page: 'logs', range: { kind: 'all' }, fields: { service: 'cart' } });
  });
});

test('conditions split at blanks outside quotes', () => {
  const check = (text: string, expected: string[]) => expect(splitConditions(text)).toEqual(expected);
  check('', []);
  check('a=1  b>=500', ['a=1', 'b>=500']);
  check('a="x y" b!="z"', ['a=x y', 'b!=z']);
  check('a="never closed', ['a=never closed']);
});
