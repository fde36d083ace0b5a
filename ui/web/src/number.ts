// Figures as texts: counts, rates, shares and durations, short and always with their unit.

export function count(value: number): string {
  return value.toLocaleString('en');
}

/** Calls per second in at most four characters: `0.02`, `3.4`, `120`, `1.2k`. */
export function rate(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)}M`;
  if (value >= 1e4) return `${(value / 1e3).toFixed(0)}k`;
  if (value >= 1e3) return `${(value / 1e3).toFixed(1)}k`;
  if (value >= 10) return value.toFixed(0);
  if (value >= 1 || value === 0) return value.toFixed(value === 0 ? 0 : 1);
  return value >= 0.01 ? value.toFixed(2) : '<0.01';
}

/** A share (0..1) in per cent; what is not zero never shows as zero. */
export function share(value: number): string {
  if (value === 0) return '0%';
  if (value < 0.001) return '<0.1%';
  if (value < 0.1) return `${(value * 100).toFixed(1)}%`;
  // A share below one never rounds up to all of it.
  return value < 1 ? `${Math.min(99, Math.round(value * 100))}%` : '100%';
}

/** Milliseconds, or a dash where there is no figure. */
export function millis(value: number | null): string {
  return value === null ? '–' : duration(value * 1e6);
}

/** Nanoseconds with the unit that keeps three digits. */
export function duration(ns: number): string {
  if (ns >= 60e9) {
    const seconds = Math.round(ns / 1e9);
    if (seconds >= 3600) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
    return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  }
  if (ns >= 1e9) return `${three(ns / 1e9)} s`;
  if (ns >= 1e6) return `${three(ns / 1e6)} ms`;
  if (ns >= 1e3) return `${three(ns / 1e3)} µs`;
  return `${Math.round(ns)} ns`;
}

function three(value: number): string {
  if (value >= 99.95) return value.toFixed(0);
  return value >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

/** How bad an error rate is: 2 from 5 %, 1 from 1 %. The same bounds everywhere. */
export type Level = 0 | 1 | 2;

export function level(errorRate: number): Level {
  if (errorRate >= 0.05) return 2;
  return errorRate >= 0.01 ? 1 : 0;
}

/** The sign beside every coloured figure, so that nothing is told by colour alone. */
export const SIGN: Record<Level, string> = { 0: '', 1: '△', 2: '▲' };
