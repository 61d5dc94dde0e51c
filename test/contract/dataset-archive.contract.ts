import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Chunk } from '../../src/modules/run-operate/archive/chunk.core.js';
import type { Offset } from '../../src/rails/eb-ref.js';
import type { Bus, BusReader, RecordBatch, TopicName } from '../../src/substrate/bus/bus.port.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { openArchive } from './archive.kit.js';
import { CONTROL, TRAFFIC } from './feature-plane.kit.js';
import { DecidedRun, openShadow, type ShadowGround } from './offline-feature-shadow.kit.js';

const END = Number.MAX_SAFE_INTEGER as Offset;

/** Datasets from the archive, the bus, or both: the same rows, or none. */
export function datasetArchiveSuite(open: () => Promise<ShadowGround>): void {
  let ground: ShadowGround;
  let run: DecidedRun;
  let shadow: ReturnType<typeof openShadow>;

  beforeEach(async () => {
    ground = await open();
    run = await DecidedRun.open(ground);
    shadow = openShadow(ground, run, { clock: new ManualClock(Date.parse('2018-05-01T00:00:00Z')) });
    await shadow.labels.ready(run.pins);
    for (let n = 0; n < 6; n += 1) {
      await run.pay({ id: `p-${n}`, second: n * 60, amount: 100 + n, card: n % 3 === 0 ? 'card-22' : 'card-1' });
      if (n === 1) await run.label('p-0', 90);
    }
  });
  afterEach(() => ground.close());

  const chunksOf = (topic: TopicName, partition: number) =>
    shadow.archive.store.chunks({ topic, partition }, { first: 0 as Offset, next: END }, 100);
  /** Takes the older part of every partition from the bus, and leaves the border within a chunk where it can. */
  const trimmed = async (): Promise<void> => {
    for (const topic of [TRAFFIC, CONTROL])
      for (const { partition, highWater } of await ground.bus.marks(topic)) {
        const before = Math.floor(highWater / 2) as Offset;
        if (before > 0) await ground.bus.trim({ topic, partition, offset: before });
      }
  };
  const digestOf = async (source: 'bus' | 'archive' | 'auto') => {
    const status = await shadow.settled({ source });
    expect(status).toMatchObject({ state: 'DONE', detail: { parity: { outcome: 'MATCH', match: 6 } } });
    const { manifest } = await shadow.rowsOf(status.dataset_manifest_id);
    return { manifest, digest: manifest.built.materialisations[0]?.ref.digest };
  };
  const failed = async (code: string) => {
    const status = await shadow.settled({ source: 'auto' });
    expect(status).toMatchObject({ state: 'FAILED', detail: { code } });
    await expect(shadow.service.dataset(status)).rejects.toMatchObject({ code: 'OFS_DATASET_NOT_FOUND' });
    return status.detail.says ?? '';
  };

  it('bus, archive, and the archive for what the bus no longer has: the same rows, byte for byte', async () => {
    const fromBus = await digestOf('bus');
    expect(new Set(fromBus.manifest.built.ranges.map(({ source }) => source))).toEqual(new Set(['bus']));
    await shadow.archive.all();
    const fromArchive = await digestOf('archive');
    expect(fromArchive.digest).toEqual(fromBus.digest);
    const evidence = fromArchive.manifest.built.ranges.find(
      ({ topic, records_read }) => topic === TRAFFIC && records_read > 4,
    );
    expect(evidence).toMatchObject({ source: 'archive', archive: { chain: expect.stringMatching(/^[0-9a-f]{64}$/) } });
    await trimmed();
    const fromBoth = await digestOf('auto');
    expect(fromBoth.digest).toEqual(fromBus.digest);
    const sources = fromBoth.manifest.built.ranges.filter(({ topic }) => topic === TRAFFIC).map(({ source }) => source);
    expect(sources.sort()).toEqual(['archive', 'archive', 'bus', 'bus']);
    const records = (manifest: typeof fromBus.manifest): number =>
      manifest.built.ranges.reduce((sum, { records_read }) => sum + records_read, 0);
    expect(records(fromBoth.manifest)).toBe(records(fromBus.manifest));
    // The twin: from the bus alone there is none any more.
    const later = openShadow(ground, run, {
      clock: new ManualClock(Date.parse('2018-06-01T00:00:00Z')),
      version: '1.0.1',
    });
    expect(await later.settled({ source: 'bus' })).toMatchObject({ detail: { code: 'OFS_REPLAY_BASIS_GAP' } });
  });

  describe('of an archive that the bus cannot stand in for', () => {
    let first: Chunk;

    beforeEach(async () => {
      await shadow.archive.all();
      await trimmed();
      await digestOf('auto');
      // What a later event adds makes another plan of it.
      await run.pay({ id: 'p-6', second: 900, card: 'card-1' });
      first = (await chunksOf(TRAFFIC, 0))[0] as Chunk;
    });

    it('one chunk removed: no manifest, and the offsets are named', async () => {
      await ground.tamper(first.ref.locator, { how: 'remove' });
      const says = await failed('OFS_ARCHIVE_GAP');
      expect(says).toContain(`${TRAFFIC}/0 from offset ${first.first_offset} to before ${first.next_offset}`);
    });

    it('one byte of it flipped: no manifest, and the offsets are named', async () => {
      await ground.tamper(first.ref.locator, { how: 'flip', offset: first.ref.size >> 1 });
      expect(await failed('OPS_ARCHIVE_TAMPERED')).toContain(`${TRAFFIC}/0 from offset ${first.first_offset} on`);
    });
  });

  it('another record at one offset than the bus has: no manifest, and the offset is named', async () => {
    const { bus, objects, database } = ground;
    const clock = new ManualClock();
    const topics = [TRAFFIC, CONTROL];
    const [at] = (await bus.marks(TRAFFIC)).filter(({ highWater }) => highWater > 3);
    if (at === undefined) throw new Error('too little was paid');
    const target = { partition: at.partition, offset: (at.highWater - 2) as Offset };
    const liar = openArchive({ database: database('gov'), bus: lying(bus, target), objects, clock, topics });
    await liar.all();
    await trimmed();
    // By itself the chunk is sound: its digests are those of what was written.
    await liar.verifications.verify({ topic: TRAFFIC }, new AbortController().signal);
    const status = await shadow.settled({ source: 'archive' });
    expect(status).toMatchObject({ state: 'FAILED', detail: { code: 'OFS_REPLAY_BASIS_MISMATCH' } });
    expect(status.detail.says).toContain(`${TRAFFIC}/${target.partition} at ${target.offset}`);
    await liar.writer.onModuleDestroy();
  });
}

/** A bus that gives one record out with another amount. */
function lying(bus: Bus, { partition, offset }: { partition: number; offset: Offset }): Bus {
  return new Proxy(bus, {
    get(target, name) {
      const member = Reflect.get(target, name) as unknown;
      if (name !== 'openReader') return typeof member === 'function' ? (member.bind(target) as unknown) : member;
      return async (...args: Parameters<Bus['openReader']>): Promise<BusReader> => {
        const reader = await target.openReader(...args);
        const changed = (batch: RecordBatch): RecordBatch => ({
          ...batch,
          records: batch.records.map((record) =>
            batch.topic === TRAFFIC && batch.partition === partition && record.offset === offset
              ? { ...record, value: Buffer.from(Buffer.from(record.value).toString().replace('card', 'kard')) }
              : record,
          ),
        });
        return {
          poll: async (options) => (await reader.poll(options)).map(changed),
          close: () => reader.close(),
        };
      };
    },
  });
}
