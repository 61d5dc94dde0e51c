import { isProbityError, ProbityError } from '../../../rails/errors/probity-error.js';
import { logOddsOf } from '../../../rails/learning/predict.js';
import type { Bundle, OnnxModel } from '../../../rails/model/bundle.schema.js';
import type { PartRows } from './dataset-matrix.js';

/** Log odds of many rows by a model that is not scored here. @throws MF_MODEL_UNSCORABLE */
export type ScoreExternal = (model: OnnxModel, columns: readonly Float64Array[], rows: number) => Promise<Float64Array>;

/** Log odds of rows, whose columns are those of the bundle's inputs. @throws MF_MODEL_UNSCORABLE where one of them has no score */
export async function scoresOf(
  { model }: Bundle,
  { matrix }: PartRows,
  external: ScoreExternal,
): Promise<Float64Array> {
  const rows = matrix.labels.length;
  const logOdds =
    model.format === 'probity.onnx.v1'
      ? await external(model, matrix.columns, rows)
      : logOddsOf(model, matrix.columns, rows);
  if (logOdds.some((each) => Number.isNaN(each)))
    throw new ProbityError('MF_MODEL_UNSCORABLE', 'the score of a row is not a number');
  return logOdds;
}

/** The answer, or why there is none. */
export async function scoresOrWhy(scored: () => Promise<Float64Array>): Promise<Float64Array | string> {
  try {
    return await scored();
  } catch (error) {
    if (isProbityError(error, 'MF_MODEL_UNSCORABLE')) return error.detail;
    throw error;
  }
}
