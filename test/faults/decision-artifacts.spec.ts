import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { stringify } from 'yaml';
import { digestText } from '../../src/rails/digest.js';
import { type Bundle, bundleDigest } from '../../src/rails/model/bundle.schema.js';
import { cli } from '../support/cli.js';
import { ScratchProfile } from '../support/profiles.js';

describe('artifacts of decisions that an operator spoils', () => {
  let profile: ScratchProfile;
  beforeEach(() => {
    profile = new ScratchProfile();
  });
  afterEach(() => {
    profile.remove();
  });
  const file = (policy: string): string => join(profile.folder, 'policy', `${policy}.yaml`);

  /** Sealed, so that it is nothing but its content that is refused. */
  async function refused(policy: string): Promise<string> {
    await cli(['policy', 'seal', file(policy)]);
    const { code, stdout } = await cli(['check-config', '--profile', profile.folder]);
    expect(code).toBe(2);
    return stdout;
  }

  it.each([
    ['does not type-check', 'event.country in ["KP"]', 'event.country > 5', 'no such overload'],
    ['reads what there is not', 'event.country in ["KP"]', 'event.continent == "KP"', 'No such key: continent'],
    ['takes unbounded time', 'event.country in ["KP"]', 'event.country.matches("(K+)+P")', 'matches() is not allowed'],
    [
      'reads a feature that nobody defines',
      'features.card_count_10m >= 6',
      'features.card_count_11m >= 6',
      'No such key: card_count_11m',
    ],
  ])('a rule that %s is refused at the start, with its line and its name', async (_, from, to, says) => {
    const line = profile.edit(file('df.rules'), from, to);
    const [, id = ''] =
      /id: (\S+)\n\s*when: [^\n]*$/.exec(
        readFileSync(file('df.rules'), 'utf8').split('\n').slice(0, line).join('\n'),
      ) ?? [];
    const text = await refused('df.rules');
    expect(text).toContain(`df.rules.yaml:${line}:`);
    expect(text).toContain(`rule ${id}, character`);
    expect(text).toContain(says);
  });

  const bundle = (change: object = {}, version = 1) => ({
    bundle_id: 'spoiled',
    bundle_version: 1,
    compatibility: { feature_groups: [{ name: 'core_card', version }], input_contract: 'transaction.v1' },
    lineage: { trained_on: 'nothing', recipe: 'by hand', dataset_digest: digestText('nothing') },
    model: {
      format: 'probity.tree.v1',
      inputs: [{ source: 'event', name: 'amount_minor' }],
      base: 0,
      trees: [
        [
          { value: 0, split: { input: 0, threshold: 5, left: 1, right: 2, missing: 'left' } },
          { value: 1 },
          { value: 2 },
        ],
      ],
      ...change,
    },
  });

  async function withBundle(active: ReturnType<typeof bundle>, digest = bundleDigest(active as unknown as Bundle)) {
    const policy = { policy_id: 'mpr.registry', revision: 2, content_digest: '0'.repeat(64) };
    writeFileSync(
      file('mpr.registry'),
      stringify({
        ...policy,
        body: {
          four_eyes: false,
          slots: [{ name: 'primary', needs: 'APPROVED' }],
          shipped: [{ slot: 'primary', digest, bundle: active }],
        },
      }),
    );
    await cli(['policy', 'seal', file('mpr.registry')]);
    return await cli(['check-config', '--profile', profile.folder]);
  }

  it.each([
    [
      'of which one value was changed',
      bundle({ base: 1 }),
      bundleDigest(bundle() as unknown as Bundle),
      'not this one',
    ],
    ['of a format that nobody reads', bundle({ format: 'pickle' }), undefined, 'shipped'],
    [
      'whose tree leads nowhere',
      bundle({
        trees: [[{ value: 0, split: { input: 0, threshold: 5, left: 1, right: 9, missing: 'left' } }, { value: 1 }]],
      }),
      undefined,
      'tree',
    ],
    ['that is empty', {} as ReturnType<typeof bundle>, digestText('nothing'), 'shipped'],
  ])('a bundle %s is refused at the start', async (_, active, digest, says) => {
    const { code, stdout } = await withBundle(active, digest);
    expect(code).toBe(2);
    expect(stdout).toMatch(/mpr\.registry\.yaml:\d+:/);
    expect(stdout).toContain(says);
  });

  it.each([
    ['a sound bundle', 1],
    ['one for other features, which decisions name as such,', 7],
  ])('%s is not: the twin', async (_, version) => {
    const { code, stdout } = await withBundle(bundle({}, version));
    expect([code, stdout]).toEqual([0, expect.stringContaining('is valid')]);
  });
});
