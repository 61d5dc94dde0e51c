import { afterAll, beforeAll, describe } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { S3Objects } from '../../src/substrate/objects/s3.objects.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { s3Options, temporaryFolder } from '../support/objects-harness.js';
import { decisionLogAuditSuite } from './decision-log-audit.contract.js';

describe('Decision Log/Audit, external Postgres and objects in S3', () => {
  let postgres: TestPostgres;
  let spoolFolder = '';
  const databases: TestDatabase[] = [];
  const stores: S3Objects[] = [];

  beforeAll(async () => {
    postgres = await openTestPostgres('external');
    spoolFolder = await temporaryFolder();
  });
  afterAll(async () => {
    for (const database of databases) await database.drop();
    await postgres.close();
    await Promise.all(stores.map((store) => store.close()));
    await rm(spoolFolder, { recursive: true });
  });

  decisionLogAuditSuite(async (objects) => {
    const database = await postgres.fresh({ schemas: ['audit_index'] });
    databases.push(database);
    // A log has a store of its own: its paths are the same in each.
    const bucket = `probity-audit-${randomBytes(4).toString('hex')}`;
    const store = objects ?? (await S3Objects.open(s3Options({ bucket, spoolFolder }), new SystemClock()));
    if (store instanceof S3Objects) stores.push(store);
    return { database: database.server.forSchema(schemaName('audit_index')), objects: store };
  });
});
