import { expect, test } from 'vitest';
import { groupText, urgencyOf } from './urgency';
import { EMPTY_DRAFT, missingFrom, ruleOf } from './rule';

test('a draft becomes a rule without empty keys, phrases stay whole', () => {
  const draft = { ...EMPTY_DRAFT, id: ' card-declined ', keywords: 'card declined\n\n 결제 실패 \n', services: 'payment, checkout' };
  expect(ruleOf(draft)).toEqual({
    id: 'card-declined', kind: 'any', signal: 'logs', keywords: ['card declined', '결제 실패'], services: ['payment', 'checkout'], severity: 'warning',
  });
  expect(Object.keys(ruleOf({ ...draft, services: ' ' }))).not.toContain('services');
});

test('what is missing is told before anything is sent', () => {
  expect(missingFrom({ ...EMPTY_DRAFT, keywords: 'x' })).toContain('name');
  expect(missingFrom({ ...EMPTY_DRAFT, id: '.hidden', keywords: 'x' })).toContain('name');
  expect(missingFrom({ ...EMPTY_DRAFT, id: 'ok', keywords: ' \n ' })).toContain('keyword');
  expect(missingFrom({ ...EMPTY_DRAFT, id: 'ok', keywords: 'x' })).toBe('');
});

test('urgency has a sign for every severity, known or not', () => {
  expect(['critical', 'error', 'warning', 'info', 'odd'].map((severity) => urgencyOf(severity).sign)).toEqual(['▲', '▲', '△', '○', '○']);
  expect(groupText({ 'service.name': 'a', n: 1 })).toEqual(['service.name=a', 'n=1']);
});
