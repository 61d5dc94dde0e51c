import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { type CapabilityMask, unrestricted } from '../../src/rails/capability-mask.js';
import { Expressions } from '../../src/rails/decision/expression.js';
import { digestText } from '../../src/rails/digest.js';
import type { Decision } from '../../src/rails/events/decision.schema.js';
import type { Digest } from '../../src/rails/digest.js';
import { type Bundle, bundleDigest } from '../../src/rails/model/bundle.schema.js';
import type { Bundles } from '../../src/rails/decision/policy.schema.js';
import { sealPolicy, type SealedPolicy } from '../../src/rails/policy-rev.js';
import type { RecordBatch } from '../../src/substrate/bus/bus.port.js';
import {
  engineOf,
  type FakeFeatures,
  type FakeLadder,
  fabricLife,
  GROUPS,
  type Neighbours,
} from './decision-fabric.kit.js';

/** Two bundles, of which each is read whenever it is asked for a score, and by nothing else once its digest has been taken. */
interface SpiedBundles {
  readonly bundles: Bundles;
  readonly scored: () => number;
  readonly scoredSecond: () => number;
}

function spiedBundle(bundle_id: string): {
  readonly named: { readonly digest: Digest; readonly bundle: Bundle };
  readonly reads: () => number;
} {
  const bundle: Bundle = {
    bundle_id,
    bundle_version: 1,
    compatibility: { feature_groups: [{ name: 'core_card', version: 1 }], input_contract: 'transaction.v1' },
    lineage: { trained_on: 'nothing', recipe: 'by hand', dataset_digest: digestText('nothing') },
    model: {
      format: 'probity.linear.v1',
      intercept: 3,
      inputs: [
        { source: 'features', name: 'card_count_1h', mean: 0, deviation: 1, weight: 0.1, weight_missing: 0.1 },
        { source: 'event', name: 'amount_minor', mean: 0, deviation: 1, weight: 0.001, weight_missing: 0 },
      ],
    },
  };
  let reads = 0;
  const model = { ...bundle.model };
  Object.defineProperty(model, 'intercept', { enumerable: true, get: () => ((reads += 1), 3) });
  const digest = bundleDigest(bundle);
  return { named: { digest, bundle: { ...bundle, model } }, reads: () => reads };
}

function spiedBundles(): SpiedBundles {
  const [first, second] = [spiedBundle('spied'), spiedBundle('spied-second')];
  const stage2 = { ...second.named, from_score_e6: 0, to_score_e6: 1_000_000 };
  return {
    bundles: { active: first.named, stage2, shadow: [] },
    scored: first.reads,
    scoredSecond: second.reads,
  };
}

const rule = (id: string, when: string, outcome?: string) => ({
  id,
  when,
  ...(outcome === undefined ? {} : { outcome }),
  reason_code: id.toUpperCase(),
  text: 'A reason.',
});
const OF_EVENT = 'event.amount_minor >= 0';
const OF_CARD = 'has(features.card_count_1h) || event.amount_minor > 0';
const OF_SCORE = 'score_e6 >= 1';
const RULES = sealPolicy('df.rules', 1, {
  lists: [
    { name: 'event', kind: 'raise', rules: [rule('of_event', OF_EVENT, 'QUEUE')] },
    { name: 'features', kind: 'raise', rules: [rule('of_features', OF_CARD, 'STEP_UP')] },
    { name: 'score', kind: 'score', rules: [rule('of_score', OF_SCORE, 'DECLINE')] },
  ],
});
const ONLY_ALLOWING = sealPolicy('df.rules', 1, {
  lists: [{ name: 'allow', kind: 'allow', rules: [rule('of_event', OF_EVENT)] }],
});

/**
 * Each field of the mask: what it forbids is not done, which a spy at the very place says, and the decision names the posture and the field (law
 * R8). The twin of each is the same event under the mask that allows everything.
 */
