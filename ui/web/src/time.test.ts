import { describe, expect, test } from 'vitest';
import { Zone, ago, bounds, lengthText, parseInstant, parseLength, rangeName, earlier, slideOf, slideTo } from './time';

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

describe('earlier', () => {
  const now = Date.parse('2026-11-21T12:00:00Z');
  const hour = 3_600_000;
  test('is the same range, so much before', () => {
    expect(earlier('before', { kind: 'last', ms: hour }, now)).toEqual({ start: now - 2 * hour, end: now - hour });
    expect(earlier('day', { kind: 'last', ms: hour }, now)).toEqual({ start: now - 25 * hour, end: now - 24 * hour });
    expect(earlier('week', { kind: 'absolute', start: 7 * 24 * hour, end: 8 * 24 * hour }, now)).toEqual({ start: 0, end: 24 * hour });
  });
  test('is none without a comparison, or for all time', () => {
    expect(earlier('', { kind: 'last', ms: hour }, now)).toBeNull();
    expect(earlier('month', { kind: 'last', ms: hour }, now)).toBeNull();
    expect(earlier('before', { kind: 'all' }, now)).toBeNull();
  });
});

describe('slideOf and slideTo', () => {
  const now = 1_000_000_000_000;
  const hour = 3_600_000;
  test('reaches back a day for an hour, and as far as the range lies', () => {
    const slide = slideOf({ kind: 'last', ms: hour }, now)!;
    expect(slide).toEqual({ window: { start: now - hour, end: now }, from: now - 24 * hour, step: hour / 4 });
    const old = slideOf({ kind: 'absolute', start: now - 100 * hour, end: now - 99 * hour }, now)!;
    expect(old.from).toBe(now - 101 * hour);
    expect(slideOf({ kind: 'all' }, now)).toBeNull();
  });
  test('keeps the length, and goes on with the clock at the right end', () => {
    const slide = slideOf({ kind: 'last', ms: hour }, now)!;
    expect(slideTo(slide, now - 3 * hour, now)).toEqual({ kind: 'absolute', start: now - 4 * hour, end: now - 3 * hour });
    expect(slideTo(slide, now - 1, now)).toEqual({ kind: 'last', ms: hour });
    expect(slideTo(slide, now + hour, now)).toEqual({ kind: 'last', ms: hour });
    expect(slideTo(slide, 0, now)).toEqual({ kind: 'absolute', start: now - 24 * hour, end: now - 23 * hour });
  });
});
