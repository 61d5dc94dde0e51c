import { afterAll, beforeAll, describe } from '@jest/globals';
import { schemaName } from '../../src/substrate/database/roles.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { entityGraphSuite } from './entity-graph.contract.js';

describe('Identity & Entity Graph, external Postgres', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;

  beforeAll(async () => {
    postgres = await openTestPostgres('external');
    database = await postgres.fresh({ schemas: ['ieg'] });
  });
  afterAll(async () => {
    await database.drop();
    await postgres.close();
  });

  entityGraphSuite(() => database.server.forSchema(schemaName('ieg')));
});
