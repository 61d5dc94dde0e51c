import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Bus, type OutgoingRecord } from '../bus.port.js';
import {
  append,
  at,
  type BusHarness,
  CASE_LIMIT_MS,
  freshNames,
  fromEverywhere,
  keyOf,
  markOf,
  pause,
  pollCount,
  readAll,
  readPartition,
  record,
  records,
  refusal,
  spec,
  texts,
  within,
} from './kit.js';

/** Bytes of a record as its topic's limit counts them. */
function recordOfBytes(bytes: number): OutgoingRecord {
  const key = 'clé';
  const headers = { naïf: 'ça' };
  const rest = Buffer.byteLength(key) + Buffer.byteLength('naïf') + Buffer.byteLength('ça');
  return { key, headers, value: new Uint8Array(bytes - rest).fill(0x61) };
}

/** Topics, appends, and what stands on the log afterwards. */
export function logCases(harness: () => BusHarness): void {
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

  it(
    'is read to its end, whoever appended what, by a reader that comes when all of it stands',
    async () => {
      const topic = names.topic();
      await bus.ensureTopics([spec(topic)]);
      const expected: string[] = [];
      for (const [index, by] of [other, bus, other, bus, bus, other].entries()) {
        const items = records(`part${index}`, 2 + index);
        await append(by, topic, items);
        expected.push(...texts(items));
        // Somebody of each process has read all that stands by now; what was announced has been heard.
        for (const view of [bus, other]) expect(texts(await readPartition(view, topic))).toEqual(expected);
      }
      await pause(600);
      for (const view of [bus, other]) {
        // Offsets may have gaps, where a transaction ended: a place is taken from what was read.
        const standing = await readPartition(view, topic);
        for (const from of [0, 3, expected.length - 1]) {
          const reader = await view.openReader([at(topic, 0, standing[from]?.offset ?? -1)]);
          const found = await within('the end of the log', pollCount(reader, expected.length - from), 5_000);
          expect(texts(found)).toEqual(expected.slice(from));
          await reader.close();
        }
      }
    },
    CASE_LIMIT_MS,
  );

  describe('topics', () => {
    it(
      'are made with their partitions and stand empty, and making them again changes nothing',
      async () => {
        const specs = [spec(names.topic(), 3, { retentionMs: 3_600_000 }), spec(names.topic(), 1)] as const;
        await bus.ensureTopics(specs);
        expect(await bus.partitionsOf(specs[0].topic)).toBe(3);
        expect(await other.partitionsOf(specs[1].topic)).toBe(1);
        const marks = await bus.marks(specs[0].topic);
        expect(marks.map(({ partition }) => partition)).toEqual([0, 1, 2]);
        for (const mark of marks) expect(mark.lowWater).toBe(mark.highWater);

        await append(bus, specs[0].topic, records('kept', 2), 1);
        await bus.ensureTopics(specs);
        await other.ensureTopics(specs);
        expect(texts(await readPartition(other, specs[0].topic, 1))).toEqual(['kept-0', 'kept-1']);
      },
      CASE_LIMIT_MS,
    );

    it(
      'that stand with other settings are refused, whichever setting it is, and stay as they are',
      async () => {
        const made = spec(names.topic(), 2, { recordBytesMax: 20_000, retentionMs: 7_200_000 });
        await bus.ensureTopics([made]);
        await refusal(bus.ensureTopics([{ ...made, partitions: 3 }]), 'BUS_TOPIC_MISMATCH');
        await refusal(other.ensureTopics([{ ...made, partitions: 1 }]), 'BUS_TOPIC_MISMATCH');
        await refusal(other.ensureTopics([{ ...made, recordBytesMax: 30_000 }]), 'BUS_TOPIC_MISMATCH');
        await refusal(other.ensureTopics([{ ...made, retentionMs: 7_300_000 }]), 'BUS_TOPIC_MISMATCH');
        await refusal(other.ensureTopics([{ ...made, retentionMs: null }]), 'BUS_TOPIC_MISMATCH');
        expect(await other.partitionsOf(made.topic)).toBe(2);
        await other.ensureTopics([made]);
      },
      CASE_LIMIT_MS,
    );

    it(
      'can be made by several processes at once',
      async () => {
        // Many at once, in opposite orders: who makes them under locks must not deadlock.
        const specs = Array.from({ length: 16 }, (_, index) => spec(names.topic(), 1 + (index % 3)));
        const reversed = [...specs].reverse();
        await Promise.all([
          bus.ensureTopics(specs),
          other.ensureTopics(reversed),
          bus.ensureTopics(reversed),
          other.ensureTopics(specs),
        ]);
        const partitions = await Promise.all(specs.map(({ topic }) => other.partitionsOf(topic)));
        expect(partitions).toEqual(specs.map((made) => made.partitions));
      },
      CASE_LIMIT_MS,
    );

    it(
      'that do not exist, and partitions that they do not have, are named errors and are not made on the way',
      async () => {
        const [missing, made] = [names.topic('missing'), names.topic()];
        await bus.ensureTopics([spec(made, 2)]);
        const producer = await bus.openProducer({ name: names.producer() });
        await refusal(bus.partitionsOf(missing), 'BUS_TOPIC_UNKNOWN');
        await refusal(bus.marks(missing), 'BUS_TOPIC_UNKNOWN');
        await refusal(bus.trim(at(missing, 0, 0)), 'BUS_TOPIC_UNKNOWN');
        await refusal(bus.openReader([at(missing, 0, 0)]), 'BUS_TOPIC_UNKNOWN');
        await refusal(bus.openReader([at(made, 2, 0)]), 'BUS_TOPIC_UNKNOWN');
        for (const [topic, partition] of [
          [missing, 0],
          [made, 2],
          [made, -1],
        ] as const)
          await refusal(
            producer.append([
              { topic: made, partition: 0, records: records('half', 1) },
              { topic, partition, records: records('x', 1) },
            ]),
            'BUS_TOPIC_UNKNOWN',
          );
        await refusal(bus.partitionsOf(missing), 'BUS_TOPIC_UNKNOWN');
        // The producer is unharmed, and nothing of the refused batches stands.
        await producer.append([{ topic: made, partition: 0, records: records('whole', 1) }]);
        expect(texts(await readPartition(bus, made, 0))).toEqual(['whole-0']);
        await producer.close();
      },
      CASE_LIMIT_MS,
    );
  });

  describe('an append', () => {
    it(
      'says where each part stands: consecutive offsets, rising from append to append',
      async () => {
        const [a, b] = [names.topic('a'), names.topic('b')];
        await bus.ensureTopics([spec(a, 2), spec(b, 1)]);
        const producer = await bus.openProducer({ name: names.producer() });
        const first = await producer.append([
          { topic: a, partition: 1, records: records('a1', 3) },
          { topic: b, partition: 0, records: records('b0', 2) },
          { topic: a, partition: 0, records: records('a0', 1) },
        ]);
        const second = await producer.append([{ topic: a, partition: 1, records: records('a1', 2, 3) }]);
        await producer.close();

        expect(first.map((part) => [keyOf(part), part.count])).toEqual([
          [`${a}/1`, 3],
          [`${b}/0`, 2],
          [`${a}/0`, 1],
        ]);
        const found = await readPartition(other, a, 1);
        expect(texts(found)).toEqual(['a1-0', 'a1-1', 'a1-2', 'a1-3', 'a1-4']);
        const start = first[0]?.firstOffset ?? -1;
        const next = second[0]?.firstOffset ?? -1;
        expect(found.map(({ offset }) => offset)).toEqual([start, start + 1, start + 2, next, next + 1]);
        expect(next).toBeGreaterThanOrEqual(start + 3);
        expect(texts(await readPartition(other, b, 0))).toEqual(['b0-0', 'b0-1']);
        expect(texts(await readPartition(other, a, 0))).toEqual(['a0-0']);
      },
      CASE_LIMIT_MS,
    );

    it(
      'keeps bytes, keys and headers as they are: null and empty keys, any UTF-8, every byte, nothing at all',
      async () => {
        const topic = names.topic();
        await bus.ensureTopics([spec(topic)]);
        const sent: OutgoingRecord[] = [
          { key: null, value: Uint8Array.from({ length: 256 }, (_, index) => index), headers: {} },
          { key: '', value: new Uint8Array(0), headers: { empty: '' } },
          {
            key: 'Zoë \u{1F9FE} 注文 \u0000 "\\',
            value: Uint8Array.of(0),
            headers: { 'trace-id': 'é\u{1F600}"\\\n\u0000' },
          },
          { key: 'k', value: new TextEncoder().encode('{"a":1}'), headers: { b: '2', a: '1', größe: 'ü' } },
        ];
        const beforeMs = Date.now();
        await append(bus, topic, sent);
        const found = await readPartition(other, topic);
        expect(found.map(({ key, headers, value }) => ({ key, headers, value: [...value] }))).toEqual(
          sent.map(({ key, headers, value }) => ({ key, headers, value: [...value] })),
        );
        for (const { value, appendedAtMs } of found) {
          expect(value).toBeInstanceOf(Uint8Array);
          // The bus's clock may be another machine's; a minute apart would still be a broken stamp.
          expect(Math.abs(appendedAtMs - beforeMs)).toBeLessThan(60_000);
        }
      },
      CASE_LIMIT_MS,
    );

    it(
      'may name one partition twice and may be empty, but an entry without records is refused',
      async () => {
        const topic = names.topic();
        await bus.ensureTopics([spec(topic)]);
        const producer = await bus.openProducer({ name: names.producer() });
        expect(await producer.append([])).toEqual([]);
        await refusal(producer.append([{ topic, partition: 0, records: [] }]), 'VALUE_INVALID');
        const [one, two] = await producer.append([
          { topic, partition: 0, records: records('one', 2) },
          { topic, partition: 0, records: records('two', 1) },
        ]);
        const found = await readPartition(other, topic);
        expect(texts(found)).toEqual(['one-0', 'one-1', 'two-0']);
        expect([one?.firstOffset, two?.firstOffset]).toEqual([found[0]?.offset, found[2]?.offset]);
        await producer.close();
      },
      CASE_LIMIT_MS,
    );

    it(
      'takes a record of exactly the limit and refuses one byte more, with nothing of its batch appended',
      async () => {
        const [small, wide] = [names.topic('small'), names.topic('wide')];
        await bus.ensureTopics([spec(small, 1, { recordBytesMax: 5_000 }), spec(wide)]);
        const producer = await bus.openProducer({ name: names.producer() });
        await producer.append([{ topic: small, partition: 0, records: [recordOfBytes(5_000)] }]);
        await refusal(
          producer.append([
            { topic: wide, partition: 0, records: records('half', 3) },
            { topic: small, partition: 0, records: [record('fits'), recordOfBytes(5_001), record('fits')] },
          ]),
          'BUS_RECORD_TOO_LARGE',
        );
        const [after] = await producer.append([{ topic: wide, partition: 0, records: records('whole', 1) }]);
        await producer.close();
        expect(after?.count).toBe(1);
        expect(texts(await readPartition(other, wide))).toEqual(['whole-0']);
        expect((await readPartition(other, small)).map(({ value }) => value.byteLength > 4_000)).toEqual([true]);
      },
      CASE_LIMIT_MS,
    );

    it(
      'of 500 records of 1 KB is one batch',
      async () => {
        const topic = names.topic();
        await bus.ensureTopics([spec(topic, 2)]);
        const payload = 'x'.repeat(1_000);
        const items = Array.from({ length: 500 }, (_, index) => record(`${index} ${payload}`));
        const appended = await append(bus, topic, items, 1);
        expect(appended.count).toBe(500);
        expect(texts(await readPartition(other, topic, 1))).toEqual(
          texts(items.map((item) => ({ value: item.value }))),
        );
      },
      CASE_LIMIT_MS,
    );

    it(
      'keeps the order of the calls when they overlap, and each call learns its own place',
      async () => {
        const topic = names.topic();
        await bus.ensureTopics([spec(topic, 2)]);
        const producer = await bus.openProducer({ name: names.producer() });
        const calls = Array.from({ length: 120 }, (_, index) =>
          producer.append([{ topic, partition: index % 2, records: records(`c${index}`, 1 + (index % 3)) }]),
        );
        const answers = (await within('120 overlapping appends', Promise.all(calls))).flat();
        await producer.close();
        const found = await readAll(other, await fromEverywhere(other, topic));
        for (const partition of [0, 1]) {
          const log = found.get(keyOf({ topic, partition })) ?? [];
          const expected = answers.flatMap((answer, index) =>
            index % 2 === partition
              ? Array.from({ length: answer.count }, (_, part) => [answer.firstOffset + part, `c${index}-${part}`])
              : [],
          );
          expect(log.map(({ offset, value }) => [offset, texts([{ value }])[0]])).toEqual(expected);
        }
      },
      CASE_LIMIT_MS,
    );

    it(
      'through a closed producer is refused, and closing lets the waiting ones through first',
      async () => {
        const topic = names.topic();
        await bus.ensureTopics([spec(topic)]);
        const producer = await bus.openProducer({ name: names.producer() });
        const waiting = [1, 2, 3].map((part) =>
          producer.append([{ topic, partition: 0, records: records(`w${part}`, 1) }]),
        );
        await producer.close();
        await Promise.all(waiting);
        await refusal(producer.append([{ topic, partition: 0, records: records('late', 1) }]), 'BUS_PRODUCER_CLOSED');
        await producer.close();
        expect(texts(await readPartition(other, topic))).toEqual(['w1-0', 'w2-0', 'w3-0']);
      },
      CASE_LIMIT_MS,
    );
  });

  describe('marks and trimming', () => {
    it(
      'high water rises with each append and lies past the last record; low water rises by trimming, never back',
      async () => {
        const topic = names.topic();
        await bus.ensureTopics([spec(topic, 2)]);
        const appended = await append(bus, topic, records('r', 10), 1);
        const full = await markOf(other, topic, 1);
        expect(full.highWater).toBeGreaterThanOrEqual(appended.firstOffset + 10);
        expect(full.lowWater).toBeLessThanOrEqual(appended.firstOffset);

        const cut = appended.firstOffset + 4;
        await bus.trim(at(topic, 1, cut));
        expect((await markOf(other, topic, 1)).lowWater).toBe(cut);
        await other.trim(at(topic, 1, appended.firstOffset + 2));
        expect((await markOf(bus, topic, 1)).lowWater).toBe(cut);
        expect(texts(await readPartition(other, topic, 1))).toEqual(records('r', 6, 4).map((item) => texts([item])[0]));

        await bus.trim(at(topic, 1, full.highWater));
        const empty = await markOf(other, topic, 1);
        expect(empty).toMatchObject({ lowWater: full.highWater, highWater: full.highWater });
        // A trimmed log goes on where it was: an offset is never given twice.
        const next = await append(bus, topic, records('next', 1), 1);
        expect(next.firstOffset).toBeGreaterThanOrEqual(full.highWater);
        expect((await markOf(other, topic, 0)).highWater).toBe((await markOf(other, topic, 0)).lowWater);
      },
      CASE_LIMIT_MS,
    );

    it(
      'by time: the first record that was appended at it or later, of each partition; its end where there is none',
      async () => {
        const topic = names.topic();
        await bus.ensureTopics([spec(topic, 2)]);
        const old = await append(bus, topic, records('old', 4), 1);
        await pause(30);
        const young = await append(other, topic, records('young', 3), 1);
        const stamps = (await readPartition(bus, topic, 1)).map(({ appendedAtMs }) => appendedAtMs);
        const [firstMs = 0, youngMs = 0] = [stamps[0], stamps[4]];
        expect(youngMs).toBeGreaterThan(firstMs);
        const offsets = async (view: Bus, ms: number): Promise<readonly number[]> =>
          (await view.offsetsAt(topic, ms)).map(({ offset }) => offset);
        const { highWater } = await markOf(bus, topic, 1);
        const { highWater: empty } = await markOf(bus, topic, 0);
        for (const view of [bus, other]) {
          expect(await offsets(view, youngMs)).toEqual([empty, young.firstOffset]);
          expect(await offsets(view, firstMs)).toEqual([empty, old.firstOffset]);
          expect(await offsets(view, 0)).toEqual([empty, old.firstOffset]);
          expect(await offsets(view, youngMs + 60_000)).toEqual([empty, highWater]);
        }
        // What was trimmed is not found again, however old the time.
        await bus.trim(at(topic, 1, young.firstOffset + 1));
        expect(await offsets(other, 0)).toEqual([empty, young.firstOffset + 1]);
        await refusal(bus.offsetsAt(names.topic(), 0), 'BUS_TOPIC_UNKNOWN');
      },
      CASE_LIMIT_MS,
    );

    it(
      'trimming past the end is refused and trims nothing',
      async () => {
        const topic = names.topic();
        await bus.ensureTopics([spec(topic)]);
        await append(bus, topic, records('r', 3));
        const { highWater } = await markOf(bus, topic);
        await refusal(bus.trim(at(topic, 0, highWater + 1)), 'BUS_POSITION_BEYOND_LOG');
        expect(texts(await readPartition(other, topic))).toEqual(['r-0', 'r-1', 'r-2']);
      },
      CASE_LIMIT_MS,
    );
  });

  describe('health', () => {
    it(
      'of a bus that answers is good and says so in a sentence',
      async () => {
        const health = await other.health();
        expect(health.ok).toBe(true);
        expect(health.detail.length).toBeGreaterThan(10);
        expect(health.tookMs).toBeGreaterThanOrEqual(0);
      },
      CASE_LIMIT_MS,
    );

    it(
      'of a bus that is cut off is bad within bounded time',
      async () => {
        const { bus: lonely, cut } = await harness().openCuttable();
        expect((await lonely.health()).ok).toBe(true);
        await cut();
        const health = await within('the health of a bus that is cut off', lonely.health());
        expect(health.ok).toBe(false);
        expect(health.detail.length).toBeGreaterThan(10);
        await within('closing a bus that is cut off', lonely.close());
      },
      CASE_LIMIT_MS,
    );
  });
}
