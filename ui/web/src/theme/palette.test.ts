import { describe, expect, test } from 'vitest';
import { contrast, difference } from './color';
import { dark, darkSeries, light, lightSeries, type Theme } from './token';

const themes: [string, Theme, string[]][] = [
  ['light', light, lightSeries],
  ['dark', dark, darkSeries],
];

describe.each(themes)('%s palette', (_name, theme, series) => {
  test('texts can be read on every surface they stand on', () => {
    for (const surface of [theme.bg, theme.panel, theme.panel2]) {
      for (const ink of [theme.text, theme.mute, theme.accent, theme.err, theme.warn]) {
        expect(contrast(ink, surface), `${ink} on ${surface}`).toBeGreaterThanOrEqual(4.5);
      }
    }
    expect(contrast(theme.err, theme.errBg)).toBeGreaterThanOrEqual(4.5);
    expect(contrast(theme.text, theme.errBg)).toBeGreaterThanOrEqual(4.5);
    expect(contrast(theme.warn, theme.warnBg)).toBeGreaterThanOrEqual(4.5);
    expect(contrast(theme.onAccent, theme.accent)).toBeGreaterThanOrEqual(4.5);
  });

  test('signs, bars and controls stand out from their surface', () => {
    for (const ink of [theme.ok, theme.async, theme.control, theme.good, ...series]) {
      expect(contrast(ink, theme.panel), ink).toBeGreaterThanOrEqual(3);
    }
  });

  test('error, warning and rest are told apart with any sight', () => {
    expect(difference(theme.err, theme.warn)).toBeGreaterThan(16);
    expect(difference(theme.err, theme.ok)).toBeGreaterThan(16);
    expect(difference(theme.warn, theme.ok)).toBeGreaterThan(16);
  });

  test('services are told apart from each other and never look like an error', () => {
    for (const [i, one] of series.entries()) {
      expect(difference(one, theme.err), `${one} and the error`).toBeGreaterThan(12);
      for (const other of series.slice(i + 1)) expect(difference(one, other), `${one} and ${other}`).toBeGreaterThan(10);
    }
  });
});

test('the measure itself: black on white is 21, equal colours do not differ', () => {
  expect(contrast('#000000', '#ffffff')).toBeCloseTo(21, 5);
  expect(difference('#123456', '#123456')).toBe(0);
});
