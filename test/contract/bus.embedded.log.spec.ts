import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Bus } from '../../src/substrate/bus/bus.port.js';
import {
  append,
  at,
  eventually,
  freshNames,
  gate,
  markOf,
  pause,
  readPartition,
  record,
  records,
  refusal,
  spec,
  texts,
} from '../../src/substrate/bus/contract/kit.js';
import { type Fetched, LogReader } from '../../src/substrate/bus/embedded/log.js';
import { LogTail } from '../../src/substrate/bus/embedded/tail.js';
import { TopicCatalog } from '../../src/substrate/bus/embedded/topics.js';
import { Retention } from '../../src/substrate/bus/embedded/retention.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { type Database } from '../../src/substrate/database/database.port.js';
import { BUS_SCHEMA, freshBusDatabase, openEmbeddedBus, UNIT_SCHEMA } from '../support/bus.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';

interface Scene {
  readonly server: TestPostgres;
  readonly database: TestDatabase;
  readonly bus: Bus;
  readonly close: () => Promise<void>;
  /** The door of the bus itself, and that of a unit. */
  readonly own: Database;
  readonly unit: Database;
}

const opened: Scene[] = [];

beforeAll(async () => {
  const server = await openTestPostgres();
  const database = await freshBusDatabase(server);
  const { bus, close } = await openEmbeddedBus(database);
  const [own, unit] = [database.forSchema(BUS_SCHEMA), database.forSchema(UNIT_SCHEMA)];
  opened.push({ server, database, bus, close, own, unit });
});
afterAll(async () => {
  for (const { server, database, close } of opened) {
    await close();
    await database.drop();
    await server.close();
  }
});

function scene(): Scene {
  const [found] = opened;
  if (found === undefined) throw new Error('the scene did not open');
  return found;
}

async function storedRecords(topic: string): Promise<number> {
  const { rows } = await scene().own.query<{ count: number }>(
    'select count(*) as count from records join topics using (topic_id) where name = $1',
    [topic],
  );
  return rows[0]?.count ?? -1;
}

