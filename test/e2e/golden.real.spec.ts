import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { cli } from '../support/cli.js';
import { Door } from '../support/door.js';
import { expectGolden } from './golden.cases.js';

describe('the golden way on real servers', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'probity-golden-'));
  let door: Door;
  beforeAll(async () => {
    door = await Door.open('real', ['all']);
  }, 120_000);
  afterAll(async () => {
    await door.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  it('leads from a seed to decisions that cite what was learned', async () => {
    const key = join(scratch, 'key');
    writeFileSync(key, door.key());
    // Worlds outlive a test on shared servers.
    const seed = String(randomInt(1_000, 1_000_000_000));
    expectGolden(await cli(['golden', '--url', await door.urlOf('mf'), '--key-file', key, '--seed', seed, '--json']));
  }, 300_000);
});
