// Times: one object for the zone that every row and axis is shown in, the range a page looks at, and their texts.
// Instants travel as RFC 3339 with nanoseconds; positions on axes are milliseconds since the Unix epoch.

/** How far back from now, or between two instants, or everything there is. */
export type Range = { kind: 'last'; ms: number } | { kind: 'absolute'; start: number; end: number } | { kind: 'all' };

/** A range with both ends known, in milliseconds. */
export interface Span {
  start: number;
  end: number;
}

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const DEFAULT_RANGE: Range = { kind: 'last', ms: HOUR };

/** What the range menu offers, shortest first. */
export const PRESETS: { label: string; range: Range }[] = [
  { label: 'Last 5 minutes', range: { kind: 'last', ms: 5 * MINUTE } },
  { label: 'Last 15 minutes', range: { kind: 'last', ms: 15 * MINUTE } },
  { label: 'Last 30 minutes', range: { kind: 'last', ms: 30 * MINUTE } },
  { label: 'Last hour', range: DEFAULT_RANGE },
  { label: 'Last 6 hours', range: { kind: 'last', ms: 6 * HOUR } },
  { label: 'Last 24 hours', range: { kind: 'last', ms: DAY } },
  { label: 'Last 7 days', range: { kind: 'last', ms: 7 * DAY } },
  { label: 'All time', range: { kind: 'all' } },
];

/** Both ends of a range at this moment. "All" ends a day ahead, so that clocks that run fast are not cut off. */
export function resolve(range: Range, nowMs: number): Span {
  if (range.kind === 'last') return { start: nowMs - range.ms, end: nowMs };
  if (range.kind === 'all') return { start: 0, end: nowMs + DAY };
  return { start: range.start, end: range.end };
}

/** The API's `start` and `end` for a range. */
export function bounds(range: Range, nowMs: number): { start: string; end: string } {
  const span = resolve(range, nowMs);
  return { start: new Date(span.start).toISOString(), end: new Date(span.end).toISOString() };
}

/** What a range can be compared with: itself, so much earlier; null is its own length. */
export const COMPARISONS: { name: string; label: string; ms: number | null }[] = [
  { name: 'before', label: 'the time just before', ms: null },
  { name: 'day', label: 'a day earlier', ms: DAY },
  { name: 'week', label: 'a week earlier', ms: 7 * DAY },
];

/** The earlier range of a comparison; null without one, and for all time, which has nothing before it. */
export function earlier(name: string, range: Range, nowMs: number): Span | null {
  const comparison = COMPARISONS.find((offer) => offer.name === name);
  if (!comparison || range.kind === 'all') return null;
  const span = resolve(range, nowMs);
  const by = comparison.ms ?? span.end - span.start;
  return { start: span.start - by, end: span.end - by };
}

/** A slider over the past: where its window stands, how far it can go, and how far one step takes it. */
export interface Slide {
  window: Span;
  /** The earliest instant on the slider; the latest is now. */
  from: number;
  step: number;
}

const REACH_LENGTHS = 24;

/** The slider of a range: a day of 24 hours for an hour, more where the range lies further back; null for all time. */
export function slideOf(range: Range, nowMs: number): Slide | null {
  if (range.kind === 'all') return null;
  const window = resolve(range, nowMs);
  const length = window.end - window.start;
  const reach = Math.max(REACH_LENGTHS * length, nowMs - window.start + length);
  return { window, from: nowMs - reach, step: Math.max(1000, length / 4) };
}

/** The range of the same length that ends at an instant; at now, or past it, one that goes on with the clock. */
export function slideTo(slide: Slide, endMs: number, nowMs: number): Range {
  const length = slide.window.end - slide.window.start;
  if (endMs > nowMs - slide.step / 2) return { kind: 'last', ms: length };
  const end = Math.round(Math.max(endMs, slide.from + length));
  return { kind: 'absolute', start: end - length, end };
}

/** A range's name: the preset's, or its length. */
export function rangeName(range: Range): string {
  if (range.kind === 'all') return 'All time';
  if (range.kind === 'absolute') return 'Chosen range';
  const preset = PRESETS.find((offer) => offer.range.kind === 'last' && offer.range.ms === range.ms);
  return preset?.label ?? `Last ${lengthText(range.ms)}`;
}

