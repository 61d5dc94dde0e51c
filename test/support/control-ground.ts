import { asTopicName } from '../../src/rails/eb-ref.js';
import type { Bus } from '../../src/substrate/bus/bus.port.js';
import { EmbeddedBus } from '../../src/substrate/bus/embedded.bus.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { schemaName } from '../../src/substrate/database/roles.js';
import { openTestPostgres } from './database.js';
import { openKafka } from './kafka.js';
import { freshTopic } from './kafka-log.js';
import { renamed } from './renamed-bus.js';

/** What a unit that tells the control topic stands on: its schema, and a bus with that topic. */
export interface ControlGround {
  readonly database: Database;
  readonly bus: Bus;
  readonly close: () => Promise<void>;
}

const CONTROL = asTopicName('fp.bus.control.v1');

/** On what `npm ci` brings, or on Postgres and Kafka; there the topic is the test's own. */
export async function openControlGround(kind: 'embedded' | 'external', schema: string): Promise<ControlGround> {
  const postgres = await openTestPostgres(kind);
  const place = await postgres.fresh({ schemas: kind === 'embedded' ? ['bus', schema] : [schema] });
  const opened =
    kind === 'embedded'
      ? await EmbeddedBus.open({ database: place.forSchema(schemaName('bus')), clock: new SystemClock() })
      : await openKafka();
  const bus = kind === 'embedded' ? opened : renamed(opened, CONTROL, freshTopic(schema));
  await bus.ensureTopics([{ topic: CONTROL, partitions: 2, recordBytesMax: 1_048_576, retentionMs: null }]);
  return {
    database: place.forSchema(schemaName(schema)),
    bus,
    close: async () => {
      await opened.close();
      await place.drop();
      await postgres.close();
    },
  };
}
