// Where the reader is: the view of the address bar as one reactive value, and moving to another.
import { formatView, parseView, viewOf, type Field, type Page, type View } from './url';
import { Zone } from './time';

class Place {
  #view = $state.raw<View | null>(null);
  readonly zone = $derived(new Zone(this.#view?.zone ?? 'local'));

  constructor() {
    this.#read();
    addEventListener('popstate', () => this.#read());
  }

  /** Null when the address names no page. */
  get known(): View | null {
    return this.#view;
  }

  /** The view, or the front page's where the address names none. */
  get view(): View {
    return this.#view ?? parseView('/', '')!;
  }

  /** Goes there; `replace` for changes that the back button should not undo one by one. */
  go(view: View, replace = false): void {
    const address = formatView(view);
    if (replace) history.replaceState(null, '', address);
    else if (address !== location.pathname + location.search) history.pushState(null, '', address);
    this.#view = view;
  }

  /** Changes some of this page's fields; an empty text removes one. */
  set(fields: Record<string, string>, replace = true): void {
    const merged = Object.entries({ ...this.view.fields, ...fields }).filter(([, value]) => value !== '');
    this.go({ ...this.view, fields: Object.fromEntries(merged) }, replace);
  }

  /** The address of another page in the same range. */
  to<P extends Page>(page: P, fields: Partial<Record<Field<P>, string>> = {}, traceId: string | null = null): string {
    return formatView(viewOf(this.view, page, fields, traceId));
  }

  /** Follows a link inside the pages without loading them again; other links stay the browser's. */
  follow(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    if (!link || link.target || link.origin !== location.origin || link.hasAttribute('download')) return;
    const view = parseView(link.pathname, link.search);
    if (!view) return;
    event.preventDefault();
    this.go(view);
  }

  #read(): void {
    this.#view = parseView(location.pathname, location.search);
  }
}

export const place = new Place();
