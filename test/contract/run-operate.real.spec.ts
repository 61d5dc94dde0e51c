import { afterAll, beforeAll, describe } from '@jest/globals';
import { asTopicName } from '../../src/rails/eb-ref.js';
import type { Bus } from '../../src/substrate/bus/bus.port.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { openKafka } from '../support/kafka.js';
import { freshTopic } from '../support/kafka-log.js';
import { renamed } from '../support/renamed-bus.js';
import { runOperateSuite } from './run-operate.contract.js';

describe('Run/Operate, external Postgres and Kafka', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;
  let kafka: Bus;
  let bus: Bus;

  beforeAll(async () => {
    postgres = await openTestPostgres('external');
    database = await postgres.fresh({ schemas: ['gov'] });
    kafka = await openKafka();
    const topic = asTopicName('fp.bus.control.v1');
    bus = renamed(kafka, topic, freshTopic('governance'));
    await bus.ensureTopics([{ topic, partitions: 2, recordBytesMax: 1_048_576, retentionMs: null }]);
  });
  afterAll(async () => {
    await kafka.close();
    await database.drop();
    await postgres.close();
  });

  runOperateSuite(() => ({ database: database.server.forSchema(schemaName('gov')), bus }));
});
