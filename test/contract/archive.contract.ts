import { beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import { readChunk } from '../../src/modules/run-operate/archive/chunk-reader.js';
import type { ArchivedRecord, Chunk } from '../../src/modules/run-operate/archive/chunk.core.js';
import { asTopicName, type Offset } from '../../src/rails/eb-ref.js';
import type { GovernanceFact } from '../../src/rails/events/governance-fact.schema.js';
import type { BusRecord, TopicName } from '../../src/substrate/bus/bus.port.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { recordsOf } from '../support/single-pass.js';
import { appended, openArchive } from './archive.kit.js';
import { dyingAfter } from './decision-log-audit.kit.js';
import type { ShadowGround } from './offline-feature-shadow.kit.js';

const event = (id: string): string =>
  JSON.stringify({
    event_id: id,
    event_type: 'note',
    manifest_fingerprint: 'a'.repeat(64),
    payload: { id, said: 'ü' },
    ts_utc: '2026-01-01T00:00:00.000000Z',
  });
const END = Number.MAX_SAFE_INTEGER as Offset;

/** Chunks over a bus, a database and a store of objects. */
export function archiveSuite(open: () => ShadowGround): void {
  let ground: ShadowGround;
  let clock: ManualClock;
  let topic: TopicName;

  beforeEach(async () => {
    ground = open();
    clock = new ManualClock();
    topic = asTopicName(`archive-test.${randomUUID()}`);
    await ground.bus.ensureTopics([{ topic, partitions: 2, recordBytesMax: 1_048_576, retentionMs: null }]);
  });

  const life = (policy = {}, objects: Objects = ground.objects) =>
    openArchive({ database: ground.database('gov'), bus: ground.bus, objects, clock, topics: [topic], policy });
  const chunksOf = (archive: ReturnType<typeof life>, partition = 0) =>
    archive.store.chunks({ topic, partition }, { first: 0 as Offset, next: END }, 1_000);
  const read = async (chunks: readonly Chunk[]): Promise<readonly ArchivedRecord[]> => {
    const records: ArchivedRecord[] = [];
    for (const chunk of chunks) records.push(...(await readChunk(ground.objects, chunk)));
    return records;
  };
  const onBus = async (partition: number): Promise<readonly BusRecord[]> =>
    (await recordsOf(ground.bus, topic)).filter((one) => one.partition === partition).map(({ record }) => record);
  const events = (from: number, count: number): string[] =>
    Array.from({ length: count }, (_, at) => event(`e-${from + at}`));
  const refused = async (archive: ReturnType<typeof life>, request = {}) => {
    const found = archive.verifications.verify({ topic, ...request }, new AbortController().signal);
    return await found.then(
      () => null,
      (error: unknown) => error as { code: string; detail: string; data: Record<string, unknown> },
    );
  };

  it('every record is in one chunk, in the very bytes, with key, headers and time, without a gap', async () => {
    const odd = [Buffer.from([0, 255, 10, 10, 34]), Buffer.from(''), Buffer.from('{"half')];
    await appended(ground.bus, topic, 0, events(0, 25));
    await appended(ground.bus, topic, 0, odd);
    await appended(ground.bus, topic, 1, events(100, 3));
    const archive = life();
    expect(await archive.all()).toBe(4);
    for (const partition of [0, 1]) {
      const records = await read(await chunksOf(archive, partition));
      const standing = await onBus(partition);
      expect(records.length).toBe(partition === 0 ? 28 : 3);
      expect(records.map(({ value }) => Buffer.from(value).toString('hex'))).toEqual(
        standing.map(({ value }) => Buffer.from(value).toString('hex')),
      );
      expect(records.map(({ offset, key, headers, appendedAtMs }) => ({ offset, key, headers, appendedAtMs }))).toEqual(
        standing.map(({ offset, key, headers, appendedAtMs }) => ({ offset, key, headers, appendedAtMs })),
      );
    }
    expect((await chunksOf(archive)).map(({ records }) => records)).toEqual([10, 10, 8]);
    const [first, second] = await archive.verifications.verify({ topic }, new AbortController().signal);
    expect(first).toMatchObject({ partition: 0, chunks: 3, records: 28 });
    expect(second).toMatchObject({ partition: 1, chunks: 1, records: 3 });
    expect(await archive.metricsText()).toContain('ops_archive_lag');
    await archive.writer.onModuleDestroy();
  });

  it('a chunk is cut by records at once, by bytes, and by age once something has waited so long', async () => {
    const archive = life({ chunk_age_ms: 5_000 });
    await appended(ground.bus, topic, 0, events(0, 13));
    expect(await archive.writer.round()).toBe(1);
    expect(await archive.writer.round()).toBe(0);
    await clock.advance(4_999);
    expect(await archive.writer.round()).toBe(0);
    await clock.advance(1);
    expect(await archive.writer.round()).toBe(1);
    expect((await chunksOf(archive)).map(({ records }) => records)).toEqual([10, 3]);
    await archive.writer.onModuleDestroy();
    const small = life({ chunk_bytes_max: 1_024 });
    await appended(ground.bus, topic, 1, events(20, 9));
    await small.all();
    const counts = (await chunksOf(small, 1)).map(({ records }) => records);
    expect(counts.length).toBeGreaterThan(1);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(9);
    await small.writer.onModuleDestroy();
  });

  describe('a life that ends between two steps', () => {
    const listed = async (): Promise<readonly string[]> =>
      (await ground.objects.list(`archive/${topic}/`)).objects.map(({ key }) => key);

    it.each([
      ['before the object', (objects: Objects) => dyingAfter(objects, 0), 0],
      ['before its row', (objects: Objects) => objects, 1],
    ])('%s: the next one writes that very chunk, though more has come since', async (_, objects, left) => {
      await appended(ground.bus, topic, 0, events(0, 4));
      const dying = life({}, objects(ground.objects));
      if (left === 1) dying.store.index = () => Promise.reject(new Error('killed'));
      await expect(dying.all()).rejects.toThrow('killed');
      expect(await listed()).toHaveLength(left);
      await dying.writer.onModuleDestroy();
      await appended(ground.bus, topic, 0, events(4, 4));
      await clock.advance(60_000);
      const next = life();
      await next.all();
      expect((await chunksOf(next)).map(({ records }) => records)).toEqual([4, 4]);
      expect(await listed()).toHaveLength(2);
      expect(await refused(next)).toBeNull();
      await next.writer.onModuleDestroy();
    });

    it('an object of another release with the same content is taken; one with another content stops the writer', async () => {
      for (const [partition, isSame] of [
        [0, true],
        [1, false],
      ] as const) {
        await appended(ground.bus, topic, partition, events(0, 4));
        const dying = life({}, dyingAfter(ground.objects, 0));
        await expect(dying.all()).rejects.toThrow('killed');
        await dying.writer.onModuleDestroy();
        const writer = life();
        const put = putting(ground.objects, (bytes) =>
          gzipSync(isSame ? gunzipSync(bytes) : Buffer.from('something else'), { level: 1 }),
        );
        const other = life({}, put);
        other.store.index = () => Promise.reject(new Error('killed'));
        await expect(other.all()).rejects.toThrow('killed');
        await other.writer.onModuleDestroy();
        if (isSame) {
          await writer.all();
          expect(await refused(writer)).toBeNull();
        } else {
          await expect(writer.all()).rejects.toMatchObject({ code: 'OPS_ARCHIVE_TAMPERED' });
          expect(await chunksOf(writer, partition)).toHaveLength(0);
        }
        await writer.writer.onModuleDestroy();
      }
    });
  });

  it('two processes at once: one writes, the other takes over, and nothing is there twice', async () => {
    await appended(ground.bus, topic, 0, events(0, 60));
    const [one, two] = [life(), life()];
    const [first, second] = await Promise.all([one.writer.round(false), two.writer.round(false)]);
    expect([first, second].sort()).toEqual([0, 1]);
    const [holder, other] = first === 1 ? [one, two] : [two, one];
    await holder.writer.onModuleDestroy();
    await other.all();
    await other.writer.onModuleDestroy();
    // And without any lease, as while one is taken over: still each record once, under one row.
    await appended(ground.bus, topic, 0, events(60, 40));
    const careless = [life(), life(), life()];
    for (const { leases } of careless) {
      leases.acquire = () => Promise.resolve({ name: 'archive', token: 0 });
      leases.renew = () => Promise.resolve();
    }
    await Promise.all(careless.map((each) => each.all()));
    const records = await read(await chunksOf(other));
    expect(records.map(({ offset }) => offset)).toEqual((await onBus(0)).map(({ offset }) => offset));
    expect(await refused(other)).toBeNull();
  });

  describe('a proof', () => {
    let archive: ReturnType<typeof life>;
    let middle: Chunk;

    beforeEach(async () => {
      await appended(ground.bus, topic, 0, events(0, 30));
      archive = life();
      await archive.all();
      middle = (await chunksOf(archive))[1] as Chunk;
      expect(await refused(archive)).toBeNull();
      await archive.writer.onModuleDestroy();
    });

    it.each([0, 40])('a chunk with a flipped byte (%i) is named with topic, partition and offset', async (offset) => {
      await ground.tamper(middle.ref.locator, { how: 'flip', offset });
      const fault = await refused(archive);
      expect(fault).toMatchObject({ code: 'OPS_ARCHIVE_TAMPERED' });
      expect(fault?.detail).toContain(`${topic}/0 from offset ${middle.first_offset} on`);
      // The twin: a window beside it is complete still.
      expect(await refused(archive, { partition: 0, next_offset: middle.first_offset })).toBeNull();
    });

    it('a chunk that was removed is a gap, named with topic, partition and offsets', async () => {
      await ground.tamper(middle.ref.locator, { how: 'remove' });
      expect(await refused(archive)).toMatchObject({
        code: 'OPS_ARCHIVE_GAP',
        data: { topic, partition: 0, first_offset: middle.first_offset, next_offset: middle.next_offset },
      });
    });

    it('a window that reaches beyond what is archived is a gap from there on', async () => {
      const { next_offset: end } = (await chunksOf(archive)).at(-1) as Chunk;
      expect(await refused(archive, { partition: 0, next_offset: end + 5 })).toMatchObject({
        code: 'OPS_ARCHIVE_GAP',
        data: { first_offset: end, next_offset: end + 5 },
      });
    });

    it('an index without one of its rows does not hang together', async () => {
      const page = archive.store.chunks.bind(archive.store);
      archive.store.chunks = async (...args) => (await page(...args)).filter(({ chain }) => chain !== middle.chain);
      expect(await refused(archive)).toMatchObject({ code: 'OPS_ARCHIVE_GAP' });
      archive.store.chunks = async (...args) =>
        (await page(...args)).map((one) => (one.chain === middle.chain ? { ...one, records: 9 } : one));
      expect(await refused(archive)).toMatchObject({
        code: 'OPS_ARCHIVE_TAMPERED',
        data: { first_offset: middle.first_offset },
      });
    });

    it('index, cuts and gaps are append-only, also for who owns the schema', async () => {
      for (const table of ['archive_cuts', 'archive_chunks', 'archive_gaps'])
        for (const text of [`update ${table} set next_offset = 1`, `delete from ${table}`, `truncate ${table}`])
          await expect(ground.database('gov').query(text)).rejects.toMatchObject({
            code: expect.stringMatching(/^DATABASE_/),
          });
    });
  });

  it('what was trimmed before it was archived is a gap for ever, and what comes behind it is archived', async () => {
    await appended(ground.bus, topic, 0, events(0, 10));
    const archive = life();
    await archive.all();
    // On a bus with gaps there may be a chunk without records behind the last one.
    const from = (await chunksOf(archive)).at(-1)?.next_offset ?? (0 as Offset);
    await appended(ground.bus, topic, 0, events(10, 20));
    const behind = (await onBus(0))[14]?.offset ?? (0 as Offset);
    await ground.bus.trim({ topic, partition: 0, offset: behind });
    await archive.all();
    expect(await archive.store.partitions()).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ topic, partition: 0, records: 26, gaps: [{ first: from, next: behind }] }),
      ]),
    );
    expect(
      archive.lines().filter((line) => line['event'] === 'ops_archive_gap' || line['msg'] === 'ops_archive_gap'),
    ).toHaveLength(1);
    const { rows } = await ground
      .database('gov')
      .query<{ fact: GovernanceFact }>('select fact from facts where subject = $1', [`${topic}/0`]);
    expect(rows.map(({ fact }) => fact)).toMatchObject([
      { kind: 'ARCHIVE_GAP', detail: { first_offset: from, next_offset: behind } },
    ]);
    expect(await refused(archive)).toMatchObject({
      code: 'OPS_ARCHIVE_GAP',
      data: { partition: 0, first_offset: from, next_offset: behind },
    });
    expect(await refused(archive, { partition: 0, first_offset: behind })).toBeNull();
    await archive.writer.onModuleDestroy();
  });
}

/** A store that puts other bytes than it was given. */
function putting(objects: Objects, change: (bytes: Uint8Array) => Uint8Array): Objects {
  return new Proxy(objects, {
    get(target, name) {
      const member = Reflect.get(target, name) as unknown;
      if (name !== 'putIfAbsent') return typeof member === 'function' ? (member.bind(target) as unknown) : member;
      return (key: never, body: Uint8Array, options: never) => target.putIfAbsent(key, change(body), options);
    },
  });
}
