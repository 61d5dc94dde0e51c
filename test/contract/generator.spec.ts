import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { changed, digestOf, tinyPack } from '../../src/modules/data-engine/generate/generator.cases.js';
import { type Pack } from '../../src/modules/data-engine/generate/pack.core.js';

/** What the worlds of this format are. Where this changes, every world changes: raise ENGINE_FORMAT with it. */
const GOLDEN = 'a8ac5135b546b4593917e5da39762cfccbdcab9eaf947165da670c1706def567';
const SEED = '18446744073709551615';

/** Runs the generator in another process, compiled by `npm run build:test`. */
async function inAnotherProcess(
  order: 'digest' | 'heap',
  pack: Pack,
  settings: Readonly<Record<string, string>> = {},
): Promise<Readonly<Record<string, unknown>>> {
  const main = join(process.cwd(), '.build', 'test', 'contract', 'generator-child.js');
  // Jest's own switches are not for the program.
  const { NODE_OPTIONS: _, ...env } = process.env;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--expose-gc', main, order, SEED, JSON.stringify(pack)],
    { env: { ...env, ...settings } },
  );
  return JSON.parse(stdout) as Readonly<Record<string, unknown>>;
}

describe('a generated world', () => {
  it('is the same bytes as ever', async () => {
    expect(await digestOf(SEED, tinyPack())).toBe(GOLDEN);
  });

  it('is the same in another process, time zone and locale', async () => {
    const foreign = await inAnotherProcess('digest', tinyPack(), {
      TZ: 'Pacific/Auckland',
      LANG: 'tr_TR.UTF-8',
      LC_ALL: 'tr_TR.UTF-8',
    });
    expect(foreign).toEqual({ digest: GOLDEN, zone: -780, locale: 'tr-TR' });
  });

  it('is another one for another seed, and for another pack', async () => {
    const other = changed(tinyPack(), { customers: { vpn_share: 0.5 } });
    expect(await digestOf('0', tinyPack())).not.toBe(GOLDEN);
    expect(await digestOf(SEED, other)).not.toBe(GOLDEN);
  });

  it('takes no more memory for ten times the days', async () => {
    const lasting = (days: number): Pack => changed(tinyPack(), { window: { days }, customers: { count: 200 } });
    const [short, long] = [await inAnotherProcess('heap', lasting(30)), await inAnotherProcess('heap', lasting(300))];
    expect([short['collects'], long['collects']]).toEqual([true, true]);
    // Ten times the rows: some 70,000 more, of which each would hold a kilobyte if it were kept.
    expect(Number(long['rows'])).toBeGreaterThan(8 * Number(short['rows']));
    expect(Number(long['heapMax']) - Number(short['heapMax'])).toBeLessThan(8 * 1024 * 1024);
  });
});
