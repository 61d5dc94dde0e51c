import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { cli } from '../support/cli.js';
import { Door } from '../support/door.js';
import { withoutTopics } from '../support/kafka.js';
import { expectGolden } from './golden.cases.js';

describe('the golden way on real servers', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'probity-golden-'));
  let door: Door;
  beforeAll(async () => {
    // A dataset wants the log from its beginning, which earlier tests have trimmed away.
    await withoutTopics(['fp.bus.traffic.v1', 'fp.bus.control.v1']);
    door = await Door.open('real', ['all']);
  }, 120_000);
  afterAll(async () => {
    await door.close();
    rmSync(scratch, { recursive: true, force: true });
  });

  it('leads from a seed to decisions that cite what was learned', async () => {
    const key = join(scratch, 'key');
    writeFileSync(key, door.key());
    expectGolden(await cli(['golden', '--url', await door.urlOf('mf'), '--key-file', key, '--json']));
  }, 600_000);
});
