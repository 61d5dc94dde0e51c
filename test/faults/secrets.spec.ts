import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { cli, cliProcess } from '../support/cli.js';
import { scratchDataFolder } from '../support/data-folder.js';

describe('secrets in what an installation keeps', () => {
  const data = scratchDataFolder('secrets');
  const [file, mapping] = [join(data, 'payments.csv'), join(data, 'mapping.yaml')];
  afterAll(() => {
    rmSync(data, { recursive: true, force: true });
  });

  const imported = async (terminal: string): Promise<void> => {
    writeFileSync(file, `id,at,amount,card,terminal\n1,2026-01-31T12:00:00Z,12.50,card-1,${terminal}\n`);
    writeFileSync(
      mapping,
      `format: csv\nkey: id\ntime: { column: at, format: iso }\namount: { column: amount, currency: EUR }\nfields: { card_id: card, terminal_id: terminal }\n`,
    );
    const { code, stdout } = await cliProcess(['import', file, '--map', mapping, '--data', data]);
    expect({ code, says: code === 0 ? '' : stdout }).toEqual({ code: 0, says: '' });
  };

  it('there are none after a start and an import', async () => {
    await imported('till-1');
    const { code, stdout } = await cli(['secrets', 'scan', '--data', data, '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ clean: true, findings: [], not_looked_for: [] });
    expect(code).toBe(0);
  }, 120_000);

  it('one that somebody sent as a terminal, or logged, is named by its places, and never told', async () => {
    const secret = readFileSync(join(data, 'keys', 'operator.key'), 'utf8').trim();
    await imported(secret);
    writeFileSync(join(data, 'logs', 'other.log'), `Authorization: ${Buffer.from(secret).toString('base64')}\n`);
    const { code, stdout } = await cli(['secrets', 'scan', '--data', data, '--json']);
    expect(code).toBe(1);
    expect(stdout).not.toContain(secret);
    const { findings } = JSON.parse(stdout) as { findings: { place: string; secret: string }[] };
    const places = findings.filter((each) => each.secret === 'keys/operator.key').map(({ place }) => place);
    expect(places).toContain('table bus.records');
    expect(places.some((place) => place.startsWith('object engine/'))).toBe(true);
    expect(places).toContain(`log ${join(data, 'logs', 'other.log')}`);
  }, 180_000);
});
