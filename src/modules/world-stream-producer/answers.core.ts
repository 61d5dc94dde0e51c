import { type ProbityError } from '../../rails/errors/probity-error.js';
import { type UtcMicros } from '../../rails/time.js';
import { eventIdIn } from './envelope-text.core.js';

/** Where a row stands in the order in which traffic is sent: (`ts_utc`, output, row). */
export interface RowPlace {
  readonly ts_utc: UtcMicros;
  readonly output_id: string;
  readonly row: number;
  readonly key: string;
}

/** Rows to send next to each other, and where the stream stands once all of them have their receipts. */
export interface Batch {
  readonly events: readonly string[];
  readonly last: RowPlace;
  /** Per output the first row that comes after this batch. */
  readonly nextRows: Readonly<Record<string, number>>;
}

export interface Counts {
  readonly admitted: number;
  readonly duplicate: number;
  readonly quarantined: number;
}

export interface Quarantined {
  readonly event_id: string;
  readonly reason_codes: readonly string[];
}

/** What the gate says of one event, as far as the stream looks at it. */
export interface Answer {
  readonly decision: 'ADMIT' | 'DUPLICATE' | 'QUARANTINE';
  readonly reason_codes: readonly string[];
  readonly retryable: boolean;
  readonly detail?: string;
}

/** As whom and as what it is sent is refused: true of every row, and repeated for every row if the stream went on. */
const REFUSALS: ReadonlySet<string> = new Set(['PRODUCER_MISMATCH', 'POLICY_DENY']);

export type BatchVerdict =
  | { readonly kind: 'done' }
  /** Some are quarantined for a reason that may pass, and may be tried again. */
  | { readonly kind: 'again'; readonly code: string; readonly detail: string }
  | { readonly kind: 'refused'; readonly code: string; readonly detail: string }
  /** Not one answer per event: it cannot be told which event they are about. */
  | { readonly kind: 'unreadable' };

/**
 * A batch on its way to terminal receipts. Only what has none yet is sent again; the cursor moves over the batch when every event has one,
 * so that everything before the cursor always has.
 */
export class OpenBatch {
  #open: readonly string[];
  #counts: Counts = { admitted: 0, duplicate: 0, quarantined: 0 };
  #quarantined: readonly Quarantined[] = [];
  #retries = 0;

  constructor(
    readonly batch: Batch,
    /** How often an event that is quarantined retryably is sent again before that counts as its receipt. */
    private readonly retriesMax: number,
  ) {
    this.#open = batch.events;
  }

  /** Events without a terminal receipt, in their order. */
  get open(): readonly string[] {
    return this.#open;
  }

  get counts(): Counts {
    return this.#counts;
  }

  get quarantined(): readonly Quarantined[] {
    return this.#quarantined;
  }

  /** @param answers one per open event, in their order */
  take(answers: readonly Answer[]): BatchVerdict {
    if (answers.length !== this.#open.length) return { kind: 'unreadable' };
    const refusal = answers.find(({ reason_codes }) => reason_codes.some((code) => REFUSALS.has(code)));
    // Nothing of it counts: once the policy lets them in, the same rows are sent again and admitted.
    if (refusal !== undefined) return { kind: 'refused', ...sentenceOf(refusal) };
    const mayRetry = this.#retries < this.retriesMax;
    const open: string[] = [];
    const quarantined: Quarantined[] = [];
    let [admitted, duplicate] = [0, 0];
    answers.forEach((answer, index) => {
      const event = this.#open[index] ?? '';
      if (answer.decision === 'ADMIT') admitted += 1;
      else if (answer.decision === 'DUPLICATE') duplicate += 1;
      else if (answer.retryable && mayRetry) open.push(event);
      else quarantined.push({ event_id: eventIdIn(event), reason_codes: answer.reason_codes });
    });
    this.#open = open;
    this.#counts = sum(this.#counts, { admitted, duplicate, quarantined: quarantined.length });
    this.#quarantined = [...this.#quarantined, ...quarantined];
    if (open.length === 0) return { kind: 'done' };
    this.#retries += 1;
    const last = answers.find(({ decision, retryable }) => decision === 'QUARANTINE' && retryable);
    return { kind: 'again', ...sentenceOf(last) };
  }
}

export function sum(a: Counts, b: Counts): Counts {
  return {
    admitted: a.admitted + b.admitted,
    duplicate: a.duplicate + b.duplicate,
    quarantined: a.quarantined + b.quarantined,
  };
}

export function sentOf({ admitted, duplicate, quarantined }: Counts): number {
  return admitted + duplicate + quarantined;
}

/** Whether more of what was sent since `from` was quarantined than the policy bears. */
export function tooManyQuarantined(
  counts: Counts,
  from: { readonly sent: number; readonly quarantined: number },
  limit: { readonly quarantine_share_max: number; readonly quarantine_rows_min: number },
): boolean {
  const sent = sentOf(counts) - from.sent;
  const quarantined = counts.quarantined - from.quarantined;
  return sent >= limit.quarantine_rows_min && quarantined > sent * limit.quarantine_share_max;
}

/** Codes of failures that are not retryable in themselves, but after which the same events may be sent again: the gate counts each once. */
const UNSURE: ReadonlySet<string> = new Set([
  'RPC_OUTCOME_UNKNOWN',
  'RPC_CANCELLED',
  // A gate of another build, while the fleet is being replaced.
  'RPC_RESPONSE_INVALID',
  'RPC_METHOD_UNKNOWN',
  'DATABASE_COMMIT_UNKNOWN',
  'INTERNAL',
]);

/** Whether the same may be tried again after this error, or the stream has to stop. */
export function mayTryAgain(error: ProbityError): boolean {
  return error.retryable || UNSURE.has(error.code);
}

/** How long the gate asks to be left alone, or 0. */
export function retryAfterMs(error: ProbityError): number {
  const asked = error.data['retry_after_ms'];
  return typeof asked === 'number' && asked > 0 ? asked : 0;
}

export interface BackOff {
  readonly firstMs: number;
  readonly maxMs: number;
}

/**
 * The pause after the nth failure in a row (from 0): doubled each time up to the maximum, of which between half and all is waited, so that
 * streams that failed together do not come back together; never less than what was asked for.
 */
export function pauseMs(failures: number, { firstMs, maxMs }: BackOff, askedMs: number, random: number): number {
  const wholeMs = Math.min(maxMs, firstMs * 2 ** Math.min(failures, 30));
  return Math.max(askedMs, wholeMs * (0.5 + random / 2));
}

function sentenceOf(answer: Answer | undefined): { readonly code: string; readonly detail: string } {
  const code = answer?.reason_codes[0] ?? 'QUARANTINE';
  return { code: `IG_${code}`, detail: answer?.detail ?? `the gate answers ${code}` };
}
