import { type Static, Type } from '@sinclair/typebox';
import { DigestSchema } from '../../rails/digest.js';
import { LabelSchema, LabelTypeSchema } from '../../rails/events/label.schema.js';
import { RefusedLabelSchema, WrittenLabelsSchema } from '../../rails/labels/counts.js';
import { LabelTargetSchema } from '../../rails/labels/target.js';
import { RunIdSchema } from '../../rails/pins.js';
import { PolicyRevSchema } from '../../rails/policy-rev.js';
import { RefSchema } from '../../rails/ref.js';
import { closed, safeInteger, type Sealed } from '../../rails/schema.js';
import { UtcMicrosSchema } from '../../rails/time.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { defineContract } from '../../substrate/rpc/rpc-contract.js';
import { AssertResultSchema } from './assertion.schema.js';

/** The truth product in which a world's labels stand. */
export const LABELS_OUTPUT = 'labels';

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

const { run_id, label_type, as_of_utc, effective_at_utc, rule_id, ledger_seq } = AsOfRequest.properties;
export const SliceRequest = closed({
  ...{ run_id, label_type, as_of_utc, effective_at_utc, rule_id, ledger_seq },
  /** An object of NDJSON with one target per line; absent: every event of the run of which anything was said. */
  targets: Type.Optional(RefSchema),
});

/** One line of a slice. */
export const SliceRowSchema = closed({
  target: LabelTargetSchema,
  state: Type.Union([Type.Literal('LABEL'), Type.Literal('UNKNOWN'), Type.Literal('CONFLICT')]),
  label_value: Type.Optional(LabelSchema.properties.label_value),
  label_id: Type.Optional(DigestSchema),
  effective_at_utc: Type.Optional(UtcMicrosSchema),
  observed_at_utc: Type.Optional(UtcMicrosSchema),
  /** Of a CONFLICT. */
  candidates: Type.Optional(Type.Array(DigestSchema)),
});
export type SliceRow = Static<typeof SliceRowSchema>;

/** What was known of many targets, as one object. The same question at the same number of the ledger is the same object. */
export const SliceSchema = closed({
  slice_id: DigestSchema,
  run_id: RunIdSchema,
  label_type: LabelTypeSchema,
  targets: Type.Union([RefSchema, Type.Null()]),
  /** NDJSON, in the order of the targets' keys, or of the lines of `targets`. */
  rows: RefSchema,
  /** How many rows of each state. */
  counts: closed({
    LABEL: safeInteger(0, 'rows'),
    UNKNOWN: safeInteger(0, 'rows'),
    CONFLICT: safeInteger(0, 'rows'),
  }),
  by_value: Type.Record(LabelSchema.properties.label_value, safeInteger(1, 'rows')),
  basis: AsOfResponse.properties.basis,
});
export type Slice = Static<typeof SliceSchema>;

export const CountsRequest = closed({
  run_id: RunIdSchema,
  /** Ids of each kind of offender, and refusals. */
  ids_max: Type.Integer({ minimum: 0, maximum: 100 }),
});
export const CountsResponse = closed({
  /** Of the feed of the sealed labels; NONE where the world has none, UNKNOWN where no READY of the run was read yet. */
  state: Type.Union(
    (['UNKNOWN', 'NONE', 'WAITING', 'PUBLISHING', 'DONE', 'REFUSED'] as const).map((state) => Type.Literal(state)),
  ),
  /** Why a feed was refused. */
  detail: Type.Optional(Type.String()),
  sealed: Type.Union([
    closed({
      rows: safeInteger(0, 'sealed labels, as the facts of the run say'),
      read: safeInteger(0, 'rows that were read'),
      entered: safeInteger(0, 'rows that entered the ledger'),
      /** Rows that the policy does not want; null of feeds from before they were counted. */
      passed_over: Type.Union([safeInteger(0, 'rows'), Type.Null()]),
      in_ledger: safeInteger(0, 'labels of the world that the ledger holds'),
    }),
    Type.Null(),
  ]),
  /** By namespace of the writer. */
  written: Type.Array(WrittenLabelsSchema),
  /** The youngest, as far as they are kept. */
  refusals: Type.Array(RefusedLabelSchema),
  /** What is lost, by kind. */
  offending: Type.Record(Type.String(), closed({ count: safeInteger(0, 'all'), ids: Type.Array(Type.String()) })),
});
export type LabelCountsAnswer = Sealed<typeof CountsResponse>;

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
  /** The same answers for many targets, kept as an object. @throws as `asOf`, and LBL_TARGETS_INVALID, OBJECTS_DIGEST_MISMATCH */
  abstract slice(request: Static<typeof SliceRequest>, context: CallContext): Promise<Slice>;
  /** The labels of a run, counted where they came in and where they stand. */
  abstract counts(request: Static<typeof CountsRequest>, context: CallContext): Promise<LabelCountsAnswer>;
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
  slice: {
    request: SliceRequest,
    response: SliceSchema,
    idempotent: true,
    permission: 'rpc.call:labels',
    summary: 'What was known of many targets as of a time, as one object',
  },
  counts: {
    request: CountsRequest,
    response: CountsResponse,
    idempotent: true,
    permission: 'rpc.call:labels',
    summary: 'How many labels of a run were submitted, and what came of them',
  },
});
