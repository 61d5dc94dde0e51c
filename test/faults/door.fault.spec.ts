import { describe, it } from '@jest/globals';
import { FULL, faultSeed } from '../support/kafka-log.js';
import { streamUnderKills } from './door.kills.js';

describe('the door under kill -9', () => {
  const seed = faultSeed();

  it(
    `puts each row of a file on the topic once, whoever dies (seed ${seed})`,
    async () => {
      const [rows, kills] = FULL ? [60_000, 50] : [6_000, 4];
      await streamUnderKills({ flavour: 'embedded', seed, rows, kills, scenario: 'kills' });
    },
    FULL ? 1_200_000 : 240_000,
  );
});
