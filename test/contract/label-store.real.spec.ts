import { afterAll, beforeAll, describe } from '@jest/globals';
import { asTopicName } from '../../src/rails/eb-ref.js';
import type { Bus } from '../../src/substrate/bus/bus.port.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { openKafka } from '../support/kafka.js';
import { freshTopic } from '../support/kafka-log.js';
import { renamed } from '../support/renamed-bus.js';
import { labelStoreSuite } from './label-store.contract.js';

describe('label store, external Postgres and Kafka', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;
  let kafka: Bus;
  let bus: Bus;

  beforeAll(async () => {
    postgres = await openTestPostgres('external');
    database = await postgres.fresh({ schemas: ['label_store'] });
    kafka = await openKafka();
    const topic = asTopicName('fp.bus.control.v1');
    bus = renamed(kafka, topic, freshTopic('labels'));
    await bus.ensureTopics([{ topic, partitions: 3, recordBytesMax: 1_048_576, retentionMs: null }]);
  });
  afterAll(async () => {
    await kafka.close();
    await database.drop();
    await postgres.close();
  });

  labelStoreSuite(() => ({ database: database.server.forSchema(schemaName('label_store')), bus }));
});
