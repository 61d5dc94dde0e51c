import { readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { afterAll, describe, expect, it } from '@jest/globals';
import { scratchDataFolder } from '../support/data-folder.js';
import { TEST_UNITS } from '../program/table.js';
import { cli } from '../support/cli.js';

describe('the command line', () => {
  const data = scratchDataFolder('cli');
  afterAll(() => {
    rmSync(data, { recursive: true, force: true });
  });

  it('prints its version, as package.json has it', async () => {
    const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
    expect(await cli(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it.each(['', 'serve', 'roles', 'check-config', 'migrate', 'doctor', 'policy'])('helps with %s', async (command) => {
    const { code, stdout } = await cli([...(command === '' ? [] : [command]), '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: probity ${command}`.trim());
    expect(stdout).toContain('--help');
  });

  it('lists the roles of its table, for people and for machines', async () => {
    expect((await cli(['roles'])).stdout).toMatch(/^ig\s+ingestion-gate\s+service\s+-\s+The one door/m);
    const { stdout } = await cli(['roles'], TEST_UNITS);
    expect(stdout).toMatch(/^teller\s+teller\s+service\s+ledger\s+Takes deposits, once each\.$/m);
    const { roles } = JSON.parse((await cli(['roles', '--json'], TEST_UNITS)).stdout) as { roles: { role: string }[] };
    expect(roles.map(({ role }) => role)).toEqual(['ledger', 'teller']);
  });

  it('migrates, says so once, and can tell without changing anything', async () => {
    const flags = ['--data', data];
    const behind = await cli(['migrate', '--check', ...flags], TEST_UNITS);
    expect(behind.code).toBe(1);
    expect(behind.stderr).toMatch(/DATABASE_.*probity migrate/s);
    const first = await cli(['migrate', ...flags], TEST_UNITS);
    expect(first.code).toBe(0);
    expect(first.stdout).toContain('applied ledger/0001_balances');
    expect((await cli(['migrate', ...flags], TEST_UNITS)).stdout).toMatch(/^0 applied, \d+ in all\.$/m);
    expect((await cli(['migrate', '--check', ...flags], TEST_UNITS)).code).toBe(0);
  });

  it('examines the machine', async () => {
    const { code, stdout } = await cli(['doctor', '--data', data, '--json'], TEST_UNITS);
    const { ok, findings } = JSON.parse(stdout) as { ok: boolean; findings: { check: string; ok: boolean }[] };
    expect(findings.filter((finding) => !finding.ok)).toEqual([]);
    expect(findings.map(({ check }) => check)).toEqual([
      'node',
      'profile',
      'retention',
      'data folder',
      'database',
      'schemas',
      'clock',
      'bus',
      'objects',
    ]);
    expect([ok, code]).toEqual([true, 0]);
  });

  it('says what to do when the HTTP port is taken, and leaves nothing running', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const { code, stderr } = await cli(['serve', '--data', data, '--port', String(port)], TEST_UNITS);
    await new Promise((resolve) => server.close(resolve));
    expect(code).toBe(2);
    expect(stderr).toContain(`127.0.0.1:${port} is taken by another program; choose another with --port`);
  });
});
