import { type Static, Type } from '@sinclair/typebox';
import { RunIdSchema } from '../../rails/pins.js';
import { closed, safeInteger } from '../../rails/schema.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { defineContract } from '../../substrate/rpc/rpc-contract.js';

export const LeavesQuery = closed({ run_id: RunIdSchema });
export const LeavesAnswer = closed({ by_kind: Type.Record(Type.String(), safeInteger(0, 'leaves')) });

/** The log of everything that was admitted. */
export abstract class DecisionLogAuditPort {
  /** How many leaves of each kind are of a run. */
  abstract leaves(request: Static<typeof LeavesQuery>, context: CallContext): Promise<Static<typeof LeavesAnswer>>;
}

export const DECISION_LOG_AUDIT_CONTRACT = defineContract('dla', {
  leaves: {
    request: LeavesQuery,
    response: LeavesAnswer,
    idempotent: true,
    permission: 'rpc.call:dla',
    summary: 'How many leaves of each kind are of a run',
  },
});
