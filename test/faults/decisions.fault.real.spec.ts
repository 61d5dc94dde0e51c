import { describe, it } from '@jest/globals';
import { FULL, faultSeed } from '../support/kafka-log.js';
import { decideUnderKills } from './decisions.kills.js';

describe('decisions under kill -9, on real servers', () => {
  const seed = faultSeed();

  it(
    `are one per transaction, and the same when they are made again, whoever dies (seed ${seed})`,
    async () => {
      const [rows, kills] = FULL ? [40_000, 60] : [3_000, 4];
      await decideUnderKills({ flavour: 'real', seed, rows, kills });
    },
    FULL ? 1_800_000 : 300_000,
  );
});
