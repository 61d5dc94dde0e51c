import { Type } from '@sinclair/typebox';
import { closed, safeInteger, type Sealed } from '../../../rails/schema.js';
import type { PolicyFault, PolicyKind } from '../../../substrate/policy/policy.port.js';

const share = (description: string) => Type.Number({ minimum: 0, maximum: 1, description });
const rising = (values: readonly number[]): boolean =>
  values.every((value, at) => at === 0 || value > (values[at - 1] ?? 0));

/** What a slice of the rows can be made by. */
export const SLICES = ['amount', 'currency', 'label_state', 'split', 'week'] as const;
export type SliceName = (typeof SLICES)[number];

/** What a model has to show before it may be put forward, and what a training may cost. */
export const FactoryPolicySchema = closed(
  {
    /** Fewer rows than these are refused before anything is learnt (training), or fail the gate `evidence` (evaluation). */
    evidence: closed({
      train_rows_min: safeInteger(2, 'rows with a known truth that are learnt from'),
      train_frauds_min: safeInteger(1, 'frauds among them'),
      eval_rows_min: safeInteger(2, 'rows that are judged on'),
      eval_frauds_min: safeInteger(1, 'frauds among them'),
    }),
    leakage: closed({
      /** Between the last row that is learnt from and the first that is judged on. */
      gap_hours_min: safeInteger(0, 'hours'),
      /** Labels of training must have been known when the rows that are judged on begin. Wants a dataset for each role. */
      labels_known_before_eval: Type.Boolean(),
    }),
    thresholds: closed({
      average_precision_min: share('on the rows that are judged on'),
      /** Average precision as a multiple of the share of fraud, which is what chance reaches. */
      lift_min: Type.Number({ minimum: 1, maximum: 1e6 }),
      roc_auc_min: share('on the rows that are judged on'),
      /** Of the k cards of a day with the highest score; left out it is measured where it can be, and demands nothing. */
      card_precision_min: Type.Optional(share('at the first k of card_precision_k')),
      calibration_error_max: Type.Optional(share('expected calibration error')),
    }),
    /**
     * Beside the bundle that is active, on the same rows: the difference in average precision (candidate − active). `value`: the difference itself is at
     * least `difference_min`; `interval`: so is the low end of its interval, so that chance alone does not explain it.
     */
    against_active: closed({
      difference_min: Type.Number({ minimum: -1, maximum: 1 }),
      rule: Type.Union([Type.Literal('value'), Type.Literal('interval')]),
      /** Whether a candidate passes that no active bundle could be compared with. */
      without_active: Type.Union([Type.Literal('pass'), Type.Literal('fail')]),
    }),
    bootstrap: closed({
      resamples: Type.Integer({ minimum: 50, maximum: 10_000 }),
      confidence: Type.Number({ minimum: 0.5, maximum: 0.999 }),
      seed: Type.Integer({ minimum: 0, maximum: 4_294_967_295 }),
    }),
    /** Population stability index of the scores: rows that are judged on beside rows that were learnt from. */
    stability: closed({ score_psi_max: Type.Number({ minimum: 0, maximum: 100 }) }),
    determinism: closed({
      /** Trains a second time and compares digests. */
      retrain: Type.Boolean(),
    }),
    /** `always`: every input of a model gives a reason. `when_exposed`: so does every input of a format that gives reasons at all. */
    explainability: Type.Union([Type.Literal('always'), Type.Literal('when_exposed')]),
    slices: closed({
      by: Type.Array(Type.Union(SLICES.map((name) => Type.Literal(name))), { maxItems: 5, uniqueItems: true }),
      /** Where the bands of amounts end, rising. */
      amount_bands_minor: Type.Array(safeInteger(1, 'minor units'), { maxItems: 20 }),
      /** A slice with fewer frauds is shown and not judged. */
      frauds_min: safeInteger(1, 'frauds'),
      roc_auc_min: Type.Optional(share('in every slice that is judged')),
    }),
    costs: closed({
      /** Of looking at an alert, fraud or not. */
      alert_minor: safeInteger(0, 'minor units'),
      /** Of a fraud that was missed and has no amount; otherwise it costs its amount. */
      missed_fraud_minor: safeInteger(0, 'minor units'),
    }),
    /** Shares of all payments that somebody has time to look at, in millionths, rising. */
    alert_shares_ppm: Type.Array(Type.Integer({ minimum: 1, maximum: 1_000_000 }), { minItems: 1, maxItems: 20 }),
    card_precision_k: Type.Array(Type.Integer({ minimum: 1, maximum: 100_000 }), { minItems: 1, maxItems: 10 }),
    /** The most that a recipe may ask for. */
    search: closed({
      trials_max: safeInteger(0, 'trials'),
      seconds_max: safeInteger(0, 'seconds'),
    }),
    /** Of one training; beyond them it is refused or ended (MF_RESOURCE_EXHAUSTED). */
    limits: closed({
      rows_max: safeInteger(1, 'rows of all datasets'),
      bytes_max: safeInteger(1, 'bytes of all files'),
      seconds_max: safeInteger(1, 'seconds'),
      memory_mb: Type.Integer({ minimum: 64, maximum: 1_000_000 }),
    }),
  },
  { description: 'What a model has to show before it may be put forward.' },
);
export type FactoryPolicy = Sealed<typeof FactoryPolicySchema>;

export const FACTORY_POLICY: PolicyKind<typeof FactoryPolicySchema> = {
  policy_id: 'mf.factory',
  schema: FactoryPolicySchema,
  check: ({ slices, alert_shares_ppm, card_precision_k, leakage }: FactoryPolicy): readonly PolicyFault[] => [
    ...(rising(slices.amount_bands_minor)
      ? []
      : [{ pointer: '/slices/amount_bands_minor', sentence: 'each band ends above the one before it' }]),
    ...(rising(alert_shares_ppm)
      ? []
      : [{ pointer: '/alert_shares_ppm', sentence: 'each share is above the one before it' }]),
    ...(rising(card_precision_k)
      ? []
      : [{ pointer: '/card_precision_k', sentence: 'each number is above the one before it' }]),
    ...(leakage.gap_hours_min <= 24 * 366
      ? []
      : [{ pointer: '/leakage/gap_hours_min', sentence: 'no gap is longer than a year' }]),
  ],
};
