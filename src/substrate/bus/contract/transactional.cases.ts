import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { type Database } from '../../database/database.port.js';
import { oneStatement, type Part } from '../../database/one-statement.js';
import { type AppendRow, type Bus, type PartitionAppend, type TransactionalAppend } from '../bus.port.js';
import {
  append,
  at,
  type BusHarness,
  CASE_LIMIT_MS,
  eventually,
  freshNames,
  fromEverywhere,
  gate,
  keyOf,
  markOf,
  pause,
  pollCount,
  readAll,
  readPartition,
  records,
  refusal,
  spec,
  texts,
  within,
} from './kit.js';

/** Log and state in one commit. */
export function transactionalCases(harness: () => BusHarness): void {
  const names = freshNames();
  let bus: Bus;
  let other: Bus;
  let ability: TransactionalAppend;
  let unit: Database;

  beforeAll(async () => {
    bus = harness().bus;
    other = await harness().openSecond();
    const { unitDatabase } = harness();
    if (bus.transactional === undefined || unitDatabase === undefined)
      throw new Error('this suite is for a bus with transactional append, and needs a database of a unit');
    ability = bus.transactional;
    unit = unitDatabase;
  }, CASE_LIMIT_MS);
  afterAll(async () => {
    await other.close();
  }, CASE_LIMIT_MS);

  const put = { text: 'insert into applied (name, value) values ($1, $2)' };
  async function stateOf(name: string): Promise<number | undefined> {
    const { rows } = await unit.query<{ value: number }>('select value::float8 as value from applied where name = $1', [
      name,
    ]);
    return rows[0]?.value;
  }

  it(
    'commits records and state together, and shows nothing before the commit',
    async () => {
      const [topic, name] = [names.topic(), names.producer('state')];
      await bus.ensureTopics([spec(topic, 2)]);
      await append(bus, topic, records('before', 1), 1);
      const before = await markOf(other, topic, 1);
      const appended = await unit.transaction(async (transaction) => {
        await transaction.query(put, [name, 7]);
        const parts = await ability.appendWithin(transaction, [
          { topic, partition: 1, records: records('within', 3) },
          { topic, partition: 0, records: records('within', 1) },
        ]);
        expect((await markOf(other, topic, 1)).highWater).toBe(before.highWater);
        expect(texts(await readPartition(other, topic, 1))).toEqual(['before-0']);
        return parts;
      });
      expect(appended.map((part) => [keyOf(part), part.count])).toEqual([
        [`${topic}/1`, 3],
        [`${topic}/0`, 1],
      ]);
      expect(await stateOf(name)).toBe(7);
      const found = await readPartition(other, topic, 1);
      expect(texts(found)).toEqual(['before-0', 'within-0', 'within-1', 'within-2']);
      expect(found[1]?.offset).toBe(appended[0]?.firstOffset);
      expect(texts(await readPartition(other, topic, 0))).toEqual(['within-0']);
    },
    CASE_LIMIT_MS,
  );

  it(
    'rolls records and state back together, and the log goes on as if nothing had been',
    async () => {
      const [topic, name] = [names.topic(), names.producer('state')];
      await bus.ensureTopics([spec(topic)]);
      const failing = unit.transaction(async (transaction) => {
        await transaction.query(put, [name, 1]);
        await ability.appendWithin(transaction, [{ topic, partition: 0, records: records('never', 5) }]);
        throw new Error('the unit changes its mind');
      });
      await expect(failing).rejects.toThrow('the unit changes its mind');
      expect(await stateOf(name)).toBeUndefined();
      const mark = await markOf(other, topic);
      expect(mark.highWater).toBe(mark.lowWater);
      await append(bus, topic, records('after', 2));
      expect(texts(await readPartition(other, topic))).toEqual(['after-0', 'after-1']);
    },
    CASE_LIMIT_MS,
  );

  it(
    'refuses what cannot be appended before it touches the transaction, which can go on',
    async () => {
      const [topic, name] = [names.topic(), names.producer('state')];
      await bus.ensureTopics([spec(topic, 1, { recordBytesMax: 100 })]);
      await unit.transaction(async (transaction) => {
        const [missing, large] = [names.topic('missing'), [...records('x', 1), ...records('y'.repeat(200), 1)]];
        const refused = [
          [{ topic: missing, partition: 0, records: records('x', 1) }],
          [{ topic, partition: 1, records: records('x', 1) }],
        ];
        for (const batch of refused) await refusal(ability.appendWithin(transaction, batch), 'BUS_TOPIC_UNKNOWN');
        await refusal(
          ability.appendWithin(transaction, [{ topic, partition: 0, records: large }]),
          'BUS_RECORD_TOO_LARGE',
        );
        await refusal(ability.appendWithin(transaction, [{ topic, partition: 0, records: [] }]), 'VALUE_INVALID');
        await transaction.query(put, [name, 3]);
        await ability.appendWithin(transaction, [{ topic, partition: 0, records: records('fine', 1) }]);
        // A second append could wait for a partition while it holds another: a deadlock with its mirror image.
        await refusal(
          ability.appendWithin(transaction, [{ topic, partition: 0, records: records('again', 1) }]),
          'VALUE_INVALID',
        );
      });
      expect(await stateOf(name)).toBe(3);
      expect(texts(await readPartition(other, topic))).toEqual(['fine-0']);
    },
    CASE_LIMIT_MS,
  );

  it(
    'lets appenders of overlapping partitions wait for each other, without a deadlock, whatever order they name them in',
    async () => {
      const [a, b] = [names.topic('a'), names.topic('b')];
      await bus.ensureTopics([spec(a, 3), spec(b, 3)]);
      const places = [a, b].flatMap((topic) => [0, 1, 2].map((partition) => ({ topic, partition })));
      const producer = await bus.openProducer({ name: names.producer() });
      const lane = async (name: string, order: (turn: number) => typeof places) => {
        for (let turn = 0; turn < 15; turn += 1) {
          const batch = order(turn).map((place) => ({ ...place, records: records(`${name}.${turn}`, 2) }));
          if (name === 'producer') await producer.append(batch);
          else
            await unit.transaction(async (transaction) => {
              await ability.appendWithin(transaction, batch);
            });
        }
      };
      const rotated = (turn: number) => [...places.slice(turn % 6), ...places.slice(0, turn % 6)];
      await within(
        'four appenders of the same partitions',
        Promise.all([
          lane('forward', () => places),
          lane('backward', () => [...places].reverse()),
          lane('rotated', rotated),
          lane('producer', (turn) => rotated(turn).reverse()),
        ]),
      );
      await producer.close();
      const found = await readAll(other, [...(await fromEverywhere(other, a)), ...(await fromEverywhere(other, b))]);
      for (const place of places) {
        const log = texts(found.get(keyOf(place)) ?? []);
        expect(log.length).toBe(120);
        expect(new Set(log).size).toBe(120);
        // The records of one append stand side by side.
        for (let index = 0; index < 120; index += 2) expect(log[index + 1]).toBe(log[index]?.replace(/0$/, '1'));
      }
    },
    CASE_LIMIT_MS,
  );

  it(
    'never lets an offset become visible before a smaller one, also when the earlier transaction takes long',
    async () => {
      const topic = names.topic();
      await bus.ensureTopics([spec(topic)]);
      const [appended, release] = [gate(), gate()];
      const slow = unit.transaction(async (transaction) => {
        await ability.appendWithin(transaction, [{ topic, partition: 0, records: records('slow', 2) }]);
        appended.open();
        await release.opened;
      });
      await within('the slow append', appended.opened);
      const fast = append(bus, topic, records('fast', 2));
      const reader = await other.openReader([at(topic, 0, 0)]);
      await pause(100);
      expect(await reader.poll({ recordsMax: 10, waitMs: 100 })).toEqual([]);
      release.open();
      await within('both appends', Promise.all([slow, fast]));
      expect(texts(await pollCount(reader, 4))).toEqual(['slow-0', 'slow-1', 'fast-0', 'fast-1']);
      await reader.close();
    },
    CASE_LIMIT_MS,
  );

  /** State and append as one statement of the unit's own. */
  async function together(name: string, batch: readonly PartitionAppend[], value: number) {
    const { call, appended } = await ability.prepareAppend(batch);
    const state: Part = {
      as: 'stated',
      text: 'insert into applied (name, value) values ($1, $2)',
      values: [name, value],
    };
    const parts = [state, { as: 'appended', ...call }];
    const { statement, values } = oneStatement('contract_together', parts, 'select * from appended');
    const { rows } = await unit.query<AppendRow>(statement, values);
    return appended(rows);
  }

  it(
    'commits records and state as one statement, and wakes the waiting readers of this and of another process',
    async () => {
      const [topic, name] = [names.topic(), names.producer('state')];
      await bus.ensureTopics([spec(topic, 2)]);
      await append(bus, topic, records('before', 2), 1);
      const readers = await Promise.all([bus, other].map((view) => view.openReader([at(topic, 0, 0)])));
      const waiting = readers.map((reader) => reader.poll({ recordsMax: 10, waitMs: 60_000 }));
      const places = await together(
        name,
        [
          { topic, partition: 1, records: records('within', 3) },
          { topic, partition: 0, records: records('within', 1) },
        ],
        5,
      );
      expect(places.map((part) => [keyOf(part), part.firstOffset, part.count])).toEqual([
        [`${topic}/1`, 2, 3],
        [`${topic}/0`, 0, 1],
      ]);
      const batches = await within('the append to wake both', Promise.all(waiting), 5_000);
      for (const found of batches) expect(found.flatMap((batch) => texts(batch.records))).toEqual(['within-0']);
      await Promise.all(readers.map((reader) => reader.close()));
      expect(await stateOf(name)).toBe(5);
      for (const view of [bus, other])
        expect(texts(await readPartition(view, topic, 1))).toEqual([
          'before-0',
          'before-1',
          'within-0',
          'within-1',
          'within-2',
        ]);
      // Whoever appended, and whoever asks: a record is the same in all its parts.
      expect(await readPartition(bus, topic, 1)).toEqual(await readPartition(other, topic, 1));
    },
    CASE_LIMIT_MS,
  );

  it(
    'leaves nothing of a statement that is refused, neither on the bus nor in the state, nor for a reader of this process',
    async () => {
      const [topic, name] = [names.topic(), names.producer('state')];
      await bus.ensureTopics([spec(topic)]);
      const batch = (word: string) => [{ topic, partition: 0, records: records(word, 2) }];
      await together(name, batch('first'), 1);
      // The name is taken: the state is refused, and the append with it.
      await expect(together(name, batch('second'), 2)).rejects.toMatchObject({ code: 'DATABASE_CONSTRAINT' });
      await ability.prepareAppend(batch('never run'));
      for (const view of [bus, other]) expect(texts(await readPartition(view, topic))).toEqual(['first-0', 'first-1']);
      await together(names.producer('state'), batch('third'), 3);
      for (const view of [bus, other])
        expect(texts(await readPartition(view, topic))).toEqual(['first-0', 'first-1', 'third-0', 'third-1']);
      await refusal(
        ability.prepareAppend([{ topic: names.topic(), partition: 0, records: records('x', 1) }]),
        'BUS_TOPIC_UNKNOWN',
      );
    },
    CASE_LIMIT_MS,
  );

  it(
    'wakes the waiting readers of this and of another process',
    async () => {
      const topic = names.topic();
      await bus.ensureTopics([spec(topic)]);
      const readers = await Promise.all([bus, other].map((view) => view.openReader([at(topic, 0, 0)])));
      const waiting = readers.map((reader) => reader.poll({ recordsMax: 10, waitMs: 60_000 }));
      await pause(100);
      await unit.transaction(async (transaction) => {
        await ability.appendWithin(transaction, [{ topic, partition: 0, records: records('wake', 1) }]);
      });
      const batches = await within('the append to wake both', Promise.all(waiting), 5_000);
      for (const found of batches) expect(found.flatMap((batch) => texts(batch.records))).toEqual(['wake-0']);
      await Promise.all(readers.map((reader) => reader.close()));
      await eventually('the log to stand', async () => (await readPartition(other, topic)).length === 1);
    },
    CASE_LIMIT_MS,
  );
}
