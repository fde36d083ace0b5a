// What the form of a keyword rule becomes. The server checks everything again and has the last word.
import type { Rule } from '../answer';

export interface RuleDraft {
  id: string;
  /** One keyword or phrase a line. */
  keywords: string;
  /** Service names with commas or blanks between. */
  services: string;
  minSeverity: string;
  severity: string;
  receivers: string[];
}

export const EMPTY_DRAFT: RuleDraft = { id: '', keywords: '', services: '', minSeverity: '', severity: 'warning', receivers: [] };

/** The body to send. */
export function ruleOf(draft: RuleDraft): Partial<Rule> {
  const services = draft.services.split(/[\s,]+/).filter(Boolean);
  return {
    id: draft.id.trim(),
    kind: 'any',
    signal: 'logs',
    keywords: draft.keywords.split('\n').map((line) => line.trim()).filter(Boolean),
    ...(services.length ? { services } : {}),
    ...(draft.minSeverity ? { min_severity: draft.minSeverity } : {}),
    severity: draft.severity,
    ...(draft.receivers.length ? { receivers: draft.receivers } : {}),
  };
}

/** What is missing before it is worth sending, in words; empty when nothing is. */
export function missingFrom(draft: RuleDraft): string {
  if (!/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/.test(draft.id.trim())) return 'Give it a name of letters, digits, dots, dashes and underscores.';
  if (!draft.keywords.trim()) return 'Write at least one keyword.';
  return '';
}
