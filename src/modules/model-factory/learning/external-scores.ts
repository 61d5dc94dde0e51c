import { isProbityError, ProbityError } from '../../../rails/errors/probity-error.js';
import type { OnnxModel } from '../../../rails/model/bundle.schema.js';
import { ln } from '../../../rails/model/ln.js';
import { type ModelRuntime, type ModelSession } from '../../../substrate/models/model-runtime.js';
import type { ScoreExternal } from './scoring.js';

/** Half of a millionth: nearer to 0 or 1 no score can be told from it. */
const EDGE = 0.5e-6;

/**
 * Scores of ONNX models, as decisions would have them: row by row, since the runtime adds otherwise for many rows than for one, and rounded to
 * millionths.
 */
export function externalScores(runtime: ModelRuntime): ScoreExternal {
  return async (model, columns, rows) => {
    const session = await opened(runtime, model);
    const logOdds = new Float64Array(rows);
    for (let row = 0; row < rows; row += 1) {
      const inputs = columns.map((column) => {
        const value = column[row] ?? Number.NaN;
        return Number.isNaN(value) ? null : value;
      });
      const score = await session.scoreE6(inputs);
      if (score === 'FAILED')
        throw new ProbityError('MF_MODEL_UNSCORABLE', `the model says no probability for row ${row + 1} of the part`);
      const p = Math.min(1 - EDGE, Math.max(EDGE, score / 1e6));
      logOdds[row] = ln(p / (1 - p));
    }
    return logOdds;
  };
}

async function opened(runtime: ModelRuntime, model: OnnxModel): Promise<ModelSession> {
  try {
    return await runtime.open(model);
  } catch (cause) {
    if (!isProbityError(cause)) throw cause;
    throw new ProbityError('MF_MODEL_UNSCORABLE', cause.detail, { cause });
  }
}
