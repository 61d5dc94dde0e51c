import { type Static, Type } from '@sinclair/typebox';
import { DigestSchema } from '../../rails/digest.js';
import { EventIdSchema } from '../../rails/envelope.schema.js';
import { RunIdSchema, RunPinsSchema } from '../../rails/pins.js';
import { closed, safeInteger, type Sealed } from '../../rails/schema.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { defineContract } from '../../substrate/rpc/rpc-contract.js';

export const LeavesQuery = closed({ run_id: RunIdSchema });
export const LeavesAnswer = closed({ by_kind: Type.Record(Type.String(), safeInteger(0, 'leaves')) });

export const QuarantinedQuery = closed({
  /** The first leaf that is wanted. */
  from_leaf: safeInteger(0, 'place in the log'),
  limit: Type.Integer({ minimum: 1, maximum: 200 }),
});
export const QuarantinedAnswer = closed({
  /** As their leaves say, rising. */
  records: Type.Array(
    closed({
      leaf: safeInteger(0, 'place in the log'),
      audit_record_id: DigestSchema,
      reason_codes: Type.Array(Type.String()),
      /** null where the record does not say it, or belongs to no run. */
      pins: Type.Union([RunPinsSchema, Type.Null()]),
      event_id: Type.Union([EventIdSchema, Type.Null()]),
      event_type: Type.Union([Type.String(), Type.Null()]),
      parent_event_id: Type.Union([EventIdSchema, Type.Null()]),
    }),
  ),
  /** From where to go on: nothing before it will be quarantined any more. */
  next_leaf: safeInteger(0, 'place in the log'),
});
export type Quarantined = Sealed<typeof QuarantinedAnswer>;

/** The log of everything that was admitted. */
export abstract class DecisionLogAuditPort {
  /** How many leaves of each kind are of a run. */
  abstract leaves(request: Static<typeof LeavesQuery>, context: CallContext): Promise<Static<typeof LeavesAnswer>>;
  /** Records that do not say what they came from, as far as their leaves are signed, in the order of the log. */
  abstract quarantined(request: Static<typeof QuarantinedQuery>, context: CallContext): Promise<Quarantined>;
}

export const DECISION_LOG_AUDIT_CONTRACT = defineContract('dla', {
  leaves: {
    request: LeavesQuery,
    response: LeavesAnswer,
    idempotent: true,
    permission: 'rpc.call:dla',
    summary: 'How many leaves of each kind are of a run',
  },
  quarantined: {
    request: QuarantinedQuery,
    response: QuarantinedAnswer,
    idempotent: true,
    permission: 'rpc.call:dla',
    summary: 'Records that do not say what they came from',
  },
});
