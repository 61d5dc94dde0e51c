import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { outgoing } from '../../src/substrate/rpc/outgoing.js';
import { expectWhole, sealedIds } from '../contract/world-stream-producer.contract.js';
import { type MadeRun, Producer, putRun, rowsOf, ScriptedGate } from '../contract/world-stream-producer.kit.js';
import { scratchDataFolder } from '../support/data-folder.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import type { ChildOrder, GateAnswer, GateCall } from './world-stream-producer.child.js';

const FULL = process.env['PROBITY_FAULTS'] === 'full';
const KILLS = FULL ? 60 : 4;
const ROWS = FULL ? 6_000 : 1_500;
const BATCH = 20;
const LEASE_MS = 300;
const PROGRAM = resolve('.build/test/faults/world-stream-producer.child.js');

/** A small generator (mulberry32): the same seed kills at the same moments. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Where in a call the child dies: before the gate has counted it, after that, or when it has its answer. */
type Moment = 'before' | 'counted' | 'answered';
const MOMENTS: readonly Moment[] = ['before', 'counted', 'answered'];

describe('a producer that is killed with SIGKILL', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;
  let folder: string;
  let objects: Objects;
  const children = new Set<ChildProcess>();

  beforeAll(async () => {
    postgres = await openTestPostgres();
    database = await postgres.fresh({ schemas: ['wsp'] });
    folder = scratchDataFolder('wsp kill');
    objects = await FilesObjects.open(folder, new SystemClock());
  });

  afterEach(async () => {
    await Promise.all([...children].map(kill));
  });

  afterAll(async () => {
    await objects.close();
    rmSync(folder, { recursive: true, force: true });
    await postgres.close();
  });

  async function kill(child: ChildProcess): Promise<void> {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    children.delete(child);
  }

  /** A child whose gate is here. `dies` says at which moment of a call it does. */
  function start(run: MadeRun, gate: ScriptedGate, dies: (call: GateCall) => Moment | null): ChildProcess {
    const order: ChildOrder = {
      place: { address: database.address, admin: database.admin, roleSecret: database.roleSecret },
      folder,
      run_id: run.run_id,
      leaseMs: LEASE_MS,
      batchEventsMax: BATCH,
    };
    const child = fork(PROGRAM, [JSON.stringify(order)], {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    children.add(child);
    child.on('message', (call: GateCall) => {
      const moment = dies(call);
      if (moment === 'before') return void child.kill('SIGKILL');
      void gate.submit({ events: call.events }, outgoing(new SystemClock(), 10_000)).then(({ results }) => {
        if (moment === 'counted') return void child.kill('SIGKILL');
        const answer: GateAnswer = { call: call.call, results };
        if (child.connected) child.send(answer, () => (moment === 'answered' ? child.kill('SIGKILL') : undefined));
        return undefined;
      });
    });
    return child;
  }

  const statusOf = (run: MadeRun) => {
    const onlooker = new Producer({ database, objects, gate: new ScriptedGate() });
    return onlooker.status(run);
  };

  async function make(): Promise<{ run: MadeRun; ids: readonly string[] }> {
    const outputs = [
      { output_id: 'transactions', rows: rowsOf(ROWS) },
      { output_id: 'refunds', rows: rowsOf(ROWS / 10, { prefix: 'r', stepMs: 7_000 }) },
    ];
    const run = await putRun(objects, { key: randomUUID(), outputs, partRows: 130 });
    return { run, ids: sealedIds(run, outputs) };
  }

  /** Nothing is lost, nothing is there twice, and the counts of the pass add up. */
  async function expectExact(run: MadeRun, gate: ScriptedGate, ids: readonly string[]): Promise<void> {
    const status = await eventually(
      () => statusOf(run),
      ({ state }) => state === 'COMPLETED' || state === 'FAILED',
      60_000,
    );
    expectWhole(status, ids.length);
    expect([...gate.admitted.keys()].sort()).toEqual([...ids].sort());
    expect(gate.counts).toMatchObject({ ADMIT: ids.length, QUARANTINE: 0 });
    // What the pass counted as duplicates is what came again and was counted; the gate may have seen more.
    expect(status.duplicate).toBeLessThanOrEqual(gate.counts.DUPLICATE);
    const { rows } = await database
      .forSchema('wsp')
      .query('select admitted, duplicate from passes where run_id = $1', [run.run_id]);
    expect(rows).toEqual([{ admitted: status.admitted, duplicate: status.duplicate }]);
  }

  it.each(FULL ? [1, 2, 3, 4] : [1])(
    `at any moment, again and again, admits the sealed set exactly (seed %d, ${KILLS} kills)`,
    async (seed) => {
      const chance = random(seed);
      const { run, ids } = await make();
      const gate = new ScriptedGate();
      let kills = 0;
      // So that the kills are spread over the whole stream, and the last one leaves something to do.
      const callsPerLife = Math.floor(ids.length / BATCH / (KILLS + 1));
      while (kills < KILLS) {
        const life = 1 + Math.floor(chance() * 2 * callsPerLife);
        const moment = MOMENTS[Math.floor(chance() * MOMENTS.length)] ?? 'before';
        const child = start(run, gate, ({ call }) => (call === life ? moment : null));
        const [, signal] = (await Promise.race([once(child, 'exit'), completed(run)])) as [unknown, string?];
        await kill(child);
        if (signal !== 'SIGKILL') break;
        kills += 1;
      }
      expect(kills).toBeGreaterThan(KILLS / 2);
      start(run, gate, () => null);
      await expectExact(run, gate, ids);
    },
    FULL ? 600_000 : 60_000,
  );

  async function completed(run: MadeRun): Promise<[null, string]> {
    await eventually(
      () => statusOf(run).catch(() => ({ state: 'VERIFYING' })),
      ({ state }) => state === 'COMPLETED',
      60_000,
    );
    return [null, 'completed'];
  }

  it('is succeeded by another process that runs already, and by none while it lives', async () => {
    const { run, ids } = await make();
    const gate = new ScriptedGate();
    const callers = new Set<number>();
    let first: number | undefined;
    const two: ChildProcess[] = [0, 1].map((number) =>
      start(run, gate, ({ call }) => {
        callers.add(number);
        first ??= number;
        // The other one has to have come up, and found the stream taken, before the first dies of its thirtieth call.
        return number === first && call === 30 ? 'counted' : null;
      }),
    );
    const died = await Promise.race(two.map(async (child, number) => (await once(child, 'exit'), number)));
    expect(died).toBe(first);
    expect([...callers]).toEqual([first]);
    await expectExact(run, gate, ids);
    expect(callers.size).toBe(2);
  });
});
