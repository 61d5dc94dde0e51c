import { beforeEach, describe, expect, it } from '@jest/globals';
import { randomUUID } from 'node:crypto';
import { readReceipt } from '../../src/modules/run-operate/jobs/job.runner.js';
import type { RetentionPolicy } from '../../src/modules/run-operate/retention/retention.policy.js';
import { BuildHolds } from '../../src/modules/offline-feature-shadow/build-holds.js';
import { OfflineFeatureShadowStore } from '../../src/modules/offline-feature-shadow/offline-feature-shadow.store.js';
import type { JsonObject } from '../../src/rails/canonical-json.js';
import { asTopicName, type Offset, type TopicName } from '../../src/rails/eb-ref.js';
import type { Ref } from '../../src/rails/ref.js';
import type { OutgoingRecord, PartitionMarks, PositionStore } from '../../src/substrate/bus/bus.port.js';
import type { ConsumptionAnswer, Reader } from '../../src/substrate/bus/consumption.port.js';
import { UnitConsumption } from '../../src/substrate/bus/unit-consumption.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { recordsOf } from '../support/single-pass.js';
import { appended } from './archive.kit.js';
import { TRAFFIC } from './feature-plane.kit.js';
import { ANALYST } from './label-store.kit.js';
import { DecidedRun, openShadow, type ShadowGround } from './offline-feature-shadow.kit.js';
import { openRetention, retentionPolicy, Said } from './retention.kit.js';

const HOUR_MS = 3_600_000;
const NEVER = new AbortController().signal;

interface Line {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
  readonly aged: number;
  readonly held_by: readonly { readonly by: string; readonly offset: number | null }[];
}

