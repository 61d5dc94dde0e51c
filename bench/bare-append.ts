import { loadProfile } from '../src/app/profile.js';
import { openDataFolder } from '../src/app/data-folder.js';
import { openDatabase } from '../src/app/substrates.js';
import { policyKindsOf } from '../src/app/unit-table.js';
import { UNITS } from '../src/app/units.js';
import { asTopicName } from '../src/rails/eb-ref.js';
import type { Bus, OutgoingRecord } from '../src/substrate/bus/bus.port.js';
import { EmbeddedBus } from '../src/substrate/bus/embedded.bus.js';
import { SystemClock } from '../src/substrate/clock/system.clock.js';
import { schemaName } from '../src/substrate/database/roles.js';
import type { Door } from '../test/support/door.js';
import { openKafka } from '../test/support/kafka.js';

const TRAFFIC = asTopicName('fp.bus.traffic.v1');
/** As the producer of streams sends: so many events to a batch, so many batches on their way. */
const BATCH = 1_000;
const FLIGHTS = 2;

/**
 * The very records that a passage left on the traffic topic, appended once more to a topic of the bench: the bus alone, without ledger,
 * receipts and judgement. Gives records per second.
 */
export async function bareAppendRate(door: Door, recordsMax: number): Promise<{ records: number; perSecond: number }> {
  const { bus, close } = door.embedded ? await embeddedBusOf(door.data) : await kafka();
  try {
    const marks = await bus.marks(TRAFFIC);
    const topic = asTopicName(`bench.bare-${process.pid}`);
    await bus.ensureTopics([{ topic, partitions: marks.length, recordBytesMax: 1_048_576, retentionMs: null }]);
    const batches = await batchesOf(bus, recordsMax);
    const producer = await bus.openProducer({ name: `bench-${process.pid}` });
    const records = batches.reduce((sum, batch) => sum + [...batch.values()].flat().length, 0);
    const next = batches.values();
    const startMs = performance.now();
    const lane = async (): Promise<void> => {
      for (const batch of next)
        await producer.append([...batch].map(([partition, part]) => ({ topic, partition, records: part })));
    };
    await Promise.all(Array.from({ length: FLIGHTS }, lane));
    const seconds = (performance.now() - startMs) / 1_000;
    await producer.close();
    return { records, perSecond: records / seconds };
  } finally {
    await close();
  }
}

/** Records by partition, a batch of all partitions at a time. */
async function batchesOf(bus: Bus, recordsMax: number): Promise<readonly Map<number, OutgoingRecord[]>[]> {
  const marks = await bus.marks(TRAFFIC);
  const reader = await bus.openReader(
    marks.map(({ partition, lowWater }) => ({ topic: TRAFFIC, partition, offset: lowWater })),
  );
  const found = new Map<number, OutgoingRecord[]>();
  let count = 0;
  try {
    while (count < recordsMax) {
      const polled = await reader.poll({ recordsMax: 5_000, waitMs: 1_000 });
      if (polled.length === 0) break;
      for (const { partition, records } of polled) {
        count += records.length;
        const kept = found.get(partition) ?? [];
        for (const { key, value, headers } of records) kept.push({ key, value, headers });
        found.set(partition, kept);
      }
    }
  } finally {
    await reader.close();
  }
  const share = Math.max(1, Math.floor(BATCH / marks.length));
  const rounds = Math.ceil(Math.max(...[...found.values()].map(({ length }) => length)) / share);
  return Array.from(
    { length: rounds },
    (_, round) =>
      new Map(
        [...found].flatMap(([partition, records]) => {
          const part = records.slice(round * share, (round + 1) * share);
          return part.length === 0 ? [] : [[partition, part] as const];
        }),
      ),
  );
}

async function embeddedBusOf(data: string): Promise<{ readonly bus: Bus; readonly close: () => Promise<void> }> {
  const clock = new SystemClock();
  const profile = loadProfile('local', policyKindsOf(UNITS));
  const folder = openDataFolder(data);
  const server = await openDatabase({ profile, folder, table: UNITS, component: 'bench', clock });
  const bus = await EmbeddedBus.open({ database: server.forSchema(schemaName('bus')), clock });
  return {
    bus,
    close: async () => {
      await bus.close();
      await server.close(5_000);
    },
  };
}

async function kafka(): Promise<{ readonly bus: Bus; readonly close: () => Promise<void> }> {
  const bus = await openKafka();
  return { bus, close: () => bus.close() };
}
