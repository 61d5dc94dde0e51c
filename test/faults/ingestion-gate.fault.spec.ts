import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { embeddedGround } from '../contract/ingestion-gate.kit.js';
import { apart } from '../contract/ingestion-gate.stand-ins.js';
import { openTestPostgres, type TestPostgres } from '../support/database.js';
import { FULL, faultSeed } from '../support/kafka-log.js';
import { putLiveRun } from '../support/run-facts.js';
import { surviveKills } from './ingestion-gate.killed.js';

const LIMIT_MS = FULL ? 900_000 : 60_000;

describe('a gate that is killed at any moment', () => {
  const servers: TestPostgres[] = [];

  beforeAll(async () => {
    servers.push(await openTestPostgres());
  });
  afterAll(async () => {
    await Promise.all(servers.map((server) => server.close()));
  });

  it.each(['embedded', 'apart'] as const)(
    'leaves each event once on the bus and in the ledger (%s)',
    async (bus) => {
      const [server] = servers;
      if (server === undefined) throw new Error('the server was not started');
      const ground = await embeddedGround(server);
      try {
        const { address, admin, roleSecret } = ground.place;
        const run = await putLiveRun(ground.objects, { key: `killed-${bus}`, scenario: 'shop.web' });
        await surviveKills({
          ground: bus === 'apart' ? { ...ground, bus: apart(ground.bus) } : ground,
          run,
          order: { bus, place: { address, admin, roleSecret }, store: { kind: 'files', folder: ground.folder } },
          seed: faultSeed(),
          lives: FULL ? 60 : 3,
          betweenSteps: bus === 'apart',
        });
      } finally {
        await ground.close();
      }
    },
    LIMIT_MS,
  );
});
