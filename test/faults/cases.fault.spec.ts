import { describe, it } from '@jest/globals';
import { FULL, faultSeed } from '../support/kafka-log.js';
import { caseActionsUnderKills } from './cases.kills.js';

describe('actions that people ask for, under kill -9', () => {
  const seed = faultSeed();

  it(
    `are each one intent, one effect and one outcome (seed ${seed})`,
    async () => {
      await caseActionsUnderKills({ flavour: 'embedded', seed, kills: FULL ? 60 : 4 });
    },
    FULL ? 1_200_000 : 240_000,
  );
});
