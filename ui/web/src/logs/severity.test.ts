import { expect, test } from 'vitest';
import { bodyText, severityLevel, severityName, severityText } from './severity';

test('numbers fall into the ranges of the log data model', () => {
  expect([0, 1, 4, 5, 9, 12, 13, 17, 21, 24, 25].map(severityName)).toEqual(['', 'TRACE', 'TRACE', 'DEBUG', 'INFO', 'INFO', 'WARN', 'ERROR', 'FATAL', 'FATAL', '']);
});

test('the level follows the number, and the word only where there is none', () => {
  const level = (severity_number: number, severity_text: string) => severityLevel({ severity_number, severity_text });
  expect([level(17, 'info'), level(13, ''), level(9, 'ERROR'), level(0, 'ERROR'), level(0, 'warning'), level(0, '')]).toEqual([2, 1, 0, 2, 1, 0]);
  expect(severityText({ severity_number: 9, severity_text: '' })).toBe('INFO');
});

test('structured bodies are one line of JSON', () => {
  expect(bodyText({ a: [1] })).toBe('{"a":[1]}');
  expect(bodyText('plain')).toBe('plain');
  expect(bodyText(null)).toBe('');
});
