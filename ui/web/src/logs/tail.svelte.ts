// The live tail: follows the server's stream, keeps a bounded ring of lines, waits while the reader has scrolled away,
// and connects again after a break, more and more slowly.
import { ApiError, tailLogs } from '../api';
import type { LogRecord } from '../answer';

/** Lines kept on the page. */
const LINES_MAX = 5_000;
/** Lines that wait while the reader has scrolled away. */
const WAITING_MAX = 2_000;
const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 15_000;

export class Tail {
  /** Newest first. */
  rows = $state.raw<LogRecord[]>([]);
  connected = $state(false);
  error = $state<string | null>(null);
  paused = $state(false);
  waiting = $state(0);
  /** Whether lines were left out, by the server or here, because more came than could be shown. */
  missed = $state(false);
  #queue: LogRecord[] = [];
  #abort: AbortController | null = null;
  #frame = 0;

  follow(filters: Record<string, string>): void {
    this.stop();
    this.rows = [];
    this.#queue = [];
    this.missed = false;
    this.waiting = 0;
    const abort = new AbortController();
    this.#abort = abort;
    void this.#run(filters, abort.signal);
  }

  stop(): void {
    this.#abort?.abort();
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.connected = false;
    this.error = null;
  }

  pause(away: boolean): void {
    this.paused = away;
    if (!away) this.#show();
  }

  async #run(filters: Record<string, string>, signal: AbortSignal): Promise<void> {
    let delayMs = RETRY_MIN_MS;
    while (!signal.aborted) {
      try {
        await tailLogs(
          filters,
          signal,
          () => {
            this.connected = true;
            this.error = null;
            delayMs = RETRY_MIN_MS;
          },
          (log) => this.#take(log),
          (type) => this.#note(type),
        );
      } catch (error) {
        if (signal.aborted) return;
        this.error = error instanceof Error ? error.message : String(error);
        // A refusal does not get better by asking again; a broken connection may.
        if (error instanceof ApiError && error.status >= 400 && error.status < 500) {
          this.connected = false;
          return;
        }
      }
      this.connected = false;
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      delayMs = Math.min(RETRY_MAX_MS, delayMs * 2);
    }
  }

  #take(log: LogRecord): void {
    this.#queue.push(log);
    if (this.#queue.length > WAITING_MAX) {
      this.#queue.shift();
      this.missed = true;
    }
    // Many lines may come between two frames: they are shown together.
    if (!this.#frame) {
      this.#frame = requestAnimationFrame(() => {
        this.#frame = 0;
        if (this.paused) this.waiting = this.#queue.length;
        else this.#show();
      });
    }
  }

  #show(): void {
    if (this.#queue.length) this.rows = [...this.#queue.reverse(), ...this.rows].slice(0, LINES_MAX);
    this.#queue = [];
    this.waiting = 0;
  }

  /** The server tells by an event of its own that it had to leave out some. */
  #note(type: string): void {
    if (type === 'missed') this.missed = true;
  }
}
