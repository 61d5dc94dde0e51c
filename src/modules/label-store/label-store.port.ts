import { type Static, Type } from '@sinclair/typebox';
import { LabelSchema, LabelTypeSchema } from '../../rails/events/label.schema.js';
import { LabelTargetSchema } from '../../rails/labels/target.js';
import { RunIdSchema } from '../../rails/pins.js';
import { PolicyRevSchema } from '../../rails/policy-rev.js';
import { closed, safeInteger } from '../../rails/schema.js';
import { UtcMicrosSchema } from '../../rails/time.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { defineContract } from '../../substrate/rpc/rpc-contract.js';
import { AssertResultSchema } from './assertion.schema.js';

/** One call takes so many; a caller with more sends several. */
export const LABELS_MAX = 2_000;

/** Each is judged by itself, so that one that is no label refuses none beside it. */
export const AssertRequest = closed({ labels: Type.Array(Type.Unknown(), { minItems: 1, maxItems: LABELS_MAX }) });
export const AssertResponse = closed({ results: Type.Array(AssertResultSchema) });

export const AsOfRequest = closed({
  run_id: RunIdSchema,
  targets: Type.Array(LabelTargetSchema, { minItems: 1, maxItems: LABELS_MAX }),
  label_type: LabelTypeSchema,
  /** What was observed until then is known. There is no answer without it (law R10). */
  as_of_utc: UtcMicrosSchema,
  /** What happened until then counts; `as_of_utc` unless stated. */
  effective_at_utc: Type.Optional(UtcMicrosSchema),
  /** A rule of the policy `labels.store`; its default unless stated. */
  rule_id: Type.Optional(Type.String({ maxLength: 64 })),
  /** Of an earlier answer: gives that very answer again, whatever was appended since. */
  ledger_seq: Type.Optional(safeInteger(0, 'a number of the ledger')),
});

export const AsOfAnswerSchema = Type.Union([
  closed({ state: Type.Literal('UNKNOWN') }),
  closed({ state: Type.Literal('LABEL'), label: LabelSchema, losers: Type.Array(LabelSchema) }),
  closed({ state: Type.Literal('CONFLICT'), candidates: Type.Array(LabelSchema) }),
]);

/** One answer per target, in their order, and what they stand on. */
export const AsOfResponse = closed({
  answers: Type.Array(AsOfAnswerSchema),
  basis: closed({
    as_of_utc: UtcMicrosSchema,
    effective_at_utc: UtcMicrosSchema,
    ledger_seq: safeInteger(0, 'the last number of the ledger that was looked at'),
    rule_id: Type.String(),
    policy_rev: PolicyRevSchema,
  }),
});
export type AsOf = Static<typeof AsOfResponse>;

/** The one truth about what became known of events, and when. */
export abstract class LabelStorePort {
  /**
   * Appends each label, recognises it as a duplicate, or refuses it; one result per label, in their order. Answered after the commit. Who says it
   * is the caller.
   */
  abstract assert(request: Static<typeof AssertRequest>, context: CallContext): Promise<Static<typeof AssertResponse>>;
  /**
   * What was known of each target as of a time. The answer to a question never changes.
   * @throws LBL_RUN_UNKNOWN, LBL_FEED_INCOMPLETE retryable; LBL_AS_OF_IN_FUTURE, LBL_FEED_REFUSED, LBL_RULE_UNKNOWN, LBL_CURSOR_UNKNOWN
   */
  abstract asOf(request: Static<typeof AsOfRequest>, context: CallContext): Promise<AsOf>;
}

export const LABEL_STORE_CONTRACT = defineContract('labels', {
  assert: {
    request: AssertRequest,
    response: AssertResponse,
    idempotent: true,
    permission: 'rpc.call:labels',
    summary: 'Appends labels',
  },
  asOf: {
    request: AsOfRequest,
    response: AsOfResponse,
    idempotent: true,
    permission: 'rpc.call:labels',
    summary: 'What was known as of a time',
  },
});
