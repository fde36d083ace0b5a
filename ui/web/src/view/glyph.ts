// The signs of the kinds of nodes: hexagon service, cylinder database, three bars queue, globe external, arrow client.
// Drawn by one function on canvas and offered as SVG paths to the panels, so that both show the same signs.
import type { NodeKind } from '../answer';

/** Paths in a box from -8 to 8. */
export const GLYPHS: Record<NodeKind, string> = {
  service: 'M0 -7 L6.06 -3.5 L6.06 3.5 L0 7 L-6.06 3.5 L-6.06 -3.5 Z',
  database: 'M-6 -4.6 A6 2.6 0 1 1 6 -4.6 A6 2.6 0 1 1 -6 -4.6 M-6 -4.6 V4.6 A6 2.6 0 0 0 6 4.6 V-4.6',
  queue: 'M-7 -5 h3.4 v10 h-3.4 Z M-1.7 -5 h3.4 v10 h-3.4 Z M3.6 -5 h3.4 v10 h-3.4 Z',
  external: 'M-6.5 0 A6.5 6.5 0 1 1 6.5 0 A6.5 6.5 0 1 1 -6.5 0 M-6.5 0 H6.5 M0 -6.5 A2.9 6.5 0 0 0 0 6.5 A2.9 6.5 0 0 0 0 -6.5',
  client: 'M-6.5 0 H5.5 M1 -4.5 L6 0 L1 4.5',
};

export const KIND_WORDS: Record<NodeKind, string> = {
  service: 'Service',
  database: 'Database',
  queue: 'Queue or topic',
  external: 'External system',
  client: 'Client',
};
