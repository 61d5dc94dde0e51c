import { digestText, type Digest } from '../../src/rails/digest.js';
import type { ProbityError } from '../../src/rails/errors/probity-error.js';
import {
  Gate,
  type IngressState,
  type QuarantineEntry,
  type QuarantinePage,
  type QuarantineQuery,
  type Submission,
  type SubmissionContext,
} from '../../src/modules/ingestion-gate/ingestion-gate.gate.js';
import type { Reason, Receipt, Reconciliation } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import type { Principal } from '../../src/substrate/identity/identity.port.js';

/** A gate in memory whose answers a test can hold back, refuse and count; it judges by size, syntax and event id alone. */
export class MemoryGate extends Gate {
  state: IngressState = 'OPEN';
  retryAfterMs = 0;
  /** Thrown by the next calls, in their order; undefined lets one through. */
  readonly failures: (ProbityError | undefined)[] = [];
  readonly calls: { readonly events: readonly Submission[]; readonly context: SubmissionContext }[] = [];
  readonly reads: { readonly id: Digest; readonly reader: string; readonly purpose: string }[] = [];
  readonly queries: QuarantineQuery[] = [];
  readonly raw = new Map<Digest, Buffer | null>();
  /** Calls that have not been answered: now, and at most. */
  active = 0;
  activeMax = 0;
  eventBytesMax = 262_144;
  /** For tests that look at memory: neither calls nor receipts are kept. */
  forgets = false;

  readonly #receipts = new Map<Digest, Receipt>();
  readonly #admitted = new Map<string, { readonly text: string; readonly receipt: Receipt }>();
  #held: Promise<void> = Promise.resolve();

  /** From now on nothing is answered until the returned function is called. */
  hold(): () => void {
    let release = (): void => undefined;
    this.#held = new Promise((resolve) => (release = resolve));
    return release;
  }

  async admit(events: readonly Submission[], context: SubmissionContext): Promise<readonly Receipt[]> {
    if (!this.forgets) this.calls.push({ events, context });
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    this.active += 1;
    this.activeMax = Math.max(this.activeMax, this.active);
    try {
      await this.#held;
      return events.map((event) => this.#judge(event, context.principal));
    } finally {
      this.active -= 1;
    }
  }

  ingress(): { readonly state: IngressState; readonly retryAfterMs: number } {
    return { state: this.state, retryAfterMs: this.retryAfterMs };
  }

  receipt(id: Digest): Promise<Receipt | null> {
    return Promise.resolve(this.#receipts.get(id) ?? null);
  }

  receiptsOfEvent(eventId: string): Promise<readonly Receipt[]> {
    const found = this.#admitted.get(eventId);
    return Promise.resolve(found === undefined ? [] : [found.receipt]);
  }

  quarantine(query: QuarantineQuery): Promise<QuarantinePage> {
    this.queries.push(query);
    const entries = [...this.raw.keys()].map((id) => this.#entry(id)).filter((entry) => entry !== null);
    return Promise.resolve({ entries, next_cursor: 'more' });
  }

  quarantined(id: Digest): Promise<QuarantineEntry | null> {
    return Promise.resolve(this.#entry(id));
  }

  readEvidence(id: Digest, reader: Principal, purpose: string): Promise<Buffer | null> {
    this.reads.push({ id, reader: reader.actor.actor_id, purpose });
    return Promise.resolve(this.raw.get(id) ?? null);
  }

  reconcile(runId: string): Promise<Reconciliation> {
    return Promise.resolve({
      state: 'DONE',
      run_id: runId as Reconciliation['run_id'],
      admitted: this.#admitted.size,
      duplicate: 0,
      quarantined: this.raw.size,
      on_bus: this.#admitted.size,
      by_type: { transaction: { admitted: this.#admitted.size, on_bus: this.#admitted.size } },
      missing_on_bus: [],
      not_in_ledger: [],
      more_than_once_on_bus: [],
      other_content: [],
      reconciled: true,
    });
  }

  #entry(id: Digest): QuarantineEntry | null {
    const receipt = this.#receipts.get(id);
    return receipt === undefined || !this.raw.has(id) ? null : { quarantine_id: id, receipt };
  }

  #judge({ text, supersedes }: Submission, principal: Principal): Receipt {
    const common = {
      receipt_id: digestText(`${this.#receipts.size}`),
      retryable: false,
      principal: principal.actor.actor_id,
      decided_at_utc: '2026-01-01T00:00:00.000000Z' as Receipt['decided_at_utc'],
      policy_rev: { policy_id: 'memory', revision: 1, content_digest: digestText('memory') } as Receipt['policy_rev'],
      component_version: '0',
      env: 'test',
      ...(supersedes === undefined ? {} : { supersedes_ref: supersedes }),
    };
    const refused = (reason: Reason, detail: string, keep = true): Receipt => {
      this.raw.set(common.receipt_id, keep ? Buffer.from(text) : null);
      return this.#remember({
        ...common,
        decision: 'QUARANTINE',
        reason_codes: [reason],
        quarantine: { quarantine_id: common.receipt_id, stage: 'parse', detail },
      });
    };
    if (Buffer.byteLength(text) > this.eventBytesMax) return refused('PAYLOAD_TOO_LARGE', 'too large', false);
    const id = idOf(text);
    if (id === undefined) return refused('ENVELOPE_INVALID', 'is not an event');
    const first = this.#admitted.get(id);
    if (first !== undefined && first.text !== text) return refused('PAYLOAD_HASH_MISMATCH', 'is another event');
    const receipt = this.#remember({
      ...common,
      decision: first === undefined ? 'ADMIT' : 'DUPLICATE',
      reason_codes: [],
      event_id: id as NonNullable<Receipt['event_id']>,
      ...(first === undefined ? {} : { original_receipt_id: first.receipt.receipt_id }),
    });
    if (first === undefined) this.#admitted.set(id, { text, receipt });
    return receipt;
  }

  #remember(receipt: Receipt): Receipt {
    if (!this.forgets) this.#receipts.set(receipt.receipt_id, receipt);
    return receipt;
  }
}

/** The id of an event that is JSON and well-formed Unicode. */
function idOf(text: string): string | undefined {
  if (/\p{Surrogate}/u.test(text)) return undefined;
  try {
    const { event_id } = JSON.parse(text) as { readonly event_id?: unknown };
    return typeof event_id === 'string' ? event_id : undefined;
  } catch {
    return undefined;
  }
}
