import { expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { DryRun } from '../../src/modules/decision-fabric/dry-run.schema.js';
import type { Rules } from '../../src/rails/decision/rules.schema.js';
import { cli } from '../support/cli.js';
import type { Door } from '../support/door.js';
import { eventually } from '../support/eventually.js';

const RULES = join(process.cwd(), 'profiles/local/policy/df.rules.yaml');

/** Decisions of a file, decided once more with what is in force and with something else; by commands where they find the processes. */
export function dryRunCases(
  decided: () => { readonly door: Door; readonly run: string; readonly rows: number },
  commands: boolean,
): void {
  const asked = async (request: object): Promise<DryRun> => {
    const df = await decided().door.client('df');
    const { status, body, text } = await df.post('/v1/decisions/dry-runs', request);
    if (status !== 202) throw new Error(text);
    const { dry_run_id: id } = body as DryRun;
    const find = async () => (await df.get(`/v1/decisions/dry-runs/${id}`)).body as DryRun;
    return await eventually(find, ({ state }) => state !== 'RUNNING', 120_000);
  };

  it('would all be the same by a dry run of the rules in force; by one that declines everything, none but those declined', async () => {
    const { door, run, rows } = decided();
    await door.decided(run, rows);
    const { body: rules } = parse(readFileSync(RULES, 'utf8')) as { body: Rules };
    const same = await asked({ run_id: run, candidate: { rules } });
    const left = Object.values(same.left_out).reduce((a, b) => a + b, 0);
    expect(same).toMatchObject({ state: 'DONE', decisions: rows, seen: rows });
    expect(same.report).toMatchObject({
      control: { compared: rows, equal: rows },
      decided: rows - left,
      changed: 0,
      other_reasons: 0,
    });
    const strict = JSON.parse(JSON.stringify(rules)) as { lists: { kind: string; rules: { when: string }[] }[] };
    const [first] = strict.lists.find(({ kind }) => kind === 'block')?.rules ?? [];
    if (first === undefined) throw new Error('no rule blocks');
    first.when = 'true';
    const labels = { label_type: 'fraud_disposition', maturity_days: 0 };
    const { report } = await asked({ run_id: run, candidate: { rules: strict }, labels });
    expect(report?.after).toEqual({ APPROVE: 0, STEP_UP: 0, QUEUE: 0, DECLINE: rows - left });
    expect(report?.changed).toBe(rows - left - (report?.before.DECLINE ?? 0));
    // Whatever is known as fraud is caught by whoever declines everything.
    expect(report?.labels?.after).toMatchObject({ caught: report?.labels?.frauds, missed: 0 });
    expect((report?.labels?.frauds ?? 0) + (report?.labels?.others ?? 0)).toBe(rows - left);
    // Nothing of it has been in force.
    const still = await asked({ run_id: run, candidate: { rules } });
    expect(still.report?.before).toEqual(same.report?.before);
  }, 150_000);

  if (!commands) return;
  it('are dry-run by a command, with a list and a file of those that would be others', async () => {
    const { door, run, rows } = decided();
    await door.decided(run, rows);
    const file = (name: string): string => join(door.data, name);
    const here = (...words: readonly string[]) => cli(['decision', 'dry-run', ...words, '--data', door.data]);
    const strict = readFileSync(RULES, 'utf8').replace(/(id: block\.sanctioned_country[^]*?when: ).*/, '$1"true"');
    writeFileSync(file('strict.yaml'), strict);
    const found = await here(
      '--run',
      run,
      '--rules',
      file('strict.yaml'),
      '--csv',
      file('changed.csv'),
      '--limit',
      '7',
    );
    expect(found.code).toBe(0);
    expect(found.stdout).toMatch(/^control: 1,?000 of 1,?000 equal\n/);
    const [, words = ''] =
      /\n([0-9,]+) of [0-9,]+ decisions would have had another verdict\. [0-9,]+ decisions\/s/.exec(found.stdout) ?? [];
    const changed = Number(words.replaceAll(',', ''));
    expect(changed).toBeGreaterThan(rows / 2);
    expect(found.stdout).toContain(`The first 7 of ${words}: more with --limit`);
    const lines = readFileSync(file('changed.csv'), 'utf8').split('\r\n');
    expect(lines).toHaveLength(changed + 2);
    for (const line of lines.slice(1, -1)) expect(line).toMatch(/^[0-9a-f]{64},[^,]+,[0-9a-f]{32},.*,DECLINE,/);

    // Rules that read what nobody has are refused with their place, and so is a request for nothing.
    writeFileSync(file('broken.yaml'), strict.replace('when: "true"', 'when: features.not_defined > 1'));
    const broken = await here('--run', run, '--rules', file('broken.yaml'));
    expect([broken.code, broken.stderr]).toEqual([
      1,
      expect.stringMatching(/\/candidate\/rules\/lists\/0\/rules\/0\/when: /),
    ]);
    expect(broken.stderr).toContain('DF_CANDIDATE_REFUSED');
    expect((await here('--run', run)).code).toBe(2);
    // A time in which nothing was decided says so, for machines as well.
    const never = await here('--to', '1990-01-01T00:00:00Z', '--rules', RULES, '--json');
    expect(never.code).toBe(1);
    expect(JSON.parse(never.stdout)).toMatchObject({
      state: 'DONE',
      seen: 0,
      changes: [],
      report: { control: { compared: 0 } },
    });
  }, 150_000);
}
