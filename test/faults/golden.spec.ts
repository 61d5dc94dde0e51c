import { readdirSync, rmSync } from 'node:fs';
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
  }, 600_000);

  it('is listed by what was done, each with its author, and nothing else', async () => {
    const { code, stdout } = await cli(['changes', '--data', data, '--limit', '1000', '--json']);
    expect(code).toBe(0);
    const { changes } = JSON.parse(stdout) as {
      changes: { kind: string; subject: string; after: string | null; actor: string }[];
    };
    // What the profile says was found by a first look; what the installation ships was introduced. The rest was done, youngest first.
    const done = changes.filter(
      ({ kind, actor }) => kind !== 'POLICY_IN_FORCE' && kind !== 'POSTURE' && actor !== 'SYSTEM::mpr',
    );
    expect(done.map(({ kind, actor }) => `${kind} ${actor}`).reverse()).toEqual([
      'OFS_BUILD_REQUESTED HUMAN::operator',
      'OFS_BUILD_COMPLETED SYSTEM::ofs',
      'MF_TRAIN_REQUESTED HUMAN::operator',
      'MF_TRAIN_PASSED SYSTEM::mf',
      'BUNDLE_PUBLISHED SYSTEM::mf',
      'BUNDLE_APPROVED HUMAN::operator',
      'BUNDLE_PROMOTED_ACTIVE HUMAN::operator',
      'OFS_BUILD_REQUESTED HUMAN::operator',
      'OFS_BUILD_COMPLETED SYSTEM::ofs',
    ]);
    const inForce = changes.filter(({ kind }) => kind === 'POLICY_IN_FORCE');
    expect(inForce.map(({ subject }) => subject).sort()).toEqual(
      readdirSync(join(process.cwd(), 'profiles/local/policy'))
        .map((file) => file.replace('.yaml', ''))
        .sort(),
    );
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
