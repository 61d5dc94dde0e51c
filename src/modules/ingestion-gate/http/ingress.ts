import { ProbityError } from '../../../rails/errors/probity-error.js';
import type { Clock } from '../../../substrate/clock/clock.port.js';
import type { Gate, IngressState } from '../ingestion-gate.gate.js';

/** A reader that is held back looks again at least so often: short beside what a client calls slow, long beside a batch. */
const SLICE_MS = 100;

/** What a door asks before it takes anything of a new request. @throws ProbityError IG_RATE_LIMITED, IG_PAUSED */
export function demandOpen(gate: Gate): void {
  const { state, retryAfterMs } = gate.ingress();
  if (state !== 'OPEN') throw refusal(state, retryAfterMs);
}

/**
 * What a door asks before each further piece of a body: while the gate throttles, whoever has begun is read more slowly. The
 * waiting ends with the signal, and with the pause.
 * @throws ProbityError IG_PAUSED
 */
export async function untilOpen(gate: Gate, clock: Clock, signal: AbortSignal): Promise<void> {
  for (;;) {
    const { state, retryAfterMs } = gate.ingress();
    if (state === 'OPEN' || signal.aborted) return;
    if (state === 'PAUSE') throw refusal(state, retryAfterMs);
    await clock.sleep(Math.min(Math.max(retryAfterMs, 1), SLICE_MS), signal);
  }
}

function refusal(state: Exclude<IngressState, 'OPEN'>, retryAfterMs: number): ProbityError {
  const data = { retry_after_ms: retryAfterMs };
  return state === 'THROTTLE'
    ? new ProbityError('IG_RATE_LIMITED', 'too many events wait for their answers', { data })
    : new ProbityError('IG_PAUSED', 'the door takes nothing until what waits has been answered', { data });
}
