import { Injectable, Module } from '@nestjs/common';
import { digestText } from '../../src/rails/digest.js';
import { eventContentDigest, asEnvelope } from '../../src/rails/envelope.js';
import { type Static } from '@sinclair/typebox';
import { type Envelope } from '../../src/rails/envelope.schema.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { PAYLOADS } from '../../src/rails/events/catalogue.js';
import { validatorOf } from '../../src/rails/validator.js';
import {
  IngestionGatePort,
  type SubmitRequest,
  type SubmitResponse,
  type Reason,
  type SubmitResultSchema,
} from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import type { CallContext } from '../../src/substrate/rpc/rpc.port.js';

const schemas = new Map(
  PAYLOADS.map(({ event_type, schema_version, schema }) => [
    `${event_type}.${schema_version}`,
    validatorOf(schema, 'the payload'),
  ]),
);

/**
 * A gate of a test: it keeps what it admits in memory and answers by the one table of identities, so that its callers can be
 * tested by themselves. `refuse` is thrown instead of an answer, as long as it is set.
 */
@Injectable()
export class FakeGate extends IngestionGatePort {
  readonly admitted = new Map<string, Envelope>();
  /** How many events each call had. */
  readonly calls: number[] = [];
  callers = new Set<string>();
  refuse: ProbityError | undefined;
  /** Whether the run that events name is not ready yet: they may be admitted later as they are. */
  notReady = false;

  async submit(
    { events }: Static<typeof SubmitRequest>,
    { caller }: CallContext,
  ): Promise<Static<typeof SubmitResponse>> {
    this.calls.push(events.length);
    this.callers.add(caller.actor.actor_id);
    if (this.refuse !== undefined) throw this.refuse;
    return await Promise.resolve({ results: events.map((text) => this.#judge(text)) });
  }

  receipts(): never {
    throw new Error('nobody asks a fake gate for receipts');
  }

  reconcile(): never {
    throw new Error('nobody reconciles with a fake gate');
  }

  #judge(text: string): Static<typeof SubmitResultSchema> {
    const envelope = asEnvelope(JSON.parse(text));
    const { event_id, event_type, schema_version } = envelope;
    const about = { event_id, receipt_id: digestText(text), retryable: false };
    if (this.notReady) return { ...about, ...quarantined('RUN_NOT_READY'), retryable: true };
    const verdict = schemas.get(`${event_type}.${schema_version}`)?.check(envelope.payload);
    if (verdict?.ok !== true) return { ...about, ...quarantined('SCHEMA_FAIL', verdict?.fault.at) };
    const first = this.admitted.get(event_id);
    if (first === undefined) {
      this.admitted.set(event_id, envelope);
      return { ...about, decision: 'ADMIT', reason_codes: [] };
    }
    return eventContentDigest(first) === eventContentDigest(envelope)
      ? { ...about, decision: 'DUPLICATE', reason_codes: [] }
      : { ...about, ...quarantined('PAYLOAD_HASH_MISMATCH') };
  }
}

function quarantined(
  reason: Reason,
  at = '',
): { readonly decision: 'QUARANTINE'; readonly reason_codes: [Reason]; readonly detail: string } {
  return { decision: 'QUARANTINE', reason_codes: [reason], detail: `${reason} ${at}` };
}

@Module({ providers: [FakeGate], exports: [FakeGate] })
export class FakeGateModule {}
