import { describe, expect, it } from '@jest/globals';
import { asMask } from '../capability-mask.js';
import { type Bundle, bundleDigest } from '../model/bundle.schema.js';
import { bundlesFaults, supposed } from './artifacts.js';
import { DecisionEngine } from './engine.js';
import {
  ACTIVATION,
  sealed,
  bundle,
  policy,
  artifactsOf,
  postureOf,
  NORMAL,
  decided,
} from '../../../test/support/decision-engine.js';

describe('a second stage', () => {
  /** Says the opposite of the first: what is small is fraud. */
  const second: Bundle = {
    ...bundle,
    bundle_id: 'second',
    model: {
      format: 'probity.linear.v1',
      intercept: 4,
      inputs: [
        {
          source: 'event',
          name: 'amount_minor',
          mean: 1_000,
          deviation: 1_000,
          weight: -2,
          weight_missing: 0,
          reason_code: 'SMALL',
        },
        { source: 'graph', name: 'device_payers', mean: 0, deviation: 1, weight: 1, weight_missing: 0 },
      ],
    },
    compatibility: { feature_groups: [], input_contract: 'transaction.v1' },
  };
  const staged = (from_score_e6: number, to_score_e6: number, stage2: Bundle = second): DecisionEngine =>
    new DecisionEngine(
      artifactsOf({
        decision: sealed('df.decision', policy),
        bundles: supposed(
          {
            active: { digest: bundleDigest(bundle), bundle },
            stage2: { digest: bundleDigest(stage2), bundle: stage2, from_score_e6, to_score_e6 },
            shadow: [],
          },
          ACTIVATION,
        ),
      }),
    );
  const alone = decided({ amount_minor: 10 });
  const firstScore = alone.model.score_e6 ?? -1;

  it('asks it within the band, both ends included, and rules read what it said', () => {
    for (const engine of [staged(0, 1_000_000), staged(firstScore, firstScore)]) {
      const { model, outcome, reason_codes, rules: judged } = decided({ amount_minor: 10 }, { engine });
      expect(model).toMatchObject({ score_e6: firstScore, contributions: alone.model.contributions });
      expect(model.stage2).toMatchObject({ bundle_id: 'second', digest: bundleDigest(second) });
      expect(model.stage2?.score_e6).toBeGreaterThan(990_000);
      expect(model.stage2?.contributions?.map(({ feature }) => feature)).toEqual(['event.amount_minor']);
      expect(judged.hits.map(({ rule_id }) => rule_id)).toEqual(['high']);
      // The graph was not there, which has its own reason.
      expect([outcome, reason_codes.includes('SCORE'), reason_codes.includes('SMALL')]).toEqual(['QUEUE', true, true]);
    }
    expect([alone.outcome, alone.model.stage2]).toEqual(['APPROVE', undefined]);
  });

  it('does not ask it outside of the band, and says so without making a reason of it', () => {
    for (const engine of [staged(firstScore + 1, 1_000_000), staged(0, firstScore - 1)]) {
      const { model, outcome, reason_codes } = decided({ amount_minor: 10 }, { engine });
      expect(model).toEqual({
        ...alone.model,
        stage2: {
          activation: ACTIVATION,
          bundle_id: 'second',
          bundle_version: 3,
          digest: bundleDigest(second),
          skipped: 'OUTSIDE_BAND',
        },
      });
      expect(reason_codes).not.toContain('OUTSIDE_BAND');
      expect(outcome).toBe('APPROVE');
    }
  });

  it('is not asked without a first score, and leaves the word to the first where it cannot be used', () => {
    const blind = decided(
      {},
      { engine: staged(0, 1_000_000), mask: asMask({ ...NORMAL, allow_model_primary: false }) },
    );
    expect(blind.model).toMatchObject({
      skipped: 'CAPABILITY_BLOCK:allow_model_primary',
      stage2: { skipped: 'NO_PRIMARY_SCORE' },
    });
    const foreign: Bundle = {
      ...second,
      compatibility: { ...second.compatibility, feature_groups: [{ name: 'core_card', version: 99 }] },
    };
    const unusable = decided({ amount_minor: 10 }, { engine: staged(0, 1_000_000, foreign) });
    const why = 'INCOMPATIBLE_FEATURE_VERSION_MISMATCH:core_card';
    expect(unusable.model).toMatchObject({ score_e6: firstScore, stage2: { skipped: why } });
    expect(unusable.reason_codes).toContain(why);
  });

  it('asks for the context that only the second stage reads', () => {
    expect(new DecisionEngine(artifactsOf()).plan(postureOf(NORMAL)).graph).toBe('NOT_REQUESTED_BY_PLAN');
    expect(staged(0, 1).plan(postureOf(NORMAL)).graph).toBe('ASK');
  });

  it('is refused with a band that ends before it begins, without a first stage, and under another digest', () => {
    const named = { digest: bundleDigest(second), bundle: second };
    const active = { digest: bundleDigest(bundle), bundle };
    expect(bundlesFaults({ active, stage2: { ...named, from_score_e6: 2, to_score_e6: 1 }, shadow: [] })).toEqual([
      { pointer: '/stage2/from_score_e6', sentence: expect.stringContaining('ends before') },
    ]);
    expect(bundlesFaults({ stage2: { ...named, from_score_e6: 0, to_score_e6: 1 }, shadow: [] })).toEqual([
      { pointer: '/stage2', sentence: expect.stringContaining('active bundle') },
    ]);
    expect(
      bundlesFaults({
        active,
        stage2: { ...active, digest: named.digest, from_score_e6: 0, to_score_e6: 1 },
        shadow: [],
      }),
    ).toEqual([{ pointer: '/stage2/digest', sentence: expect.stringContaining('not this one') }]);
  });
});
