// The only file that calls fetch. Adds the bearer token, turns refusals into words, and reads live tails.
// Deliberately keeps no cache and retries nothing by itself: a page decides when to ask again.
import type {
  Alert,
  LogPage,
  LogRecord,
  Notice,
  Operation,
  OtlpTraces,
  Problem,
  Receiver,
  Rule,
  Service,
  ServiceMap,
  TracePage,
  TraceSummary,
} from './answer';
import { EventParser } from './sse';

const TOKEN_KEY = 'tracelake.token';

/** A request that did not succeed, in words for people. `status` is 0 when no answer came. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export type Query = Record<string, string | number | string[] | null | undefined>;

let whenUnauthorized: () => void = () => {};

/** Calls back whenever the server asks for a credential. */
export function onUnauthorized(callback: () => void): void {
  whenUnauthorized = callback;
}

/** Keeps the token for this tab only; null forgets it. */
export function setToken(token: string | null): void {
  if (token === null) sessionStorage.removeItem(TOKEN_KEY);
  else sessionStorage.setItem(TOKEN_KEY, token);
}

export function hasToken(): boolean {
  return sessionStorage.getItem(TOKEN_KEY) !== null;
}

/** A path with its query; empty and absent values are left out, lists repeat their key. */
export function address(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === '') continue;
    for (const item of Array.isArray(value) ? value : [String(value)]) search.append(key, item);
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

async function send(method: string, url: string, signal?: AbortSignal, body?: unknown): Promise<Response> {
  const headers = new Headers({ accept: 'application/json' });
  const token = sessionStorage.getItem(TOKEN_KEY);
  if (token) headers.set('authorization', `Bearer ${token}`);
  if (body !== undefined) headers.set('content-type', 'application/json');
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      headers,
      cache: 'no-store',
      ...(signal ? { signal } : {}),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, 'The server does not answer. Is Tracelake running, and can this browser reach it?');
  }
  if (response.ok) return response;
  if (response.status === 401) whenUnauthorized();
  throw new ApiError(response.status, await refusal(response));
}

/** What a refusal says: the problem's detail and its single errors, or the status in words. */
async function refusal(response: Response): Promise<string> {
  const text = await response.text().catch(() => '');
  let problem: Problem | null = null;
  try {
    problem = JSON.parse(text) as Problem;
  } catch {
    // Not JSON: a proxy's page or an empty body; the status has to do.
  }
  if (!problem || typeof problem !== 'object') return `The server answered ${response.status} ${response.statusText}`.trim() + '.';
  const errors = (problem.errors ?? []).map((error) => (typeof error === 'string' ? error : JSON.stringify(error)));
  const told = problem.detail ?? problem.title ?? `The server answered ${response.status}.`;
  return [told, ...errors.filter((error) => !told.includes(error))].join('\n');
}

async function get<T>(path: string, query: Query, signal?: AbortSignal): Promise<T> {
  const response = await send('GET', address(path, query), signal);
  try {
    return (await response.json()) as T;
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(response.status, `The answer to ${path} is not JSON.`);
  }
}

const id = encodeURIComponent;

/** The map of a range; with `than` also what differs from that earlier range (milliseconds). */
export const serviceMap = (query: Query, than: { start: number; end: number } | null, signal?: AbortSignal) => {
  const compare = than && { compare_start: new Date(than.start).toISOString(), compare_end: new Date(than.end).toISOString() };
  return get<ServiceMap>('/api/v1/service-map', { ...query, ...compare }, signal);
};
export const services = (query: Query, signal?: AbortSignal) => get<{ services: Service[] }>('/api/v1/services', query, signal);
export const operations = (service: string, query: Query, signal?: AbortSignal) =>
  get<{ operations: Operation[] }>(`/api/v1/services/${id(service)}/operations`, query, signal);
export const traces = (query: Query, signal?: AbortSignal) => get<TracePage>('/api/v1/traces', query, signal);
export const trace = (traceId: string, signal?: AbortSignal) => get<OtlpTraces>(`/api/v1/traces/${id(traceId)}`, {}, signal);
export const traceSummary = (traceId: string, signal?: AbortSignal) =>
  get<TraceSummary>(`/api/v1/traces/${id(traceId)}`, { view: 'summary' }, signal);
export const logs = (query: Query, signal?: AbortSignal) => get<LogPage>('/api/v1/logs', query, signal);

const alerting = '/api/v1/alerting';
export const alerts = (query: Query, signal?: AbortSignal) => get<{ alerts: Alert[] }>(`${alerting}/alerts`, query, signal);
export const notices = (query: Query, signal?: AbortSignal) => get<{ notices: Notice[] }>(`${alerting}/notices`, query, signal);
export const rules = (signal?: AbortSignal) => get<{ rules: Rule[] }>(`${alerting}/rules`, {}, signal);
export const receivers = (signal?: AbortSignal) => get<{ receivers: Receiver[] }>(`${alerting}/receivers`, {}, signal);
export const redeliver = (noticeId: string) => send('POST', `${alerting}/notices/${id(noticeId)}/redeliver`);
export const addRule = (rule: Partial<Rule>) => send('POST', `${alerting}/rules`, undefined, rule);
export const deleteRule = (ruleId: string) => send('DELETE', `${alerting}/rules/${id(ruleId)}`);
export const addReceiver = (receiver: Partial<Receiver> & { secret?: string }) =>
  send('POST', `${alerting}/receivers`, undefined, receiver);
export const deleteReceiver = (receiverId: string) => send('DELETE', `${alerting}/receivers/${id(receiverId)}`);

/** Sends a test notice now, once; tells whether the receiver took it and what it said. */
export async function testReceiver(receiverId: string): Promise<{ delivered: boolean; answer: string | null }> {
  const response = await send('POST', `${alerting}/receivers/${id(receiverId)}/test`);
  return (await response.json()) as { delivered: boolean; answer: string | null };
}

/**
 * Follows the live tail until the signal aborts or the connection ends. An EventSource cannot carry a bearer token,
 * so this reads the same stream through fetch.
 */
export async function tailLogs(
  query: Query,
  signal: AbortSignal,
  onOpen: () => void,
  onLog: (log: LogRecord) => void,
  onNote: (type: string) => void,
): Promise<void> {
  const response = await send('GET', address('/api/v1/logs/tail', query), signal);
  onOpen();
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  const parser = new EventParser();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    for (const event of parser.push(value)) {
      if (event.type === 'message' || event.type === 'log') onLog(JSON.parse(event.data) as LogRecord);
      else onNote(event.type);
    }
  }
}
