import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Chunk } from '../../src/modules/run-operate/archive/chunk.core.js';
import { BackfillHolds } from '../../src/modules/run-operate/jobs/backfill-holds.js';
import { asBasis } from '../../src/rails/basis.js';
import { digestBytes } from '../../src/rails/digest.js';
import type { Offset } from '../../src/rails/eb-ref.js';
import { isProbityError } from '../../src/rails/errors/probity-error.js';
import type { LogHold } from '../../src/substrate/bus/bus.port.js';
import type { RebuildOrder } from '../../src/substrate/projection/generation.schema.js';
import { openTestPostgres, type TestPostgres } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { recordsOf } from '../support/single-pass.js';
import {
  type BackfillPlace,
  catchUp,
  openFeatures,
  openGraphs,
  openOperations,
  openReference,
  PINS,
  Shop,
} from './backfill.kit.js';
import { CONTROL, openPlane, type Plane, shippedDefinitions, TRAFFIC } from './feature-plane.kit.js';
import { openShadowGround, type ShadowGround } from './offline-feature-shadow.kit.js';

const GROUPS = ['handbook_transaction', 'handbook_customer', 'handbook_terminal'];
const TARGETS = ['ofp', 'ieg'] as const;
/** How many histories hold an event. */
const HISTORIES = { ofp: 2, ieg: 1 } as const;
/** Somebody else is held to be at work for so long. */
const LATER_MS = 60_000;

