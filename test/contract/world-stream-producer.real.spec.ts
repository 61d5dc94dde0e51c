import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe } from '@jest/globals';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { S3Objects } from '../../src/substrate/objects/s3.objects.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { s3Options, temporaryFolder } from '../support/objects-harness.js';
import { producerSuite } from './world-stream-producer.contract.js';

describe('World Stream Producer, external Postgres and S3', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;
  let objects: Objects;
  let spoolFolder: string;

  beforeAll(async () => {
    postgres = await openTestPostgres('external');
    database = await postgres.fresh({ schemas: ['wsp'] });
    spoolFolder = await temporaryFolder();
    const bucket = `probity-wsp-${randomBytes(6).toString('hex')}`;
    objects = await S3Objects.open(s3Options({ spoolFolder, bucket }), new SystemClock());
  });

  afterAll(async () => {
    await objects.close();
    await database.drop();
    await postgres.close();
    await rm(spoolFolder, { recursive: true, force: true });
  });

  producerSuite(() => ({ database, objects }));
});
