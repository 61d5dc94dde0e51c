import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import type { Seed } from '../../src/rails/pins.js';
import type { WorldSeal } from '../../src/modules/data-engine/data-engine.port.js';
import {
  readyKey,
  readyMessageId,
  type RunRequest,
  runIdOf,
  runKey,
} from '../../src/modules/scenario-runner/scenario-runner.port.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import type { Bus } from '../../src/substrate/bus/bus.port.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import {
  ask,
  ended,
  ensureControlTopic,
  eventNames,
  type Ground,
  makes,
  openRunner,
  requestOf,
  signalsOf,
  statusOf,
} from '../contract/scenario-runner.kit.js';
import { openEmbeddedBus } from '../support/bus.js';
import { openTestPostgres, type TestPostgres } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { temporaryFolder } from '../support/objects-harness.js';
import { BASELINE } from '../support/world-builder.js';
import { Mortal } from './scenario-runner.mortal.js';

const FULL = process.env['PROBITY_FAULTS'] === 'full';

/** Short, so that a successor need not wait long for the leases of the dead. */
const PACE = { leaseMs: 40, idleMs: 10 };

describe('a run whose process dies', () => {
  let ground: Ground;
  let postgres: TestPostgres;
  let close: () => Promise<void>;

  beforeAll(async () => {
    postgres = await openTestPostgres();
    const database = await postgres.fresh({ schemas: ['bus', 'sr'] });
    const { bus, close: closeBus } = await openEmbeddedBus(database);
    await ensureControlTopic(bus);
    const folder = await temporaryFolder();
    const objects = await FilesObjects.open(folder, new SystemClock());
    ground = { database: database.forSchema('sr'), objects, bus };
    close = async () => {
      await closeBus();
      await objects.close();
      await postgres.close();
      await rm(folder, { recursive: true, force: true });
    };
  });
  afterAll(() => close());

  const freshRequest = (): RunRequest =>
    requestOf(`fault/${randomBytes(8).toString('hex')}`, {
      world: { ...BASELINE, seed: randomBytes(7).readUIntBE(0, 6).toString() as Seed },
    });
  const engine = (status: WorldSeal['status']) => makes(ground.objects, { status }, 1);

  /** One life that ends at the given write, and a second one that finishes; gives the writes of the first. */
  async function livesTwice(request: RunRequest, { at, when, alone, status }: Fate): Promise<readonly string[]> {
    const mortal = new Mortal(at, when);
    const runId = runIdOf(request.run_equivalence_key);
    const first = openRunner(mortal.stand(ground, alone), { engine: engine(status), pace: PACE });
    const answered = await ask(first, request).then(
      () => true,
      () => false,
    );
    if (at === Infinity) await ended(first, runId);
    else await eventually(() => mortal.dead);
    await first.stop();

    const second = openRunner(new Mortal(Infinity, 'after').stand(ground, alone), {
      engine: engine(status),
      pace: PACE,
    });
    try {
      // Who got no answer asks again; who got one need not: the run is found by whoever looks next.
      if (!answered) await ask(second, request);
      await ended(second, runId);
      const end = await statusOf(second, runId);
      expect(end.state).toBe(status === 'SEALED_OK' ? 'READY' : 'FAILED');
      const names = await eventNames(second, runId);
      const ends = names.filter((name) => ['READY_COMMITTED', 'RUN_FAILED', 'RUN_QUARANTINED'].includes(name));
      expect(ends).toEqual([status === 'SEALED_OK' ? 'READY_COMMITTED' : 'RUN_FAILED']);
      for (const once of ['RUN_ACCEPTED', 'PLAN_COMMITTED', 'FACTS_VIEW_COMMITTED', 'READY_PUBLISHED'])
        expect(names.filter((name) => name === once).length).toBeLessThanOrEqual(1);
      const record = JSON.parse(await textUnder(runId, 'record.json')) as { events: { event: string }[] };
      expect(record.events.at(-1)?.event).toBe(ends[0]);
      await (status === 'SEALED_OK' ? expectReady(runId, alone) : expectFailed(runId));
    } finally {
      await second.stop();
    }
    return mortal.log;
  }

  async function textUnder(runId: string, name: string): Promise<string> {
    const ref = await ground.objects.head(runKey(runId, name));
    if (ref === null) throw new Error(`${name} is not there`);
    return (await ground.objects.read(ref)).toString('utf8');
  }

  async function expectReady(runId: string, alone: boolean): Promise<void> {
    const view = await ground.objects.head(runKey(runId, 'facts_view.json'));
    const messageId = readyMessageId(runId, view?.digest.hex ?? '');
    expect(JSON.parse(await textUnder(runId, 'ready.json'))).toMatchObject({ facts_view: view, message_id: messageId });
    const signals = await signalsOf(ground.bus, runId);
    // At least once on a bus of its own, the very same bytes each time; exactly once where it is one with the database.
    expect(signals.length).toBeGreaterThanOrEqual(1);
    if (!alone) expect(signals).toHaveLength(1);
    expect(new Set(signals.map(({ text }) => text)).size).toBe(1);
    expect(signals[0]?.envelope.event_id).toBe(messageId);
    expect(await ground.objects.head(runKey(runId, 'failed.json'))).toBeNull();
  }

  async function expectFailed(runId: string): Promise<void> {
    expect(JSON.parse(await textUnder(runId, 'failed.json'))).toMatchObject({ reasons: ['GATE_FAIL'] });
    expect(await ground.objects.head(readyKey(runId))).toBeNull();
    expect(await signalsOf(ground.bus, runId)).toEqual([]);
  }

  it.each([
    ['bus and database are one', 'SEALED_OK', false],
    ['the bus is a server of its own', 'SEALED_OK', true],
    ['the world is not good', 'SEALED_FAILED', false],
  ] as const)('at any write ends the same: %s', async (_name, status, alone) => {
    const whole = await livesTwice(freshRequest(), { at: Infinity, when: 'after', alone, status });
    const expected =
      status === 'SEALED_OK' ? ['facts_view.json', 'ready.json', 'record.json'] : ['failed.json', 'record.json'];
    expect(whole.filter((what) => what.startsWith('put')).slice(2)).toEqual(expected.map((name) => `put ${name}`));
    if (status === 'SEALED_OK')
      expect(whole.lastIndexOf('an append')).toBeGreaterThan(whole.indexOf('put record.json'));

    // What a successor finds after one write is what it finds before the next; the full run takes both all the same.
    const first = FULL || (status === 'SEALED_OK' && !alone) ? 1 : whole.length - 4;
    for (let at = first; at <= whole.length; at += 1) {
      for (const when of FULL ? (['before', 'after'] as const) : (['after'] as const)) {
        const log = await livesTwice(freshRequest(), { at, when, alone, status });
        expect(log.length).toBeGreaterThanOrEqual(at);
      }
    }
  });

  it('goes on as somebody else who took its lease: the sleeper writes nothing when it wakes', async () => {
    const request = freshRequest();
    const runId = runIdOf(request.run_equivalence_key);
    const frozen = new Frozen(ground.objects, 'ready.json');
    const sleeper = openRunner({ ...ground, objects: frozen.objects }, { engine: engine('SEALED_OK'), pace: PACE });
    await ask(sleeper, request);
    await frozen.reached;
    const successor = openRunner(ground, { engine: engine('SEALED_OK'), pace: PACE });
    const end = await ended(successor, runId);
    const before = await eventNames(successor, runId);
    frozen.thaw();
    await eventually(
      () => eventNames(successor, runId),
      (names) => names.includes('LEASE_LOST'),
    );
    await Promise.all([sleeper.stop(), successor.stop()]);
    expect(await statusOf(successor, runId)).toEqual(end);
    expect(await eventNames(successor, runId)).toEqual([...before, 'LEASE_LOST']);
    expect(await signalsOf(ground.bus, runId)).toHaveLength(1);
    expect(await sleeper.telemetry.metricsText()).toMatch(/sr_lease_conflicts_total\{[^}]*how="lost"[^}]*\} 1/);
  });

  it('is made known again from its objects when the database is lost: READY stays READY', async () => {
    const request = freshRequest();
    const runId = runIdOf(request.run_equivalence_key);
    const before = openRunner(ground, { engine: engine('SEALED_OK'), pace: PACE });
    await ask(before, request);
    const ready = await ended(before, runId);
    await before.stop();

    const database = await postgres.fresh({ schemas: ['bus', 'sr'] });
    const { bus, close: closeBus } = await openEmbeddedBus(database);
    await ensureControlTopic(bus);
    const empty = { ...ground, database: database.forSchema('sr'), bus };
    // A stricter policy and an engine that fails: neither can take back what was said.
    const gates = { required_gates: ['engine.output', 'engine.audit'] };
    const after = openRunner(empty, { engine: engine('SEALED_FAILED'), pace: PACE, gates, revision: 2 });
    await statusOf(after, runId);
    const again = await ended(after, runId);
    expect(again).toEqual({ ...ready, attempts: 0, changed_at_utc: again.changed_at_utc });
    expect(await signalsOf(bus, runId)).toHaveLength(1);
    await after.stop();
    await closeBus();
  });

  it.each([
    ['nothing was appended', false, 1],
    ['it was appended and the answer was lost', true, 2],
  ])('sends its signal again after a failure of the bus: %s', async (_name, appends, count) => {
    const request = freshRequest();
    const runId = runIdOf(request.run_equivalence_key);
    const lame = lameBus(ground.bus, appends);
    const runner = openRunner({ ...ground, bus: lame }, { engine: engine('SEALED_OK'), pace: PACE });
    await ask(runner, request);
    expect(await ended(runner, runId)).toMatchObject({ state: 'READY' });
    await runner.stop();
    const signals = await signalsOf(ground.bus, runId);
    expect(signals).toHaveLength(count);
    expect(new Set(signals.map(({ text }) => text)).size).toBe(1);
    const names = await eventNames(runner, runId);
    expect(names.filter((name) => name.startsWith('READY_'))).toEqual([
      'READY_COMMITTED',
      'READY_PUBLISH_FAILED',
      'READY_PUBLISHED',
    ]);
    expect(await runner.telemetry.metricsText()).toMatch(/sr_ready_publish_retries_total\{[^}]*\} 1/);
  });

  it('is stopped by a facts view that stands with other bytes', async () => {
    const request = freshRequest();
    const runId = runIdOf(request.run_equivalence_key);
    await ground.objects.putIfAbsent(runKey(runId, 'facts_view.json'), Buffer.from('{}'), {
      mediaType: 'application/json',
    });
    const runner = openRunner(ground, { engine: engine('SEALED_OK'), pace: PACE });
    await ask(runner, request);
    expect(await ended(runner, runId)).toMatchObject({ state: 'QUARANTINED', reasons: ['FACTS_VIEW_DRIFT'] });
    expect(await signalsOf(ground.bus, runId)).toEqual([]);
    await runner.stop();
  });

  it('is stopped by a plan of another request', async () => {
    const other = openRunner(ground, { engine: engine('SEALED_OK'), pace: PACE });
    const first = freshRequest();
    await ask(other, first);
    await ended(other, runIdOf(first.run_equivalence_key));
    const foreign = await textUnder(runIdOf(first.run_equivalence_key), 'plan.json');
    const request = freshRequest();
    const runId = runIdOf(request.run_equivalence_key);
    await ground.objects.putIfAbsent(runKey(runId, 'plan.json'), Buffer.from(foreign), {
      mediaType: 'application/json',
    });
    await ask(other, request);
    expect(await ended(other, runId)).toMatchObject({ state: 'QUARANTINED', reasons: ['PLAN_DRIFT'] });
    await other.stop();
  });

  it('keeps its verdict also against statements that no code of the unit makes', async () => {
    const request = freshRequest();
    const runId = runIdOf(request.run_equivalence_key);
    const runner = openRunner(ground, { engine: engine('SEALED_OK'), pace: PACE });
    await ask(runner, request);
    await ended(runner, runId);
    await runner.stop();
    for (const change of [`state = 'FAILED', verdict = 'FAILED'`, `state = 'OPEN'`, 'verdict = null'])
      await expect(ground.database.query(`update runs set ${change} where run_id = $1`, [runId])).rejects.toMatchObject(
        {
          code: 'DATABASE_CONSTRAINT',
        },
      );
    for (const table of ['run_events', 'signals', 'world_seals', 'supersessions'])
      await expect(ground.database.query(`delete from ${table}`)).rejects.toMatchObject({
        code: expect.stringMatching(/DATABASE_(FORBIDDEN|APPEND_ONLY)/),
      });
  });
});