/** Derived state from the log again: equal, or refused by name. */
export function backfillSuite(kind: 'embedded' | 'external'): void {
  let postgres: TestPostgres;
  let ground: ShadowGround;
  let place: BackfillPlace;
  let shop: Shop;
  let features: Plane;
  let graph: Awaited<ReturnType<typeof openGraphs>>;
  let ops: ReturnType<typeof openOperations>;

  beforeAll(async () => {
    postgres = await openTestPostgres(kind);
  });
  afterAll(() => postgres.close());

  beforeEach(async () => {
    ground = await openShadowGround(kind, postgres);
    place = ground;
    shop = new Shop(ground.bus);
    await restarted();
    await shop.append(TRAFFIC, 0, ['{"event_type":"transaction","broken', '{"event_id":"o-1","event_type":"other"}']);
    await shop.pay(0, 12);
    await shop.append(TRAFFIC, 1, [{ ...(shop.triggers[0]?.envelope ?? {}), event_id: 'no-amount', payload: {} }]);
    await followed();
  });
  afterEach(() => ground.close());

  async function restarted(): Promise<void> {
    features = await openFeatures(place);
    graph = await openGraphs(place);
    ops = openOperations(place, { features: features.service, graph: graph.service });
  }
  async function followed(): Promise<void> {
    await catchUp(ground.bus, features.engine);
    await catchUp(ground.bus, graph.engine);
  }
  const bytesOf = async (): Promise<readonly string[]> =>
    [...(await recordsOf(ground.bus, TRAFFIC)), ...(await recordsOf(ground.bus, CONTROL))].map(
      ({ topic, partition, record }) => `${topic}/${partition}@${record.offset} ${digestBytes(record.value)}`,
    );
  /** Takes the older part of every partition from the bus. */
  const trimmed = async (): Promise<void> => {
    for (const topic of [TRAFFIC, CONTROL])
      for (const { partition, highWater } of await ground.bus.marks(topic)) {
        const before = Math.floor(highWater / 2) as Offset;
        if (before > 0) await ground.bus.trim({ topic, partition, offset: before });
      }
  };
  const rowsOf = async (schema: 'ofp' | 'ieg', table: string): Promise<readonly Record<string, unknown>[]> =>
    (await ground.database(schema).query(`select * from ${table}`)).rows;
  const askedOf = async ({ service }: Pick<Plane, 'service'>) => {
    const answers = [];
    for (const pins of PINS) {
      const triggers = shop.triggers
        .filter((trigger) => trigger.pins === pins)
        .map(({ envelope, partition, offset }) => {
          const { event_id, event_type, ts_utc, payload } = envelope as never;
          return { event_id, event_type, ts_utc, payload, partition, offset };
        });
      const asked = { pins, triggers, groups: GROUPS, wait_ms: 0 };
      answers.push(await service.snapshots(asked, { signal: new AbortController().signal }));
    }
    return answers;
  };

  it.each(TARGETS)(
    '%s from the log again is what is served, and its receipt says of what; no truth is touched',
    async (target) => {
      const before = await bytesOf();
      const { status, receipt, facts } = await ops.done({ target });
      expect(status).toMatchObject({ state: 'COMPLETED' });
      expect(receipt.outputs).toMatchObject({
        ...{ target, generation: 2 },
        counted: { events: 24, labels: 8, invalid: 2 },
        basis: { topics: { [TRAFFIC]: expect.anything(), [CONTROL]: expect.anything() } },
        policy_rev: { policy_id: target === 'ofp' ? 'ofp.features' : 'ieg.graph' },
      });
      expect(receipt.verified).toMatchObject({ equal: true, cutover: false });
      // Both runs, and the record that belongs to none. Features count an event by customer and by terminal, the graph by customer alone.
      const runs = (receipt.verified?.['runs'] ?? []) as readonly { rows: number; run_id: string | null }[];
      expect(runs.map(({ run_id, rows }) => [run_id, rows])).toEqual(
        expect.arrayContaining([
          [null, 1],
          [PINS[0].run_id, 12 * HISTORIES[target] + 4 + 1],
          [PINS[1].run_id, 12 * HISTORIES[target] + 4],
        ]),
      );
      expect(facts.map(({ kind }) => kind)).toEqual([
        'JOB_DECLARED',
        'JOB_STARTED',
        'JOB_COMPLETED',
        'BACKFILL_COMPLETED',
      ]);
      expect(await bytesOf()).toEqual(before);
      // Beside the state that is served, not in its place.
      expect(await rowsOf(target, 'owner')).toMatchObject([{ generation: 1 }]);
      expect((target === 'ofp' ? features : graph).engine.owner.live).toBe(1);
    },
  );

  it.each(TARGETS)(
    '%s again from the archive, when the bus no longer has the beginning; from the bus alone it is refused',
    async (target) => {
      await ops.archive.all();
      await trimmed();
      const { status, receipt } = await ops.done({ target });
      expect(status).toMatchObject({ state: 'COMPLETED' });
      const read = receipt.outputs?.['read'] as readonly { source: string; archive?: object }[];
      expect(new Set(read.map(({ source }) => source))).toEqual(new Set(['archive', 'bus']));
      expect(read.find(({ source }) => source === 'archive')).toMatchObject({
        archive: { chunks: expect.any(Number), chain: expect.stringMatching(/^[0-9a-f]{64}$/) },
      });
      for (const { clock } of [features, graph]) await clock.advance(LATER_MS);
      const alone = await ops.done({ target, source: 'bus' });
      expect(alone.status).toMatchObject({ state: 'FAILED', detail: { code: 'REPLAY_BASIS_GAP' } });
      expect(alone.facts.map(({ kind }) => kind)).toContain('BACKFILL_FAILED');
    },
  );

  it('holds what it reads of the bus while it is under way, and nothing before or after', async () => {
    const held: LogHold[][] = [];
    const watched = openOperations(place, {
      graph: graph.service,
      features: Object.assign(Object.create(features.service) as Plane['service'], {
        rebuild: async (order: RebuildOrder) => {
          held.push([...(await holds.holds())]);
          return await features.service.rebuild(order);
        },
      }),
    });
    const holds = new BackfillHolds(watched.store, watched.plans, ground.bus);
    await watched.archive.all();
    await trimmed();
    await watched.declare({ target: 'ofp' }, 'held');
    expect(await holds.holds()).toEqual([]);
    await watched.runner.work('held');
    expect((await watched.service.status('held')).state).toBe('COMPLETED');
    // From the oldest record that the bus had, which is where its part begins; a cutover would read on from there.
    const lows = [...(await ground.bus.marks(TRAFFIC)), ...(await ground.bus.marks(CONTROL))];
    expect(held[0]).toEqual(
      lows.map(({ topic, partition, lowWater }) => ({ topic, partition, offset: lowWater, why: 'backfill held' })),
    );
    expect(await holds.holds()).toEqual([]);
  });

  describe('an archive that is not whole', () => {
    let first: Chunk;

    beforeEach(async () => {
      await ops.archive.all();
      await trimmed();
      const window = { first: 0 as Offset, next: 100 as Offset };
      [first] = (await ops.archive.store.chunks({ topic: TRAFFIC, partition: 0 }, window, 10)) as [Chunk];
    });

    it('a chunk is gone: FAILED, with its offsets', async () => {
      await ground.tamper(first.ref.locator, { how: 'remove' });
      const { status } = await ops.done({ target: 'ofp' });
      expect(status).toMatchObject({ state: 'FAILED', detail: { code: 'OPS_ARCHIVE_GAP' } });
      expect(status.detail.says).toContain(`${TRAFFIC}/0 from offset 0 to before ${first.next_offset}`);
    });

    it('a byte of it is another: FAILED, with its offsets', async () => {
      await ground.tamper(first.ref.locator, { how: 'flip', offset: first.ref.size >> 1 });
      const { status } = await ops.done({ target: 'ieg' });
      expect(status).toMatchObject({ state: 'FAILED', detail: { code: 'OPS_ARCHIVE_TAMPERED' } });
      expect(status.detail.says).toContain(`${TRAFFIC}/0 from offset 0`);
    });
  });

  describe.each(TARGETS)('%s', (target) => {
    /** What a restart loads of the second run is what this makes of its rows. */
    async function damaged(
      kind: 'events' | 'labels',
      change: (lines: readonly string[]) => readonly string[],
    ): Promise<void> {
      await (target === 'ofp' ? features : graph).engine.checkpoint();
      const database = ground.database(target);
      const { rows: segments } = await database.query<{ segment: number; bytes: Buffer }>(
        `select segment, bytes from segments join runs using (run) where pins ->> 'run_id' = $1 and kind = $2`,
        [PINS[1].run_id, kind],
      );
      for (const { segment, bytes } of segments) {
        const lines = change(gunzipSync(bytes).toString('utf8').trimEnd().split('\n'));
        await database.query('update segments set bytes = $2 where segment = $1', [
          segment,
          gzipSync(lines.map((line) => `${line}\n`).join('')),
        ]);
      }
      await restarted();
    }
    const diverged = async (says: string): Promise<void> => {
      const { status, receipt } = await ops.done({ target, cutover: 'when_equal' });
      expect(status).toMatchObject({ state: 'FAILED', detail: { code: 'REPLAY_DIVERGENCE' } });
      expect(status.detail.says).toBe(`run ${PINS[1].run_id}: ${says}`);
      expect(receipt.verified).toBeNull();
      expect(await rowsOf(target, 'owner')).toMatchObject([{ generation: 1 }]);
      expect(await rowsOf(target, 'generations')).toMatchObject([{ state: 'DIFFERENT' }]);
    };
    const rows = 12 * HISTORIES[target] + 4;

    it('that lost one event says REPLAY_DIVERGENCE and of which run, and stays what is served', async () => {
      await damaged('events', (lines) => lines.slice(1));
      await diverged(`${rows - HISTORIES[target]} rows are served, and the log gives ${rows} rows`);
    });

    it('that lost one label, likewise', async () => {
      await damaged('labels', (lines) => lines.slice(1));
      await diverged(`${rows - 1} rows are served, and the log gives ${rows} rows`);
    });

    it('of which one event has another customer, likewise', async () => {
      await damaged('events', ([first = '', ...rest]) => [first.replace('customer-', 'kustomer-'), ...rest]);
      await diverged(`${rows} rows are served, and the log gives ${rows} rows`);
    });

    it('of which nothing was changed but the order of its rows is equal: the twin', async () => {
      await damaged('events', (lines) => [...lines].reverse());
      expect((await ops.done({ target })).status).toMatchObject({ state: 'COMPLETED' });
    });
  });

  it.each(TARGETS)('%s has let go of what the log gives up to the basis: no difference', async (target) => {
    const { engine } = target === 'ofp' ? features : graph;
    const basis = { ...engine.vector.record().topics };
    // More than a horizon later.
    await shop.pay(400, 402);
    await followed();
    const { status, receipt } = await ops.done({ target, basis });
    expect(status).toMatchObject({ state: 'COMPLETED' });
    expect(receipt.outputs).toMatchObject({ counted: { events: 24 } });
    // What nothing can use is never let go.
    const runs = (receipt.verified?.['runs'] ?? []) as readonly { rows: number }[];
    expect(runs.map(({ rows }) => rows)).toEqual([1, 1]);
  });

  it('a basis that is named is kept to, and one beyond the log is refused', async () => {
    const basis: Record<string, Record<number, number>> = { [TRAFFIC]: { 0: 5, 1: 4 }, [CONTROL]: { 0: 1 } };
    // Offsets have gaps where transactions end: records are counted, never subtracted.
    const all = [...(await recordsOf(ground.bus, TRAFFIC)), ...(await recordsOf(ground.bus, CONTROL))];
    const records = all.filter(
      ({ topic, partition, record }) => record.offset < (basis[topic]?.[partition] ?? 0),
    ).length;
    const { receipt } = await ops.done({ target: 'ofp', basis });
    expect(receipt).toMatchObject({
      outcome: 'COMPLETED',
      outputs: { counted: { records }, basis: { topics: basis } },
    });
    await features.clock.advance(LATER_MS);
    const beyond = await ops.done({ target: 'ofp', basis: { [TRAFFIC]: { 0: 5_000 } } });
    expect(beyond.status.detail).toMatchObject({ code: 'REPLAY_BASIS_UNRESOLVED' });
  });

  it('truth is no target, and what may be one is named', async () => {
    for (const target of ['traffic', 'labels', 'label_store', 'registry', 'engine', 'sr', 'dla', 'fp.bus.traffic.v1']) {
      const refused = ops.declare({ target }, `op-${target}`);
      await expect(refused).rejects.toMatchObject({
        code: 'OPS_JOB_INVALID',
        detail: expect.stringContaining('ofp and ieg can be backfilled'),
      });
      await expect(ops.service.status(`op-${target}`)).rejects.toMatchObject({ code: 'OPS_JOB_NOT_FOUND' });
    }
    await expect(ops.declare({ target: 'ofp', rewrite: true }, 'op-more')).rejects.toMatchObject({
      code: 'OPS_JOB_INVALID',
    });
  });

  it('one operation is one generation and one receipt, however often it is declared and run', async () => {
    const one = await ops.done({ target: 'ofp' }, 'op-once');
    expect(await ops.declare({ target: 'ofp' }, 'op-once')).toMatchObject({ outcome: 'DUPLICATE' });
    expect(await ops.runner.work('op-once')).toBe(false);
    await restarted();
    const plan = one.receipt.outputs?.['plan'] as never;
    const again = await features.service.rebuild({ op_id: 'op-once', plan, to: 'COMPARED' });
    expect(again).toMatchObject({ generation: 2, state: 'EQUAL', counted: one.receipt.outputs?.['counted'] });
    expect(await rowsOf('ofp', 'generations')).toHaveLength(1);
    // Another operation takes its place; what was let go says so.
    await features.clock.advance(LATER_MS);
    await ops.done({ target: 'ofp' }, 'op-next');
    expect(await rowsOf('ofp', 'generations')).toMatchObject([
      { op_id: 'op-once', state: 'DISCARDED' },
      { op_id: 'op-next', state: 'EQUAL' },
    ]);
    await features.clock.advance(LATER_MS);
    await expect(features.service.rebuild({ op_id: 'op-once', plan, to: 'BUILT' })).rejects.toMatchObject({
      code: 'REPLAY_GENERATION_GONE',
    });
  });

  it('a basis that the served state has not come to is waited for, and compared when it has', async () => {
    await shop.pay(12, 14);
    const ends = async () => {
      const offsets = async (topic: typeof TRAFFIC) =>
        Object.fromEntries((await ground.bus.marks(topic)).map(({ partition, highWater }) => [partition, highWater]));
      return { [TRAFFIC]: await offsets(TRAFFIC), [CONTROL]: await offsets(CONTROL) };
    };
    const basis = async () => await ops.plans.named(await ends());
    const { ref: plan } = await ops.plans.settled({ opId: 'op-ahead', source: 'bus', basis });
    const asked = () => features.service.rebuild({ op_id: 'op-ahead', plan, to: 'COMPARED' });
    await eventually(asked, ({ state }) => state === 'BUILT');
    const behind = await eventually(
      async () => {
        // So long the unit waits by itself.
        await features.clock.advance(LATER_MS);
        return await asked().catch((error: unknown) => error);
      },
      (error) => isProbityError(error),
    );
    expect(behind).toMatchObject({ code: 'REPLAY_LIVE_BEHIND', retryable: true });
    await followed();
    expect(await eventually(asked, ({ state }) => state !== 'BUILT')).toMatchObject({
      state: 'EQUAL',
      counted: { events: 28 },
    });
  });

  it('a generation that was begun under other definitions is not gone on with, and one that keeps other members is let go', async () => {
    const { receipt } = await ops.done({ target: 'ofp' }, 'op-old');
    const plan = receipt.outputs?.['plan'] as never;
    const revised = `state = 'BUILDING', policy_rev = jsonb_set(policy_rev, '{revision}', '7')`;
    await ground.database('ofp').query(`update generations set ${revised} where op_id = 'op-old'`);
    const asked = () => features.service.rebuild({ op_id: 'op-old', plan, to: 'BUILT' });
    expect(await eventually(asked, ({ state }) => state !== 'BUILDING')).toMatchObject({
      state: 'FAILED',
      fault: { code: 'REPLAY_POLICY_CHANGED' },
    });
    features = await openPlane(
      ground.database('ofp'),
      shippedDefinitions('handbook_transaction', 'core_merchant'),
      place,
    );
    await expect(asked()).rejects.toMatchObject({ code: 'REPLAY_GENERATION_GONE' });
    expect(await rowsOf('ofp', 'runs')).toEqual([]);
  });

  it('asked by many at once it is done once', async () => {
    const basis = async () => Promise.resolve(asBasis(features.engine.vector.record()));
    const { ref: plan } = await ops.plans.settled({ opId: 'op-many', source: 'bus', basis });
    for (const to of ['BUILT', 'COMPARED', 'LIVE'] as const)
      await eventually(
        async () =>
          await Promise.all(Array.from({ length: 8 }, () => features.service.rebuild({ op_id: 'op-many', plan, to }))),
        (found) => found.some(({ state }) => state === ('COMPARED' === to ? 'EQUAL' : to)),
      );
    expect(await rowsOf('ofp', 'generations')).toMatchObject([
      { state: 'LIVE', counted: { events: 24, labels: 8, invalid: 2 } },
    ]);
    const said = features.telemetry.lines().map(({ event }) => event);
    expect(said.filter((event) => event === 'ofp_generation_compared')).toHaveLength(1);
    expect(said.filter((event) => event === 'ofp_cutover')).toHaveLength(1);
  });

  it('of two operations at once the second one waits', async () => {
    const { receipt } = await ops.done({ target: 'ofp' }, 'op-first');
    const plan = receipt.outputs?.['plan'] as never;
    await expect(features.service.rebuild({ op_id: 'op-second', plan, to: 'BUILT' })).rejects.toMatchObject({
      code: 'REPLAY_BUSY',
      retryable: true,
    });
  });

  it('the new generation takes over while events flow: before, meanwhile and after each answer is that of a plane that was never interrupted', async () => {
    const reference = await openReference();
    const check = async (): Promise<void> => {
      await catchUp(ground.bus, reference.engine);
      await followed();
      expect(await askedOf(features)).toEqual(await askedOf(reference));
    };
    await check();
    const job = ops.done({ target: 'ofp', cutover: 'when_equal' });
    const ended = new AbortController();
    void job.finally(() => ended.abort()).catch(() => undefined);
    let meanwhile = 0;
    let before = features.engine.vector.record();
    for (let n = 12; n < 60 && !ended.signal.aborted; n += 1) {
      await shop.pay(n, n + 1);
      await check();
      const now = features.engine.vector.record();
      for (const [topic, offsets] of Object.entries(before.topics))
        for (const [partition, offset] of Object.entries(offsets))
          expect(now.topics[topic]?.[partition]).toBeGreaterThanOrEqual(offset);
      before = now;
      meanwhile += 1;
    }
    const { status, facts } = await job;
    expect(status).toMatchObject({ state: 'COMPLETED' });
    expect(meanwhile).toBeGreaterThan(2);
    expect(facts.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['BACKFILL_COMPLETED', 'CUTOVER']));
    expect(features.engine.owner.live).toBe(2);
    await shop.pay(60, 62);
    await check();
    // The other one was let go, and whoever starts now begins with the new one.
    expect(new Set((await rowsOf('ofp', 'runs')).map(({ generation }) => generation))).toEqual(new Set([2]));
    await features.engine.checkpoint();
    await restarted();
    expect(features.engine.owner.live).toBe(2);
    expect(await askedOf(features)).toEqual(await askedOf(reference));
    // Made once more, it is still what is served.
    expect((await ops.done({ target: 'ofp' })).status).toMatchObject({ state: 'COMPLETED' });
  });

  it('the graph takes over, too, and answers what it answered', async () => {
    const asked = () =>
      graph.service.neighbours({ pins: PINS[0], identifiers: [{ type: 'customer', id: 'customer-1' }], limit: 50 });
    const before = await asked();
    expect((await ops.done({ target: 'ieg', cutover: 'when_equal' })).status).toMatchObject({ state: 'COMPLETED' });
    expect(graph.engine.owner.live).toBe(2);
    expect(await asked()).toEqual(before);
    await restarted();
    expect(await asked()).toEqual(before);
  });
}
