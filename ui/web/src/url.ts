// The whole view state as an address and back. An address made here can be mailed and shows the same view.
// Deliberately knows no browser: `place.svelte.ts` ties it to the address bar.
import { DEFAULT_RANGE, lengthText, parseInstant, parseLength, type Range, type ZoneName } from './time';

/** The pages, with the fields each keeps in its query. `ui/src/asset.rs` lists the first path segments too. */
const FIELDS = {
  map: ['select', 'find', 'failing', 'as', 'compare'],
  traces: ['service', 'operation', 'kind', 'status', 'min_duration', 'max_duration', 'attr', 'q'],
  trace: ['span', 'path', 'clocks'],
  logs: ['q', 'service', 'severity', 'trace_id', 'span_id', 'live'],
  alerts: ['tab', 'state', 'rule'],
  start: [],
} as const satisfies Record<string, readonly string[]>;

export type Page = keyof typeof FIELDS;
export type Field<P extends Page> = (typeof FIELDS)[P][number];

/** Seconds between automatic refreshes that the bar offers; 0 is off. */
export const REFRESH_SECONDS = [0, 5, 10, 30, 60];
export const DEFAULT_REFRESH_SECONDS = 10;

export interface View {
  page: Page;
  /** Only on the page of one trace. */
  traceId: string | null;
  range: Range;
  refreshSeconds: number;
  zone: ZoneName;
  /** The page's own fields; absent and empty mean the same. */
  fields: Record<string, string>;
}

const PATHS: Record<Exclude<Page, 'trace'>, string> = {
  map: '/',
  traces: '/traces',
  logs: '/logs',
  alerts: '/alerts',
  start: '/start',
};

/** Reads an address; null when no page is there. What it does not understand in the query is dropped. */
export function parseView(pathname: string, search: string): View | null {
  const query = new URLSearchParams(search);
  const segments = pathname.split('/').filter((segment) => segment !== '' && segment !== 'index.html');
  const place = parsePath(segments);
  if (!place) return null;
  const fields: Record<string, string> = {};
  for (const name of FIELDS[place.page]) {
    const value = query.get(name);
    if (value) fields[name] = value;
  }
  const refresh = Number(query.get('refresh') ?? DEFAULT_REFRESH_SECONDS);
  return {
    ...place,
    range: parseRange(query),
    refreshSeconds: REFRESH_SECONDS.includes(refresh) ? refresh : DEFAULT_REFRESH_SECONDS,
    zone: query.get('tz') === 'utc' ? 'utc' : 'local',
    fields,
  };
}

function parsePath(segments: string[]): { page: Page; traceId: string | null } | null {
  const [first, second] = segments;
  if (segments.length > 2) return null;
  if (first === 'traces' && second) {
    return /^[0-9a-f]{1,32}$/i.test(second) ? { page: 'trace', traceId: second.toLowerCase().padStart(32, '0') } : null;
  }
  if (second) return null;
  if (!first || first === 'map') return { page: 'map', traceId: null };
  if (first === 'traces' || first === 'logs' || first === 'alerts' || first === 'start') return { page: first, traceId: null };
  return null;
}

function parseRange(query: URLSearchParams): Range {
  const last = query.get('last');
  if (last === 'all') return { kind: 'all' };
  const ms = last === null ? null : parseLength(last);
  if (ms !== null) return { kind: 'last', ms };
  const start = parseInstant(query.get('start') ?? '');
  const end = parseInstant(query.get('end') ?? '');
  return start < end ? { kind: 'absolute', start, end } : DEFAULT_RANGE;
}

/** The address of a view: defaults are left out, so that the plain page has the plain address. */
export function formatView(view: View): string {
  const query = new URLSearchParams();
  for (const name of FIELDS[view.page]) {
    const value = view.fields[name];
    if (value) query.set(name, value);
  }
  const { range } = view;
  if (range.kind === 'all') query.set('last', 'all');
  else if (range.kind === 'absolute') {
    query.set('start', new Date(range.start).toISOString());
    query.set('end', new Date(range.end).toISOString());
  } else if (DEFAULT_RANGE.kind !== 'last' || range.ms !== DEFAULT_RANGE.ms) query.set('last', lengthText(range.ms));
  if (view.refreshSeconds !== DEFAULT_REFRESH_SECONDS) query.set('refresh', String(view.refreshSeconds));
  if (view.zone === 'utc') query.set('tz', 'utc');
  const path = view.page === 'trace' ? `/traces/${view.traceId}` : PATHS[view.page];
  // Slashes, colons and the like are allowed in a query as they are (RFC 3986, section 3.4) and read better so.
  const text = query.toString().replace(/%2F/g, '/').replace(/%3A/g, ':').replace(/%2C/g, ',');
  return text ? `${path}?${text}` : path;
}

/** Another page with the same range, refresh and zone. */
export function viewOf<P extends Page>(from: View, page: P, fields: Partial<Record<Field<P>, string>> = {}, traceId: string | null = null): View {
  const kept = Object.entries<string | undefined>(fields).filter((entry): entry is [string, string] => Boolean(entry[1]));
  return { ...from, page, traceId, fields: Object.fromEntries(kept) };
}

/**
 * Splits the attribute field into conditions: blanks separate, double quotes keep blanks inside a value.
 * `http.route=/cart db.system="my sql"` gives two.
 */
export function splitConditions(text: string): string[] {
  return (text.match(/(?:[^\s"]|"[^"]*"?)+/g) ?? []).map((part) => part.replace(/"/g, ''));
}
