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
  ...['engine, sr', 'wsp, ig', 'ofp, ieg, dl, df, al, dla', 'df, mpr', 'ofs', 'df', 'df', 'dla', 'ofs, mf, mpr, ops'],
];

/** Every hop of the way was walked and holds. */
export function expectGolden({ code, stdout, stderr }: CliRun): void {
  if (stdout === '') throw new Error(stderr);
  const told = JSON.parse(stdout) as Told;
  const shown = told.hops.map(({ units, what, proof, ok }) => ({ units, what, proof, ok }));
  expect(shown.filter(({ ok }) => !ok)).toEqual([]);
  expect(code).toBe(0);
  expect(told.hops.map(({ units }) => units)).toEqual(WAY);
  expect(told.golden).toBe(true);
}
