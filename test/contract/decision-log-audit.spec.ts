import { afterAll, beforeAll, describe } from '@jest/globals';
import { rm } from 'node:fs/promises';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import { openTestPostgres, type TestPostgres } from '../support/database.js';
import { temporaryFolder } from '../support/objects-harness.js';
import { decisionLogAuditSuite } from './decision-log-audit.contract.js';

describe('Decision Log/Audit, embedded database and objects in files', () => {
  let postgres: TestPostgres;
  const folders: string[] = [];

  beforeAll(async () => {
    postgres = await openTestPostgres();
  });
  afterAll(async () => {
    await postgres.close();
    await Promise.all(folders.map((folder) => rm(folder, { recursive: true })));
  });

  decisionLogAuditSuite(async (objects) => {
    const { server } = await postgres.fresh({ schemas: ['audit_index'] });
    const folder = await temporaryFolder();
    folders.push(folder);
    return {
      database: server.forSchema(schemaName('audit_index')),
      objects: objects ?? (await FilesObjects.open(folder, new SystemClock())),
    };
  });
});
