import { afterAll, beforeAll, describe } from '@jest/globals';
import { schemaName } from '../../src/substrate/database/roles.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { featurePlaneSuite } from './feature-plane.contract.js';

describe('Feature Plane, embedded database', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;

  beforeAll(async () => {
    postgres = await openTestPostgres();
    database = await postgres.fresh({ schemas: ['ofp'] });
  });
  afterAll(async () => {
    await postgres.close();
  });

  featurePlaneSuite(() => database.server.forSchema(schemaName('ofp')));
});
