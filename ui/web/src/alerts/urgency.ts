// How urgent an alert is, as a sign and a class, so that it is never told by colour alone.

export interface Urgency {
  sign: string;
  style: 'bad' | 'warned' | 'mute';
}

export function urgencyOf(severity: string): Urgency {
  if (severity === 'critical' || severity === 'error') return { sign: '▲', style: 'bad' };
  if (severity === 'warning') return { sign: '△', style: 'warned' };
  return { sign: '○', style: 'mute' };
}

/** An alert's group (`service.name=payment`) as short texts. */
export function groupText(group: Record<string, unknown>): string[] {
  return Object.entries(group).map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
}
