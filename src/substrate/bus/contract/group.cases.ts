import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Bus, type BusConsumer, type RecordBatch } from '../bus.port.js';
import {
  append,
  type BusHarness,
  CASE_LIMIT_MS,
  CHANCE_TO_ERR_MS,
  eventually,
  freshNames,
  gate,
  keyOf,
  pause,
  records,
  spec,
  textOf,
  texts,
  within,
} from './kit.js';
import { AppliedStore, GroupWatch, member, type MemberPlan, settled } from './members.js';

/** Several members: who has what, and what passes between them. */
export function groupCases(harness: () => BusHarness): void {
  const names = freshNames();
  let bus: Bus;
  let other: Bus;

  beforeAll(async () => {
    bus = harness().bus;
    other = await harness().openSecond();
  }, CASE_LIMIT_MS);
  afterAll(async () => {
    await other.close();
  }, CASE_LIMIT_MS);

  async function scene(partitions: number) {
    const [topic, group] = [names.topic(), names.group()];
    await bus.ensureTopics([spec(topic, partitions)]);
    const [watch, store] = [new GroupWatch(), new AppliedStore()];
    const open = (name: string, more: Partial<MemberPlan> = {}) =>
      member({ name, bus, group, topics: [topic], watch, store, ...more });
    const fill = async (word: string, count: number) => {
      const producer = await bus.openProducer({ name: names.producer() });
      await producer.append(
        Array.from({ length: partitions }, (_, partition) => ({
          topic,
          partition,
          records: records(`${word}${partition}`, count),
        })),
      );
      await producer.close();
    };
    const clean = () => {
      expect(watch.faults).toEqual([]);
      expect(store.faults).toEqual([]);
    };
    return { topic, group, watch, store, open, fill, clean };
  }

  it(
    'gives a member everything in order, whoever appended it, what it wants to be woken for and what not',
    async () => {
      const { topic, watch, store, open, clean } = await scene(2);
      const consumer = open('one', { wakesOn: (item) => textOf(item).startsWith('wanted') });
      await consumer.start();
      await settled(watch, { one: 2 });
      const expected: string[][] = [[], []];
      // By turns from this process and another one, so that what the member's own process knows of the log has gaps.
      for (let round = 0; round < 20; round += 1) {
        const partition = round % 2;
        const items = records(round % 3 === 0 ? `wanted${round}` : `other${round}`, 1 + (round % 4));
        await append(round % 5 < 3 ? bus : other, topic, items, partition);
        expected[partition]?.push(...texts(items));
      }
      const wanted = expected.flat().length;
      await eventually('all of them', () => store.count === wanted);
      for (const [partition, items] of expected.entries()) expect(store.applied({ topic, partition })).toEqual(items);
      const last = records('other-last', 3);
      await append(bus, topic, last, 0);
      await eventually('what nobody is woken for', () => store.count === wanted + 3);
      await consumer.stop();
      clean();
    },
    CASE_LIMIT_MS,
  );

  describe('a group', () => {
    it(
      'shares the partitions evenly as members join and leave, each partition with one member at a time',
      async () => {
        const { topic, watch, store, open, fill, clean } = await scene(6);
        const [one, two, three] = [open('one'), open('two', { bus: other }), open('three', { bus: other })];
        await one.start();
        await settled(watch, { one: 6 });
        await two.start();
        await settled(watch, { one: 3, two: 3 });
        await fill('a', 4);
        await eventually('the first records', () => store.count === 24);
        await three.start();
        await settled(watch, { one: 2, two: 2, three: 2 });
        await fill('b', 4);
        await eventually('the second records', () => store.count === 48);
        await one.stop();
        await settled(watch, { two: 3, three: 3 });
        await three.stop();
        await settled(watch, { two: 6 });
        await fill('c', 4);
        await eventually('the third records', () => store.count === 72);
        await two.stop();
        expect(watch.shares).toEqual([]);
        for (let partition = 0; partition < 6; partition += 1)
          expect(store.applied({ topic, partition })).toEqual(
            ['a', 'b', 'c'].flatMap((word) => texts(records(`${word}${partition}`, 4))),
          );
        clean();
      },
      CASE_LIMIT_MS,
    );

    it(
      'with more members than partitions leaves some idle, who take over when they are needed',
      async () => {
        const { watch, store, open, fill, clean } = await scene(1);
        const consumers: Record<string, BusConsumer> = { one: open('one'), two: open('two', { bus: other }) };
        await Promise.all(Object.values(consumers).map((consumer) => within('the start', consumer.start())));
        const owner = await eventually('one of the two to have the partition', () =>
          Object.keys(consumers).find((name) => watch.owned(name).length === 1),
        );
        const idle = owner === 'one' ? 'two' : 'one';
        expect(await consumers[idle]?.status()).toEqual([]);
        await fill('a', 2);
        await eventually('the records', () => store.count === 2);
        await consumers[owner]?.stop();
        await settled(watch, { [idle]: 1 });
        await fill('b', 2);
        await eventually('the records of the successor', () => store.count === 4);
        await consumers[idle]?.stop();
        clean();
      },
      CASE_LIMIT_MS,
    );

    it(
      'gives each of two groups everything',
      async () => {
        const { topic, watch, store, open, fill, clean } = await scene(2);
        const [otherWatch, otherStore] = [new GroupWatch(), new AppliedStore()];
        const one = open('one');
        const two = open('two', { group: names.group(), watch: otherWatch, store: otherStore });
        await Promise.all([one.start(), two.start()]);
        await fill('r', 10);
        await eventually('both groups to have all', () => store.count === 20 && otherStore.count === 20);
        await Promise.all([one.stop(), two.stop()]);
        expect(otherStore.applied({ topic, partition: 1 })).toEqual(store.applied({ topic, partition: 1 }));
        expect(otherWatch.faults).toEqual([]);
        expect(watch.faults).toEqual([]);
        clean();
      },
      CASE_LIMIT_MS,
    );

    it(
      'consumes several topics together',
      async () => {
        const [a, b, group] = [names.topic('a'), names.topic('b'), names.group()];
        await bus.ensureTopics([spec(a, 2), spec(b, 2)]);
        const [watch, store] = [new GroupWatch(), new AppliedStore()];
        const plan = { group, topics: [a, b], watch, store };
        const one = member({ ...plan, name: 'one', bus });
        const two = member({ ...plan, name: 'two', bus: other });
        await one.start();
        await two.start();
        await settled(watch, { one: 2, two: 2 });
        await append(bus, a, records('a', 5), 1);
        await append(bus, b, records('b', 5), 0);
        await eventually('all records', () => store.count === 10);
        await Promise.all([one.stop(), two.stop()]);
        expect(store.applied({ topic: b, partition: 0 })).toEqual(texts(records('b', 5)));
        expect([...watch.faults, ...store.faults]).toEqual([]);
      },
      CASE_LIMIT_MS,
    );

    it(
      'asks the store again after each rebalance, since another member moved the positions meanwhile',
      async () => {
        const { topic, watch, store, open, fill, clean } = await scene(2);
        const one = open('one');
        await one.start();
        await fill('a', 3);
        await eventually('the first records', () => store.count === 6);
        const two = open('two', { bus: other });
        await two.start();
        await settled(watch, { one: 1, two: 1 });
        await fill('b', 3);
        await eventually('the second records', () => store.count === 12);
        const asked = store.asked.length;
        await two.stop();
        await settled(watch, { one: 2 });
        await fill('c', 3);
        await eventually('the third records', () => store.count === 18);
        await one.stop();
        expect(store.asked.length).toBeGreaterThan(asked);
        for (const partition of [0, 1])
          expect(store.applied({ topic, partition })).toEqual(
            ['a', 'b', 'c'].flatMap((word) => texts(records(`${word}${partition}`, 3))),
          );
        clean();
      },
      CASE_LIMIT_MS,
    );

    it(
      'takes nothing away before the batch in flight and onRevoked have ended',
      async () => {
        const { watch, open, fill, clean } = await scene(2);
        await fill('r', 4);
        const [finish, handOver] = [gate(), gate()];
        const signals = new Map<string, AbortSignal>();
        let revoking = false;
        const one = open('one', {
          handler: async (batch, { signal }) => {
            signals.set(keyOf(batch), signal);
            await finish.opened;
          },
          onRevoked: async () => {
            revoking = true;
            await handOver.opened;
          },
        });
        await one.start();
        await eventually('both batches to be in flight', () => signals.size === 2);
        const two = open('two', { bus: other });
        const joining = two.start();
        await eventually('a signal to abort', () => [...signals.values()].some(({ aborted }) => aborted));
        await pause(CHANCE_TO_ERR_MS);
        expect(revoking).toBe(false);
        expect(watch.owned('two')).toEqual([]);
        finish.open();
        await eventually('the hand-over to begin', () => revoking);
        await pause(CHANCE_TO_ERR_MS);
        expect(watch.owned('two')).toEqual([]);
        handOver.open();
        await within('the second member to join', joining);
        await settled(watch, { one: 1, two: 1 });
        await Promise.all([one.stop(), two.stop()]);
        clean();
      },
      CASE_LIMIT_MS,
    );

    it(
      'redelivers what a member had not finished when it died, from the position in the store',
      async () => {
        const { topic, watch, store, open, fill, clean } = await scene(2);
        await fill('r', 6);
        const { bus: mortal, cut } = await harness().openCuttable();
        const held = gate();
        const signals: AbortSignal[] = [];
        const how: string[] = [];
        const dying = open('dying', {
          bus: mortal,
          batchRecordsMax: 3,
          handler: async (batch: RecordBatch, { signal }) => {
            // The first batch of each partition is applied, the second is in flight when the member dies.
            if (store.applied(batch).length === 0) {
              store.apply(batch);
              return;
            }
            signals.push(signal);
            await held.opened;
            if (!signal.aborted) store.apply(batch);
          },
          onRevoked: (_places, reason) => {
            how.push(reason);
            return Promise.resolve();
          },
        });
        await dying.start();
        await eventually('a batch of each partition to be in flight', () => signals.length === 2);
        await cut();
        // The group may give its partitions away, whether the dead member has noticed or not.
        watch.bury('dying');
        const heir = open('heir', { bus: other });
        await heir.start();
        await eventually('the heir to finish both partitions', () => store.count === 12);
        await eventually('the dead member to notice', () => signals.every(({ aborted }) => aborted));
        held.open();
        await eventually('the loss to be told', () => how.length > 0);
        expect(new Set(how)).toEqual(new Set(['lost']));
        for (const partition of [0, 1])
          expect(store.applied({ topic, partition })).toEqual(texts(records(`r${partition}`, 6)));
        await within('stopping the dead member', dying.stop());
        await heir.stop();
        await within('closing the dead view', mortal.close());
        clean();
      },
      CASE_LIMIT_MS,
    );

    it(
      'applies every record once and in order while members come, go and die under load',
      async () => {
        const { topic, watch, store, open, clean } = await scene(4);
        const producer = await bus.openProducer({ name: names.producer() });
        const sent = [0, 0, 0, 0];
        const enough = new AbortController();
        const writer = (async () => {
          for (let turn = 0; !enough.signal.aborted; turn += 1) {
            const partition = turn % 4;
            const count = 1 + (turn % 7);
            await producer.append([{ topic, partition, records: records(`p${partition}`, count, sent[partition]) }]);
            sent[partition] = (sent[partition] ?? 0) + count;
            await pause(2);
          }
        })();
        const progress = async (more: number) => {
          const goal = store.count + more;
          await eventually('the group to make progress', () => store.count >= goal);
        };
        const one = open('one', { batchRecordsMax: 20 });
        await one.start();
        await progress(20);
        const { bus: mortal, cut } = await harness().openCuttable();
        const dying = open('dying', { bus: mortal, batchRecordsMax: 20 });
        await dying.start();
        await eventually('the mortal member to have a share', () => watch.owned('dying').length > 0);
        await progress(20);
        const two = open('two', { bus: other, batchRecordsMax: 20 });
        await two.start();
        await progress(20);
        watch.bury('dying');
        await cut();
        await settled(watch, { one: 2, two: 2 });
        await progress(20);
        await one.stop();
        await progress(20);
        enough.abort();
        await writer;
        const total = sent.reduce((sum, count) => sum + count, 0);
        await eventually('everything to be applied', () => store.count >= total);
        await two.stop();
        await within('stopping the dead member', dying.stop());
        await within('closing the dead view', mortal.close());
        await producer.close();
        for (const partition of [0, 1, 2, 3])
          expect(store.applied({ topic, partition })).toEqual(texts(records(`p${partition}`, sent[partition] ?? 0)));
        clean();
      },
      CASE_LIMIT_MS,
    );
  });
}
