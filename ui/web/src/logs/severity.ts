// Severities of log records: their numbers (OpenTelemetry log data model), words, signs and styles.

export const SEVERITIES = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'] as const;

/** The range's name for a severity number; 0 and strangers are unspecified. */
export function severityName(number: number): string {
  return number >= 1 && number <= 24 ? SEVERITIES[Math.floor((number - 1) / 4)]! : '';
}

/** What a record is shown with: the sender's word where it has one. */
export function severityText(log: { severity_number: number; severity_text: string }): string {
  return log.severity_text || severityName(log.severity_number) || '–';
}

/** 2 from ERROR, 1 for WARN; severities without a number are judged by their word. */
export function severityLevel(log: { severity_number: number; severity_text: string }): 0 | 1 | 2 {
  if (log.severity_number >= 17) return 2;
  if (log.severity_number >= 13) return 1;
  if (log.severity_number > 0) return 0;
  if (/^(err|fatal|crit|alert|emerg|severe|panic)/i.test(log.severity_text)) return 2;
  return /^warn/i.test(log.severity_text) ? 1 : 0;
}

/** A record's body on one line. */
export function bodyText(body: unknown): string {
  if (body === null || body === undefined) return '';
  return typeof body === 'string' ? body : JSON.stringify(body);
}
