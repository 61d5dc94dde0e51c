import type { Context } from '@opentelemetry/api';
import type { Digest } from '../../rails/digest.js';
import type { Principal } from '../../substrate/identity/identity.port.js';
import type { Receipt, Reconciliation } from './ingestion-gate.port.js';

/** One event as it came in: the text of one JSON object, judged as it is. */
export interface Submission {
  readonly text: string;
  /** The quarantined event that it supersedes; its receipt then names it, and so must the envelope's `parent_event_id`, where that event had an id. */
  readonly supersedes?: Digest;
}

export interface SubmissionContext {
  readonly principal: Principal;
  readonly trace: Context;
  readonly signal: AbortSignal;
}

/** `OPEN` takes everything, `THROTTLE` answers 429 to new work, `PAUSE` 503: both before memory grows. */
export type IngressState = 'OPEN' | 'THROTTLE' | 'PAUSE';

export interface QuarantineEntry {
  readonly quarantine_id: Digest;
  /** The receipt of the submission, which says stage, reason, detail and evidence. */
  readonly receipt: Receipt;
  /** Set once it was released or corrected: the receipt of the event that superseded it. */
  readonly superseded_by?: Digest;
}

export interface QuarantinePage {
  readonly entries: readonly QuarantineEntry[];
  readonly next_cursor?: string;
}

export interface QuarantineQuery {
  readonly limit: number;
  readonly cursor?: string;
  readonly run_id?: string;
  readonly reason?: string;
  readonly producer?: string;
}

/** The gate as its own doors (HTTP, the port, remediation) use it. */
export abstract class Gate {
  /**
   * Judges and admits events, one receipt each, in their order. Calls that overlap share batches.
   * @throws the retryable IG_ errors, with nothing promised
   */
  abstract admit(events: readonly Submission[], context: SubmissionContext): Promise<readonly Receipt[]>;

  /** What a door asks before it reads the next piece of a body; `retryAfterMs` is 0 while the state is OPEN. */
  abstract ingress(): { readonly state: IngressState; readonly retryAfterMs: number };

  abstract receipt(receiptId: Digest): Promise<Receipt | null>;
  /** Receipts of admission. Without a run, of that event id in any run, youngest first, at most 100. */
  abstract receiptsOfEvent(eventId: string, runId?: string): Promise<readonly Receipt[]>;

  abstract quarantine(query: QuarantineQuery): Promise<QuarantinePage>;
  abstract quarantined(id: Digest): Promise<QuarantineEntry | null>;
  /** The raw bytes of a quarantined event, verified; null where the policy kept the digest alone. Records who read it, what and why. */
  abstract readEvidence(id: Digest, reader: Principal, purpose: string): Promise<Buffer | null>;

  abstract reconcile(runId: string): Promise<Reconciliation>;
}
