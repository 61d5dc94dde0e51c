import { afterAll, beforeAll, describe } from '@jest/globals';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { producerSuite } from './world-stream-producer.contract.js';
import { scratchObjects } from './world-stream-producer.kit.js';

describe('World Stream Producer, embedded database and files', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;
  let scratch: { readonly objects: Objects; readonly close: () => Promise<void> };

  beforeAll(async () => {
    postgres = await openTestPostgres();
    [database, scratch] = await Promise.all([postgres.fresh({ schemas: ['wsp'] }), scratchObjects()]);
  });

  afterAll(async () => {
    await scratch.close();
    await postgres.close();
  });

  producerSuite(() => ({ database, objects: scratch.objects }));
});
