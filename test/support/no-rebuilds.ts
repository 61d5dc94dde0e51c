import { ProbityError } from '../../src/rails/errors/probity-error.js';
import type { ReplaySources } from '../../src/modules/run-operate/replay.port.js';

/** What a stand-in of a projector answers to a backfill: the unit under test never asks for one. */
export function noRebuild(): Promise<never> {
  return Promise.reject(new ProbityError('INTERNAL', 'nobody makes the state of a stand-in again'));
}

/** Where nothing can be read: for a projector of which no other generation is made. */
export const NOWHERE: ReplaySources = {} as unknown as ReplaySources;
