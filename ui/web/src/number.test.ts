import { expect, test } from 'vitest';
import { duration, level, rate, share } from './number';

test('failures are never rounded away, nor is success', () => {
  expect(share(0.00001)).toBe('<0.1%');
  expect(share(0.999)).toBe('99%');
  expect(share(1)).toBe('100%');
  expect(share(0)).toBe('0%');
  expect(share(0.0234)).toBe('2.3%');
});

test('durations keep three digits and their unit', () => {
  const check = (ns: number, expected: string) => expect(duration(ns)).toBe(expected);
  check(0, '0 ns');
  check(999, '999 ns');
  check(1500, '1.50 µs');
  check(12_345_678, '12.3 ms');
  check(99_960_000, '100 ms');
  check(1_840_000_000, '1.84 s');
  check(125e9, '2 min 5 s');
  check(7260e9, '2 h 1 min');
});

test('rates stay short', () => {
  expect([0, 0.004, 0.02, 3.42, 120.4, 1234, 56_000, 2.5e6].map(rate)).toEqual(['0', '<0.01', '0.02', '3.4', '120', '1.2k', '56k', '2.5M']);
});

test('warning from one per cent, alarm from five', () => {
  expect([0, 0.0099, 0.01, 0.049, 0.05, 1].map(level)).toEqual([0, 0, 1, 1, 2, 2]);
});