describe('the log of the embedded bus', () => {
  const names = freshNames();

  it('drops what is older than its topic keeps it, in steps, and keeps what is younger and what is kept for ever', async () => {
    const { bus, own } = scene();
    const [short, long, ever] = [names.topic('short'), names.topic('long'), names.topic('ever')];
    await bus.ensureTopics([
      spec(short, 1, { retentionMs: 1 }),
      spec(long, 1, { retentionMs: 3_600_000 }),
      spec(ever, 1),
    ]);
    // More than one step of 5,000.
    for (const topic of [short, long, ever])
      for (let part = 0; part < 6; part += 1) await append(bus, topic, records('r', 1_000, part * 1_000));
    const retention = new Retention(own, new SystemClock(), undefined);
    await eventually('the old records to expire', async () => {
      await retention.sweep();
      const { lowWater, highWater } = await markOf(bus, short);
      return lowWater === highWater;
    });
    await retention.sweep();
    expect((await markOf(bus, short)).lowWater).toBe(6_000);
    expect(await Promise.all([short, long, ever].map(storedRecords))).toEqual([0, 6_000, 6_000]);
    expect((await markOf(bus, long)).lowWater).toBe(0);
    // The log goes on where it was.
    expect((await append(bus, short, records('next', 1))).firstOffset).toBe(6_000);
    await retention.close();
  });

  it('clears away what was trimmed, while readers see the new low-water mark at once', async () => {
    const { bus, own } = scene();
    const topic = names.topic();
    await bus.ensureTopics([spec(topic)]);
    await append(bus, topic, records('r', 100));
    await bus.trim(at(topic, 0, 40));
    expect(texts(await readPartition(bus, topic)).length).toBe(60);
    const retention = new Retention(own, new SystemClock(), undefined);
    await eventually('the trimmed records to be cleared away', async () => {
      await retention.sweep();
      return (await storedRecords(topic)) === 60;
    });
    await retention.close();
  });

  it('lets no unit near its tables, and not even itself change a record', async () => {
    const { bus, own, unit } = scene();
    const topic = names.topic();
    await bus.ensureTopics([spec(topic)]);
    await append(bus, topic, records('r', 2));
    for (const text of [
      'select * from bus.records',
      'insert into bus.records values (1, 0, 999, 0, null, null, null)',
      'update bus.partitions set next_offset = 0',
      'delete from bus.producers',
      `select bus.open_producer('somebody')`,
      `select bus.append('somebody', 1, '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '')`,
      'select bus.trim_partition(1, 0, 1)',
    ])
      await refusal(unit.query(text), 'DATABASE_FORBIDDEN');
    for (const text of [
      `update records set value = ''`,
      'delete from records',
      'truncate records',
      `insert into records values (1, 0, 999, 0, null, null, '')`,
      'update partitions set next_offset = 0',
      `select lay_down('{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '')`,
    ])
      await refusal(own.query(text), 'DATABASE_FORBIDDEN', 'DATABASE_APPEND_ONLY');
    expect(texts(await readPartition(bus, topic))).toEqual(['r-0', 'r-1']);
  });

  it('sends appends that wait together, and one that is alone at once', async () => {
    const { bus, own } = scene();
    const topic = names.topic();
    await bus.ensureTopics([spec(topic)]);
    const producer = await bus.openProducer({ name: names.producer() });
    await Promise.all(
      Array.from({ length: 200 }, (_, index) =>
        producer.append([{ topic, partition: 0, records: records(`c${index}`, 1) }]),
      ),
    );
    await producer.close();
    // The system column xmin names the transaction that wrote a row.
    const { rows } = await own.query<{ commits: number; rows: number }>(
      `select count(distinct r.xmin::text) as commits, count(*) as rows
       from records as r join topics using (topic_id) where name = $1`,
      [topic],
    );
    expect(rows[0]?.rows).toBe(200);
    expect(rows[0]?.commits).toBeLessThan(20);
  });

  it('makes topics in one order for everybody, so that two processes cannot wait for each other', async () => {
    const { bus, own } = scene();
    const [a, b, c] = ['a', 'b', 'c'].map((letter) => names.topic(letter)).sort();
    if (a === undefined || b === undefined || c === undefined) throw new Error('three names are wanted');
    const make = (topic: string) =>
      ['select make_topics($1, $2, $3, $4)', [[topic], [1], [1_000_000], [null]]] as const;
    // Somebody has made b and has not committed; whoever comes then must not hold c while it waits for b.
    const others: Promise<void>[] = [];
    await own.transaction(async (transaction) => {
      await transaction.query(...make(b));
      others.push(bus.ensureTopics([spec(c), spec(b), spec(a)]));
      await pause(200);
      await transaction.query(...make(c));
    });
    await Promise.all(others);
    expect(await Promise.all([a, b, c].map((topic) => bus.partitionsOf(topic)))).toEqual([1, 1, 1]);
  });

  it('lets a successor open only when the appends in flight of its predecessor have ended', async () => {
    const { bus, unit } = scene();
    const [topic, name] = [names.topic(), names.producer()];
    await bus.ensureTopics([spec(topic)]);
    const old = await bus.openProducer({ name });
    const [held, release] = [gate(), gate()];
    const order: string[] = [];
    // A unit's transaction holds the partition, so the old producer's append is in flight for as long as we like.
    const holding = unit.transaction(async (transaction) => {
      await bus.transactional?.appendWithin(transaction, [{ topic, partition: 0, records: records('unit', 1) }]);
      held.open();
      await release.opened;
    });
    await held.opened;
    const inFlight = old.append([{ topic, partition: 0, records: records('old', 1) }]).then(() => order.push('old'));
    await pause(200);
    const successor = bus.openProducer({ name }).then((opened) => {
      order.push('successor');
      return opened;
    });
    await pause(200);
    expect(order).toEqual([]);
    release.open();
    await Promise.all([holding, inFlight]);
    await (await successor).append([{ topic, partition: 0, records: records('new', 1) }]);
    expect(texts(await readPartition(bus, topic))).toEqual(['unit-0', 'old-0', 'new-0']);
    await refusal(old.append([{ topic, partition: 0, records: records('late', 1) }]), 'BUS_PRODUCER_FENCED');
  });

  it('ends a batch by its bytes, too, and loses nothing by it', async () => {
    const { bus } = scene();
    const topic = names.topic();
    await bus.ensureTopics([spec(topic, 1, { recordBytesMax: 3_000_000 })]);
    for (let part = 0; part < 4; part += 1)
      await append(bus, topic, [record('x'.repeat(2_500_000)), record(`small-${part}`)]);
    const reader = await bus.openReader([at(topic, 0, 0)]);
    const sizes: number[] = [];
    while (sizes.reduce((sum, size) => sum + size, 0) < 8)
      for (const batch of await reader.poll({ recordsMax: 100, waitMs: 1_000 })) sizes.push(batch.records.length);
    await reader.close();
    // 2.5 MB each: a batch ends with the record that passes 4 MB.
    expect(sizes.length).toBeGreaterThan(1);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(8);
  });

  it('answers readers that stand at the same place by one statement, each within its own limits', async () => {
    const { bus, own } = scene();
    const topic = names.topic();
    await bus.ensureTopics([spec(topic, 2)]);
    await append(bus, topic, records('a', 7), 0);
    await append(bus, topic, records('b', 4), 1);
    let statements = 0;
    const counted = {
      query: (statement: never, values: never) => {
        statements += 1;
        return own.query(statement, values);
      },
    } as unknown as Database;
    const topics = new TopicCatalog(own);
    // Nothing is kept at hand, so that each question reaches the database.
    const log = new LogReader(counted, topics, new LogTail(0));
    const places = [at(topic, 0, 0), at(topic, 1, 0)];
    const limits = [10, 3, 8].map((recordsMax) => ({ partitionRecordsMax: recordsMax, recordsMax }));
    const counts = (fetched: readonly Fetched[]) => fetched.map(({ batch }) => batch?.records.length ?? 0);
    const together = await Promise.all(limits.map((one) => log.fetch(places, one)));
    expect(statements).toBe(1);
    expect(together.map(counts)).toEqual([
      [7, 3],
      [3, 0],
      [7, 1],
    ]);
    // As each would have been answered by itself.
    for (const [index, one] of limits.entries()) {
      const alone = await log.fetch(places, one);
      expect(together[index]).toEqual(alone);
    }
    expect(statements).toBe(4);
    // Another place is another question.
    await Promise.all([log.fetch(places, limits[0] as never), log.fetch([at(topic, 0, 1)], limits[0] as never)]);
    expect(statements).toBe(6);
  });

  it('reads by its key, whatever the server knows of the table: fresh, large, never analysed', async () => {
    const { bus, own } = scene();
    const topic = names.topic();
    await bus.ensureTopics([spec(topic, 2)]);
    for (let part = 0; part < 10; part += 1) await append(bus, topic, records('r', 2_000, part * 2_000), 1);
    const { rows: topics } = await own.query<{ topic_id: number }>('select topic_id from topics where name = $1', [
      topic,
    ]);
    const { FETCH } = await import('../../src/substrate/bus/embedded/log.js');
    const { rows: plan } = await own.query<{ 'QUERY PLAN': string }>(
      `explain (analyze, buffers) ${FETCH.text
        .replaceAll('$1', `'{${topics[0]?.topic_id ?? 0}}'`)
        .replaceAll('$2', `'{1}'`)
        .replaceAll('$3', `'{19900}'`)
        .replaceAll('$4', '50')
        .replaceAll('$5', '50')
        .replaceAll('$6', '1000000')}`,
    );
    const text = plan.map((row) => row['QUERY PLAN']).join('\n');
    expect(text).toMatch(/Index Scan using records_pkey/);
    expect(text).not.toMatch(/Seq Scan on records/);
  });
});
