import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { realGround } from '../contract/ingestion-gate.kit.js';
import { openTestPostgres, type TestPostgres } from '../support/database.js';
import { FULL, faultSeed } from '../support/kafka-log.js';
import { putLiveRun } from '../support/run-facts.js';
import { surviveKills } from './ingestion-gate.killed.js';

const LIMIT_MS = FULL ? 900_000 : 120_000;

describe('a gate on Kafka, Postgres and S3 that is killed at any moment', () => {
  const servers: TestPostgres[] = [];

  beforeAll(async () => {
    servers.push(await openTestPostgres('external'));
  });
  afterAll(async () => {
    await Promise.all(servers.map((server) => server.close()));
  });

  it(
    'leaves each event once on the bus and in the ledger',
    async () => {
      const [server] = servers;
      if (server === undefined) throw new Error('the server was not opened');
      const ground = await realGround(server);
      try {
        const key = `killed-${randomBytes(4).toString('hex')}`;
        const run = await putLiveRun(ground.objects, { key, scenario: 'shop.web' });
        await surviveKills({
          ground,
          run,
          order: { bus: { kafkaTopic: ground.topic }, place: ground.place, store: ground.store },
          seed: faultSeed(),
          lives: FULL ? 60 : 6,
          betweenSteps: true,
        });
      } finally {
        await ground.close();
      }
    },
    LIMIT_MS,
  );
});
