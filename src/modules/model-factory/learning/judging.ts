import { gainImportance, permutationImportance } from '../../../rails/learning/importance.js';
import { rowsOf } from '../../../rails/learning/matrix.js';
import { type Bundle, bundleDigest, bundleFaults, BundleSchema } from '../../../rails/model/bundle.schema.js';
import { isProbityError } from '../../../rails/errors/probity-error.js';
import { validatorOf } from '../../../rails/validator.js';
import type { DatasetManifest } from '../../offline-feature-shadow/offline-feature-shadow.port.js';
import type { PartRows } from './dataset-matrix.js';
import type { EvalReport } from './eval-report.schema.js';
import { differenceFigures, qualityFigures, rounded } from './figures.js';
import type { FactoryPolicy } from './gate-policy.schema.js';
import { inputsOfBundle, type ResolvedInput } from './inputs.js';
import type { Made } from './making.js';
import { seenBy } from './reading.js';
import { type ScoreExternal, scoresOf, scoresOrWhy } from './scoring.js';

/** Permutation importance asks a model once per input: of more rows than these, every n-th is taken. */
const IMPORTANCE_ROWS = 20_000;
const bundles = validatorOf(BundleSchema, 'the bundle');

/** The active bundle, as far as it can be asked about these datasets. */
export interface Rival {
  readonly bundle: Bundle | null;
  readonly inputs: readonly ResolvedInput[];
  /** Why it cannot be asked; null: it can. */
  readonly why: string | null;
}

export function rivalOf(active: Bundle | null, manifest: DatasetManifest): Rival {
  if (active === null) return { bundle: null, inputs: [], why: 'nothing is active' };
  try {
    return { bundle: active, inputs: inputsOfBundle(active, manifest), why: null };
  } catch (error) {
    if (!isProbityError(error, 'MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE')) throw error;
    return { bundle: active, inputs: [], why: error.detail };
  }
}

/** The active bundle on the rows that the candidate is judged on. */
export async function besideActive(
  { bundle, inputs, why }: Rival,
  rows: PartRows,
  candidate: Float64Array,
  policy: FactoryPolicy,
  external: ScoreExternal,
): Promise<EvalReport['active']> {
  if (bundle === null || why !== null) {
    const figures = bundle === null ? null : bundleFigures(bundle);
    return { bundle: figures, why, quality: null, difference: null };
  }
  const own = seenBy(rows, inputs);
  const scores = await scoresOrWhy(() => scoresOf(bundle, own, external));
  if (typeof scores === 'string')
    return { bundle: bundleFigures(bundle), why: scores, quality: null, difference: null };
  return {
    bundle: bundleFigures(bundle),
    why: null,
    quality: qualityFigures(scores, own, policy),
    difference: differenceFigures(candidate, scores, own, policy),
  };
}

export function bundleFigures(bundle: Bundle): EvalReport['bundle'] {
  const { bundle_id, bundle_version, model } = bundle;
  return { bundle_id, bundle_version, digest: bundleDigest(bundle), format: model.format, inputs: model.inputs.length };
}

/** What is wrong with a bundle by itself; null: nothing. */
export function unsoundness(bundle: Bundle): string | null {
  const checked = bundles.check(bundle);
  if (!checked.ok) return `${checked.fault.at} ${checked.fault.says}`;
  const [fault] = bundleFaults(bundle);
  return fault === undefined ? null : `${fault.pointer}: ${fault.sentence}`;
}

/** Inputs that give no reason; null where the format gives none at all. */
export function silentInputs({ model }: Bundle): readonly string[] | null {
  if (model.format === 'probity.onnx.v1') return null;
  const inputs = model.inputs as readonly {
    readonly source: string;
    readonly name: string;
    readonly reason_code?: string;
  }[];
  return inputs.filter(({ reason_code }) => reason_code === undefined).map(({ source, name }) => `${source}.${name}`);
}

/** What each input is worth, the one first without which most is lost. */
export function importanceFigures(
  { model }: Bundle,
  { matrix }: PartRows,
  made: Made | null,
): EvalReport['importance'] {
  const gains = new Map(
    made === null || made.gain === null
      ? []
      : gainImportance(matrix.names, made.gain).map(({ name, value }) => [name, value]),
  );
  const inputs = model.inputs as readonly {
    readonly source: string;
    readonly name: string;
    readonly reason_code?: string;
  }[];
  const reasons = new Map(inputs.map(({ source, name, reason_code }) => [`${source}.${name}`, reason_code ?? null]));
  const figures = (input: string, permutation: number | null): EvalReport['importance'][number] => {
    const gain = gains.get(input);
    return {
      input,
      reason_code: reasons.get(input) ?? null,
      gain: gain === undefined ? null : rounded(gain),
      permutation: permutation === null ? null : rounded(permutation),
    };
  };
  if (model.format === 'probity.onnx.v1') return matrix.names.map((name) => figures(name, null));
  const every = Math.ceil(matrix.labels.length / IMPORTANCE_ROWS);
  const places = Int32Array.from({ length: Math.ceil(matrix.labels.length / every) }, (_, at) => at * every);
  const asked = every === 1 ? matrix : rowsOf(matrix, places);
  return permutationImportance(model, asked, 1, 1).map(({ name, value }) => figures(name, value));
}

/** What a reader of the figures should know. */
export function warningsOf(rows: PartRows, train: PartRows | null, made: Made | null): readonly string[] {
  const said: (string | false)[] = [
    rows.matrix.weights !== undefined &&
      'The rows are a sample: figures are by weight, and cards cannot be judged, since not all of their payments are there.',
    rows.matrix.groups.every((card) => card < 0) && 'No row names a card: card precision is not known.',
    train === null && 'What the bundle was trained on is not at hand: that it has not seen these rows is not shown.',
    made?.platt?.held === true &&
      'The scores say almost nothing of the rows that were held back: the slope of the calibration was held.',
    made !== null &&
      made.search !== null &&
      'The settings are the best of several trials: on the rows that were held back they look better than they are.',
    'Intervals take rows as independent; where frauds come in series, by card or terminal, the true ones are wider.',
  ];
  return said.filter((each) => each !== false);
}
