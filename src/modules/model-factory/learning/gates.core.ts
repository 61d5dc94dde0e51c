import type { ModelGateReceipt } from '../../../rails/registry/gate-receipt.schema.js';
import type { EvalReport } from './eval-report.schema.js';
import type { FactoryPolicy } from './gate-policy.schema.js';

type Criterion = ModelGateReceipt['criteria'][number];

/** What the gates need beside the report. */
export interface GateFindings {
  /** What is wrong with the bundle by itself; null: it is sound, and the datasets have what it reads. */
  readonly unsound: string | null;
  /** Hours between the last row before and the first that is judged on; null where the rows that were learnt from are not at hand. */
  readonly gapHours: number | null;
  /** Whether the bundle says that it was made of a dataset that it is judged on. */
  readonly ownDataset: boolean;
  /** Inputs that give no reason; null for a format that gives none at all. */
  readonly silentInputs: readonly string[] | null;
  /** Of the same work done twice; null: it was done once. */
  readonly again: { readonly what: 'trained' | 'scored'; readonly same: boolean } | null;
  /** Score PSI, and what is held against what. */
  readonly stability: { readonly psi: number; readonly beside: string };
}

/** Each criterion with what was observed and what was demanded. The receipt says PASS where all of them do. */
export function gatesOf(report: EvalReport, found: GateFindings, policy: FactoryPolicy): readonly Criterion[] {
  const { quality, parts } = report;
  const { thresholds, evidence } = policy;
  return [
    text(
      'compatibility',
      found.unsound ?? 'sound',
      'a sound bundle whose inputs the datasets have',
      found.unsound === null,
    ),
    leakage(found, policy),
    atLeast('evidence_rows', parts.eval.rows, evidence.eval_rows_min),
    atLeast('evidence_frauds', parts.eval.frauds, evidence.eval_frauds_min),
    // What chance alone would reach is not below the interval: there is nothing in the scores.
    number(
      'signal',
      quality.roc_auc.low,
      'the low end of the area under the ROC curve is above 0.5',
      quality.roc_auc.low > 0.5,
    ),
    atLeast('average_precision', quality.average_precision.value, thresholds.average_precision_min),
    atLeast('lift', quality.lift ?? 0, thresholds.lift_min),
    atLeast('roc_auc', quality.roc_auc.value, thresholds.roc_auc_min),
    ...cardPrecision(report, policy),
    ...(thresholds.calibration_error_max === undefined
      ? []
      : [atMost('calibration_error', quality.calibration_error, thresholds.calibration_error_max)]),
    againstActive(report, policy),
    number(
      'stability',
      found.stability.psi,
      `at most ${policy.stability.score_psi_max} (${found.stability.beside})`,
      found.stability.psi <= policy.stability.score_psi_max,
    ),
    ...determinism(found, policy),
    explainability(found, policy),
    ...slices(report, policy),
  ];
}

/** `GATE_LIFT` for a criterion that failed; empty where all passed. */
export function reasonsOf(criteria: readonly Criterion[], { again }: GateFindings): readonly string[] {
  return [
    ...criteria.filter(({ passed }) => !passed).map(({ name }) => `GATE_${name.toUpperCase()}`),
    ...(again?.same === false ? ['NONDETERMINISM_GUARD_TRIGGERED'] : []),
  ];
}

function leakage({ gapHours, ownDataset }: GateFindings, policy: FactoryPolicy): Criterion {
  const least = policy.leakage.gap_hours_min;
  const demanded = `rows that are judged on begin at least ${least} hours after all others`;
  if (ownDataset) return text('leakage', 'it was made of the dataset that it is judged on', demanded, false);
  if (gapHours === null) return text('leakage', 'what it was trained on is not at hand', demanded, true);
  return number('leakage', gapHours, demanded, gapHours >= least && gapHours > 0);
}

function cardPrecision({ quality }: EvalReport, { thresholds }: FactoryPolicy): readonly Criterion[] {
  const least = thresholds.card_precision_min;
  const first = quality.card_precision[0];
  if (least === undefined || first === undefined) return [];
  if (first.value === null)
    return [text('card_precision', 'not measured: no cards, or a sample', `at least ${least} at ${first.k}`, false)];
  return [number('card_precision', first.value, `at least ${least} at ${first.k}`, first.value >= least)];
}

function againstActive({ active }: EvalReport, { against_active }: FactoryPolicy): Criterion {
  const { difference_min, rule, without_active } = against_active;
  const { difference, why } = active;
  if (difference === null)
    return text(
      'against_active',
      why ?? 'nothing is active',
      `without an active bundle: ${without_active}`,
      without_active === 'pass',
    );
  const observed = rule === 'value' ? difference.value : difference.low;
  const what = rule === 'value' ? 'the difference' : 'the low end of the difference';
  return number(
    'against_active',
    observed,
    `${what} in average precision is at least ${difference_min}`,
    observed >= difference_min,
  );
}

function determinism({ again }: GateFindings, policy: FactoryPolicy): readonly Criterion[] {
  if (again === null)
    return policy.determinism.retrain ? [text('determinism', 'not tried', 'the same twice', false)] : [];
  const observed = again.same ? `${again.what} twice alike` : `${again.what} twice with different results`;
  return [text('determinism', observed, 'the same twice', again.same)];
}

function explainability({ silentInputs }: GateFindings, { explainability: when }: FactoryPolicy): Criterion {
  const demanded =
    when === 'always' ? 'every input gives a reason' : 'every input gives a reason, in formats that give any';
  if (silentInputs === null)
    return text('explainability', 'the format gives no reasons', demanded, when === 'when_exposed');
  return text(
    'explainability',
    silentInputs.length === 0
      ? 'every input gives a reason'
      : `${silentInputs.length} inputs give none: ${silentInputs.join(', ')}`,
    demanded,
    silentInputs.length === 0,
  );
}

function slices(
  { slices: found }: EvalReport,
  { slices: { roc_auc_min: least } }: FactoryPolicy,
): readonly Criterion[] {
  if (least === undefined) return [];
  const judged = found.filter(({ judged }) => judged);
  const worst = judged.reduce<(typeof judged)[number] | null>(
    (lowest, each) => (lowest === null || (each.roc_auc ?? 0) < (lowest.roc_auc ?? 0) ? each : lowest),
    null,
  );
  const demanded = `at least ${least} in every slice of enough frauds`;
  if (worst === null) return [text('slices', 'no slice has enough frauds', demanded, true)];
  const observed = `${worst.roc_auc ?? 0} in ${worst.by} ${worst.slice}`;
  return [text('slices', observed, demanded, (worst.roc_auc ?? 0) >= least)];
}

function atLeast(name: string, observed: number, least: number): Criterion {
  return number(name, observed, `at least ${least}`, observed >= least);
}

function atMost(name: string, observed: number, most: number): Criterion {
  return number(name, observed, `at most ${most}`, observed <= most);
}

function number(name: string, observed: number, demanded: string, passed: boolean): Criterion {
  return { name, observed, demanded, passed };
}

function text(name: string, observed: string, demanded: string, passed: boolean): Criterion {
  return { name, observed: observed.slice(0, 200), demanded: demanded.slice(0, 200), passed };
}
