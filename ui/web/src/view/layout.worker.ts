// Runs the layout beside the page, so that a large map does not hold up typing.
import { layout, type LayoutEdge, type LayoutNode, type LayoutOptions, type Positions } from './layout';

export interface LayoutRequest {
  turn: number;
  nodes: LayoutNode[];
  edges: LayoutEdge[];
  options: LayoutOptions;
  earlier: Positions;
}

export interface LayoutReply {
  turn: number;
  positions: Positions;
}

self.onmessage = (event: MessageEvent<LayoutRequest>) => {
  const { turn, nodes, edges, options, earlier } = event.data;
  const reply: LayoutReply = { turn, positions: layout(nodes, edges, options, earlier) };
  (self as unknown as Worker).postMessage(reply);
};
