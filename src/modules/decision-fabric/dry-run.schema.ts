import { Type } from '@sinclair/typebox';
import { DigestSchema } from '../../rails/digest.js';
import { OUTCOMES, OutcomeSchema } from '../../rails/events/decision.schema.js';
import { LabelTypeSchema } from '../../rails/events/label.schema.js';
import { RunIdSchema } from '../../rails/pins.js';
import { closed, type Sealed } from '../../rails/schema.js';
import { UtcMicrosSchema } from '../../rails/time.js';

const body = (description: string) => Type.Optional(Type.Object({}, { description }));

/** What is asked: which decisions, what is to be other, and by which labels it is to be judged. */
export const DryRunRequestSchema = closed({
  /** Without it all runs that have decisions within the times. */
  run_id: Type.Optional(RunIdSchema),
  /** Domain time of the payments, inclusive. */
  from: Type.Optional(Type.String({ description: 'domain time, RFC 3339, inclusive' })),
  to: Type.Optional(Type.String({ description: 'domain time, RFC 3339, exclusive' })),
  candidate: closed({
    rules: body('body of a policy df.rules'),
    policy: body('body of a policy df.decision'),
    bundle: Type.Optional(
      closed({
        slot: Type.Union([Type.Literal('primary'), Type.Literal('stage2')]),
        bundle: Type.Object({}, { description: 'a bundle, see docs/models.md' }),
      }),
    ),
  }),
  labels: Type.Optional(
    closed({
      label_type: LabelTypeSchema,
      /** What was observed until then is known; the start of the dry run unless stated. */
      as_of: Type.Optional(Type.String({ description: 'RFC 3339' })),
      /** After so many days without a label a payment counts as legitimate; without it, it is unknown. */
      maturity_days: Type.Optional(Type.Integer({ minimum: 0, maximum: 3_650 })),
    }),
  ),
});
export type DryRunRequest = Sealed<typeof DryRunRequestSchema>;

const count = Type.Integer({ minimum: 0 });
/** Whole minor units as decimal text: a sum may be greater than what a JSON number holds exactly. */
const amount = Type.String({ pattern: '^[0-9]+$' });
const sum = closed({ payments: count, amount_minor: amount });
const amounts = Type.Record(Type.String(), amount);
const verdicts = closed(
  Object.fromEntries(OUTCOMES.map((outcome) => [outcome, count])) as Record<Outcomes, typeof count>,
);
type Outcomes = (typeof OUTCOMES)[number];

const judged = closed({
  /** Frauds that were not approved, frauds that were, and others that were not. */
  caught: count,
  missed: count,
  false_positives: count,
  caught_amounts: amounts,
  missed_amounts: amounts,
  false_positive_amounts: amounts,
});

export const DryRunReportSchema = closed({
  /** Of the decisions made again without any change: all are equal, byte for byte, or there is no report. */
  control: closed({ compared: count, equal: count }),
  /** Those that the candidate decided. */
  decided: count,
  before: verdicts,
  after: verdicts,
  /** Verdict as recorded, then verdict of the candidate. */
  matrix: closed(
    Object.fromEntries(OUTCOMES.map((outcome) => [outcome, verdicts])) as Record<Outcomes, typeof verdicts>,
  ),
  changed: count,
  /** The same verdict for other reasons. */
  other_reasons: count,
  /** By currency; events without an amount are in none. */
  money: Type.Record(
    Type.String(),
    closed({ decided: sum, newly_approved: sum, newly_stepped_up: sum, newly_queued: sum, newly_declined: sum }),
  ),
  /** In how many decisions a rule spoke. */
  rules: Type.Record(Type.String(), closed({ before: count, after: count })),
  labels: Type.Optional(
    closed({
      label_type: LabelTypeSchema,
      as_of_utc: UtcMicrosSchema,
      /** Of the ledger, by run: the same question at the same number has the same answer. */
      ledger_seq: Type.Record(Type.String(), count),
      frauds: count,
      others: count,
      /** No label yet, a suspicion, or labels that contradict each other. */
      unknown: count,
      before: judged,
      after: judged,
    }),
  ),
});
export type DryRunReport = Sealed<typeof DryRunReportSchema>;

export const DryRunSchema = closed({
  dry_run_id: Type.String(),
  state: Type.Union([Type.Literal('RUNNING'), Type.Literal('DONE'), Type.Literal('FAILED')]),
  run_ids: Type.Array(RunIdSchema),
  /** Decisions that the index has of the runs within the times, at the start. */
  decisions: count,
  /** How many of them were looked at. */
  seen: count,
  /** Left out of the report, by reason: what is not known is not guessed. */
  left_out: Type.Record(Type.String(), count),
  first_left_out: Type.Optional(
    closed({ decision_id: DigestSchema, event_id: Type.String(), reason: Type.String(), why: Type.String() }),
  ),
  /** Changed decisions that can be listed; those beyond are in the report alone. */
  changes_kept: count,
  took_ms: count,
  decisions_per_second: count,
  report: Type.Optional(DryRunReportSchema),
  /** Of a dry run that FAILED. */
  code: Type.Optional(Type.String()),
  detail: Type.Optional(Type.String()),
});
export type DryRun = Sealed<typeof DryRunSchema>;

export const DryRunChangeSchema = closed({
  decision_id: DigestSchema,
  event_id: Type.String(),
  run_id: RunIdSchema,
  ts_utc: UtcMicrosSchema,
  entity_key: Type.String(),
  amount_minor: Type.Union([Type.Integer(), Type.Null()]),
  currency: Type.Union([Type.String(), Type.Null()]),
  before: OutcomeSchema,
  after: OutcomeSchema,
  score_before_e6: Type.Union([Type.Integer(), Type.Null()]),
  score_after_e6: Type.Union([Type.Integer(), Type.Null()]),
  rules_before: Type.Array(Type.String()),
  rules_after: Type.Array(Type.String()),
  reasons_before: Type.Array(Type.String()),
  reasons_after: Type.Array(Type.String()),
  /** Where labels were asked for. */
  known_as: Type.Optional(Type.Union([Type.Literal('FRAUD'), Type.Literal('OTHER'), Type.Literal('UNKNOWN')])),
});
export type DryRunChange = Sealed<typeof DryRunChangeSchema>;

export const DryRunChangesSchema = closed({
  changes: Type.Array(DryRunChangeSchema),
  next_cursor: Type.Optional(Type.String()),
});
export type DryRunChanges = Sealed<typeof DryRunChangesSchema>;
