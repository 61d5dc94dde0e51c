import { type IngressState } from './ingestion-gate.gate.js';

/** What a door answers in each state; long enough for a batch to be written, short enough not to be felt as an outage. */
const RETRY_AFTER_MS = { OPEN: 0, THROTTLE: 250, PAUSE: 1_000 } as const;

export interface IngressLimits {
  readonly throttle_bytes: number;
  readonly pause_bytes: number;
}

/** The door's state follows from the bytes that wait for their answers, and from nothing else. */
export function ingressState(
  waitingBytes: number,
  { throttle_bytes, pause_bytes }: IngressLimits,
): { readonly state: IngressState; readonly retryAfterMs: number } {
  const state = waitingBytes >= pause_bytes ? 'PAUSE' : waitingBytes >= throttle_bytes ? 'THROTTLE' : 'OPEN';
  return { state, retryAfterMs: RETRY_AFTER_MS[state] };
}

interface Bucket {
  readonly tokens: number;
  readonly atMs: number;
}

/** Callers that are remembered; one that is forgotten begins with a full bucket. */
const CALLERS_KEPT = 10_000;

/**
 * Submissions per second and caller: a bucket that holds one second's worth. A call takes what it needs and may leave a
 * debt, so that a batch larger than the bucket passes once and is then waited for; otherwise it could never pass.
 */
export class RateLimiter {
  readonly #buckets = new Map<string, Bucket>();

  /** 0 when the call may pass, and then it is counted; else how long the caller should wait. `nowMs` is monotonic. */
  take(caller: string, count: number, ratePerS: number, nowMs: number): number {
    const { tokens, atMs } = this.#buckets.get(caller) ?? { tokens: ratePerS, atMs: nowMs };
    const held = Math.min(ratePerS, tokens + ((nowMs - atMs) * ratePerS) / 1_000);
    if (held <= 0) return Math.max(1, Math.ceil((-held * 1_000) / ratePerS));
    // The one that was used last stands last, so that the oldest is forgotten first.
    this.#buckets.delete(caller);
    this.#buckets.set(caller, { tokens: held - count, atMs: nowMs });
    if (this.#buckets.size > CALLERS_KEPT) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    return 0;
  }
}
