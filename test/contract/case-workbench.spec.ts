import { afterAll, beforeAll, describe } from '@jest/globals';
import { schemaName } from '../../src/substrate/database/roles.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { caseWorkbenchSuite } from './case-workbench.contract.js';

describe('case workbench, embedded', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;

  beforeAll(async () => {
    postgres = await openTestPostgres();
    database = await postgres.fresh({ schemas: ['case_mgmt'] });
  });
  afterAll(async () => {
    await postgres.close();
  });

  caseWorkbenchSuite(() => database.server.forSchema(schemaName('case_mgmt')));
});
