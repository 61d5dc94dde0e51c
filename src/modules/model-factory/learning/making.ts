import type { Digest } from '../../../rails/digest.js';
import type { TreeSettings } from '../../../rails/learning/tree-settings.js';
import type { EvalReport } from './eval-report.schema.js';
import { rounded } from './figures.js';
import { type Ground, type SearchRecord, searched, settingsOf, type Trained, trainedBundle } from './learner.js';
import { logisticSettingsOf } from './recipe.schema.js';
import type { Watch } from './watch.js';

/** A bundle that was made here, and how. */
export interface Made extends Trained {
  readonly settings: TreeSettings;
  readonly search: SearchRecord | null;
  /** The digest of the second training; null: there was none. */
  readonly second: Digest | null;
}

/** Searches, trains and trains again, as far as recipe and policy say. @param train `trainedBundle`, but where a test plays a trainer that is not deterministic */
export async function make(
  ground: Ground,
  retrain: boolean,
  watch: Watch,
  train: typeof trainedBundle = trainedBundle,
): Promise<Made> {
  const search = await watch.during('searching', (tell) =>
    searched(ground, watch.monotonicMs, (done) => tell(done, ground.recipe.search?.trials ?? 0)),
  );
  const settings = search?.trials[search.best]?.settings ?? settingsOf(ground);
  const rounds = settings.rounds * settings.bags;
  const once = (stage: 'training' | 'retraining'): Promise<Trained> =>
    watch.during(stage, (tell) =>
      train(ground, settings, ({ bag, round }) => tell(bag * settings.rounds + round + 1, rounds)),
    );
  const trained = await once('training');
  const second = retrain ? (await once('retraining')).digest : null;
  return { ...trained, settings, search, second };
}

export function learnerFigures({ recipe }: Pick<Ground, 'recipe'>, made: Made): EvalReport['learner'] {
  const { kind } = recipe.learner;
  if (kind === 'boosted_trees') return { kind, settings: plain(made.settings), trees: [...made.trees] };
  const { penalty, steps, digits } = logisticSettingsOf(recipe);
  return { kind, settings: { penalty, steps, ...(digits === undefined ? {} : { digits }) }, trees: [] };
}

export function searchFigures({ search }: Made): EvalReport['search'] {
  if (search === null) return null;
  return {
    trials: search.trials.map(({ settings, averagePrecision }) => ({
      settings: plain(settings),
      average_precision: rounded(averagePrecision),
    })),
    best: search.best,
    ended_by: search.endedBy,
  };
}

export function calibrationFigures({ platt }: Made): EvalReport['calibration'] {
  if (platt === null) return null;
  return { slope: rounded(platt.slope), intercept: rounded(platt.intercept), held: platt.held };
}

type Plain = NonNullable<EvalReport['learner']>['settings'];

function plain(settings: TreeSettings): Plain {
  return { ...settings, monotone: { ...settings.monotone } };
}
