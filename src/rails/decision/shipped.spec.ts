import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import type { FeatureDefinitions } from '../features/definition.schema.js';
import { bundlesFaults, rulesFaultsUnder } from './artifacts.js';
import type { Bundles } from './policy.schema.js';
import type { Rules } from './rules.schema.js';

const bodyOf = (profile: string, policy: string): unknown =>
  (
    parse(readFileSync(join(process.cwd(), 'profiles', profile, 'policy', `${policy}.yaml`), 'utf8')) as {
      body: unknown;
    }
  ).body;

describe.each(['local', 'dev', 'prod'])('the shipped artifacts of the profile %s', (profile) => {
  const definitions = bodyOf(profile, 'ofp.features') as FeatureDefinitions;

  it('have rules that are typed against the shipped features', () => {
    expect(rulesFaultsUnder(bodyOf(profile, 'df.rules') as Rules, definitions)).toEqual([]);
  });

  it('would not, without one of the groups: the twin', () => {
    const fewer = { ...definitions, groups: definitions.groups.filter(({ name }) => name !== 'core_device') };
    const faults = rulesFaultsUnder(bodyOf(profile, 'df.rules') as Rules, fewer);
    expect(faults.map(({ sentence }) => sentence)).toContainEqual(
      expect.stringContaining('rule velocity.device_cards, character 10: No such key: device_cards_24h'),
    );
  });

  it('have bundles with the digests that name them', () => {
    const { shipped } = bodyOf(profile, 'mpr.registry') as { readonly shipped: readonly Required<Bundles>['active'][] };
    expect(shipped.length).toBeGreaterThan(0);
    for (const active of shipped)
      expect(bundlesFaults({ active: { digest: active.digest, bundle: active.bundle }, shadow: [] })).toEqual([]);
  });
});
