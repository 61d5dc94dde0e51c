import { writeSync } from 'node:fs';
import { asGroupName } from '../../src/substrate/bus/bus.names.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import { type Bus, type OutgoingRecord, type Position, type RecordBatch } from '../../src/substrate/bus/bus.port.js';
import { isProbityError } from '../../src/rails/errors/probity-error.js';
import { record, textOf } from '../../src/substrate/bus/contract/kit.js';
import { type Database } from '../../src/substrate/database/database.port.js';
import { openEmbeddedBus, UNIT_SCHEMA } from './bus.js';
import { openTestServer, type TestDatabaseAddress } from './database.js';

/** What a child of `bus-processes.ts` is told: as JSON, in its first argument. */
export interface ChildOrder {
  readonly work: 'produce' | 'consume';
  readonly place: TestDatabaseAddress;
  readonly topic: string;
  readonly partitions: number;
  /** Name of the producer, or of the group. */
  readonly name: string;
  /** Unlike any other run's, so that each batch is told from every other. */
  readonly run: string;
  readonly seed: number;
}

/** Written at once, so that a SIGKILL finds each line whole or not at all. */
function say(...words: readonly (string | number)[]): void {
  writeSync(1, `${words.join(' ')}\n`);
}

/** A small generator (mulberry32): the same seed makes the same batches. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Appends one batch after the other in three lanes; each record says to which batch it belongs and how large that is. */
async function produce(bus: Bus, order: ChildOrder): Promise<void> {
  const chance = random(order.seed);
  const topic = asTopicName(order.topic);
  const lane = async (letter: string) => {
    let producer = await bus.openProducer({ name: `${order.name}.${letter}` });
    for (let turn = 0; ; turn += 1) {
      const id = `${order.run}${letter}${turn}`;
      const size = 1 + Math.floor(chance() * 12);
      const parts = Array.from({ length: order.partitions }, (): OutgoingRecord[] => []);
      for (let index = 0; index < size; index += 1)
        parts[Math.floor(chance() * order.partitions)]?.push(record(`${id}:${index}/${size}:${'x'.repeat(300)}`));
      try {
        await producer.append(
          parts.flatMap((records, partition) => (records.length === 0 ? [] : [{ topic, partition, records }])),
        );
        say('ack', id);
      } catch (fault) {
        if (isProbityError(fault, 'BUS_UNAVAILABLE')) say('refused', id);
        else if (isProbityError(fault, 'BUS_APPEND_UNKNOWN')) say('unknown', id);
        else throw fault;
        producer = await reopened(bus, producer.name);
      }
      // The consumers share the machine with the producers, and the test is about all of them at once.
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  say('ready');
  await Promise.all(['a', 'b', 'c'].map(lane));
}

async function reopened(bus: Bus, name: string) {
  for (;;) {
    try {
      return await bus.openProducer({ name });
    } catch (fault) {
      if (!isProbityError(fault, 'BUS_UNAVAILABLE')) throw fault;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** A unit as law R5 wants it: the effects of a batch and the position after it are one commit. */
async function consume(bus: Bus, unit: Database, order: ChildOrder): Promise<void> {
  const positions = async (): Promise<readonly Position[]> =>
    (await unit.query<Position>('select topic, partition, next_offset as "offset" from positions')).rows;
  const consumer = bus.openConsumer({
    group: asGroupName(order.name),
    topics: [asTopicName(order.topic)],
    positions,
    startWhenUnknown: 'low-water',
    batchRecordsMax: 40,
    sessionTimeoutMs: 2_000,
    onBatch: (batch, { signal }) => apply(unit, batch, signal),
    onAssigned: (places) => {
      say('assigned', ...places.map(({ partition }) => partition));
      return Promise.resolve();
    },
    onRevoked: (places, how) => {
      say(how, ...places.map(({ partition }) => partition));
      return Promise.resolve();
    },
  });
  await consumer.start();
  say('ready');
  process.once('SIGTERM', () => {
    void consumer
      .stop()
      .then(() => bus.close())
      .then(() => process.exit(0));
  });
}

async function apply(unit: Database, batch: RecordBatch, signal: AbortSignal): Promise<void> {
  const { topic, partition, records, nextOffset } = batch;
  await unit.transaction(async (transaction) => {
    const { rows } = await transaction.query<{ next_offset: number }>(
      'select next_offset from positions where topic = $1 and partition = $2 for update',
      [topic, partition],
    );
    // Somebody else has been here: a stale delivery must not be applied again. The bus should never let it come to this
    // while its members live, so it is told.
    if ((rows[0]?.next_offset ?? 0) > (records[0]?.offset ?? nextOffset)) {
      say('stale', partition);
      throw new Error('a stale delivery');
    }
    await transaction.query(
      `insert into effects (topic, partition, record_offset, word)
       select $1, $2, * from unnest($3::int8[], $4::text[])`,
      [topic, partition, records.map(({ offset }) => offset), records.map((item) => textOf(item).split(':x')[0])],
    );
    await transaction.query(
      `insert into positions (topic, partition, next_offset) values ($1, $2, $3)
       on conflict (topic, partition) do update set next_offset = excluded.next_offset`,
      [topic, partition, nextOffset],
    );
    if (signal.aborted) throw new Error('the partition was taken away');
  });
  say('applied', partition, records.length);
}

// The parent writes this argument; nobody else starts this program.
const order = JSON.parse(process.argv[2] ?? '{}') as ChildOrder;
const { bus } = await openEmbeddedBus(order.place);
if (order.work === 'produce') await produce(bus, order);
else await consume(bus, openTestServer(order.place).forSchema(UNIT_SCHEMA), order);
