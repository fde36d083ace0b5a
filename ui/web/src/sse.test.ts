import { expect, test } from 'vitest';
import { EventParser } from './sse';

function read(...chunks: string[]): string[] {
  const parser = new EventParser();
  return chunks.flatMap((chunk) => parser.push(chunk)).map((event) => `${event.type}=${event.data}`);
}

test('events come out whole however the bytes were cut', () => {
  const text = 'event: log\r\ndata: {"a":1}\r\n\r\n: keep-alive\n\ndata: x\ndata: y\n\n';
  const expected = ['log={"a":1}', 'message=x\ny'];
  expect(read(text)).toEqual(expected);
  expect(read(...text)).toEqual(expected);
});

test('an unfinished event is not handed out', () => {
  expect(read('data: 1\n')).toEqual([]);
});