const UNITS: [string, number][] = [
  ['d', DAY],
  ['h', HOUR],
  ['m', MINUTE],
  ['s', 1000],
  ['ms', 1],
];

/** `90 000` becomes `90s`: the largest unit that divides it. */
export function lengthText(ms: number): string {
  const unit = UNITS.find(([, size]) => ms >= size && ms % size === 0) ?? ['ms', 1];
  return `${ms / unit[1]}${unit[0]}`;
}

/** Reads `15m`, `1.5h`; null for anything else. */
export function parseLength(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim());
  const size = match && UNITS.find(([name]) => name === match[2])?.[1];
  if (!match || !size) return null;
  const ms = Math.round(Number(match[1]) * size);
  return ms > 0 ? ms : null;
}

/** Milliseconds (with the part below one) of an RFC 3339 text; NaN when it is none. */
export function parseInstant(text: string): number {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (!match) return NaN;
  return Date.parse(match[1]! + match[3]!) + (match[2] ? Number(match[2]) * 1000 : 0);
}

export type ZoneName = 'local' | 'utc';

/** The one time zone of the whole page. */
export class Zone {
  readonly label: string;
  readonly #name: ZoneName;
  readonly #parts: Intl.DateTimeFormat;

  constructor(name: ZoneName) {
    this.#name = name;
    this.#parts = new Intl.DateTimeFormat('en-GB', {
      ...(name === 'utc' ? { timeZone: 'UTC' } : {}),
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
      hourCycle: 'h23',
    });
    this.label = name === 'utc' ? 'UTC' : this.#localLabel();
  }

  /** `2026-11-21` */
  date(ms: number): string {
    const p = this.#fields(ms);
    return `${p['year']}-${p['month']}-${p['day']}`;
  }

  /** `12:04:09.213` with that many digits below the second. */
  clock(ms: number, digits = 3): string {
    const p = this.#fields(ms);
    const whole = `${p['hour']}:${p['minute']}:${p['second']}`;
    if (digits === 0) return whole;
    // Floor, so that a time never shows as later than it was.
    const part = Math.floor(mod(ms, 1000) * 10 ** (digits - 3) + 1e-6);
    return `${whole}.${String(part).padStart(digits, '0')}`;
  }

  /** `2026-11-21 12:04:09.213` */
  full(ms: number, digits = 3): string {
    return `${this.date(ms)} ${this.clock(ms, digits)}`;
  }

  /** From and to, naming the day only where it is needed. */
  between(span: Span, nowMs: number): string {
    const minute = (ms: number) => this.clock(ms, 0).slice(0, 5);
    const day = this.date(span.start);
    if (day !== this.date(span.end)) return `${day} ${minute(span.start)} – ${this.date(span.end)} ${minute(span.end)}`;
    const from = day === this.date(nowMs) ? '' : `${day} `;
    return `${from}${minute(span.start)}–${minute(span.end)}`;
  }

  /** The text for a date and time field (`2026-11-21T12:04:09`). */
  field(ms: number): string {
    return `${this.date(ms)}T${this.clock(ms, 0)}`;
  }

  /** Reads a date and time field in this zone; NaN when it is empty. */
  parseField(text: string): number {
    return Date.parse(this.#name === 'utc' ? `${text}Z` : text);
  }

  #fields(ms: number): Record<string, string> {
    return Object.fromEntries(this.#parts.formatToParts(ms).map((part) => [part.type, part.value]));
  }

  #localLabel(): string {
    const minutes = -new Date().getTimezoneOffset();
    if (minutes === 0) return 'UTC+0';
    const hours = Math.floor(Math.abs(minutes) / 60);
    const rest = Math.abs(minutes) % 60;
    return `UTC${minutes < 0 ? '−' : '+'}${hours}${rest ? `:${String(rest).padStart(2, '0')}` : ''}`;
  }
}

function mod(value: number, by: number): number {
  return ((value % by) + by) % by;
}

/** `12 s ago`; what lies ahead is `now`. */
export function ago(ms: number, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - ms) / 1000));
  if (seconds < 2) return 'now';
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} d ago`;
}
