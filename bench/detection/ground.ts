import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TrainingMatrix } from '../../src/rails/learning/matrix.js';
import { rowsOf } from '../../src/rails/learning/matrix.js';
import { logOddsOf } from '../../src/rails/learning/predict.js';
import type { Bundle } from '../../src/rails/model/bundle.schema.js';
import { columnsOf } from '../peers/contest.js';
import { CardPlatform, type World } from '../../test/support/card-platform.js';
import { CardDesk } from '../../test/support/card-rows.js';
import { MORE } from './features.js';

/** How long after its payment a label becomes known. Windows that end seven days ago hold the same as if it were seven. */
const FEED = 'P1D';

export interface Ground {
  readonly platform: CardPlatform;
  readonly desk: CardDesk;
  readonly folder: string;
  readonly world: World;
  readonly close: () => Promise<void>;
}

/**
 * The platform with the whole file in it. PROBITY_TEST_HANDBOOK names the file; PROBITY_DETECTION_FOLDER a folder that stays, where a second bench goes on: without it all is made
 * anew and removed at the end.
 */
export async function openBench(): Promise<Ground> {
  const file = process.env['PROBITY_TEST_HANDBOOK'];
  if (file === undefined) throw new Error('PROBITY_TEST_HANDBOOK names no file; see bench/peers/README.md');
  const named = process.env['PROBITY_DETECTION_FOLDER'];
  const folder = named ?? mkdtempSync(join(tmpdir(), 'probity detection-'));
  mkdirSync(folder, { recursive: true });
  const platform = await CardPlatform.open(folder, MORE);
  const close = async (): Promise<void> => {
    await platform.close();
    if (named === undefined) rmSync(folder, { recursive: true, force: true });
  };
  try {
    const world = await platform.world('cards', file, FEED);
    const desk = await CardDesk.open(file, folder);
    const ended = async (): Promise<void> => {
      desk.close();
      await close();
    };
    return { platform, desk, folder, world, close: ended };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Midnight so many days after a day of 2018. */
export function atDay(day: string, days: number): string {
  const at = Date.parse(`2018-${day}T00:00:00Z`) + days * 86_400_000;
  return new Date(at).toISOString().replace('.000Z', '.000000Z');
}

/** Log odds of these rows by a bundle that names its inputs. */
export function scoresBy({ model }: Bundle, matrix: TrainingMatrix, places: Int32Array): Float64Array {
  if (model.format === 'probity.onnx.v1') throw new Error('the factory trained a model of another format');
  const seen = columnsOf(
    matrix,
    model.inputs.map(({ name }) => name),
  );
  return logOddsOf(model, rowsOf(seen, places).columns, places.length);
}
