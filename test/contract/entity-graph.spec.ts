import { afterAll, beforeAll, describe } from '@jest/globals';
import { schemaName } from '../../src/substrate/database/roles.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { entityGraphSuite } from './entity-graph.contract.js';

describe('Identity & Entity Graph, embedded database', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;

  beforeAll(async () => {
    postgres = await openTestPostgres();
    database = await postgres.fresh({ schemas: ['ieg'] });
  });
  afterAll(async () => {
    await postgres.close();
  });

  entityGraphSuite(() => database.server.forSchema(schemaName('ieg')));
});
