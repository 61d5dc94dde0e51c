/** How a circuit breaker is set: see the policy's target. */
export interface BreakerSettings {
  readonly window: number;
  readonly failures_pct: number;
  readonly open_ms: number;
}

/**
 * A circuit breaker as a value (Nygard, Release It!, 2nd ed., ch. 5). CLOSED: everything passes and the last answers are remembered. OPEN: nothing
 * passes until a moment. HALF_OPEN: one attempt is under way, and decides.
 */
export type Breaker =
  | { readonly state: 'CLOSED'; readonly answers: readonly boolean[] }
  | { readonly state: 'OPEN'; readonly untilMs: number }
  | { readonly state: 'HALF_OPEN' };

export const CLOSED: Breaker = { state: 'CLOSED', answers: [] };

/** How many attempts may begin now, of so many that are wanted; with the breaker to go on with. */
export function permits(
  breaker: Breaker,
  wanted: number,
  nowMs: number,
): { readonly breaker: Breaker; readonly count: number } {
  if (breaker.state === 'CLOSED') return { breaker, count: wanted };
  if (breaker.state === 'OPEN' && nowMs >= breaker.untilMs) return { breaker: { state: 'HALF_OPEN' }, count: 1 };
  return { breaker, count: 0 };
}

/** After attempts that ended; `answers` says of each whether the target was there. */
export function after(
  breaker: Breaker,
  answers: readonly boolean[],
  { window, failures_pct, open_ms }: BreakerSettings,
  nowMs: number,
): Breaker {
  // A trial that could not be made decides nothing: the next one may.
  if (answers.length === 0) return breaker.state === 'HALF_OPEN' ? { state: 'OPEN', untilMs: nowMs } : breaker;
  const open: Breaker = { state: 'OPEN', untilMs: nowMs + open_ms };
  if (breaker.state === 'HALF_OPEN') return answers.every(Boolean) ? CLOSED : open;
  if (breaker.state === 'OPEN') return breaker;
  const kept = [...breaker.answers, ...answers].slice(-window);
  const failed = kept.filter((good) => !good).length;
  return kept.length >= window && failed * 100 >= failures_pct * window ? open : { state: 'CLOSED', answers: kept };
}
