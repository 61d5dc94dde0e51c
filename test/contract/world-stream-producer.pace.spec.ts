import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { toEpochMicros, type UtcMicros } from '../../src/rails/time.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { expectWhole } from './world-stream-producer.contract.js';
import { type MadeRun, Producer, putRun, rowsOf, scratchObjects, ScriptedGate } from './world-stream-producer.kit.js';

/** Time is moved by the test alone, so that every emission has a world's time that can be told exactly. */
describe('the pace of a stream', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;
  let scratch: { readonly objects: Objects; readonly close: () => Promise<void> };
  let producer: Producer | undefined;

  beforeAll(async () => {
    postgres = await openTestPostgres();
    [database, scratch] = await Promise.all([postgres.fresh({ schemas: ['wsp'] }), scratchObjects()]);
  });

  afterEach(async () => {
    await producer?.stop();
  });

  afterAll(async () => {
    await scratch.close();
    await postgres.close();
  });

  const FACTOR = 60;
  /** 80 rows, 1.5 s of domain time apart: 118.5 s, which 60 times as fast takes 1,975 ms. */
  const ROWS = rowsOf(80, { stepMs: 1_500 });
  const first = toEpochMicros(ROWS[0]?.ts_utc as UtcMicros);

  async function begin(): Promise<{ clock: ManualClock; gate: ScriptedGate; one: Producer; run: MadeRun; t0: number }> {
    const clock = new ManualClock();
    const gate = new ScriptedGate(clock);
    const run = await putRun(scratch.objects, {
      key: randomUUID(),
      outputs: [{ output_id: 'transactions', rows: ROWS }],
      partRows: 30,
    });
    const one = new Producer({
      database,
      objects: scratch.objects,
      gate,
      clock,
      timings: { backOff: { firstMs: 40, maxMs: 80 } },
    });
    producer = one;
    return { clock, gate, one, run, t0: clock.monotonicMs() };
  }

  /** Moves the time in steps, each after the stream had its turn, until the condition holds. */
  async function play(clock: ManualClock, until: () => Promise<boolean> | boolean): Promise<void> {
    await eventually(
      async () => {
        await clock.advance(20);
        return await until();
      },
      Boolean,
      15_000,
    );
  }

  /** The world's time by which everything that was sent had to lie, after so many milliseconds of play. */
  const simAfter = (playedMs: number): number => first + playedMs * FACTOR * 1_000;

  it('never sends what lies beyond the time of the world, and takes as long as the world divided by the factor', async () => {
    const { clock, gate, one, run, t0 } = await begin();
    await one.start(run, { pace: { mode: 'speed_up', factor: FACTOR } });
    await play(clock, async () => (await one.status(run)).state === 'COMPLETED');
    expectWhole(await one.status(run), 80);
    expect(gate.submittedAt.length).toBeGreaterThan(30);
    for (const { monotonicMs, lastTs } of gate.submittedAt)
      expect(toEpochMicros(lastTs)).toBeLessThanOrEqual(simAfter(monotonicMs - t0));
    expect(clock.monotonicMs() - t0).toBeGreaterThanOrEqual(1_975);
    expect([...gate.admitted.keys()]).toHaveLength(80);
  });

  it('as fast as accepted needs no time at all: the twin of the test above', async () => {
    const { clock, gate, one, run, t0 } = await begin();
    await one.start(run);
    expectWhole(await one.until(run, 'COMPLETED'), 80);
    expect(clock.monotonicMs()).toBe(t0);
    const late = gate.submittedAt.filter(
      ({ monotonicMs, lastTs }) => toEpochMicros(lastTs) > simAfter(monotonicMs - t0),
    );
    expect(late.length).toBeGreaterThan(0);
  });

  it('stands still while the gate does not take what it is sent, and makes up for none of it', async () => {
    const { clock, gate, one, run, t0 } = await begin();
    let closed = false;
    gate.script = {
      before: () => (closed ? Promise.reject(new ProbityError('IG_RATE_LIMITED', 'not now')) : undefined),
    };
    await one.start(run, { pace: { mode: 'speed_up', factor: FACTOR } });
    await play(clock, () => gate.admitted.size > 20);
    closed = true;
    const fromMs = clock.monotonicMs();
    await play(clock, async () => (await one.status(run)).state === 'THROTTLED');
    const held = await one.status(run);
    // Three seconds of this clock are three minutes of the world: it would be over.
    const untilMs = fromMs + 3_000;
    await play(clock, () => clock.monotonicMs() >= untilMs);
    expect((await one.status(run)).sim_now_utc).toBe(held.sim_now_utc);
    closed = false;
    const openedMs = clock.monotonicMs();
    await play(clock, async () => (await one.status(run)).state === 'COMPLETED');
    expectWhole(await one.status(run), 80);
    // Until the first refusal the clock ran: at most one step of the play after the door was shut, and a row's distance.
    const stoodMs = openedMs - fromMs - 60;
    const after = gate.submittedAt.filter(({ monotonicMs }) => monotonicMs > openedMs);
    expect(after.length).toBeGreaterThan(20);
    for (const { monotonicMs, lastTs } of after)
      expect(toEpochMicros(lastTs)).toBeLessThanOrEqual(simAfter(monotonicMs - t0 - stoodMs));
  });

  it('can be changed under way, and goes on from where the world stands', async () => {
    const { clock, gate, one, run } = await begin();
    await one.start(run, { pace: { mode: 'speed_up', factor: 1 } });
    await play(clock, () => gate.admitted.size >= 2);
    expect(gate.admitted.size).toBeLessThan(10);
    await one.start(run, { pace: { mode: 'as_fast_as_accepted' } });
    expectWhole(await one.until(run, 'COMPLETED'), 80);
    expect(await one.status(run)).toMatchObject({ pace: { mode: 'as_fast_as_accepted' }, duplicate: 0 });
  });

  it('asks to be left alone as long as it says: Retry-After comes before the back-off', async () => {
    const { clock, gate, one, run } = await begin();
    let refusals = 0;
    gate.script = {
      before: (call) =>
        call <= 2 && (refusals += 1) <= 2
          ? Promise.reject(new ProbityError('IG_RATE_LIMITED', 'later', { data: { retry_after_ms: 5_000 } }))
          : undefined,
    };
    await one.start(run);
    await eventually(() => gate.submittedAt.length >= 2);
    const refusedAt = gate.submittedAt[0]?.monotonicMs ?? 0;
    await play(clock, () => gate.admitted.size > 0);
    expect((gate.submittedAt[2]?.monotonicMs ?? 0) - refusedAt).toBeGreaterThanOrEqual(5_000);
  });
});