interface Fate {
  readonly at: number;
  readonly when: 'before' | 'after';
  readonly alone: boolean;
  readonly status: WorldSeal['status'];
}

/** A store in which the put of one object stands still until it is thawed, as in a process that does not get on. */
class Frozen {
  readonly objects: Objects;
  readonly reached: Promise<void>;
  thaw: () => void = () => undefined;

  constructor(inner: Objects, name: string) {
    const thawed = new Promise<void>((resolve) => (this.thaw = resolve));
    let arrive: () => void = () => undefined;
    this.reached = new Promise((resolve) => (arrive = resolve));
    this.objects = new Proxy(inner, {
      get(target, member) {
        const value: unknown = Reflect.get(target, member, target);
        if (typeof value !== 'function') return value;
        if (member !== 'putIfAbsent') return value.bind(target) as unknown;
        return async (...args: Parameters<Objects['putIfAbsent']>) => {
          if (args[0].endsWith(`/${name}`)) {
            arrive();
            await thawed;
          }
          return await target.putIfAbsent(...args);
        };
      },
    });
  }
}

/** A bus of its own server whose first append fails, before or after it has happened. */
function lameBus(inner: Bus, appends: boolean): Bus {
  let failed = false;
  const openProducer: Bus['openProducer'] = async (options) => {
    const producer = await inner.openProducer(options);
    return {
      ...producer,
      close: () => producer.close(),
      append: async (batch) => {
        if (failed) return await producer.append(batch);
        failed = true;
        if (appends) await producer.append(batch);
        throw new ProbityError(appends ? 'BUS_APPEND_UNKNOWN' : 'BUS_UNAVAILABLE', 'the line is cut');
      },
    };
  };
  return new Proxy(inner, {
    get(target, member) {
      if (member === 'transactional') return undefined;
      if (member === 'openProducer') return openProducer;
      const value: unknown = Reflect.get(target, member, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}
