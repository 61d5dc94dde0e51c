import { afterAll, beforeAll, describe } from '@jest/globals';
import { asTopicName } from '../../src/rails/eb-ref.js';
import type { Bus } from '../../src/substrate/bus/bus.port.js';
import { EmbeddedBus } from '../../src/substrate/bus/embedded.bus.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { labelStoreSuite } from './label-store.contract.js';
import { scratchObjects } from './world-stream-producer.kit.js';

describe('label store, embedded', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;
  let bus: Bus;
  let scratch: Awaited<ReturnType<typeof scratchObjects>>;

  beforeAll(async () => {
    postgres = await openTestPostgres();
    [database, scratch] = await Promise.all([postgres.fresh({ schemas: ['bus', 'label_store'] }), scratchObjects()]);
    bus = await EmbeddedBus.open({ database: database.server.forSchema(schemaName('bus')), clock: new SystemClock() });
    const topic = asTopicName('fp.bus.control.v1');
    await bus.ensureTopics([{ topic, partitions: 3, recordBytesMax: 1_048_576, retentionMs: null }]);
  });
  afterAll(async () => {
    await bus.close();
    await scratch.close();
    await postgres.close();
  });

  labelStoreSuite(() => ({
    database: database.server.forSchema(schemaName('label_store')),
    bus,
    objects: scratch.objects,
  }));
});
