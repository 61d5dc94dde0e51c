import { describe, expect, it } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { examplesOf, shippedDefinitions } from '../../scripts/training/worlds.js';
import type { RegistryPolicy } from '../../src/modules/model-registry/model-registry.policy.js';
import { bundlesFaults, incompatibility } from '../../src/rails/decision/artifacts.js';
import type { Bundles } from '../../src/rails/decision/policy.schema.js';
import { qualityOf, rankingOf } from '../../src/rails/learning/ranking.js';
import { scoreOf } from '../../src/rails/model/score.js';

const shipped = (profile: string): Bundles => {
  const text = readFileSync(join('profiles', profile, 'policy', 'mpr.registry.yaml'), 'utf8');
  const active = (parse(text) as { readonly body: RegistryPolicy }).body.shipped.find(({ slot }) => slot === 'primary');
  if (active === undefined) throw new Error('no bundle is shipped');
  return { active: { digest: active.digest, bundle: active.bundle }, shadow: [] };
};

describe('the bundle that the profiles ship', () => {
  const definitions = shippedDefinitions();
  const { active } = shipped('local');
  if (active === undefined) throw new Error('no bundle is shipped');

  it('is one and the same, whole, and usable with the shipped definitions', () => {
    for (const profile of ['local', 'dev', 'prod']) {
      const bundles = shipped(profile);
      expect(bundles.active?.digest).toBe(active.digest);
      expect(bundlesFaults(bundles)).toEqual([]);
    }
    expect(incompatibility(active.bundle, definitions)).toBeNull();
    const spoiled = { ...active, bundle: { ...active.bundle, bundle_version: 2 } };
    expect(bundlesFaults({ active: spoiled, shadow: [] })).toMatchObject([{ pointer: '/active/digest' }]);
  });

  it('tells fraud from the rest in a world that it has never seen; with labels shuffled nothing would', () => {
    const { rows } = examplesOf(['301'], 'small', definitions);
    const { model } = active.bundle;
    if (model.format === 'probity.onnx.v1') throw new Error('the default bundle is of a format of our own');
    const names = model.inputs.map(({ source, name }: { source: string; name: string }) => `${source}.${name}`);
    const scores = Float64Array.from(
      rows,
      ({ values }) =>
        scoreOf(
          { model },
          names.map((name) => values.get(name) ?? null),
        ).scoreE6,
    );
    const truth = Uint8Array.from(rows, ({ isFraud }) => (isFraud ? 1 : 0));
    const ranking = rankingOf(scores);
    const { averagePrecision, rocAuc } = qualityOf(ranking, truth);
    expect(averagePrecision).toBeGreaterThan(0.4);
    expect(rocAuc).toBeGreaterThan(0.85);
    // The same scores against labels of other payments: no better than the share of fraud.
    const shuffled = truth.map((_, at) => truth[(at * 7_919 + 13) % truth.length] ?? 0);
    expect(qualityOf(ranking, shuffled).averagePrecision).toBeLessThan(0.05);
  });
});
