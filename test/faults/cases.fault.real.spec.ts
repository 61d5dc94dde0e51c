import { describe, it } from '@jest/globals';
import { FULL, faultSeed } from '../support/kafka-log.js';
import { caseActionsUnderKills } from './cases.kills.js';

describe('actions that people ask for, under kill -9, on real servers', () => {
  const seed = faultSeed();

  it(
    `are each one intent, one effect and one outcome (seed ${seed})`,
    async () => {
      await caseActionsUnderKills({ flavour: 'real', seed, kills: FULL ? 60 : 5 });
    },
    FULL ? 1_200_000 : 240_000,
  );
});
