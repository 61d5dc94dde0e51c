import { describe, it } from '@jest/globals';
import { FULL, faultSeed } from '../support/kafka-log.js';
import { labelUnderKills } from './labels.kills.js';

describe('the label store under kill -9', () => {
  const seed = faultSeed();

  it(
    `has each label once, and changes no answer (seed ${seed})`,
    async () => {
      await labelUnderKills({ flavour: 'embedded', seed, kills: FULL ? 60 : 4 });
    },
    FULL ? 1_200_000 : 240_000,
  );
});
