import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { cli, cliProcess } from '../support/cli.js';
import { scratchDataFolder } from '../support/data-folder.js';
import { expectGolden } from '../e2e/golden.cases.js';

describe('the golden way on what npm ci brings', () => {
  const scratch = scratchDataFolder('golden');
  const data = join(scratch, 'way');
  afterAll(() => {
    rmSync(scratch, { recursive: true, force: true });
  });

  it('leads from an empty folder to decisions that cite what was learned', async () => {
    expectGolden(await cliProcess(['golden', '--data', data, '--json']));
  }, 300_000);

  it('lists what was done, each with its author, and nothing else', async () => {
    const { code, stdout } = await cli(['registry', 'log', '--data', data, '--json']);
    expect(code).toBe(0);
    const { facts } = JSON.parse(stdout) as { facts: { action: string; actor: { actor_id: string } }[] };
    const done = facts.map(({ action, actor }) => `${action} ${actor.actor_id}`);
    const shipped = done.filter((each) => each.endsWith('SYSTEM::mpr'));
    expect(done.filter((each) => !shipped.includes(each))).toEqual([
      'BUNDLE_PUBLISHED SYSTEM::mf',
      'BUNDLE_APPROVED HUMAN::operator',
      'BUNDLE_PROMOTED_ACTIVE HUMAN::operator',
    ]);
  }, 120_000);

  it('leaves no secret in anything that it keeps', async () => {
    const { code, stdout } = await cli(['secrets', 'scan', '--data', data, '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ clean: true, findings: [], not_looked_for: [] });
    expect(code).toBe(0);
  }, 120_000);

  it('is not walked in a folder that holds something', async () => {
    const { code, stderr } = await cliProcess(['golden', '--data', data, '--json']);
    expect([code, stderr]).toEqual([2, expect.stringContaining('is not empty')]);
  });
});
