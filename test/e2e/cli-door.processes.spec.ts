import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cli } from '../support/cli.js';
import { Door } from '../support/door.js';
import { eventually } from '../support/eventually.js';
import { handbookFile } from '../support/handbook-file.js';

const ROWS = 3_000;

/** Beside four processes with one role each: the command finds each role where it runs, and runs none itself. */
describe('the commands of the door beside running processes', () => {
  let door: Door;
  let file: string;

  beforeAll(async () => {
    door = await Door.open('embedded');
    file = join(door.data, 'handbook.csv');
    writeFileSync(file, handbookFile(ROWS, 11));
  }, 90_000);
  afterAll(() => door.close());

  it('imports a file through all of them', async () => {
    const { code, stdout } = await cli(['import', file, '--preset', 'handbook', '--data', door.data, '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      reconciled: true,
      accounts: { rows_read: ROWS, sent: ROWS, admitted: ROWS, records_on_bus: ROWS, labels_kept_apart: ROWS },
    });
    expect(code).toBe(0);
    // No log: no role ran in this process.
    expect(readdirSync(door.data)).not.toContain('logs');
  });

  it('runs a role itself whose process dies under it, and comes to the same end', async () => {
    const paced = ['import', file, '--preset', 'handbook', '--name', 'killed', '--data', door.data, '--json'];
    const imported = cli([...paced, '--pace', '20000x']);
    const isReady = async (): Promise<boolean> => {
      const { runs } = (await (await door.client('sr')).get('/v1/runs')).body as {
        runs: { state: string; pins: { scenario_id: string } }[];
      };
      return runs.some(({ state, pins }) => state === 'READY' && pins.scenario_id === 'killed');
    };
    await eventually(isReady, Boolean, 30_000);
    await door.kill('ig');
    const { code, stdout } = await imported;
    expect(JSON.parse(stdout)).toMatchObject({ reconciled: true, accounts: { sent: ROWS, records_on_bus: ROWS } });
    expect(code).toBe(0);
    expect(readdirSync(join(door.data, 'logs'))).toEqual(['import.log']);
  });
});
