import { afterAll, beforeAll } from '@jest/globals';
import { openTestPostgres, type TestPostgres } from '../support/database.js';
import { gateContract } from './ingestion-gate.contract.js';
import { realGround } from './ingestion-gate.kit.js';
import { twoStepCases } from './ingestion-gate.two-step.cases.js';

const servers: TestPostgres[] = [];

beforeAll(async () => {
  servers.push(await openTestPostgres('external'));
});
afterAll(async () => {
  await Promise.all(servers.map((server) => server.close()));
});

const openGround = async () => {
  const [server] = servers;
  if (server === undefined) throw new Error('the server was not opened');
  return await realGround(server);
};

gateContract('Kafka, Postgres and S3', openGround);
twoStepCases('Kafka, Postgres and S3', openGround);
