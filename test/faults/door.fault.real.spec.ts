import { randomBytes } from 'node:crypto';
import { describe, it } from '@jest/globals';
import { FULL, faultSeed } from '../support/kafka-log.js';
import { streamUnderKills } from './door.kills.js';

describe('the door under kill -9, on real servers', () => {
  const seed = faultSeed();

  it(
    `puts each row of a file on the topic once, whoever dies (seed ${seed})`,
    async () => {
      const [rows, kills] = FULL ? [60_000, 50] : [6_000, 4];
      const scenario = `kills-${randomBytes(4).toString('hex')}`;
      await streamUnderKills({ flavour: 'real', seed, rows, kills, scenario });
    },
    FULL ? 1_800_000 : 240_000,
  );
});
