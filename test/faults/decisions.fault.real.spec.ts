import { describe, it } from '@jest/globals';
import { FULL, faultSeed } from '../support/kafka-log.js';
import { decideUnderKills } from './decisions.kills.js';

describe('decisions under kill -9, on real servers', () => {
  const seed = faultSeed();

  it(
    `are one per transaction, and the same when they are made again, whoever dies (seed ${seed})`,
    async () => {
      const [files, rows, kills] = FULL ? [10, 8_000, 11] : [1, 3_000, 4];
      await decideUnderKills({ flavour: 'real', seed, files, rows, kills });
    },
    FULL ? 2_700_000 : 300_000,
  );
});
