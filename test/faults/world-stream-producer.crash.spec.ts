import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { expectWhole, sealedIds } from '../contract/world-stream-producer.contract.js';
import {
  Producer,
  putRun,
  rowsOf,
  scratchObjects,
  ScriptedGate,
  type ScriptedAnswer,
} from '../contract/world-stream-producer.kit.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { eventually } from '../support/eventually.js';

const FULL = process.env['PROBITY_FAULTS'] === 'full';

describe('a producer that fails between any two of its steps', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;
  let scratch: { readonly objects: Objects; readonly close: () => Promise<void> };

  beforeAll(async () => {
    postgres = await openTestPostgres();
    [database, scratch] = await Promise.all([postgres.fresh({ schemas: ['wsp'] }), scratchObjects()]);
  });

  afterAll(async () => {
    await scratch.close();
    await postgres.close();
  });

  const OUTPUTS = [
    { output_id: 'transactions', rows: rowsOf(130) },
    { output_id: 'refunds', rows: rowsOf(20, { prefix: 'r', stepMs: 4_000 }) },
  ];

  /**
   * From its nth call to the outside on, the process stands still: the call is not made, or it is made and its answer never comes. What
   * it has done stands; what it holds is held until its lease runs out.
   */
  class StandingStill {
    reached = false;
    #calls = 0;

    constructor(
      private readonly at: number,
      private readonly made: boolean,
    ) {}

    wrap<Port extends object>(port: Port, methods: readonly string[]): Port {
      return new Proxy(port, {
        get: (target, property) => {
          const value: unknown = Reflect.get(target, property, target);
          if (typeof value !== 'function') return value;
          const bound = value.bind(target) as (...args: readonly unknown[]) => unknown;
          if (!methods.includes(String(property))) return bound;
          return async (...args: readonly unknown[]) => {
            this.#calls += 1;
            if (this.#calls < this.at) return await bound(...args);
            if (this.#calls === this.at && this.made) await bound(...args);
            this.reached = true;
            return await new Promise(() => undefined);
          };
        },
      });
    }
  }

  it('is gone on for by the next one: the sealed set exactly, counts that add up, one fact of the pass', async () => {
    let at = 1;
    for (; at < 200; at += FULL ? 1 : 2) {
      const reached = await crashAt(at, at % 4 < 2);
      if (FULL) await crashAt(at, at % 4 >= 2);
      if (!reached) break;
    }
    // Facts, parts, calls of the gate, checkpoints, the end: it would be odd if these were few.
    expect(at).toBeGreaterThan(20);
  });

  async function crashAt(at: number, made: boolean): Promise<boolean> {
    const run = await putRun(scratch.objects, { key: randomUUID(), outputs: OUTPUTS, partRows: 40 });
    const gate = new ScriptedGate();
    const still = new StandingStill(at, made);
    const wsp = database.forSchema('wsp');
    const crashed = new Producer({
      database: { forSchema: () => still.wrap(wsp, ['query', 'transaction']) },
      objects: still.wrap(scratch.objects, ['read', 'head']),
      gate: still.wrap(gate, ['submit']),
    });
    // Neither may be awaited: it may be the very call that stands still.
    crashed.start(run).catch(() => undefined);
    const isComplete = async (): Promise<boolean> =>
      (await wsp.query(`select 1 from passes where run_id = $1`, [run.run_id])).count > 0;
    await eventually(async () => still.reached || (await isComplete()), Boolean, 15_000);
    const { reached } = still;
    await wsp.query(
      `update streams set lease_until = now() - interval '1 second' where run_id = $1 and holder is not null`,
      [run.run_id],
    );
    const heir = new Producer({ database, objects: scratch.objects, gate });
    await heir.start(run);
    const status = await heir.until(run, 'COMPLETED');
    expectWhole(status, 150);
    expect([...gate.admitted.keys()].sort()).toEqual([...sealedIds(run, OUTPUTS)].sort());
    const { rows } = await wsp.query('select admitted, duplicate from passes where run_id = $1', [run.run_id]);
    expect(rows).toEqual([{ admitted: status.admitted, duplicate: status.duplicate }]);
    await heir.stop();
    // It never ends, since its last write stands still, too; but it sleeps no more, and the test may end.
    void crashed.stop();
    return reached;
  }

  const ERRORS = ['IG_RATE_LIMITED', 'IG_LEDGER_UNHEALTHY', 'RPC_DEADLINE_EXCEEDED', 'RPC_OUTCOME_UNKNOWN'] as const;
  type Fate = 'well' | (typeof ERRORS)[number] | 'lost answer' | 'stop';
  const fate = fc.oneof(
    { weight: 5, arbitrary: fc.constant<Fate>('well') },
    { weight: 3, arbitrary: fc.constantFrom<Fate>(...ERRORS) },
    { weight: 2, arbitrary: fc.constant<Fate>('lost answer') },
    { weight: 1, arbitrary: fc.constant<Fate>('stop') },
  );

  it('under any script of answers progress is contiguous and the counts are right', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          rows: fc.integer({ min: 1, max: 260 }),
          batch: fc.integer({ min: 1, max: 60 }),
          inFlight: fc.integer({ min: 1, max: 4 }),
          fates: fc.array(fate, { maxLength: 30 }),
          /** Rows whose quarantine stands, and rows whose quarantine passes after so many times. */
          bad: fc.uniqueArray(fc.integer({ min: 0, max: 259 }), { maxLength: 5 }),
          late: fc.dictionary(fc.integer({ min: 0, max: 259 }).map(String), fc.integer({ min: 1, max: 6 }), {
            maxKeys: 5,
          }),
        }),
        async ({ rows, batch, inFlight, fates, bad, late }) => {
          const outputs = [{ output_id: 'transactions', rows: rowsOf(rows) }];
          const run = await putRun(scratch.objects, { key: randomUUID(), outputs, partRows: 37 });
          const ids = sealedIds(run, outputs);
          const gate = new ScriptedGate();
          const policy = { batch_events_max: batch, batches_in_flight_max: inFlight, quarantine_share_max: 1 };
          let producer = new Producer({ database, objects: scratch.objects, gate, policy });
          const answered = new Set<string>();
          const times = new Map<string, number>();
          let stopping: Promise<void> | undefined;
          const judge = ({ event_id, payload }: { event_id: string; payload: object }): ScriptedAnswer => {
            const row = Number(Reflect.get(payload, 'amount_minor'));
            const before = times.get(event_id) ?? 0;
            times.set(event_id, before + 1);
            answered.add(event_id);
            if (bad.includes(row)) return { quarantine: 'SCHEMA_FAIL', retryable: false };
            return before < (late[row] ?? 0) ? { quarantine: 'RUN_NOT_READY', retryable: true } : 'ADMIT';
          };
          gate.script = {
            judge,
            before: async (call, sent) => {
              // Contiguous: everything that is counted has been judged, and nothing that is sent has been counted.
              const { sent: counted } = await producer.status(run);
              expect(ids.slice(0, counted).filter((id) => !answered.has(id))).toEqual([]);
              expect(sent.filter(({ event_id }) => ids.indexOf(event_id) < counted)).toEqual([]);
              const what = fates[call];
              if (what === 'stop') stopping ??= producer.stop();
              else if (what !== undefined && what !== 'well' && what !== 'lost answer')
                throw new ProbityError(what, 'as the script says');
            },
            after: (call) =>
              fates[call] === 'lost answer'
                ? Promise.reject(new ProbityError('RPC_OUTCOME_UNKNOWN', 'lost'))
                : undefined,
          };
          await producer.start(run);
          for (;;) {
            const done = await eventually(
              async () => (stopping === undefined ? await producer.status(run) : ('STOPPED' as const)),
              (at) => at === 'STOPPED' || at.state === 'COMPLETED' || at.state === 'FAILED',
              15_000,
            );
            if (done !== 'STOPPED') break;
            await stopping;
            stopping = undefined;
            producer = new Producer({ database, objects: scratch.objects, gate, policy });
            await producer.service.drive(run.run_id);
          }
          const status = await producer.status(run);
          expectWhole(status, rows);
          const admissible = ids.filter((_, row) => !bad.includes(row) && (late[row] ?? 0) <= 3);
          for (const id of admissible) expect(gate.admitted.has(id)).toBe(true);
          expect(gate.admitted.size).toBeLessThanOrEqual(rows - bad.filter((row) => row < rows).length);
          expect(status.quarantined).toBeGreaterThanOrEqual(bad.filter((row) => row < rows).length);
          await producer.stop();
        },
      ),
      { numRuns: FULL ? 300 : 25 },
    );
  });
});