export function masksSuite(neighbours: () => Neighbours, delivered: () => RecordBatch): void {
  describe('each field of the mask', () => {
    let evaluated: string[];
    let bundles: SpiedBundles;

    beforeEach(() => {
      evaluated = [];
      bundles = spiedBundles();
      const compile = Object.getOwnPropertyDescriptor(Expressions.prototype, 'compile')
        ?.value as Expressions['compile'];
      jest.spyOn(Expressions.prototype, 'compile').mockImplementation(function (this: Expressions, text: string) {
        const compiled = compile.call(this, text);
        if (!compiled.ok) return compiled;
        const { expression } = compiled;
        return {
          ok: true,
          expression: {
            ...expression,
            evaluate: (facts) => {
              evaluated.push(text);
              return expression.evaluate(facts);
            },
          },
        };
      });
    });
    afterEach(() => {
      jest.restoreAllMocks();
    });

    interface Seen {
      readonly decision: Decision;
      readonly scored: number;
      readonly scoredSecond: number;
      readonly evaluated: readonly string[];
      readonly asked: readonly string[];
      readonly domains: readonly string[];
    }

    /** One payment under the mask, and what was called for it. */
    async function decidedUnder(change: Partial<CapabilityMask>, rules: SealedPolicy = RULES): Promise<Seen> {
      const around = neighbours();
      const [ladder, features] = [around.ladder as FakeLadder, around.features as FakeFeatures];
      ladder.mask = { ...unrestricted(GROUPS), ...change };
      features.calls = [];
      evaluated = [];
      const before = {
        scored: bundles.scored(),
        scoredSecond: bundles.scoredSecond(),
        intents: around.gate.ofType('action_intent').length,
      };
      await fabricLife(around, engineOf({ rules, bundles: bundles.bundles })).consumer.take(delivered());
      const decision = around.gate.decisions.at(-1);
      if (decision === undefined) throw new Error('nothing was decided');
      const intents = around.gate.ofType('action_intent').slice(before.intents);
      return {
        decision,
        scored: bundles.scored() - before.scored,
        scoredSecond: bundles.scoredSecond() - before.scoredSecond,
        evaluated,
        asked: features.calls.flatMap(({ groups }) => groups),
        domains: intents.map(
          (text) => (JSON.parse(text) as { payload: { action_domain: string } }).payload.action_domain,
        ),
      };
    }

    const namesPosture = ({ decision }: Seen, field: string): void => {
      expect(decision.posture).toMatchObject({ status: 'USED', posture_seq: 7 });
      expect(decision.reason_codes).toContain(`CAPABILITY_BLOCK:${field}`);
    };

    it('allows everything: features are asked for, rules and model are evaluated, every action is asked for', async () => {
      const seen = await decidedUnder({});
      expect(seen.scored).toBeGreaterThan(0);
      expect(seen.evaluated).toEqual([OF_EVENT, OF_CARD, OF_SCORE]);
      expect(seen.asked).toContain('core_card');
      expect(seen.decision).toMatchObject({ outcome: 'DECLINE', model: { score_e6: expect.any(Number) } });
      expect(seen.decision.reason_codes.filter((reason) => reason.startsWith('CAPABILITY_BLOCK'))).toEqual([]);
    });

    it('allowed_feature_groups: a group that is not among them is not asked for, and the model that reads it does not run', async () => {
      const seen = await decidedUnder({ allowed_feature_groups: ['core_transaction'] as never });
      expect(seen.asked).toEqual(['core_transaction']);
      expect(seen.scored).toBe(0);
      expect(seen.decision).toMatchObject({
        posture: { posture_seq: 7 },
        features: { forbidden_groups: expect.arrayContaining(['core_card']) },
        model: { skipped: 'CAPABILITY_BLOCK:allowed_feature_groups' },
      });
      const none = await decidedUnder({ allowed_feature_groups: [] });
      expect([none.asked, none.scored]).toEqual([[], 0]);
      namesPosture(none, 'allowed_feature_groups');
    });

    it('allow_model_primary: no score is computed, and no rule reads one', async () => {
      const seen = await decidedUnder({ allow_model_primary: false });
      expect([seen.scored, seen.scoredSecond]).toEqual([0, 0]);
      expect(seen.evaluated).toEqual([OF_EVENT, OF_CARD]);
      expect(seen.decision).toMatchObject({
        outcome: 'QUEUE',
        model: { skipped: 'CAPABILITY_BLOCK:allow_model_primary' },
      });
      expect(seen.decision.model).not.toHaveProperty('score_e6');
      namesPosture(seen, 'allow_model_primary');
    });

    it('allow_model_stage2: the second model is not asked, and the first one has the word', async () => {
      const allowed = await decidedUnder({});
      expect(allowed.scoredSecond).toBeGreaterThan(0);
      expect(allowed.decision.model.stage2).toMatchObject({ bundle_id: 'spied-second', score_e6: expect.any(Number) });
      const seen = await decidedUnder({ allow_model_stage2: false });
      expect([seen.scored, seen.scoredSecond]).toEqual([allowed.scored, 0]);
      expect(seen.decision).toMatchObject({
        outcome: 'DECLINE',
        model: {
          score_e6: allowed.decision.model.score_e6,
          stage2: { skipped: 'CAPABILITY_BLOCK:allow_model_stage2' },
        },
      });
      expect(seen.decision.model.stage2).not.toHaveProperty('score_e6');
      namesPosture(seen, 'allow_model_stage2');
    });

    it('allow_fallback_heuristics: rules that read anything but the event are not evaluated, and none may lower', async () => {
      const seen = await decidedUnder({ allow_fallback_heuristics: false });
      expect(seen.evaluated).toEqual([OF_EVENT]);
      expect(seen.decision).toMatchObject({ outcome: 'QUEUE', rules: { hits: [{ rule_id: 'of_event' }] } });
      namesPosture(seen, 'allow_fallback_heuristics');
      const lowering = await decidedUnder({ allow_fallback_heuristics: false }, ONLY_ALLOWING);
      expect(lowering.decision).toMatchObject({ outcome: 'STEP_UP', rules: { hits: [] } });
      namesPosture(lowering, 'allow_fallback_heuristics');
      expect((await decidedUnder({}, ONLY_ALLOWING)).decision.outcome).toBe('APPROVE');
    });

    it('action_posture: nothing beyond a step-up is asked for, and no verdict is without friction', async () => {
      const queued = { allow_model_primary: false };
      expect([...(await decidedUnder(queued)).domains].sort()).toEqual(['case_queue', 'txn_disposition']);
      const clipped = await decidedUnder({ ...queued, action_posture: 'STEP_UP_ONLY' });
      expect(clipped.domains).toEqual(['txn_disposition']);
      expect(clipped.decision.reason_codes).toContain('CLIPPED_BY_CONSTRAINTS');
      namesPosture(clipped, 'action_posture');
      const raised = await decidedUnder({ action_posture: 'STEP_UP_ONLY' }, ONLY_ALLOWING);
      expect(raised.decision.outcome).toBe('STEP_UP');
      namesPosture(raised, 'action_posture');
    });
  });
}
