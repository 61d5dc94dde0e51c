import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Captured, cli, type CliRun } from '../support/cli.js';
import { scratchDataFolder } from '../support/data-folder.js';
import { boot, type Running } from '../../src/app/boot.js';
import { openDataFolder } from '../../src/app/data-folder.js';
import { loadProfile } from '../../src/app/profile.js';
import { policyKindsOf } from '../../src/app/unit-table.js';
import { UNITS } from '../../src/app/units.js';

/** The file and the ten lines of the README. */
const PAYMENTS = `Nr;Zeit;Betrag;Kunde;Terminal;Betrug
A-1;31.01.2026 12:00:00;1.234,50;K17;T3;nein
A-2;31.01.2026 12:05:10;9,99;K17;T8;ja
A-3;31.01.2026 12:07:00;52,00;K20;T3;nein
`;
const MAPPING = `format: csv
delimiter: ';'
key: Nr
time: { column: Zeit, format: 'dd.MM.yyyy HH:mm:ss', zone: Europe/Paris }
amount: { column: Betrag, currency: EUR, decimal: ',', grouping: '.' }
fields:
  customer_id: Kunde
  terminal_id: Terminal
label: { column: Betrug, fraud_values: ['ja'], delay: P7D }
rejected_share_max: 0.01
`;

interface Answer {
  readonly reconciled: boolean;
  readonly run: { readonly run_id: string; readonly state: string };
  readonly accounts: Readonly<Record<string, number>>;
}

/** On a machine where nothing runs: each command starts what it needs, and leaves nothing behind. */
describe('the commands of the door on an empty machine', () => {
  const data = scratchDataFolder('cli door');
  const file = join(data, 'payments.csv');
  const mapping = join(data, 'mapping.yaml');
  const importIt = ['import', file, '--map', mapping];
  let run = '';

  beforeAll(() => {
    writeFileSync(file, PAYMENTS);
    writeFileSync(mapping, MAPPING);
  });
  afterAll(() => {
    rmSync(data, { recursive: true, force: true });
  });

  const here = async (words: readonly string[], stdin = ''): Promise<CliRun> =>
    await cli([...words, '--data', data], UNITS, stdin);

  it('shows what it would make of a file, and seals nothing', async () => {
    const { code, stdout, stderr } = await here([...importIt, '--dry-run']);
    expect([stderr.includes('CONFIG_'), code]).toEqual([false, 0]);
    // Noon in Paris is eleven o'clock in UTC in winter.
    expect(stdout).toMatch(/^1 +2026-01-31T11:00:00\.000000Z +A-1 /m);
    expect(stdout).toContain('123450');
    expect(stdout).toContain('3 of 3 rows can be imported.');
  });

  it('imports the file, each row counted, the labels apart', async () => {
    const { code, stdout } = await here(importIt);
    expect(stdout).toMatch(/rows in the file +3\n +rejected +0\n +sealed +3\n +sent \(pass 1\) +3\n +admitted +3\n/);
    expect(stdout).toMatch(/records on the bus +3\n +labels kept apart +3\nReconciled/);
    expect(code).toBe(0);
  });

  it('imports it a second time as duplicates alone, and the bus holds what it held', async () => {
    const { code, stdout } = await here([...importIt, '--json']);
    const answer = JSON.parse(stdout) as Answer;
    expect(answer.accounts).toMatchObject({ pass: 2, sent: 3, admitted: 0, duplicate: 3, records_on_bus: 3 });
    expect([answer.reconciled, code]).toEqual([true, 0]);
    run = answer.run.run_id;
  });

  it('writes what its roles logged to a file, and leaves none of them running', () => {
    expect(readdirSync(join(data, 'logs'))).toEqual(['import.log']);
    expect(readFileSync(join(data, 'logs', 'import.log'), 'utf8')).toContain('"event":"process_ready"');
    expect(readdirSync(join(data, 'run', 'peers'))).toEqual([]);
  });

  describe('and where all roles run in one process', () => {
    let running: Running;

    beforeAll(async () => {
      running = await boot({
        table: UNITS,
        selected: UNITS.units,
        profile: loadProfile('local', policyKindsOf(UNITS)),
        folder: openDataFolder(data),
        port: 0,
        logs: new Captured(),
      });
    });
    afterAll(async () => {
      expect(await running.stop()).toBe('in order');
    });

    it('reconciles what was imported before', async () => {
      const { code, stdout } = await here(['reconcile', '--run', run]);
      expect([code, stdout.includes('Reconciled')]).toEqual([0, true]);
    });

    it('stops a file of which too much is wrong at the gate, and says which rows', async () => {
      const spoilt = join(data, 'spoilt.csv');
      writeFileSync(spoilt, PAYMENTS.replace('31.01.2026 12:05:10', '31.02.2026 12:05:10'));
      const { code, stdout } = await here(['import', spoilt, '--map', mapping]);
      expect(code).toBe(1);
      expect(stdout).toMatch(/is FAILED: GATE_FAIL/);
      expect(stdout).toMatch(/TIME_INVALID +1\n {2}row 2: TIME_INVALID: /);
      const { stdout: dry, code: dryCode } = await here(['import', spoilt, '--map', mapping, '--dry-run']);
      expect(dry).toMatch(/TIME_INVALID: 1 rows\n {2}row 2: /);
      expect(dryCode).toBe(1);
    });

    it('takes transactions from a pipe, gives each a receipt, and counts them', async () => {
      const line = (id: string, amount: string): string =>
        `{"transaction_id":"${id}","occurred_at":"2026-01-31T12:00:00+01:00","amount":${amount},"currency":"EUR","card_id":"c1"}`;
      const lines = `${line('t1', '"12.30"')}\n${line('t2', '12.30')}\n${line('t1', '"12.30"')}\n`;
      const { code, stdout } = await here(['ingest', '--json'], lines);
      expect(code).toBe(1);
      expect(JSON.parse(stdout)).toMatchObject({
        lines: 3,
        admitted: 1,
        duplicate: 1,
        refused: 1,
        refused_lines: [{ line: 2, code: 'EDGE_MAPPING_FAILED' }],
      });
      const counted = JSON.parse((await here(['reconcile', '--run', 'live', '--json'])).stdout) as Answer;
      expect(counted.accounts).toMatchObject({ admitted_in_ledger: 1, records_on_bus: 1 });
    });

    it('shows a conflict in the quarantine, and the evidence to whoever says what for', async () => {
      const changed =
        '{"transaction_id":"t1","occurred_at":"2026-01-31T12:00:00+01:00","amount":"99.99","currency":"EUR","card_id":"c1"}';
      const { stdout: refused } = await here(['ingest'], changed);
      expect(refused).toContain('line 1: IG_PAYLOAD_HASH_MISMATCH');
      const { entries } = JSON.parse((await here(['quarantine', 'list', '--run', 'live', '--json'])).stdout) as {
        entries: { quarantine_id: string; receipt: { event_id: string } }[];
      };
      expect(entries).toHaveLength(1);
      const [entry] = entries;
      const shown = await here(['quarantine', 'show', entry?.quarantine_id ?? '', '--evidence', 'ticket 812']);
      expect(shown.stdout).toContain('9999');
      // The first one stands, and is found by the id that both name.
      const { stdout } = await here(['receipt', '--event', entry?.receipt.event_id ?? '', '--run', 'live']);
      expect(stdout).toMatch(/ADMIT\n[^]*fp\.bus\.traffic\.v1, partition \d+, offset \d+/);
    });
  });
});
