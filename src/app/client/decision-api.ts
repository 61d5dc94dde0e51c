import { Type } from '@sinclair/typebox';
import { EbRefSchema } from '../../rails/eb-ref.js';
import { isProbityError } from '../../rails/errors/probity-error.js';
import { DecisionSchema } from '../../rails/events/decision.schema.js';
import type { Sealed } from '../../rails/schema.js';
import { validatorOf } from '../../rails/validator.js';
import { type DoorApi, got, posted, queryOf } from './door-api.js';

const Counts = Type.Record(Type.String(), Type.Integer());

/** Readers take further members beside these. */
const VerificationSchema = Type.Object({
  verification_id: Type.String(),
  state: Type.Union([Type.Literal('RUNNING'), Type.Literal('DONE'), Type.Literal('FAILED')]),
  compared: Type.Integer(),
  equal: Type.Integer(),
  not_made_again: Type.Integer(),
  first_difference: Type.Optional(
    Type.Object({
      decision_id: Type.String(),
      event_id: Type.String(),
      at: Type.String(),
      recorded: Type.String(),
      again: Type.String(),
    }),
  ),
  first_other_outcome: Type.Optional(
    Type.Object({ decision_id: Type.String(), event_id: Type.String(), recorded: Type.String(), again: Type.String() }),
  ),
  first_not_made_again: Type.Optional(
    Type.Object({ decision_id: Type.String(), event_id: Type.String(), why: Type.String() }),
  ),
  outcomes: Counts,
  took_ms: Type.Integer(),
  detail: Type.Optional(Type.String()),
});
const ViewSchema = Type.Object({
  run_id: Type.String(),
  decision: DecisionSchema,
  eb_ref: EbRefSchema,
  decided_at_utc: Type.String(),
  admitted_at_utc: Type.Optional(Type.String()),
  timeouts: Type.Array(
    Type.Object({ outcome: Type.String(), deadline_ms: Type.Integer(), answered_at: Type.String() }),
  ),
});
const RowSchema = Type.Object({
  decision_id: Type.String(),
  ts_utc: Type.String(),
  entity_key: Type.String(),
  outcome: Type.String(),
  reason_codes: Type.Array(Type.String()),
  run_id: Type.String(),
});

export type VerificationAnswer = Sealed<typeof VerificationSchema>;
export type DecisionAnswerView = Sealed<typeof ViewSchema>;
export type Quality = Sealed<typeof QualitySchema>;

const QualitySchema = Type.Object({
  decisions: Type.Integer(),
  frauds: Type.Integer(),
  frauds_by_outcome: Counts,
  others_by_outcome: Counts,
});

const readers = {
  posture: validatorOf(
    Type.Object({ posture: Type.Union([Type.Object({ mode: Type.String() }), Type.Null()]) }),
    'the posture',
  ),
  labels: validatorOf(Type.Object({ state: Type.String(), published: Type.Integer() }), 'the state of the labels'),
  summary: validatorOf(Type.Object({ decisions: Type.Integer(), outcomes: Counts }), 'the summary'),
  quality: validatorOf(QualitySchema, 'the quality'),
  verification: validatorOf(VerificationSchema, 'the verification'),
  view: validatorOf(ViewSchema, 'the decision'),
  answer: validatorOf(Type.Object({ decision_id: Type.String(), outcome: Type.String() }), 'the verdict'),
  page: validatorOf(
    Type.Object({ decisions: Type.Array(RowSchema), next_cursor: Type.Optional(Type.String()) }),
    'the list of decisions',
  ),
};

/** The routes of the units that decide. */
export class DecisionApi {
  constructor(private readonly door: DoorApi) {}

  async mode(): Promise<string | undefined> {
    return (await this.door.ask('dl', got('/v1/posture'), readers.posture)).posture?.mode;
  }

  /** Undefined while READY of the run was not read yet. */
  async labels(runId: string): Promise<{ readonly state: string; readonly published: number } | undefined> {
    try {
      return await this.door.ask('labels', got(`/v1/runs/${runId}/labels`), readers.labels);
    } catch (error) {
      if (isProbityError(error, 'LBL_FEED_NOT_FOUND')) return undefined;
      throw error;
    }
  }

  async summary(
    runId: string,
  ): Promise<{ readonly decisions: number; readonly outcomes: Readonly<Record<string, number>> }> {
    return await this.door.ask('df', got(`/v1/decisions/summary${queryOf({ run: runId })}`), readers.summary);
  }

  async quality(runId: string): Promise<Quality> {
    return await this.door.ask('df', got(`/v1/decisions/quality${queryOf({ run: runId })}`), readers.quality);
  }

  async verify(request: object): Promise<VerificationAnswer> {
    return await this.door.ask('df', posted('/v1/verifications', request), readers.verification);
  }

  async verification(id: string): Promise<VerificationAnswer> {
    return await this.door.ask('df', got(`/v1/verifications/${encodeURIComponent(id)}`), readers.verification);
  }

  async decision(id: string): Promise<DecisionAnswerView> {
    return await this.door.ask('df', got(`/v1/decisions/${encodeURIComponent(id)}`), readers.view);
  }

  /** One payment, answered with its decision. */
  async decide(request: object): Promise<{ readonly decision_id: string; readonly outcome: string }> {
    return await this.door.ask('df', posted('/v1/decisions', request), readers.answer);
  }

  async decisions(query: Readonly<Record<string, string | number | undefined>>) {
    return await this.door.ask('df', got(`/v1/decisions${queryOf(query)}`), readers.page);
  }
}
