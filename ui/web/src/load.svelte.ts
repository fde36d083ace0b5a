// One question to the API as reactive state: loading, the last answer, or what went wrong.
// A newer question cancels an older one; while a refresh runs the last answer stays on the page.
import { ApiError } from './api';
import { place } from './place.svelte';

export class Load<T> {
  /** The last answer; kept while the same question is asked again. */
  data = $state.raw<T | null>(null);
  /** What went wrong with the newest question, in words. */
  error = $state.raw<string | null>(null);
  status = $state.raw(0);
  loading = $state.raw(false);
  #abort: AbortController | null = null;

  /** Asks; `keep` leaves the last answer in view until the new one is here. */
  async run(ask: (signal: AbortSignal) => Promise<T>, keep = false): Promise<void> {
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    this.loading = true;
    if (!keep) {
      this.data = null;
      this.error = null;
    }
    try {
      const data = await ask(abort.signal);
      if (abort.signal.aborted) return;
      this.data = data;
      this.error = null;
      this.status = 200;
    } catch (error) {
      if (abort.signal.aborted) return;
      this.error = error instanceof Error ? error.message : String(error);
      this.status = error instanceof ApiError ? error.status : 0;
    }
    this.loading = false;
  }

  stop(): void {
    this.#abort?.abort();
    this.loading = false;
  }
}

/** Counts up whenever pages should ask again: by the clock of the bar, by its button, or after signing in. */
class Refresh {
  count = $state(0);
  /** The moment of the newest refresh, so that all questions of one refresh look at the same range. */
  now = $state(Date.now());

  again(): void {
    this.now = Date.now();
    this.count += 1;
  }
}

export const refresh = new Refresh();

/** Runs the automatic refresh of the bar while the page is in view; call it once, from the shell. */
export function refreshByClock(): void {
  $effect(() => {
    const seconds = place.view.refreshSeconds;
    // A fixed range in the past does not change by waiting.
    if (seconds === 0 || place.view.range.kind === 'absolute') return;
    const timer = setInterval(() => {
      if (document.visibilityState === 'visible') refresh.again();
    }, seconds * 1000);
    return () => clearInterval(timer);
  });
}
