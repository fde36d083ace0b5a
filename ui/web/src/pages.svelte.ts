// A list that comes in pages: the first one is asked anew by refresh, later ones are appended by cursor.
import { ApiError } from './api';

export interface PageOf<T> {
  rows: T[];
  next: string | null;
}

export class Pages<T> {
  rows = $state.raw<T[] | null>(null);
  next = $state.raw<string | null>(null);
  error = $state.raw<string | null>(null);
  status = $state.raw(0);
  loading = $state.raw(false);
  /** Whether more than the first page is shown; a refresh would then take away what is being read. */
  extended = $state.raw(false);
  #abort: AbortController | null = null;
  #ask: ((cursor: string | null, signal: AbortSignal) => Promise<PageOf<T>>) | null = null;

  /** Asks for the first page; `keep` leaves the old rows in view until it is here. */
  async start(ask: (cursor: string | null, signal: AbortSignal) => Promise<PageOf<T>>, keep = false): Promise<void> {
    this.#ask = ask;
    this.extended = false;
    if (!keep) {
      this.rows = null;
      this.next = null;
      this.error = null;
    }
    await this.#load(null);
  }

  /** Asks for the page after the last one. */
  async more(): Promise<void> {
    if (this.loading || this.next === null) return;
    this.extended = true;
    await this.#load(this.next);
  }

  stop(): void {
    this.#abort?.abort();
    this.loading = false;
  }

  async #load(cursor: string | null): Promise<void> {
    if (!this.#ask) return;
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    this.loading = true;
    try {
      const page = await this.#ask(cursor, abort.signal);
      if (abort.signal.aborted) return;
      this.rows = cursor === null ? page.rows : [...(this.rows ?? []), ...page.rows];
      this.next = page.next;
      this.error = null;
    } catch (error) {
      if (abort.signal.aborted) return;
      this.error = error instanceof Error ? error.message : String(error);
      this.status = error instanceof ApiError ? error.status : 0;
    }
    this.loading = false;
  }
}
