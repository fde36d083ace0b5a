// Reads server-sent events out of chunks of text (WHATWG HTML, section 9.2.6).
// Deliberately keeps no retry time and no event id: a live tail begins anew when it reconnects.

export interface ServerEvent {
  type: string;
  data: string;
}

/** Feed it chunks as they arrive; it returns the events that each chunk completed. */
export class EventParser {
  #rest = '';
  #type = '';
  #data: string[] = [];

  push(chunk: string): ServerEvent[] {
    const text = this.#rest + chunk;
    // A chunk may end between the CR and the LF of one line end: keep a lone CR back.
    const usable = text.endsWith('\r') ? text.slice(0, -1) : text;
    const lines = usable.split(/\r\n|\n|\r/);
    const last = lines.pop() ?? '';
    this.#rest = last + text.slice(usable.length);
    const events: ServerEvent[] = [];
    for (const line of lines) {
      if (line === '') {
        if (this.#data.length) events.push({ type: this.#type || 'message', data: this.#data.join('\n') });
        this.#type = '';
        this.#data = [];
        continue;
      }
      if (line.startsWith(':')) continue;
      const colon = line.indexOf(':');
      const field = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
      if (field === 'data') this.#data.push(value);
      else if (field === 'event') this.#type = value;
    }
    return events;
  }
}
