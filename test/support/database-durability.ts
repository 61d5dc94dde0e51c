import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { migrationFolder } from '../../src/substrate/database/contract/kit.js';
import type { TestDatabase, TestPostgres } from './database.js';
import { eventually } from './eventually.js';

const PROGRAM = resolve('.build/test/support/database-writer.js');
const FULL = process.env['PROBITY_FAULTS'] === 'full';
const ROUNDS = FULL ? 40 : 4;
const LIMIT_MS = FULL ? 600_000 : 90_000;

/** What a writer was told of each batch. */
type Outcomes = Map<number, string>;

/**
 * SIGKILL in the middle of writes: of the program that writes, and of the server. Every batch that was acknowledged stands
 * whole, every batch that was refused is absent, and every other stands whole or not at all.
 */
export function databaseDurability(name: string, open: () => Promise<TestPostgres>): void {
  describe(`database durability: ${name}`, () => {
    let postgres: TestPostgres;
    let database: TestDatabase;
    const closers: (() => Promise<void>)[] = [];
    const random = seeded(20_261_123);
    let nextBatch = 0;

    beforeAll(async () => {
      const folder = await migrationFolder({
        'ledger/0001_tables.sql': `
          create table ledger.mark (batch bigint primary key);
          create table ledger.entry (batch bigint not null, place int not null, primary key (batch, place));`,
      });
      closers.push(() => folder.remove());
      postgres = await open();
      closers.push(() => postgres.close());
      database = await postgres.fresh({ schemas: ['ledger'], migrationsFolders: [folder.path] });
    }, LIMIT_MS);
    afterAll(async () => {
      for (const close of closers.reverse()) await close();
    }, LIMIT_MS);

    const write = (outcomes: Outcomes): ChildProcess => {
      const { address, admin, roleSecret } = database;
      const first = (nextBatch += 1_000_000);
      const child = spawn(process.execPath, [PROGRAM, JSON.stringify({ address, admin, roleSecret }), String(first)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      createInterface({ input: child.stdout }).on('line', (line) => {
        const [outcome = '', batch] = line.split(' ');
        outcomes.set(Number(batch), outcome);
      });
      return child;
    };
    const kill = async (child: ChildProcess): Promise<void> => {
      child.kill('SIGKILL');
      await once(child, 'close');
    };

    it(
      'of the writing process',
      async () => {
        const outcomes: Outcomes = new Map();
        for (let round = 0; round < ROUNDS; round += 1) {
          const child = write(outcomes);
          const acknowledged = outcomes.size;
          await eventually(() => outcomes.size > acknowledged + 5, Boolean, 30_000);
          await pause(random() * 40);
          await kill(child);
        }
        await expectWhole(database, outcomes);
      },
      LIMIT_MS,
    );

    it(
      'of the server, while the writer goes on',
      async () => {
        const outcomes: Outcomes = new Map();
        const child = write(outcomes);
        for (let round = 0; round < ROUNDS; round += 1) {
          const acknowledged = count(outcomes, 'ack');
          await eventually(() => count(outcomes, 'ack') > acknowledged + 5, Boolean, 30_000);
          await pause(random() * 40);
          await postgres.crash();
        }
        const acknowledged = count(outcomes, 'ack');
        await eventually(() => count(outcomes, 'ack') > acknowledged + 5, Boolean, 30_000);
        await kill(child);
        // The writer was there when the server went: otherwise nothing was tried.
        expect(outcomes.size - count(outcomes, 'ack')).toBeGreaterThan(0);
        await expectWhole(database, outcomes);
      },
      LIMIT_MS,
    );
  });
}

async function expectWhole(database: TestDatabase, outcomes: Outcomes): Promise<void> {
  const { rows } = await database.forSchema('ledger').query<{ batch: number; marks: number; entries: number }>(
    `select batch, count(mark.batch) as marks, max(entries) as entries
       from mark full join (select batch, count(*) as entries from entry group by batch) as counted using (batch)
      group by batch`,
  );
  const stored = new Map(rows.map(({ batch, marks, entries }) => [batch, { marks, entries }]));
  const torn = [...stored].filter(([, { marks, entries }]) => marks !== 1 || entries !== 10);
  const lost = [...outcomes].filter(([batch, outcome]) => outcome === 'ack' && !stored.has(batch));
  const risen = [...outcomes].filter(([batch, outcome]) => outcome === 'refused' && stored.has(batch));
  expect({ torn, lost, risen }).toEqual({ torn: [], lost: [], risen: [] });
  expect(count(outcomes, 'ack')).toBeGreaterThan(0);
}

function count(outcomes: Outcomes, wanted: string): number {
  return [...outcomes.values()].filter((outcome) => outcome === wanted).length;
}

/** The moment of the kill is the fault itself, drawn from the seed. */
function pause(durationMs: number): Promise<void> {
  return new Promise((resolve_) => setTimeout(resolve_, durationMs));
}

/** Mulberry32: small, and the same everywhere. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
