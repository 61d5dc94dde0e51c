import { beforeAll, describe, expect, it } from '@jest/globals';
import { type Bus, type RecordBatch } from '../bus.port.js';
import {
  append,
  at,
  type BusHarness,
  CASE_LIMIT_MS,
  CHANCE_TO_ERR_MS,
  eventually,
  freshNames,
  gate,
  keyOf,
  markOf,
  pause,
  records,
  refusal,
  spec,
  texts,
  within,
} from './kit.js';
import { AppliedStore, GroupWatch, member } from './members.js';

/** One member: where it begins, how it is served, what failure and retention do to it. */
export function deliveryCases(harness: () => BusHarness): void {
  const names = freshNames();
  let bus: Bus;
  beforeAll(() => {
    bus = harness().bus;
  });

  /** A topic, a store and a watch of their own; `open` makes members of one group. */
  async function scene(partitions: number) {
    const [topic, group] = [names.topic(), names.group()];
    await bus.ensureTopics([spec(topic, partitions)]);
    const [watch, store] = [new GroupWatch(), new AppliedStore()];
    const open = (more: Partial<Parameters<typeof member>[0]> = {}) =>
      member({ name: 'one', bus, group, topics: [topic], watch, store, ...more });
    const clean = () => {
      expect(watch.faults).toEqual([]);
      expect(store.faults).toEqual([]);
    };
    const place = (partition = 0) => ({ topic, partition });
    return { topic, group, watch, store, open, clean, place };
  }

  describe('a consumer', () => {
    it(
      'without stored positions gets everything from the low-water mark, in order, in batches of the asked size',
      async () => {
        const { topic, store, open, clean, place, watch } = await scene(2);
        const { firstOffset } = await append(bus, topic, records('a', 25), 0);
        await append(bus, topic, records('b', 10), 1);
        await bus.trim(at(topic, 0, firstOffset + 5));
        const sizes: number[] = [];
        let assignedFirst = false;
        const consumer = open({
          batchRecordsMax: 8,
          onAssigned: async () => {
            await pause(50);
            assignedFirst = true;
          },
          handler: async (batch) => {
            expect(assignedFirst).toBe(true);
            sizes.push(batch.records.length);
            expect(batch.highWater).toBeGreaterThanOrEqual(batch.nextOffset);
            store.apply(batch);
            await Promise.resolve();
          },
        });
        await consumer.start();
        await eventually('all records to be applied', () => store.count === 30);
        await append(bus, topic, records('b', 3, 10), 1);
        await eventually('what was appended later', () => store.count === 33);
        await consumer.stop();
        expect(store.applied(place(0))).toEqual(texts(records('a', 20, 5)));
        expect(store.applied(place(1))).toEqual(texts(records('b', 13)));
        expect(Math.max(...sizes)).toBeLessThanOrEqual(8);
        expect(watch.owned('one')).toEqual([]);
        clean();
      },
      CASE_LIMIT_MS,
    );

    it(
      'told to begin at the high-water mark gets only what is appended after it was assigned',
      async () => {
        const { topic, store, open, clean, place, watch } = await scene(1);
        await append(bus, topic, records('old', 5));
        const consumer = open({ startWhenUnknown: 'high-water' });
        await consumer.start();
        await eventually('the assignment', () => watch.owned('one').length === 1);
        await eventually('the position', async () => (await consumer.status())[0]?.lagOffsets === 0);
        await append(bus, topic, records('new', 2));
        await eventually('the new records', () => store.count === 2);
        await consumer.stop();
        expect(store.applied(place())).toEqual(['new-0', 'new-1']);
        clean();
      },
      CASE_LIMIT_MS,
    );

    it(
      'begins where its own store says, forward or back, whatever the group did before',
      async () => {
        const { topic, open, place, watch, clean } = await scene(1);
        const { firstOffset } = await append(bus, topic, records('r', 10));
        const runs: string[][] = [];
        for (const start of [0, 3, 8, 5]) {
          const store = new AppliedStore();
          store.put(place(), firstOffset + start);
          const consumer = open({ store });
          await consumer.start();
          await eventually('the rest of the log', () => store.count === 10 - start);
          await consumer.stop();
          runs.push(store.applied(place()));
          expect(store.faults).toEqual([]);
          expect(store.asked.flat().map(keyOf)).toContain(keyOf(place()));
        }
        expect(runs).toEqual([0, 3, 8, 5].map((start) => texts(records('r', 10 - start, start))));
        expect(watch.owned('one')).toEqual([]);
        clean();
      },
      CASE_LIMIT_MS,
    );

    it(
      'whose store cannot be asked yet gets nothing, and goes on once it can',
      async () => {
        const { topic, store, open, clean, place } = await scene(1);
        await append(bus, topic, records('r', 4));
        let answers = false;
        let asked = 0;
        const consumer = open({
          positions: (places) => {
            asked += 1;
            return answers ? store.positions(places) : Promise.reject(new Error('the store is down'));
          },
        });
        const starting = consumer.start();
        await eventually('the store to be asked twice', () => asked >= 2);
        expect(store.count).toBe(0);
        answers = true;
        await within('the start', starting);
        await eventually('all records', () => store.count === 4);
        await consumer.stop();
        expect(store.applied(place())).toEqual(texts(records('r', 4)));
        clean();
      },
      CASE_LIMIT_MS,
    );

    it(
      'whose handler fails gets the batch again from the store position, after a back-off; other partitions go on',
      async () => {
        const { topic, store, open, clean, place } = await scene(2);
        const bad = await append(bus, topic, records('bad', 6), 0);
        const failures: number[] = [];
        const deliveries: string[][] = [];
        const consumer = open({
          handler: async (batch) => {
            await Promise.resolve();
            if (batch.partition === 1) {
              store.apply(batch);
              return;
            }
            deliveries.push(texts(batch.records));
            if (failures.length < 3) {
              failures.push(performance.now());
              // Two records were applied before the failure: the store, not the batch, says where to go on.
              if (failures.length === 2) store.put(place(0), bad.firstOffset + 2);
              throw new Error('the handler fails on purpose');
            }
            store.apply(batch);
          },
        });
        await consumer.start();
        await eventually('the first failure', () => failures.length > 0);
        await append(bus, topic, records('good', 3), 1);
        await eventually('both partitions to be applied', () => store.count === 7);
        await consumer.stop();
        const all = texts(records('bad', 6));
        expect(deliveries.slice(0, 4)).toEqual([all, all, all.slice(2), all.slice(2)]);
        expect(store.applied(place(0))).toEqual(all.slice(2));
        expect(store.applied(place(1))).toEqual(texts(records('good', 3)));
        // Backing off: each redelivery waits, and no less than a few milliseconds.
        failures.forEach((at, index) => {
          if (index > 0) expect(at - (failures[index - 1] ?? 0)).toBeGreaterThan(5);
        });
        clean();
      },
      CASE_LIMIT_MS,
    );

    it(
      'that fails before it ever stored a position loses nothing, also when it began at the high-water mark',
      async () => {
        const { topic, store, open, clean, place } = await scene(1);
        await append(bus, topic, records('old', 5));
        let failures = 0;
        const consumer = open({
          startWhenUnknown: 'high-water',
          handler: async (batch) => {
            await Promise.resolve();
            if (failures < 2) {
              failures += 1;
              throw new Error('the handler fails on purpose');
            }
            store.apply(batch);
          },
        });
        await consumer.start();
        await eventually('the position', async () => (await consumer.status())[0]?.lagOffsets === 0);
        await append(bus, topic, records('first', 2));
        await eventually('the failures', () => failures > 0);
        await append(bus, topic, records('second', 1));
        await eventually('all that is new', () => store.count === 3);
        await consumer.stop();
        expect(store.applied(place())).toEqual(['first-0', 'first-1', 'second-0']);
        clean();
      },
      CASE_LIMIT_MS,
    );

    it(
      'whose position is out of retention stands still there by name; its other partitions go on',
      async () => {
        const { topic, store, open, clean, place } = await scene(2);
        const { firstOffset } = await append(bus, topic, records('gone', 6), 0);
        await append(bus, topic, records('good', 2), 1);
        await bus.trim(at(topic, 0, firstOffset + 4));
        store.put(place(0), firstOffset + 1);
        const consumer = open();
        await consumer.start();
        await eventually('the healthy partition', () => store.count === 2);
        const status = await eventually('the named halt', async () =>
          (await consumer.status()).find(({ halted }) => halted !== undefined),
        );
        expect(status).toMatchObject({ ...place(0), halted: { code: 'BUS_OUT_OF_RETENTION' } });
        await append(bus, topic, records('gone', 1, 6), 0);
        await append(bus, topic, records('good', 1, 2), 1);
        await eventually('the healthy partition to go on', () => store.count === 3);
        await pause(CHANCE_TO_ERR_MS);
        await consumer.stop();
        expect(store.applied(place(0))).toEqual([]);
        expect(store.next(place(0))).toBe(firstOffset + 1);
        clean();
      },
      CASE_LIMIT_MS,
    );

    it(
      'whose position falls out of retention while it fails stands still instead of jumping',
      async () => {
        const { topic, store, open, clean, place } = await scene(1);
        const { firstOffset } = await append(bus, topic, records('r', 6));
        store.put(place(), firstOffset);
        let trimmed = false;
        const seen: string[] = [];
        const consumer = open({
          handler: async (batch) => {
            if (trimmed) seen.push(...texts(batch.records));
            await Promise.resolve();
            throw new Error('the handler fails on purpose');
          },
        });
        await consumer.start();
        await bus.trim(at(topic, 0, firstOffset + 3));
        await eventually('the named halt', async () => (await consumer.status())[0]?.halted);
        trimmed = true;
        await pause(CHANCE_TO_ERR_MS);
        expect((await consumer.status())[0]?.halted?.code).toBe('BUS_OUT_OF_RETENTION');
        await consumer.stop();
        expect(seen).toEqual([]);
        clean();
      },
      CASE_LIMIT_MS,
    );

    it(
      'whose position lies past the log stands still by name',
      async () => {
        const { topic, store, open, clean, place } = await scene(1);
        await append(bus, topic, records('r', 3));
        const { highWater } = await markOf(bus, topic);
        store.put(place(), highWater + 5);
        const consumer = open();
        await consumer.start();
        const halted = await eventually('the named halt', async () => (await consumer.status())[0]?.halted);
        expect(halted.code).toBe('BUS_POSITION_BEYOND_LOG');
        await append(bus, topic, records('r', 9, 3));
        await pause(CHANCE_TO_ERR_MS);
        expect((await consumer.status())[0]?.halted?.code).toBe('BUS_POSITION_BEYOND_LOG');
        await consumer.stop();
        expect(store.count).toBe(0);
        clean();
      },
      CASE_LIMIT_MS,
    );

    it(
      'says where it stands and how far behind it is',
      async () => {
        const { topic, store, open, clean, place } = await scene(2);
        await append(bus, topic, records('r', 9), 1);
        const held = gate();
        const consumer = open({
          batchRecordsMax: 4,
          handler: async (batch) => {
            store.apply(batch);
            if (store.count > 4) await held.opened;
          },
        });
        await consumer.start();
        await eventually('the second batch to be held', () => store.count === 8);
        const behind = await eventually('the lag', async () =>
          (await consumer.status()).find(({ partition, nextOffset }) => partition === 1 && nextOffset > 0),
        );
        const { highWater } = await markOf(bus, topic, 1);
        expect(behind.highWater).toBe(highWater);
        expect(behind.lagOffsets).toBe(behind.highWater - behind.nextOffset);
        expect(behind.lagOffsets).toBeGreaterThanOrEqual(5);
        held.open();
        await eventually('the end of the log', async () =>
          (await consumer.status()).every(({ lagOffsets }) => lagOffsets === 0),
        );
        const status = await consumer.status();
        expect(status.map(keyOf).sort()).toEqual([keyOf(place(0)), keyOf(place(1))]);
        expect(status.every(({ halted }) => halted === undefined)).toBe(true);
        await consumer.stop();
        expect(await consumer.status()).toEqual([]);
        clean();
      },
      CASE_LIMIT_MS,
    );

    it(
      'that stops aborts the signal, lets the batch in flight end, hands back, and gets nothing more',
      async () => {
        const { topic, store, open, clean, watch } = await scene(1);
        await append(bus, topic, records('r', 20));
        const [entered, leave] = [gate(), gate()];
        let [ended, aborted, batches] = [false, false, 0];
        const consumer = open({
          batchRecordsMax: 5,
          handler: async (_batch: RecordBatch, control) => {
            batches += 1;
            control.signal.addEventListener('abort', () => {
              aborted = true;
            });
            await control.heartbeat();
            entered.open();
            await leave.opened;
            ended = true;
          },
        });
        await consumer.start();
        await within('the first batch', entered.opened);
        let stopped = false;
        const stopping = consumer.stop().then(() => {
          stopped = true;
        });
        await eventually('the signal to abort', () => aborted);
        await pause(100);
        expect([ended, stopped]).toEqual([false, false]);
        leave.open();
        await within('the stop', stopping);
        expect(ended).toBe(true);
        expect(watch.events.at(-1)).toMatchObject({ kind: 'revoked', how: 'released' });
        await append(bus, topic, records('late', 2));
        await pause(CHANCE_TO_ERR_MS);
        expect(batches).toBe(1);
        expect(store.count).toBe(0);
        await consumer.stop();
        clean();
      },
      CASE_LIMIT_MS,
    );

    it(
      'of a topic that does not exist is refused by name when it starts',
      async () => {
        const { open } = await scene(1);
        const consumer = open({ topics: [names.topic('missing')] });
        await refusal(consumer.start(), 'BUS_TOPIC_UNKNOWN');
        await within('stopping what never started', consumer.stop());
      },
      CASE_LIMIT_MS,
    );
  });
}