/** Retention and drain over a bus, an archive and a database. */
export function retentionSuite(open: () => ShadowGround): void {
  let ground: ShadowGround;
  let clock: ManualClock;
  let topic: TopicName;
  let said: Said;

  beforeEach(async () => {
    ground = open();
    // Everything that a test appends is an hour old, by this clock.
    clock = new ManualClock(Date.now() + HOUR_MS);
    said = new Said();
    topic = asTopicName(`retention-test.${randomUUID()}`);
    await ground.bus.ensureTopics([{ topic, partitions: 1, recordBytesMax: 1_048_576, retentionMs: null }]);
    // What earlier tests left open is nobody's business here.
    await ground.database('gov').query(
      `insert into job_states (op_id, seq, state, detail, actor, at)
       select op_id, max(seq) + 1, 'ABORTED', '{}', '{}', now() from job_states group by op_id
       having not bool_or(state in ('COMPLETED', 'FAILED', 'ABORTED'))`,
    );
  });

  const kept = (change: Partial<RetentionPolicy['topics'][number]> = {}): RetentionPolicy['topics'][number] => ({
    ...{ topic, keep_ms: 60_000, unarchived: 'kept' as const },
    ...change,
  });
  const retention = (topics = [kept()], notRun: readonly string[] = []) => retentionPolicy(topics, notRun);

  const life = (policy = retention(), archived: readonly TopicName[] = [topic]) => {
    const { bus, objects } = ground;
    return openRetention({ database: ground.database('gov'), bus, objects, clock, said, policy, archived });
  };
  type Life = ReturnType<typeof life>;
  /** All of it, and the lease given back. */
  const archivedBy = async ({ archive }: Life): Promise<void> => {
    await archive.all();
    await archive.writer.onModuleDestroy();
  };

  const declared = async ({ jobs }: Life, kind: string, scope: JsonObject = {}): Promise<string> => {
    const op_id = `op-${randomUUID()}`;
    await jobs.declare({ op_id, kind, scope, purpose: 'a test' }, ANALYST);
    return op_id;
  };
  const ended = async ({ jobs }: Life, opId: string) => {
    const { state, detail } = await jobs.status(opId);
    return { state, detail, receipt: await readReceipt(ground.objects, detail.receipt as Ref) };
  };
  /** One job of retention to its end; what its receipt says of the only partition. */
  const applied = async (one: Life): Promise<Line & { readonly unknown: unknown }> => {
    const opId = await declared(one, 'retention_apply');
    expect(await one.runner.round()).toBe(1);
    const { state, receipt } = await ended(one, opId);
    expect(state).toBe('COMPLETED');
    const { partitions, unknown } = receipt.outputs as unknown as { partitions: readonly Line[]; unknown: unknown };
    return { ...(partitions[0] as Line), unknown };
  };
  const mark = async (): Promise<PartitionMarks> => (await ground.bus.marks(topic))[0] as PartitionMarks;
  const written = async (count: number): Promise<void> => {
    await appended(
      ground.bus,
      topic,
      0,
      Array.from({ length: count }, (_, at) => `{"n":${at}}`),
    );
  };
  const offsets = async (): Promise<readonly Offset[]> =>
    (await recordsOf(ground.bus, topic)).map(({ record }) => record.offset);
  const place = (offset: number | null, noted: number | null = offset) => ({
    ...{ topic, partition: 0 },
    next_offset: offset as Offset | null,
    restart_offset: noted as Offset | null,
  });
  const standing = (role: string, offset: number | null, more: Partial<ConsumptionAnswer> = {}): Reader => ({
    ...{ role, topics: [topic] },
    answer: { positions: [place(offset)], holds: [], ...more },
  });

  describe('retention', () => {
    it('takes away what is old, archived and read by everybody, and nothing else; again it finds nothing to do', async () => {
      await written(25);
      const one = life();
      await archivedBy(one);
      const { highWater } = await mark();
      said.list = [standing('df', highWater), standing('ofp', highWater)];
      const line = await applied(one);
      expect(line).toMatchObject({ from: 0, to: highWater, aged: highWater, held_by: [], unknown: [] });
      expect((await mark()).lowWater).toBe(highWater);
      await written(3);
      // Young by a clock that has not moved on since, and old by one that has.
      const { highWater: after } = await mark();
      said.list = [standing('df', after)];
      const early = life(retention([kept({ keep_ms: 2 * HOUR_MS })]));
      await archivedBy(early);
      expect(await applied(early)).toMatchObject({ from: highWater, to: highWater, held_by: [] });
      expect(await applied(life())).toMatchObject({ from: highWater, to: after });
      expect(await one.metricsText()).toMatch(/ops_retention_trimmed_total\{[^}]*\} 2[5-9]/);
    });

    it.each<[string, (at: Offset, high: Offset) => readonly Reader[], string | RegExp]>([
      ['a consumer that lags', (at, high) => [standing('ofp', at), standing('df', high)], 'ofp'],
      [
        'work under way that reads from there',
        (at, high) => [
          standing('ofs', high, { holds: [{ topic, partition: 0, offset: at, why: 'dataset build 3f' }] }),
        ],
        'dataset build 3f',
      ],
    ])('%s keeps the log from its place on, and is named', async (_, readers, by) => {
      await written(25);
      const one = life();
      await archivedBy(one);
      const [at, { highWater }] = [(await offsets())[12] as Offset, await mark()];
      said.list = [...readers(at, highWater)];
      expect(await applied(one)).toMatchObject({ to: at, aged: highWater, held_by: [{ by, offset: at }] });
      expect((await mark()).lowWater).toBe(at);
      expect(one.text()).toContain('ops_retention_held');
    });

    it('what a start would read stays, also where none of it is work', async () => {
      await written(25);
      const one = life();
      await archivedBy(one);
      const [at, { highWater }] = [(await offsets())[12] as Offset, await mark()];
      said.list = [standing('df', highWater, { positions: [place(highWater, at)] })];
      expect(await applied(one)).toMatchObject({ to: at, held_by: [{ by: 'df', offset: at }] });
      // Of who has noted nothing, a start begins at the oldest record that there is.
      said.list = [standing('df', highWater, { positions: [place(highWater, null)] })];
      expect(await applied(life())).toMatchObject({ from: at, to: highWater });
    });

    it('who cannot be asked, or has not begun, keeps everything; a role that is not run is not asked', async () => {
      await written(12);
      const one = life();
      await archivedBy(one);
      const { highWater } = await mark();
      const away: Reader = { role: 'ieg', topics: [topic], answer: null, fault: 'RPC_UNAVAILABLE: nobody runs it' };
      said.list = [standing('df', highWater), away];
      const held = await applied(one);
      expect(held).toMatchObject({ to: held.from, unknown: [{ role: 'ieg' }] });
      expect(held.held_by).toEqual([{ by: expect.stringContaining('ieg (RPC_UNAVAILABLE'), offset: null }]);
      said.list = [standing('df', highWater), standing('ieg', null)];
      expect(await applied(one)).toMatchObject({ to: held.from, held_by: [{ by: 'ieg', offset: null }] });
      said.list = [standing('df', highWater), away];
      const without = life(retention([kept()], ['ieg']));
      expect(await applied(without)).toMatchObject({ to: highWater, unknown: [] });
    });

    it('what is not archived stays, and so does what the archive has lost', async () => {
      await written(20);
      const one = life();
      const { highWater } = await mark();
      said.list = [standing('df', highWater)];
      expect(await applied(one)).toMatchObject({ to: 0, held_by: [{ by: 'archive', offset: null }] });
      await archivedBy(one);
      const at = { topic, partition: 0 };
      const chunks = await one.archive.store.chunks(at, { first: 0 as Offset, next: highWater }, 100);
      const last = chunks.at(-1);
      if (last === undefined || chunks.length < 2) throw new Error('too few chunks');
      await ground.tamper(last.ref.locator, { how: 'remove' });
      const line = await applied(one);
      expect(line).toMatchObject({ to: last.first_offset, aged: highWater });
      expect(line.held_by[0]?.by).toContain(last.ref.locator);
      expect((await mark()).lowWater).toBe(last.first_offset);
    });

    it('a topic without an archive goes only where the policy allows it, and one that is kept for ever never', async () => {
      await written(8);
      const { highWater } = await mark();
      said.list = [standing('df', highWater)];
      expect(await applied(life(retention(), []))).toMatchObject({ to: 0, aged: highWater });
      expect(await applied(life(retention([kept({ keep_ms: null, unarchived: 'allowed' })]), []))).toMatchObject({
        ...{ to: 0, aged: 0, held_by: [] },
      });
      expect(await applied(life(retention([kept({ unarchived: 'allowed' })]), []))).toMatchObject({ to: highWater });
    });

    it('a shorter time is refused while the archive lags or work under way needs more; a longer one never is', async () => {
      await written(12);
      const one = life(retention([kept({ keep_ms: HOUR_MS * 24 })]));
      const { highWater } = await mark();
      said.list = [standing('df', 0)];
      const shorter = retention();
      await expect(one.guard.demand(shorter)).rejects.toMatchObject({ code: 'OPS_RETENTION_SHORT' });
      await expect(one.guard.demand(retention([kept({ keep_ms: null })]))).resolves.toBeUndefined();
      await archivedBy(one);
      // A consumer that lags is no reason: it holds up the job until it has caught up.
      await expect(one.guard.demand(shorter)).resolves.toBeUndefined();
      said.list = [
        standing('ofs', highWater, { holds: [{ topic, partition: 0, offset: 4 as Offset, why: 'a build' }] }),
      ];
      await expect(one.guard.demand(shorter)).rejects.toMatchObject({
        code: 'OPS_RETENTION_SHORT',
        detail: expect.stringContaining('a build needs it from 4 on'),
      });
    });
  });

  describe('what a unit says that it needs', () => {
    class Store implements PositionStore {
      at: Offset | undefined = 0 as Offset;
      needs({ value }: OutgoingRecord): boolean {
        return Buffer.from(value).toString().includes('work');
      }
      positions() {
        return Promise.resolve(this.at === undefined ? [] : [{ topic, partition: 0, offset: this.at }]);
      }
    }
    const asked = async (store: PositionStore, start: 'low-water' | 'high-water' = 'low-water'): Promise<unknown> =>
      (
        await new UnitConsumption(
          ground.bus,
          { store, topics: [topic, `${topic}.missing`], startWhenUnknown: start },
          undefined,
        ).positions()
      ).positions;

    it('lies behind what is no work of it, at the first record that is, and at the end of a log that has none', async () => {
      const store = new Store();
      await appended(ground.bus, topic, 0, ['no', 'no', 'work', 'no']);
      const [, , third] = await offsets();
      expect(await asked(store)).toEqual([place(third as Offset, 0)]);
      store.at = ((third as Offset) + 1) as Offset;
      // Where a log ends in something that is no record, nobody waits for it.
      expect(await asked(store)).toEqual([place((await mark()).highWater, store.at)]);
      // Who has noted nothing yet begins at the oldest record, and passes by what is none of its work as well.
      store.at = undefined;
      expect(await asked(store)).toEqual([place(third as Offset, null)]);
      expect(await asked(store, 'high-water')).toEqual([place(null)]);
    });

    it('is what a start would read, where that is less than what is in memory', async () => {
      await appended(ground.bus, topic, 0, ['work', 'work']);
      const [first, second] = await offsets();
      const store = new Store();
      store.at = second;
      expect(await asked(store)).toEqual([place(second as Offset)]);
      const restarting = Object.assign(store, {
        restartsAt: () => Promise.resolve([{ topic, partition: 0, offset: first as Offset }]),
      });
      expect(await asked(restarting)).toEqual([place(first as Offset)]);
    });

    it('a build that may read nothing but the bus holds it until it has ended; one that may read the archive does not', async () => {
      const run = await DecidedRun.open(ground);
      const shadow = openShadow(ground, run, { clock: new ManualClock(Date.parse('2018-06-01T00:00:00Z')) });
      await shadow.labels.ready(run.pins);
      await run.pay({ id: `r-${randomUUID()}`, second: 10 });
      const holds = new BuildHolds(new OfflineFeatureShadowStore(ground.database('ofs'), clock), ground.bus);
      await shadow.ask({ source: 'auto' });
      expect(await holds.holds()).toEqual([]);
      const { build } = await shadow.ask({ source: 'bus' });
      const why = `dataset build ${build.dataset_manifest_id.slice(0, 12)}`;
      expect(await holds.holds()).toContainEqual({ topic: TRAFFIC, partition: 0, offset: 0, why });
      await shadow.service.cancel(build.dataset_manifest_id, ANALYST);
      expect(await holds.holds()).toEqual([]);
    });
  });

  describe('a drain', () => {
    const factsOf = async (opId: string): Promise<readonly string[]> => {
      const { rows } = await ground
        .database('gov')
        .query<{ kind: string }>('select kind from facts where op_id = $1 order by number', [opId]);
      return rows.map(({ kind }) => kind);
    };

    it('waits for everybody up to where the log ended when it began, and says where each stood', async () => {
      await written(10);
      const one = life();
      const { highWater } = await mark();
      said.list = [standing('df', highWater), standing('ofp', 3)];
      const opId = await declared(one, 'drain', { topics: [topic] });
      expect(await one.runner.round()).toBe(0);
      expect((await one.jobs.status(opId)).state).toBe('RUNNING');
      // What comes later is none of its business; another process goes on with the same target.
      await written(10);
      said.list = [standing('df', highWater), standing('ofp', highWater)];
      const other = life();
      expect(await other.runner.round()).toBe(1);
      const { state, receipt } = await ended(other, opId);
      const reached = { topic, partition: 0, next_offset: highWater };
      expect({ state, outputs: receipt.outputs }).toEqual({
        state: 'COMPLETED',
        outputs: {
          target: [{ topic, partition: 0, offset: highWater }],
          groups: [
            { role: 'df', positions: [reached] },
            { role: 'ofp', positions: [reached] },
          ],
        },
      });
      expect(await factsOf(opId)).toEqual([
        ...['JOB_DECLARED', 'JOB_STARTED', 'DRAIN_STARTED', 'JOB_COMPLETED', 'DRAIN_COMPLETED'],
      ]);
    });

    it('holds up nobody while it waits, and is late by name once its time is over', async () => {
      await written(10);
      const one = life();
      const { highWater } = await mark();
      const away: Reader = { role: 'ieg', topics: [topic], answer: null, fault: 'RPC_UNAVAILABLE: gone' };
      said.list = [standing('ofp', 3), standing('df', highWater), away];
      const opId = await declared(one, 'drain', { topics: [topic], within_ms: 5_000 });
      const behind = await declared(one, 'retention_apply');
      expect(await one.runner.round()).toBe(1);
      expect((await one.jobs.status(behind)).state).toBe('COMPLETED');
      await clock.advance(4_999);
      expect(await one.runner.round()).toBe(0);
      // A process that comes later does not begin to count anew.
      await clock.advance(1);
      expect(await life().runner.round()).toBe(1);
      const { state, detail } = await ended(one, opId);
      expect([state, detail.code]).toEqual(['FAILED', 'OPS_DRAIN_LATE']);
      expect(detail.says).toContain(`ofp is at 3 of ${highWater} on ${topic}/0`);
      expect(detail.says).toContain('ieg could not be asked (RPC_UNAVAILABLE: gone)');
      expect(await factsOf(opId)).toEqual(['JOB_DECLARED', 'JOB_STARTED', 'DRAIN_STARTED', 'JOB_FAILED']);
    });

    it('goes to the offsets that it is given, and refuses those that nobody can reach', async () => {
      await written(10);
      const one = life();
      const [at, { highWater }] = [(await offsets())[4] as Offset, await mark()];
      said.list = [standing('ofp', at)];
      const reached = await declared(one, 'drain', { to: { [topic]: { '0': at } } });
      expect(await one.runner.round()).toBe(1);
      expect((await one.jobs.status(reached)).state).toBe('COMPLETED');
      for (const scope of [
        { to: { [topic]: { '0': highWater + 1 } } },
        { to: { [topic]: { '7': 0 } } },
        { topics: ['nobody-reads.v1'] },
      ]) {
        const opId = await declared(one, 'drain', scope);
        expect(await one.runner.round()).toBe(1);
        expect((await one.jobs.status(opId)).detail).toMatchObject({ code: 'OPS_DRAIN_TARGET' });
      }
    });
  });

  it('nothing is asked of a job that was cancelled', async () => {
    await written(3);
    const one = life();
    const stop = new AbortController();
    stop.abort(new Error('cancelled'));
    said.list = [];
    await archivedBy(one);
    await expect(one.apply.run({}, { opId: 'x', signal: stop.signal })).rejects.toThrow('cancelled');
    expect((await mark()).lowWater).toBe(0);
    expect((await one.apply.run({}, { opId: 'x', signal: NEVER }))['partitions']).toHaveLength(1);
  });
}
