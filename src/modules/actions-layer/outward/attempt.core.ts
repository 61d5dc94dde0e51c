/** What an attempt came to. UNKNOWN: it may have been done, and nobody has said so. */
export type AttemptStep = 'COMMITTED' | 'NOT_COMMITTED' | 'UNKNOWN';

export interface AttemptEnd {
  readonly step: AttemptStep;
  /** Why it was not done, or why nobody knows; of what was done how it is known, where that is not the answer itself. */
  readonly reason: string | null;
  /** Another attempt could not end otherwise. */
  readonly final: boolean;
  /** Whether the target was there at all: what a circuit breaker counts. */
  readonly reached: boolean;
  readonly httpStatus?: number;
  /** As long as the target wants to be left alone. */
  readonly retryAfterMs?: number;
  /** The target's own name for what it did. */
  readonly effectorRef?: string;
}

/** What came back, as far as anything did. */
export type Answer =
  | {
      readonly kind: 'answered';
      readonly status: number;
      readonly retryAfter?: string | undefined;
      readonly ref?: string | undefined;
    }
  /** `sent`: some of the request may have arrived. */
  | { readonly kind: 'failed'; readonly sent: boolean }
  /** The address is none that this target may have. */
  | { readonly kind: 'refused' };

/** How an answer to a request is read. `nowMs` is for a `Retry-After` that is a date. */
export function endOf(answer: Answer, nowMs: number): AttemptEnd {
  if (answer.kind === 'refused') return { step: 'NOT_COMMITTED', reason: 'INVALID_PARAMS', final: true, reached: true };
  if (answer.kind === 'failed')
    return answer.sent
      ? { step: 'UNKNOWN', reason: 'UNCERTAIN_COMMIT', final: false, reached: false }
      : { step: 'NOT_COMMITTED', reason: 'DEPENDENCY_DOWN', final: false, reached: false };
  const { status } = answer;
  const httpStatus = status;
  if (status >= 200 && status < 300)
    return {
      step: 'COMMITTED',
      reason: null,
      final: true,
      reached: true,
      httpStatus,
      ...(answer.ref === undefined ? {} : { effectorRef: answer.ref }),
    };
  const wait = retryAfterMs(answer.retryAfter, nowMs);
  const later = wait === null ? {} : { retryAfterMs: wait };
  if (status === 429)
    return { step: 'NOT_COMMITTED', reason: 'RATE_LIMITED', final: false, reached: true, httpStatus, ...later };
  // By these the target says itself that it did not begin.
  if (status === 503 || status === 408 || status === 425)
    return { step: 'NOT_COMMITTED', reason: 'DEPENDENCY_DOWN', final: false, reached: false, httpStatus, ...later };
  // Somebody is at it under the same key (409), or it broke on the way.
  if (status === 409 || status >= 500)
    return { step: 'UNKNOWN', reason: 'UNCERTAIN_COMMIT', final: false, reached: status === 409, httpStatus, ...later };
  // Redirects are not followed: the address that was checked is the one that is spoken to.
  return { step: 'NOT_COMMITTED', reason: 'INVALID_PARAMS', final: true, reached: true, httpStatus };
}

export type Found = 'done' | 'absent' | 'unknown';

/** How the answer to a status query is read. */
export function foundOf(answer: Answer): Found {
  if (answer.kind !== 'answered') return 'unknown';
  if (answer.status === 200) return 'done';
  return answer.status === 404 ? 'absent' : 'unknown';
}

export interface RetryProfile {
  readonly attempts_max: number;
  readonly first_wait_ms: number;
  readonly wait_max_ms: number;
}

export interface Standing {
  /** The attempt that ended just now. */
  readonly attemptNo: number;
  /** Some attempt may have been done, and nothing has said otherwise since. */
  readonly ambiguous: boolean;
  readonly canAsk: boolean;
  readonly giveUpAtMs: number;
}

export type Next =
  | { readonly kind: 'again'; readonly dueAtMs: number; readonly ambiguous: boolean }
  | { readonly kind: 'executed' }
  | { readonly kind: 'failed'; readonly reasons: readonly string[]; readonly retryable: boolean };

/**
 * What follows from an attempt. Waits grow exponentially with full jitter (Brooker, "Exponential Backoff And Jitter"); `random` is in [0, 1). Past
 * the last attempt a target that can be asked is asked once more, and nothing is sent.
 */
export function nextOf(
  end: AttemptEnd,
  { attemptNo, ambiguous, canAsk, giveUpAtMs }: Standing,
  retry: RetryProfile,
  nowMs: number,
  random: number,
): Next {
  if (end.step === 'COMMITTED') return { kind: 'executed' };
  const unsure = ambiguous || end.step === 'UNKNOWN';
  if (end.final) return failed(end.reason === null ? [] : [end.reason], unsure);
  const mayAsk = unsure && canAsk && attemptNo === retry.attempts_max;
  if (attemptNo >= retry.attempts_max && !mayAsk) return failed(exhausted(end), unsure);
  const longest = Math.min(retry.wait_max_ms, retry.first_wait_ms * 2 ** Math.min(attemptNo - 1, 30));
  const wait = Math.max(Math.ceil(longest * random), Math.min(end.retryAfterMs ?? 0, retry.wait_max_ms));
  const dueAtMs = nowMs + wait;
  return dueAtMs >= giveUpAtMs ? failed(exhausted(end), unsure) : { kind: 'again', dueAtMs, ambiguous: unsure };
}

/** An effect that is given up without another attempt: it stands under its first reason whether it may have been done. */
export function failed(reasons: readonly string[], ambiguous: boolean): Next & { readonly kind: 'failed' } {
  const all = ambiguous ? [...reasons, 'UNCERTAIN_COMMIT'] : reasons;
  return {
    kind: 'failed',
    reasons: [...new Set(all)],
    // To ask anew under another key is safe only where this one surely did nothing, and could help.
    retryable: !ambiguous && !reasons.includes('INVALID_PARAMS'),
  };
}

function exhausted(end: AttemptEnd): readonly string[] {
  return [...(end.reason === null ? [] : [end.reason]), 'RETRIES_EXHAUSTED'];
}

function retryAfterMs(text: string | undefined, nowMs: number): number | null {
  if (text === undefined) return null;
  if (/^[0-9]{1,9}$/.test(text)) return Number(text) * 1_000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : Math.max(0, at - nowMs);
}
