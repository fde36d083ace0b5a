import { expect, test } from 'vitest';
import { snippets } from './snippet';

test('every snippet names the host the page came from and a door of the right protocol', () => {
  for (const each of snippets('lake.example')) {
    expect(each.text, each.id).toContain(`lake.example:${each.id === 'grpc' || each.id === 'collector' ? 4317 : 4318}`);
  }
  expect(snippets('')[0]!.text).toContain('http://localhost:4317');
});
