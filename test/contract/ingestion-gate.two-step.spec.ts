import { afterAll, beforeAll } from '@jest/globals';
import { openTestPostgres, type TestPostgres } from '../support/database.js';
import { gateContract } from './ingestion-gate.contract.js';
import { embeddedGround } from './ingestion-gate.kit.js';
import { apart } from './ingestion-gate.stand-ins.js';
import { twoStepCases } from './ingestion-gate.two-step.cases.js';

const servers: TestPostgres[] = [];

beforeAll(async () => {
  servers.push(await openTestPostgres());
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()));
});

const openGround = async () => {
  const [server] = servers;
  if (server === undefined) throw new Error('the server was not started');
  return await embeddedGround(server);
};

// The log of the embedded bus through its producers alone: what a gate does on Kafka, without Kafka.
gateContract('a bus apart from the ledger', openGround, (bus) => apart(bus));
twoStepCases('an embedded log', openGround);
