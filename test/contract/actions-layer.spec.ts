import { afterAll, beforeAll, describe } from '@jest/globals';
import { schemaName } from '../../src/substrate/database/roles.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { actionsLayerSuite } from './actions-layer.contract.js';
import { outwardActionsSuite } from './actions-layer.outward.contract.js';

describe('Actions Layer, embedded database', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;

  beforeAll(async () => {
    postgres = await openTestPostgres();
    database = await postgres.fresh({ schemas: ['actions'] });
  });
  afterAll(async () => {
    await postgres.close();
  });

  actionsLayerSuite(() => database.server.forSchema(schemaName('actions')));
  outwardActionsSuite(() => database.server.forSchema(schemaName('actions')));
});
