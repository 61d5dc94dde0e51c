import { Type } from '@sinclair/typebox';
import { DigestSchema } from '../../../rails/digest.js';
import { RunIdSchema } from '../../../rails/pins.js';
import { PolicyRevSchema } from '../../../rails/policy-rev.js';
import { closed, safeInteger, type Sealed } from '../../../rails/schema.js';
import { UtcMicrosSchema } from '../../../rails/time.js';

/** Raised with every change of what a figure means. */
export const REPORT_FORMAT = 1;

const count = (description: string) => safeInteger(0, description);
/** Figures are rounded to six digits behind the point; null: not defined for these rows. */
const figure = Type.Union([Type.Number(), Type.Null()]);
const Counts = Type.Record(Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_:.]{0,99}$' }), count('how many'));

const IntervalSchema = closed({ value: Type.Number(), low: Type.Number(), high: Type.Number() });

const PartSchema = closed({
  rows: count('rows'),
  frauds: count('of them fraud'),
  /** What they stand for, where a sample was drawn. */
  weight: count('payments'),
  /** Share of fraud, by weight. */
  base_rate: figure,
  from_utc: Type.Union([UtcMicrosSchema, Type.Null()]),
  to_utc: Type.Union([UtcMicrosSchema, Type.Null()]),
});
export type PartFigures = Sealed<typeof PartSchema>;

const BundleFiguresSchema = closed({
  bundle_id: Type.String(),
  bundle_version: Type.Integer({ minimum: 1 }),
  digest: DigestSchema,
  format: Type.String(),
  inputs: count('inputs'),
});

const AlertPointSchema = closed({
  share_ppm: Type.Integer(),
  alerts: Type.Number(),
  caught: Type.Number(),
  precision: figure,
  recall: figure,
  /** Millionths: everything from this score on would be looked at; null: nothing. */
  score_e6: Type.Union([Type.Integer(), Type.Null()]),
});

const QualitySchema = closed({
  average_precision: IntervalSchema,
  roc_auc: IntervalSchema,
  lift: figure,
  log_loss: Type.Number(),
  brier: Type.Number(),
  calibration_error: Type.Number(),
  /** Of the k cards of a day with the highest score the share that had fraud that day; null where cards are not known, or rows are a sample. */
  card_precision: Type.Array(closed({ k: Type.Integer(), value: figure })),
  alerts: Type.Array(AlertPointSchema),
});
export type QualityFigures = Sealed<typeof QualitySchema>;

const CostPointSchema = closed({
  score_e6: Type.Union([Type.Integer(), Type.Null()]),
  alerts: Type.Number(),
  missed_minor: Type.Number(),
  cost_minor: Type.Number(),
});

const SliceSchema = closed({
  by: Type.String(),
  slice: Type.String(),
  rows: count('rows'),
  frauds: count('of them fraud'),
  average_precision: figure,
  roc_auc: figure,
  mean_score: Type.Number(),
  fraud_share: Type.Number(),
  /** Whether it had enough frauds for its gate. */
  judged: Type.Boolean(),
});
export type SliceFigures = Sealed<typeof SliceSchema>;

const TrialSchema = closed({
  settings: Type.Record(Type.String(), Type.Union([Type.Number(), Type.Record(Type.String(), Type.Number())])),
  average_precision: Type.Number(),
});

export const EvalReportSchema = closed(
  {
    report_format: Type.Literal(REPORT_FORMAT),
    kind: Type.Union([Type.Literal('train'), Type.Literal('evaluate')]),
    bundle: BundleFiguresSchema,
    /** null for a bundle that was not made here. */
    recipe_digest: Type.Union([DigestSchema, Type.Null()]),
    policy_rev: PolicyRevSchema,
    code_release: Type.String({ maxLength: 64 }),
    decided_at_utc: UtcMicrosSchema,
    datasets: Type.Array(
      closed({
        role: Type.Union([Type.Literal('train'), Type.Literal('eval')]),
        dataset_manifest_id: DigestSchema,
        manifest_digest: DigestSchema,
        run_id: RunIdSchema,
        label_as_of_utc: UtcMicrosSchema,
        rows: count('rows of the file'),
        /** Rows that nothing was learnt from and nothing judged on, by reason. */
        left_out: Counts,
      }),
    ),
    /** How rows were given to the parts, in words. */
    split_rule: Type.String(),
    parts: closed({
      /** null for a bundle that was not made here, where no dataset of training is at hand. */
      train: Type.Union([PartSchema, Type.Null()]),
      later: Type.Union([PartSchema, Type.Null()]),
      eval: PartSchema,
    }),
    learner: Type.Union([
      closed({
        kind: Type.Union([Type.Literal('boosted_trees'), Type.Literal('logistic')]),
        settings: TrialSchema.properties.settings,
        /** Trees that were kept, bag by bag. */
        trees: Type.Array(count('trees')),
      }),
      Type.Null(),
    ]),
    search: Type.Union([
      closed({
        trials: Type.Array(TrialSchema),
        best: count('place among the trials'),
        /** What ended it. */
        ended_by: Type.Union([Type.Literal('trials'), Type.Literal('seconds')]),
      }),
      Type.Null(),
    ]),
    quality: QualitySchema,
    curves: closed({
      precision_recall: Type.Array(closed({ recall: Type.Number(), precision: Type.Number() })),
      roc: Type.Array(closed({ false_positive_share: Type.Number(), recall: Type.Number() })),
      reliability: Type.Array(closed({ rows: Type.Number(), said: Type.Number(), was: Type.Number() })),
      cost: Type.Array(CostPointSchema),
    }),
    cheapest: CostPointSchema,
    calibration: Type.Union([
      closed({ slope: Type.Number(), intercept: Type.Number(), held: Type.Boolean() }),
      Type.Null(),
    ]),
    slices: Type.Array(SliceSchema),
    /** Population stability indices: rows that are judged on beside those that were learnt from; null where none are at hand. */
    drift: Type.Union([
      closed({ score_psi: Type.Number(), inputs: Type.Array(closed({ input: Type.String(), psi: Type.Number() })) }),
      Type.Null(),
    ]),
    importance: Type.Array(
      closed({
        input: Type.String(),
        reason_code: Type.Union([Type.String(), Type.Null()]),
        /** Share of what all splits gained; null for what is no tree, or was not made here. */
        gain: figure,
        /** Average precision that is lost when its values are dealt anew among the rows; null for what is scored outside. */
        permutation: figure,
      }),
    ),
    /** The bundle that is active, on the same rows; null: nothing is, or it cannot be asked here, and `why` says so. */
    active: closed({
      bundle: Type.Union([BundleFiguresSchema, Type.Null()]),
      why: Type.Union([Type.String(), Type.Null()]),
      quality: Type.Union([QualitySchema, Type.Null()]),
      /** Candidate − active, in average precision. */
      difference: Type.Union([IntervalSchema, Type.Null()]),
    }),
    /** null: it was not trained a second time. */
    retrained: Type.Union([closed({ digest: DigestSchema, same: Type.Boolean() }), Type.Null()]),
    warnings: Type.Array(Type.String({ maxLength: 400 }), { maxItems: 50 }),
  },
  { description: 'What a model is worth: every figure with the rows that it was measured on.' },
);
export type EvalReport = Sealed<typeof EvalReportSchema>;
