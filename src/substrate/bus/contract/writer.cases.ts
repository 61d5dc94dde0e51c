import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { isProbityError } from '../../../rails/errors/probity-error.js';
import { type Bus, type BusProducer, type TopicName } from '../bus.port.js';
import {
  append,
  at,
  type BusHarness,
  CASE_LIMIT_MS,
  CHANCE_TO_ERR_MS,
  eventually,
  freshNames,
  fromEverywhere,
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

interface Attempt {
  readonly text: string;
  readonly outcome: 'acknowledged' | 'refused' | 'unknown';
}

/** Appends one record after the other, several in flight, until the producer is refused. */
async function writeUntilRefused(producer: BusProducer, topic: TopicName): Promise<Attempt[]> {
  const attempts: Attempt[] = [];
  let refused = false;
  const lane = async (name: string) => {
    for (let index = 0; !refused; index += 1) {
      const items = records(`${name}.${index}`, 1);
      const text = texts(items)[0] ?? '';
      try {
        await producer.append([{ topic, partition: index % 2, records: items }]);
        attempts.push({ text, outcome: 'acknowledged' });
      } catch (error) {
        refused = true;
        attempts.push({ text, outcome: isProbityError(error, 'BUS_APPEND_UNKNOWN') ? 'unknown' : 'refused' });
      }
    }
  };
  await Promise.all(['x', 'y', 'z'].map(lane));
  return attempts;
}

/** Producers against their successors, and readers without a group. */
export function writerAndReaderCases(harness: () => BusHarness): void {
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

  describe('a producer', () => {
    it(
      'is fenced for good by a successor of its name in another process',
      async () => {
        const [topic, name] = [names.topic(), names.producer()];
        await bus.ensureTopics([spec(topic)]);
        const old = await bus.openProducer({ name });
        expect(old.name).toBe(name);
        await old.append([{ topic, partition: 0, records: records('old', 2) }]);
        const successor = await other.openProducer({ name });
        await refusal(old.append([{ topic, partition: 0, records: records('late', 2) }]), 'BUS_PRODUCER_FENCED');
        await successor.append([{ topic, partition: 0, records: records('new', 1) }]);
        await refusal(old.append([{ topic, partition: 0, records: records('later', 2) }]), 'BUS_PRODUCER_FENCED');
        await old.close();
        await successor.append([{ topic, partition: 0, records: records('new', 1, 1) }]);
        await successor.close();
        expect(texts(await readPartition(bus, topic))).toEqual(['old-0', 'old-1', 'new-0', 'new-1']);
      },
      CASE_LIMIT_MS,
    );

    it(
      'is fenced with appends in flight: what was acknowledged stands, nothing lands after its successor is open',
      async () => {
        const [topic, name] = [names.topic(), names.producer()];
        await bus.ensureTopics([spec(topic, 2)]);
        const old = await bus.openProducer({ name });
        const writing = writeUntilRefused(old, topic);
        await eventually('the old producer to be at work', async () => (await markOf(bus, topic, 1)).highWater > 2);
        const successor = await other.openProducer({ name });
        const atTakeover = new Map((await other.marks(topic)).map((mark) => [keyOf(mark), mark.highWater]));
        const attempts = await within('the old producer to be refused', writing);
        for (const partition of [0, 1])
          await successor.append([{ topic, partition, records: records('successor', 1) }]);
        await successor.close();
        await old.close();

        const found = await readAll(bus, await fromEverywhere(bus, topic));
        const log: string[] = [];
        for (const [key, items] of found) {
          const late = items.filter(({ offset }) => offset >= (atTakeover.get(key) ?? 0));
          expect(texts(late)).toEqual(['successor-0']);
          log.push(...texts(items));
        }
        expect(new Set(log).size + 1).toBe(log.length); // two "successor-0", all else once
        for (const { text, outcome } of attempts) {
          if (outcome === 'acknowledged') expect(log).toContain(text);
          if (outcome === 'refused') expect(log).not.toContain(text);
        }
        expect(attempts.filter(({ outcome }) => outcome !== 'acknowledged')).not.toEqual([]);
      },
      CASE_LIMIT_MS,
    );

    it(
      'does not fence one of another name',
      async () => {
        const topic = names.topic();
        await bus.ensureTopics([spec(topic)]);
        const one = await bus.openProducer({ name: names.producer('one') });
        const two = await other.openProducer({ name: names.producer('two') });
        await one.append([{ topic, partition: 0, records: records('one', 1) }]);
        await two.append([{ topic, partition: 0, records: records('two', 1) }]);
        await one.append([{ topic, partition: 0, records: records('one', 1, 1) }]);
        await Promise.all([one.close(), two.close()]);
        expect(texts(await readPartition(bus, topic))).toEqual(['one-0', 'two-0', 'one-1']);
      },
      CASE_LIMIT_MS,
    );

    it(
      'that is cut off ends with an error of the bus in bounded time, and what it was told is true',
      async () => {
        const [topic, name] = [names.topic(), names.producer()];
        await bus.ensureTopics([spec(topic, 2)]);
        const { bus: lonely, cut } = await harness().openCuttable();
        const producer = await lonely.openProducer({ name });
        const writing = writeUntilRefused(producer, topic);
        await eventually('the producer to be at work', async () => (await markOf(bus, topic, 0)).highWater > 2);
        await cut();
        const attempts = await within('the producer that is cut off to notice', writing);
        await within(
          'closing what is cut off',
          producer.close().catch(() => undefined),
        );
        await within('closing what is cut off', lonely.close());

        // The successor settles what was in flight; after that the log tells the fate of each attempt.
        const successor = await within('a successor', bus.openProducer({ name }));
        await successor.append([{ topic, partition: 0, records: records('successor', 1) }]);
        await successor.close();
        const log = [...(await readAll(bus, await fromEverywhere(bus, topic))).values()].flatMap(texts);
        expect(new Set(log).size).toBe(log.length);
        for (const { text, outcome } of attempts) {
          if (outcome === 'acknowledged') expect(log).toContain(text);
          if (outcome === 'refused') expect(log).not.toContain(text);
        }
      },
      CASE_LIMIT_MS,
    );
  });

  describe('a reader', () => {
    it(
      'reads several topics at once: one batch per partition at most, no more records than asked for, all in the end',
      async () => {
        const [a, b] = [names.topic('a'), names.topic('b')];
        await bus.ensureTopics([spec(a, 2), spec(b, 1)]);
        const producer = await bus.openProducer({ name: names.producer() });
        await producer.append([
          { topic: a, partition: 0, records: records('a0', 40) },
          { topic: a, partition: 1, records: records('a1', 25) },
          { topic: b, partition: 0, records: records('b0', 33) },
        ]);
        await producer.close();
        const marks = [...(await other.marks(a)), ...(await other.marks(b))];
        const found = new Map<string, string[]>();
        const position = new Map(marks.map((mark) => [keyOf(mark), Number(mark.lowWater)]));
        const reader = await other.openReader(marks.map((mark) => ({ ...mark, offset: mark.lowWater })));
        await eventually('the whole of both topics', async () => {
          const batches = await reader.poll({ recordsMax: 7, waitMs: 1_000 });
          expect(new Set(batches.map(keyOf)).size).toBe(batches.length);
          expect(batches.reduce((sum, batch) => sum + batch.records.length, 0)).toBeLessThanOrEqual(7);
          for (const batch of batches) {
            const offsets = batch.records.map(({ offset }) => offset);
            expect(offsets).toEqual([...offsets].sort((left, right) => left - right));
            expect(offsets[0] ?? batch.nextOffset).toBeGreaterThanOrEqual(position.get(keyOf(batch)) ?? 0);
            expect(batch.nextOffset).toBeGreaterThan(offsets.at(-1) ?? -1);
            expect(batch.highWater).toBeGreaterThanOrEqual(batch.nextOffset);
            position.set(keyOf(batch), batch.nextOffset);
            found.set(keyOf(batch), [...(found.get(keyOf(batch)) ?? []), ...texts(batch.records)]);
          }
          return [...found.values()].flat().length === 98;
        });
        await reader.close();
        expect(found.get(`${a}/0`)).toEqual(texts(records('a0', 40)));
        expect(found.get(`${a}/1`)).toEqual(texts(records('a1', 25)));
        expect(found.get(`${b}/0`)).toEqual(texts(records('b0', 33)));
      },
      CASE_LIMIT_MS,
    );

    it(
      'at the end of the log gets nothing after its wait, and then only what is new',
      async () => {
        const topic = names.topic();
        await bus.ensureTopics([spec(topic)]);
        await append(bus, topic, records('old', 3));
        const { highWater } = await markOf(other, topic);
        const reader = await other.openReader([at(topic, 0, highWater)]);
        expect(await within('an empty poll', reader.poll({ recordsMax: 10, waitMs: 50 }))).toEqual([]);
        expect(await within('a poll without waiting', reader.poll({ recordsMax: 10, waitMs: 0 }))).toEqual([]);
        await append(bus, topic, records('new', 2));
        expect(texts(await pollCount(reader, 2))).toEqual(['new-0', 'new-1']);
        await reader.close();
      },
      CASE_LIMIT_MS,
    );

    it(
      'that waits is woken by an append of another process, long before its wait is over',
      async () => {
        const topic = names.topic();
        await bus.ensureTopics([spec(topic, 2)]);
        const { highWater } = await markOf(other, topic, 1);
        const reader = await other.openReader([at(topic, 0, 0), at(topic, 1, highWater)]);
        const producer = await bus.openProducer({ name: names.producer() });
        for (const turn of [0, 1, 2]) {
          const waiting = reader.poll({ recordsMax: 10, waitMs: 60_000 });
          await pause(100);
          await producer.append([{ topic, partition: 1, records: records('turn', 1, turn) }]);
          const batches = await within('the append to wake the reader', waiting, 5_000);
          expect(batches.flatMap((batch) => texts(batch.records))).toEqual([`turn-${turn}`]);
        }
        await producer.close();
        await reader.close();
      },
      CASE_LIMIT_MS,
    );

    it(
      'that is closed while it waits ends its wait with nothing, and is asked in vain from then on',
      async () => {
        const topic = names.topic();
        await bus.ensureTopics([spec(topic)]);
        const reader = await bus.openReader([at(topic, 0, 0)]);
        const waiting = reader.poll({ recordsMax: 10, waitMs: 60_000 });
        await pause(50);
        await reader.close();
        expect(await within('the closed reader to end its wait', waiting)).toEqual([]);
        await refusal(reader.poll({ recordsMax: 10, waitMs: 0 }), 'BUS_UNAVAILABLE');
      },
      CASE_LIMIT_MS,
    );

    it(
      'below the low-water mark is refused by name, again and again, and skips nothing',
      async () => {
        const topic = names.topic();
        await bus.ensureTopics([spec(topic)]);
        const { firstOffset } = await append(bus, topic, records('r', 6));
        const early = await other.openReader([at(topic, 0, firstOffset + 1)]);
        await bus.trim(at(topic, 0, firstOffset + 3));
        await refusal(early.poll({ recordsMax: 10, waitMs: 500 }), 'BUS_OUT_OF_RETENTION');
        await refusal(early.poll({ recordsMax: 10, waitMs: 500 }), 'BUS_OUT_OF_RETENTION');
        await early.close();
        const exact = await other.openReader([at(topic, 0, firstOffset + 3)]);
        expect(texts(await pollCount(exact, 3))).toEqual(['r-3', 'r-4', 'r-5']);
        await exact.close();
        // The same where the reader is opened afterwards, whether at the opening or at the first poll.
        const late = async () => {
          const reader = await other.openReader([at(topic, 0, firstOffset)]);
          try {
            return await reader.poll({ recordsMax: 10, waitMs: 500 });
          } finally {
            await reader.close();
          }
        };
        await refusal(late(), 'BUS_OUT_OF_RETENTION');
      },
      CASE_LIMIT_MS,
    );

    it(
      'past the end of the log is refused by name instead of waiting for a log that is another',
      async () => {
        const topic = names.topic();
        await bus.ensureTopics([spec(topic)]);
        await append(bus, topic, records('r', 3));
        const { highWater } = await markOf(other, topic);
        const beyond = async () => {
          const reader = await other.openReader([at(topic, 0, highWater + 2)]);
          try {
            return await reader.poll({ recordsMax: 10, waitMs: CHANCE_TO_ERR_MS });
          } finally {
            await reader.close();
          }
        };
        await refusal(beyond(), 'BUS_POSITION_BEYOND_LOG');
      },
      CASE_LIMIT_MS,
    );
  });
}
