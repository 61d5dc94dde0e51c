import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Reconciliation } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { scratchDataFolder } from '../support/data-folder.js';
import { Door, DOOR_ROLES, importedRun } from '../support/door.js';

const FULL = process.env['PROBITY_FAULTS'] === 'full';
const LIMIT_MS = 900_000;

interface Answer {
  readonly reconciled: boolean;
  readonly set_digest: string;
  readonly accounts: Readonly<Record<string, number>>;
}

/** A whole file of card transactions that this project did not make: PROBITY_TEST_HANDBOOK names it (CSV, gzip). */
describe('the handbook file', () => {
  const data = scratchDataFolder('handbook');
  const file = process.env['PROBITY_TEST_HANDBOOK'] ?? '';
  let rows = 0;
  let first: Answer;

  beforeAll(async () => {
    if (file === '') throw new Error('set PROBITY_TEST_HANDBOOK to the file');
    // Counted without the program; the first line is the header.
    rows = -1;
    for await (const line of createInterface({ input: createReadStream(file).pipe(createGunzip()) }))
      if (line) rows += 1;
    first = await imported();
  }, LIMIT_MS);
  afterAll(() => rmSync(data, { recursive: true, force: true }));

  /** What a user types, on the program as it was compiled. */
  async function imported(): Promise<Answer> {
    const { NODE_OPTIONS: _, ...env } = process.env;
    const words = [join('.build', 'src', 'main.js'), 'import', file, '--preset', 'handbook', '--data', data, '--json'];
    const child = spawn(process.execPath, words, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const closed = once(child, 'close');
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (piece: Buffer) => (stdout += piece.toString()));
    child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString()));
    const [code] = (await closed) as [number | null];
    if (code !== 0) throw new Error(`ended with ${String(code)}: ${stdout}${stderr}`);
    return JSON.parse(stdout) as Answer;
  }

  it('is on the bus, each row once, with its labels apart', () => {
    expect(rows).toBeGreaterThan(800_000);
    expect(first).toMatchObject({
      reconciled: true,
      accounts: {
        rows_read: rows,
        rows_rejected: 0,
        sent: rows,
        admitted: rows,
        duplicate: 0,
        quarantined: 0,
        records_on_bus: rows,
        labels_kept_apart: rows,
      },
    });
  });

  it(
    'is nothing but duplicates the second time',
    async () => {
      const again = await imported();
      expect(again.accounts).toMatchObject({ pass: 2, sent: rows, admitted: 0, duplicate: rows, records_on_bus: rows });
      expect(again.reconciled).toBe(true);
      expect(again.set_digest).toBe(first.set_digest);
    },
    LIMIT_MS,
  );

  if (FULL)
    it.each(['embedded', 'real'] as const)(
      'is the same events with the same payloads through four processes, %s',
      async (flavour) => {
        expect(await throughFour(flavour)).toMatchObject({
          on_bus: rows,
          reconciled: true,
          set_digest: first.set_digest,
        });
      },
      LIMIT_MS,
    );

  async function throughFour(flavour: 'embedded' | 'real'): Promise<Reconciliation> {
    const door = await Door.open(flavour, DOOR_ROLES);
    try {
      const { run_id } = await importedRun(door, readFileSync(file), 'handbook');
      expect(await door.settled(run_id, LIMIT_MS)).toMatchObject({ state: 'READY' });
      await door.stream(run_id);
      expect(await door.streamed(run_id, LIMIT_MS)).toMatchObject({ state: 'COMPLETED', admitted: rows });
      return await door.reconciled(run_id, LIMIT_MS);
    } finally {
      await door.close();
    }
  }
});
