import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { openTestPostgres, type TestPostgres } from '../support/database.js';
import { FULL, faultSeed } from '../support/kafka-log.js';
import { actUnderKills } from './actions-layer.kills.js';

describe('actions under kill -9', () => {
  let postgres: TestPostgres;

  beforeAll(async () => {
    postgres = await openTestPostgres();
  });
  afterAll(async () => {
    await postgres.close();
  });

  it(
    'are had once outside, and told as what they are, whoever dies',
    async () => {
      const place = await postgres.fresh({ schemas: ['actions'] });
      await actUnderKills(place, faultSeed(), FULL ? 100 : 20);
    },
    FULL ? 600_000 : 180_000,
  );
});
