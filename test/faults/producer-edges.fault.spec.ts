import { describe, it } from '@jest/globals';
import { FULL, faultSeed } from '../support/kafka-log.js';
import { consumeUnderKills } from './producer-edges.kills.js';

describe('a source of an edge under kill -9', () => {
  const seed = faultSeed();

  it(
    `admits each record once and counts it once (seed ${seed})`,
    async () => {
      const [records, kills] = FULL ? [60_000, 20] : [12_000, 2];
      await consumeUnderKills({ seed, records, kills, topic: 'shop.payments' });
    },
    FULL ? 900_000 : 120_000,
  );
});
