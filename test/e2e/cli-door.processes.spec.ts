import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { cli } from '../support/cli.js';
import { Door } from '../support/door.js';
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
});
