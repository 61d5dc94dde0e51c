import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { runIdOf, runKey } from '../../src/modules/scenario-runner/scenario-runner.port.js';
import type { Bus } from '../../src/substrate/bus/bus.port.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import {
  ended,
  ensureControlTopic,
  eventNames,
  noEngine,
  openRunner,
  signalsOf,
} from '../contract/scenario-runner.kit.js';
import { openEmbeddedBus } from '../support/bus.js';
import { openTestPostgres, type TestDatabase, type TestPostgres } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { temporaryFolder } from '../support/objects-harness.js';
import type { KilledOrder } from './scenario-runner.child.js';

const FULL = process.env['PROBITY_FAULTS'] === 'full';
/** Compiled by `npm run build:test`. */
const CHILD = '.build/test/faults/scenario-runner.child.js';
const ROUNDS = FULL ? 60 : 4;
const RUNS = FULL ? 12 : 4;

/** A small generator (mulberry32): the same seed kills at the same writes. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('a runner that is killed with SIGKILL', () => {
  let postgres: TestPostgres;
  let database: TestDatabase;
  let bus: Bus;
  let closeBus: () => Promise<void>;
  let folder = '';

  beforeAll(async () => {
    postgres = await openTestPostgres();
    database = await postgres.fresh({ schemas: ['bus', 'sr'] });
    ({ bus, close: closeBus } = await openEmbeddedBus(database));
    await ensureControlTopic(bus);
    folder = await temporaryFolder();
  });
  afterAll(async () => {
    await closeBus();
    await postgres.close();
    await rm(folder, { recursive: true, force: true });
  });

  /** Lives until it has begun that many writes. Gives what it said, or why it ended by itself. */
  async function killedAt(writes: number, keys: readonly string[]): Promise<readonly string[]> {
    const { address, admin, roleSecret } = database;
    const order: KilledOrder = { place: { address, admin, roleSecret }, folder, keys };
    const { NODE_OPTIONS: _, ...env } = process.env;
    const child = spawn(process.execPath, [CHILD, JSON.stringify(order)], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const said: string[] = [];
    let complaint = '';
    let rest = '';
    child.stderr.on('data', (piece: Buffer) => (complaint += piece.toString('utf8')));
    child.stdout.on('data', (piece: Buffer) => {
      const lines = (rest + piece.toString('utf8')).split('\n');
      rest = lines.pop() ?? '';
      said.push(...lines);
      if (said.length >= writes) child.kill('SIGKILL');
    });
    const signal = await new Promise<NodeJS.Signals | null>((resolve) => child.once('close', (_code, s) => resolve(s)));
    if (signal !== 'SIGKILL') throw new Error(`the child ended by itself: ${complaint.slice(-2_000)}`);
    return said;
  }

  const finishes = async (): Promise<void> => {
    const chance = random(20_261);
    const asked: string[] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      const keys = Array.from({ length: RUNS }, (_, run) => `kill/${round}/${run}`);
      asked.push(...keys);
      // A run takes about 14 writes, so that the last kills come when nearly all of them are through.
      const said = await killedAt(1 + Math.floor(chance() * RUNS * 14), keys);
      expect(said.length).toBeGreaterThan(0);
    }
    // Whoever was killed before its request was answered asks again.
    const objects = await FilesObjects.open(folder, new SystemClock());
    await lastLife(asked);

    const ground = { database: database.forSchema('sr'), objects, bus };
    const reader = openRunner(ground, { engine: noEngine() });
    for (const key of asked) {
      const runId = runIdOf(key);
      const status = await ended(reader, runId);
      expect(status.state).toBe('READY');
      const names = await eventNames(reader, runId);
      for (const once of ['RUN_ACCEPTED', 'PLAN_COMMITTED', 'READY_COMMITTED', 'READY_PUBLISHED'])
        expect(names.filter((name) => name === once)).toEqual([once]);
      const signals = await signalsOf(bus, runId);
      expect(signals.map(({ envelope }) => envelope.event_id)).toEqual([status.message_id]);
      const view = await objects.head(runKey(runId, 'facts_view.json'));
      expect(status.facts_view).toEqual(view);
    }
    await reader.stop();
    await objects.close();
  };

  it(
    'leaves runs that its successors finish: each READY once, under one message id',
    finishes,
    FULL ? 900_000 : 60_000,
  );

  /** One that is killed only after every run is through. */
  async function lastLife(keys: readonly string[]): Promise<void> {
    const { address, admin, roleSecret } = database;
    const order: KilledOrder = { place: { address, admin, roleSecret }, folder, keys };
    const { NODE_OPTIONS: _, ...env } = process.env;
    const child = spawn(process.execPath, [CHILD, JSON.stringify(order)], {
      env,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const sr = database.forSchema('sr');
    const open = async (): Promise<number> => {
      if (child.exitCode !== null) throw new Error(`the child ended with ${child.exitCode}`);
      const { rows } = await sr.query<{ settled: number }>(
        'select count(*)::integer as settled from runs where settled and run_equivalence_key = any($1)',
        [keys],
      );
      return keys.length - (rows[0]?.settled ?? 0);
    };
    try {
      await eventually(open, (left) => left === 0, FULL ? 600_000 : 60_000);
    } finally {
      child.kill('SIGKILL');
    }
  }
});
