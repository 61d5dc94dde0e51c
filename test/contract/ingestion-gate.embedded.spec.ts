import { afterAll, beforeAll } from '@jest/globals';
import { openTestPostgres, type TestPostgres } from '../support/database.js';
import { gateContract } from './ingestion-gate.contract.js';
import { embeddedGround } from './ingestion-gate.kit.js';

const servers: TestPostgres[] = [];

beforeAll(async () => {
  servers.push(await openTestPostgres());
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()));
});

gateContract('an embedded bus', async () => {
  const [server] = servers;
  if (server === undefined) throw new Error('the server was not started');
  return await embeddedGround(server);
});
