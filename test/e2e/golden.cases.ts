import { expect } from '@jest/globals';
import type { CliRun } from '../support/cli.js';

interface Told {
  readonly golden: boolean;
  readonly hops: readonly {
    readonly units: string;
    readonly what: string;
    readonly proof: string;
    readonly ok: boolean;
  }[];
}

/** The units of each hop, in the order of the way: none is left out, and none is there that did nothing. */
const WAY = [
  ...['engine, sr', 'wsp, ig', 'ofp, ieg, dl, df, al, dla', 'cases, labels', 'ofs', 'mf', 'mpr'],
  ...['engine, sr', 'wsp, ig', 'ofp, ieg, dl, df, al, dla', 'df, mpr', 'ofs', 'df', 'df', 'dla', 'mpr, ops'],
];

/** Every hop of the way was walked and holds. */
export function expectGolden({ code, stdout, stderr }: CliRun): void {
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
  const told = JSON.parse(stdout) as Told;
  expect(told.hops.filter(({ ok }) => !ok)).toEqual([]);
  expect(told.hops.map(({ units }) => units)).toEqual(WAY);
  expect(told.golden).toBe(true);
}
