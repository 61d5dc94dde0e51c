import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { afterAll, beforeAll, describe } from '@jest/globals';
import { asTopicName } from '../../src/rails/eb-ref.js';
import type { Bus } from '../../src/substrate/bus/bus.port.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { S3Objects } from '../../src/substrate/objects/s3.objects.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { openKafka } from '../support/kafka.js';
import { freshTopic } from '../support/kafka-log.js';
import { s3Options, temporaryFolder } from '../support/objects-harness.js';
import { renamed } from '../support/renamed-bus.js';
import { labelStoreSuite } from './label-store.contract.js';

describe('label store, external Postgres, Kafka and S3', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;
  let kafka: Bus;
  let bus: Bus;
  let objects: Objects;
  let spoolFolder: string;

  beforeAll(async () => {
    postgres = await openTestPostgres('external');
    database = await postgres.fresh({ schemas: ['label_store'] });
    kafka = await openKafka();
    const topic = asTopicName('fp.bus.control.v1');
    bus = renamed(kafka, topic, freshTopic('ledger'));
    await bus.ensureTopics([{ topic, partitions: 3, recordBytesMax: 1_048_576, retentionMs: null }]);
    spoolFolder = await temporaryFolder();
    const bucket = `probity-ledger-${randomBytes(6).toString('hex')}`;
    objects = await S3Objects.open(s3Options({ spoolFolder, bucket }), new SystemClock());
  });
  afterAll(async () => {
    await kafka.close();
    await objects.close();
    await database.drop();
    await postgres.close();
    await rm(spoolFolder, { recursive: true, force: true });
  });

  labelStoreSuite(() => ({ database: database.server.forSchema(schemaName('label_store')), bus, objects }));
});
