import { afterAll, beforeAll } from '@jest/globals';
import { busContract, transactionalBusContract } from '../../src/substrate/bus/bus.contract.js';
import { embeddedBusHarness } from '../support/bus.js';
import { openTestPostgres, type TestPostgres } from '../support/database.js';

const servers: TestPostgres[] = [];

beforeAll(async () => {
  servers.push(await openTestPostgres());
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()));
});

async function openHarness() {
  const [server] = servers;
  if (server === undefined) throw new Error('the server was not started');
  return await embeddedBusHarness(server);
}

busContract('embedded', openHarness);
transactionalBusContract('embedded', openHarness);
