import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson } from '../canonical-json.js';
import { asMask, type CapabilityMask, MOST_RESTRICTIVE } from '../capability-mask.js';
import { checkEnvelope } from '../envelope.js';
import { ActionIntentSchema } from '../events/action-intent.schema.js';
import { DecisionSchema, OUTCOMES } from '../events/decision.schema.js';
import { type Bundle, bundleDigest } from '../model/bundle.schema.js';
import { validatorOf } from '../validator.js';
import { bundlesFaults } from './artifacts.js';
import { decisionEnvelope, intentEnvelope, intentsOf } from './envelopes.js';
import { DecisionEngine } from './engine.js';
import type { FeaturesUse, PostureUse } from './inputs.js';
import type { DecisionPolicy } from './policy.schema.js';
import {
  features,
  GROUPS,
  sealed,
  bundle,
  policy,
  artifactsOf,
  pins,
  T0,
  postureOf,
  PLAIN,
  STAGED,
  NORMAL,
  decided,
} from '../../../test/support/decision-engine.js';

describe('a verdict', () => {
  it('is the default where nothing speaks against the event, with everything that it came from', () => {
    const decision = decided();
    expect(validatorOf(DecisionSchema, 'the decision').check(JSON.parse(JSON.stringify(decision)))).toMatchObject({
      ok: true,
    });
    expect(decision).toMatchObject({
      outcome: 'APPROVE',
      reason_codes: [],
      posture: { status: 'USED', posture_seq: 5 },
      bundle: { status: 'ACTIVE', bundle_id: 'test', bundle_version: 3, digest: bundleDigest(bundle) },
      features: { status: 'USED', definitions: features.policy_rev },
      // A rule that is only watched is recorded and does nothing.
      rules: { hits: [], shadow_hits: [{ rule_id: 'watched', outcome: 'DECLINE' }] },
      actions: [{ action_domain: 'txn_disposition', target: { type: 'transaction', id: 'p-1' } }],
    });
    expect(decision.model.score_e6).toBe(17_986);
  });

  it('keeps to the order of worth: block above allow, allow above score and raise', () => {
    const busy = { count: 5 };
    expect(decided({}, busy)).toMatchObject({
      outcome: 'QUEUE',
      reason_codes: expect.arrayContaining(['BUSY', 'SCORE', 'CARD_BUSY']),
    });
    expect(decided({ merchant_id: 'friend' }, busy)).toMatchObject({ outcome: 'APPROVE', reason_codes: ['FRIEND'] });
    expect(decided({ merchant_id: 'friend', country: 'KP' }, busy)).toMatchObject({
      outcome: 'DECLINE',
      reason_codes: ['BLOCKED'],
    });
  });

  it('says which features moved the score, the strongest first, and what raised it as reasons', () => {
    const { model } = decided({ amount_minor: 3_000 }, { count: 5 });
    expect(
      model.contributions?.map(({ feature, value, contribution_e6 }) => [feature, value, contribution_e6]),
    ).toEqual([
      ['features.card_count_1h', '6', 15_000_000],
      ['event.amount_minor', '3000', 1_000_000],
    ]);
    expect(model.score_e6).toBe(999_994);
  });

  it('is made by rules alone where no bundle is active, which is a normal state', () => {
    const engine = new DecisionEngine(artifactsOf({}, null));
    expect(decided({}, { engine })).toMatchObject({
      outcome: 'APPROVE',
      bundle: { status: 'ABSENT', reason: 'NO_ACTIVE' },
      model: { skipped: 'NO_ACTIVE' },
    });
    expect(decided({}, { engine, count: 3 })).toMatchObject({ outcome: 'STEP_UP', reason_codes: ['BUSY'] });
  });

  it('is the same, byte for byte, for the same inputs; rules and features in another order change nothing that follows', () => {
    const once = canonicalJson(decided({ country: 'KP' }, { count: 4 }));
    expect(canonicalJson(decided({ country: 'KP' }, { count: 4 }))).toBe(once);
    const actions = { ...policy.actions, DECLINE: [...policy.actions.QUEUE].reverse(), QUEUE: policy.actions.QUEUE };
    const of = (wanted: DecisionPolicy['actions']) =>
      decided(
        { country: 'KP' },
        {
          engine: new DecisionEngine(artifactsOf({ decision: sealed('df.decision', { ...policy, actions: wanted }) })),
        },
      ).actions;
    expect(of(actions)).toEqual(of({ ...actions, DECLINE: [...policy.actions.QUEUE] }));
  });

  it('has an id and keys that no bundle, posture or offset is part of', () => {
    const one = decided({}, { count: 4 });
    const other = decided({}, { mask: MOST_RESTRICTIVE, engine: new DecisionEngine(artifactsOf({}, null)) });
    expect(other.outcome).not.toBe(one.outcome);
    const disposition = ({ actions }: typeof one) =>
      actions.find(({ action_domain }) => action_domain === 'txn_disposition')?.idempotency_key;
    expect([other.decision_id, disposition(other)]).toEqual([one.decision_id, disposition(one)]);
  });
});

