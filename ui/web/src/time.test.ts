import { describe, expect, test } from 'vitest';
import { Zone, ago, bounds, lengthText, parseInstant, parseLength, rangeName } from './time';

describe('ranges', () => {
  test('both ends of a range are what the API is asked for', () => {
    const now = Date.UTC(2026, 10, 21, 12, 0, 0);
    expect(bounds({ kind: 'last', ms: 900_000 }, now)).toEqual({ start: '2026-11-21T11:45:00.000Z', end: '2026-11-21T12:00:00.000Z' });
    expect(bounds({ kind: 'all' }, now).start).toBe('1970-01-01T00:00:00.000Z');
    expect(bounds({ kind: 'absolute', start: 1000, end: 2000 }, now).end).toBe('1970-01-01T00:00:02.000Z');
  });

  test('lengths read back as they were written', () => {
    for (const ms of [1, 250, 1000, 90_000, 900_000, 3_600_000, 86_400_000]) expect(parseLength(lengthText(ms))).toBe(ms);
    for (const bad of ['', '5', 'm', '-5m', '0s', '5 weeks']) expect(parseLength(bad)).toBeNull();
    expect(rangeName({ kind: 'last', ms: 120_000 })).toBe('Last 2m');
  });
});

describe('zone', () => {
  const zone = new Zone('utc');

  test('nanoseconds survive to the digits that are shown', () => {
    const ms = parseInstant('2026-11-21T12:04:09.213456789Z');
    expect(zone.full(ms)).toBe('2026-11-21 12:04:09.213');
    expect(zone.clock(parseInstant('2026-11-21T23:59:59.999900000Z'))).toBe('23:59:59.999');
    expect(zone.clock(parseInstant('1969-12-31T23:59:59.500Z'))).toBe('23:59:59.500');
    expect(parseInstant('2026-11-21T12:04:09+09:00')).toBe(Date.UTC(2026, 10, 21, 3, 4, 9));
    expect(parseInstant('yesterday')).toBeNaN();
  });

  test('a range of today does not repeat the day, another day does', () => {
    const now = Date.UTC(2026, 10, 21, 12, 0, 0);
    expect(zone.between({ start: now - 3_600_000, end: now }, now)).toBe('11:00–12:00');
    expect(zone.between({ start: now - 90_000_000, end: now - 89_000_000 }, now)).toContain('2026-11-20 ');
  });

  test('a date and time field reads back what it showed', () => {
    for (const name of ['utc', 'local'] as const) {
      const each = new Zone(name);
      const ms = Date.UTC(2026, 5, 1, 8, 30, 15);
      expect(each.parseField(each.field(ms))).toBe(ms);
    }
  });
});

test('ages are words, and the future is now', () => {
  expect(ago(0, 30_000)).toBe('30 s ago');
  expect(ago(10_000, 0)).toBe('now');
  expect(ago(0, 7_200_000)).toBe('2 h ago');
});
