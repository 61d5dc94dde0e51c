import { afterAll, beforeAll, describe } from '@jest/globals';
import { schemaName } from '../../src/substrate/database/roles.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { decisionFabricSuite } from './decision-fabric.contract.js';

describe('Decision Fabric, external Postgres', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;

  beforeAll(async () => {
    postgres = await openTestPostgres('external');
    database = await postgres.fresh({ schemas: ['df'] });
  });
  afterAll(async () => {
    await database.drop();
    await postgres.close();
  });

  decisionFabricSuite(() => database.server.forSchema(schemaName('df')));
});