describe('what is masked or missing', () => {
  const masked = (change: Partial<CapabilityMask>): CapabilityMask => ({ ...NORMAL, ...change });

  it.each([
    ['a model', masked({ allow_model_primary: false }), 'CAPABILITY_BLOCK:allow_model_primary'],
    ['a required group', masked({ allowed_feature_groups: [] }), 'CAPABILITY_BLOCK:allowed_feature_groups'],
  ])('%s: the safe outcome at the least, and the field is named', (_, mask, reason) => {
    const decision = decided({}, { mask });
    expect(decision.outcome).toBe('STEP_UP');
    expect(decision.reason_codes).toContain(reason);
    expect(decision.model.score_e6).toBeUndefined();
    // Nor does an allow rule speak where something is missing; a block does.
    expect(decided({ merchant_id: 'friend' }, { mask }).outcome).toBe('STEP_UP');
    expect(decided({ country: 'KP' }, { mask }).outcome).toBe('DECLINE');
    expect(decided({ merchant_id: 'friend' }).outcome).toBe('APPROVE');
  });

  it('groups that are not allowed are never asked for', () => {
    const engine = new DecisionEngine(artifactsOf());
    expect(engine.plan(postureOf(NORMAL))).toMatchObject({ featureGroups: ['core_card'], forbiddenGroups: [] });
    expect(engine.plan(postureOf(MOST_RESTRICTIVE))).toMatchObject({
      featureGroups: [],
      forbiddenGroups: ['core_card'],
    });
  });

  it('under FAIL_CLOSED only rules over the event speak, and they may only raise', () => {
    const closed = (payload: object) => decided(payload, { mask: MOST_RESTRICTIVE, count: 5 });
    expect(closed({})).toMatchObject({ outcome: 'STEP_UP', rules: { hits: [] } });
    expect(closed({ merchant_id: 'friend' })).toMatchObject({ outcome: 'STEP_UP', rules: { hits: [] } });
    expect(closed({ country: 'KP' })).toMatchObject({ outcome: 'DECLINE', rules: { hits: [{ rule_id: 'kp' }] } });
  });

  it.each([
    ['no posture', { status: 'UNAVAILABLE' } as const, 'DL_UNAVAILABLE_FAIL_CLOSED'],
    ['an old one', { ...postureOf(NORMAL), status: 'STALE' } as PostureUse, 'POSTURE_STALE'],
  ])('%s is the most restrictive one', (_, posture, reason) => {
    const decision = decided({}, { posture });
    expect(decision).toMatchObject({
      outcome: 'STEP_UP',
      posture: { status: posture.status, mode: 'FAIL_CLOSED', mask: MOST_RESTRICTIVE },
    });
    expect(decision.reason_codes[0]).toBe(reason);
  });

  it.each(['UNAVAILABLE', 'STALE_BEYOND_TOLERANCE', 'NOT_FOUND'] as const)(
    'features that are %s are said to be so, and nothing else',
    (status) => {
      const decision = decided({}, { features: { status } });
      expect(decision).toMatchObject({ outcome: 'STEP_UP', features: { status } });
      expect(decision.features.feature_snapshot_hash).toBeUndefined();
      expect(decision.reason_codes).toContain(`FEATURES_${status}`);
    },
  );

  it('within STEP_UP_ONLY there is no frictionless approval, and nothing is asked for beyond it', () => {
    const mask = masked({ action_posture: 'STEP_UP_ONLY' });
    expect(decided({}, { mask })).toMatchObject({ outcome: 'STEP_UP' });
    const clipped = decided({}, { mask, count: 5 });
    expect(clipped.outcome).toBe('QUEUE');
    expect(clipped.actions.map(({ action_domain }) => action_domain)).toEqual(['txn_disposition']);
    expect(clipped.reason_codes).toEqual(
      expect.arrayContaining(['CLIPPED_BY_CONSTRAINTS', 'CAPABILITY_BLOCK:action_posture']),
    );
    expect(decided({}, { count: 5 }).actions.map(({ action_domain }) => action_domain)).toEqual([
      'case_queue',
      'txn_disposition',
    ]);
  });

  it('a bundle for other features is a verdict of its own: not used, named, and no other one is taken', () => {
    const other: Bundle = {
      ...bundle,
      compatibility: { ...bundle.compatibility, feature_groups: [{ name: 'core_card', version: 2 }] },
    };
    const decision = decided({}, { engine: new DecisionEngine(artifactsOf({}, other)) });
    expect(decision).toMatchObject({
      outcome: 'STEP_UP',
      bundle: { status: 'ACTIVE', digest: bundleDigest(other) },
      model: { skipped: 'INCOMPATIBLE_FEATURE_VERSION_MISMATCH:core_card' },
    });
  });

  it('a bundle of which one coefficient was changed is refused before it scores anything', () => {
    const changed = JSON.parse(JSON.stringify(bundle)) as { model: { intercept: number } };
    changed.model.intercept = -3.999;
    const faults = bundlesFaults({
      active: { digest: bundleDigest(bundle), bundle: changed as unknown as Bundle },
      shadow: [],
    });
    expect(faults).toEqual([{ pointer: '/active/digest', sentence: expect.stringContaining('not this one') }]);
  });

  it('whatever is there or not, a decision is well-formed, says nothing that was not given to it, and never throws', () => {
    const statuses = fc.constantFrom('UNAVAILABLE', 'STALE_BEYOND_TOLERANCE', 'NOT_FOUND', 'USED');
    const masks = fc.record({
      allow_ieg: fc.boolean(),
      allowed_feature_groups: fc.subarray(GROUPS).map((names) => [...names].sort()),
      allow_model_primary: fc.boolean(),
      allow_model_stage2: fc.boolean(),
      allow_fallback_heuristics: fc.boolean(),
      action_posture: fc.constantFrom('NORMAL', 'STEP_UP_ONLY'),
    });
    const payloads = fc.dictionary(
      fc.constantFrom('amount_minor', 'country', 'card_id', 'merchant_id', 'transaction_id', 'channel'),
      fc.oneof(fc.string(), fc.integer(), fc.double(), fc.constant(null), fc.constant({})),
    );
    const check = validatorOf(DecisionSchema, 'the decision');
    const intent = validatorOf(ActionIntentSchema, 'the intent');
    fc.assert(
      fc.property(statuses, masks, payloads, fc.nat(6), fc.boolean(), (status, mask, payload, count, staged) => {
        const decision = decided(payload, {
          mask: asMask(mask),
          engine: staged ? STAGED : PLAIN,
          count,
          ...(status === 'USED' ? {} : { features: { status } as FeaturesUse }),
        });
        expect(check.check(JSON.parse(canonicalJson(decision)))).toMatchObject({ ok: true });
        expect(canonicalJson(decision)).not.toMatch(/"0{32,}"/);
        // What the mask forbids has no score, whatever else is there.
        if (!mask.allow_model_primary) expect(decision.model).not.toHaveProperty('score_e6');
        if (!mask.allow_model_stage2) expect(decision.model.stage2 ?? {}).not.toHaveProperty('score_e6');
        expect(decision.model.stage2 === undefined).toBe(!staged);
        if (decision.features.status !== 'USED') expect(decision.features).not.toHaveProperty('feature_snapshot_hash');
        expect(OUTCOMES.indexOf(decision.outcome)).toBeGreaterThanOrEqual(
          mask.action_posture === 'STEP_UP_ONLY' ? 1 : 0,
        );
        const event = decisionEnvelope(decision, pins);
        expect(checkEnvelope(JSON.parse(event.text))).toMatchObject({ ok: true });
        for (const one of intentsOf(decision)) {
          expect(intent.check(JSON.parse(canonicalJson(one)))).toMatchObject({ ok: true });
          const { text, eventId } = intentEnvelope(one, decision, pins);
          expect(JSON.parse(text)).toMatchObject({
            event_id: one.idempotency_key,
            parent_event_id: decision.decision_id,
            ts_utc: T0,
          });
          expect(eventId).toBe(one.idempotency_key);
        }
      }),
      { numRuns: 150 },
    );
  });
});
