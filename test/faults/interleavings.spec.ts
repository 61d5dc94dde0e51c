import { afterAll, beforeAll, describe } from '@jest/globals';
import { schemaName } from '../../src/substrate/database/roles.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { interleavingsSuite } from '../contract/interleavings.contract.js';

describe('Interleavings of partitions, embedded database', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;

  beforeAll(async () => {
    postgres = await openTestPostgres();
    database = await postgres.fresh({ schemas: ['ofp', 'df'] });
  });
  afterAll(async () => {
    await postgres.close();
  });

  interleavingsSuite(
    () => database.server.forSchema(schemaName('ofp')),
    () => database.server.forSchema(schemaName('df')),
  );
});
