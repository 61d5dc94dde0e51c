import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parse } from 'yaml';
import { advance, basisRecord, emptyBasis } from '../basis.js';
import { canonicalJson, type JsonValue } from '../canonical-json.js';
import { asMask, type CapabilityMask, MOST_RESTRICTIVE, unrestricted } from '../capability-mask.js';
import { digestText } from '../digest.js';
import { asOffset } from '../eb-ref.js';
import type { EventId, EventType } from '../envelope.schema.js';
import { checkEnvelope } from '../envelope.js';
import { ActionIntentSchema } from '../events/action-intent.schema.js';
import { DecisionSchema, OUTCOMES } from '../events/decision.schema.js';
import type { Posture } from '../events/posture.schema.js';
import type { FeatureDefinitions } from '../features/definition.schema.js';
import { FeatureState } from '../features/feature-state.js';
import { planOf } from '../features/plan.js';
import { snapshotOf } from '../features/snapshot.js';
import { type Bundle, bundleDigest } from '../model/bundle.schema.js';
import { asPins, type RunPins } from '../pins.js';
import { sealPolicy } from '../policy-rev.js';
import { asUtcMicros, toEpochMicros } from '../time.js';
import { validatorOf } from '../validator.js';
import { bundlesFaults, type DecisionArtifacts, type InForce } from './artifacts.js';
import { decisionEnvelope, intentEnvelope, intentsOf } from './envelopes.js';
import { DecisionEngine } from './engine.js';
import type { DecisionTrigger, FeaturesUse, GraphUse, PostureUse } from './inputs.js';
import type { Bundles, DecisionPolicy } from './policy.schema.js';
import type { Rules } from './rules.schema.js';

const shipped = <Body>(policy: string): InForce<Body> => {
  const file = join(process.cwd(), 'profiles', 'local', 'policy', `${policy}.yaml`);
  const { body } = parse(readFileSync(file, 'utf8')) as { body: JsonValue };
  return sealPolicy(policy, 1, body) as unknown as InForce<Body>;
};
const features = shipped<FeatureDefinitions>('ofp.features');
const GROUPS = features.body.groups.map(({ name }) => name);
const sealed = <Body>(policy: string, body: Body): InForce<Body> =>
  sealPolicy(policy, 1, body as JsonValue) as unknown as InForce<Body>;

const bundle: Bundle = {
  bundle_id: 'test',
  bundle_version: 3,
  compatibility: {
    feature_groups: [{ name: 'core_card', version: 1 }],
    input_contract: 'transaction.v1',
  },
  lineage: { trained_on: 'nothing', recipe: 'by hand', dataset_digest: digestText('nothing') },
  model: {
    format: 'probity.linear.v1',
    intercept: -4,
    inputs: [
      {
        source: 'features',
        name: 'card_count_1h',
        mean: 1,
        deviation: 1,
        weight: 3,
        weight_missing: 0,
        reason_code: 'CARD_BUSY',
      },
      {
        source: 'event',
        name: 'amount_minor',
        mean: 1_000,
        deviation: 1_000,
        weight: 0.5,
        weight_missing: 0,
        reason_code: 'AMOUNT',
      },
    ],
  },
};
const rules: Rules = {
  lists: [
    {
      name: 'block',
      kind: 'block',
      rules: [{ id: 'kp', when: 'event.country == "KP"', outcome: 'DECLINE', reason_code: 'BLOCKED', text: 't' }],
    },
    {
      name: 'allow',
      kind: 'allow',
      rules: [{ id: 'friend', when: 'event.merchant_id == "friend"', reason_code: 'FRIEND', text: 't' }],
    },
    {
      name: 'raise',
      kind: 'raise',
      rules: [
        { id: 'busy', when: 'features.card_count_1h >= 3', outcome: 'STEP_UP', reason_code: 'BUSY', text: 't' },
        {
          id: 'watched',
          when: 'event.amount_minor >= 0',
          outcome: 'DECLINE',
          reason_code: 'WATCHED',
          text: 't',
          shadow: true,
        },
      ],
    },
    {
      name: 'score',
      kind: 'score',
      rules: [{ id: 'high', when: 'score_e6 >= 900000', outcome: 'QUEUE', reason_code: 'SCORE', text: 't' }],
    },
  ],
};
const policy: DecisionPolicy = {
  ...shipped<DecisionPolicy>('df.decision').body,
  required_feature_groups: ['core_card'],
};

const artifactsOf = (more: Partial<DecisionArtifacts> = {}, active: Bundle | null = bundle): DecisionArtifacts => ({
  decision: sealed('df.decision', policy),
  rules: sealed('df.rules', rules),
  bundles: sealed<Bundles>('df.bundles', {
    ...(active === null ? {} : { active: { digest: bundleDigest(active), bundle: active } }),
    shadow: [],
  }),
  features,
  graph: shipped('ieg.graph'),
  ...more,
});

const pins = asPins({
  manifest_fingerprint: 'a'.repeat(64),
  parameter_hash: 'b'.repeat(64),
  seed: '7',
  scenario_id: 'test',
  run_id: 'c'.repeat(32),
}) as RunPins;

const T0 = '2018-04-01T10:00:00.000000Z';
const triggerOf = (payload: object = {}, id = 'now'): DecisionTrigger => ({
  pins,
  eventId: id as EventId,
  eventType: 'transaction' as EventType,
  ts: toEpochMicros(asUtcMicros(T0)),
  tsUtc: asUtcMicros(T0),
  partition: 1,
  offset: asOffset(40),
  ebRef: { topic: 'fp.bus.traffic.v1' as never, partition: 1, offset: asOffset(40) },
  payloadHash: digestText('payload'),
  entityKey: 'card-1',
  payload: { transaction_id: 'p-1', amount_minor: 1_000, currency: 'EUR', card_id: 'card-1', ...payload },
});

const postureOf = (mask: CapabilityMask): PostureUse => ({
  status: 'USED',
  posture: {
    scope_key: 'GLOBAL',
    mode: 'NORMAL',
    mask,
    health: 'HEALTHY',
    reason_codes: [],
    triggers: [],
    snapshot_id: digestText('readings'),
    policy_rev: sealPolicy('dl.ladder', 1, {}).policy_rev,
    posture_seq: 5,
    decided_at_utc: asUtcMicros(T0),
  } satisfies Posture,
});
const PLAIN = new DecisionEngine(artifactsOf());
const STAGED = new DecisionEngine(
  artifactsOf({
    bundles: sealed<Bundles>('df.bundles', {
      active: { digest: bundleDigest(bundle), bundle },
      stage2: { digest: bundleDigest(bundle), bundle, from_score_e6: 1_000, to_score_e6: 900_000 },
      shadow: [],
    }),
  }),
);
const NORMAL = unrestricted(GROUPS);
const NO_GRAPH: GraphUse = { status: 'NOT_REQUESTED_BY_PLAN' };

/** A snapshot after so many earlier payments of the card within the hour. */
function snapshotAfter(count: number, trigger: DecisionTrigger, groups: readonly string[]): FeaturesUse {
  const state = new FeatureState(planOf(features.body));
  const earlier = { ...triggerOf().payload, card_id: trigger.payload['card_id'] };
  for (let n = 0; n < count; n += 1)
    state.apply([
      // What was admitted before is sound; the trigger may be anything.
      {
        ...trigger,
        payload: earlier,
        eventId: `e-${n}` as EventId,
        ts: (trigger.ts - (n + 1) * 60e6) as never,
        offset: asOffset(n),
      },
    ]);
  const basis = advance(emptyBasis(['fp.bus.traffic.v1']), [
    { topic: 'fp.bus.traffic.v1', partition: 1, nextOffset: asOffset(40) },
  ]);
  return {
    status: 'USED',
    snapshot: snapshotOf({
      pins,
      trigger,
      definitions: features.policy_rev,
      groups: state.snapshot(trigger, new Set(groups)),
      inputBasis: basisRecord(basis),
    }),
  };
}

function decided(
  payload: object = {},
  {
    count = 0,
    mask = NORMAL,
    engine = new DecisionEngine(artifactsOf()),
    posture = postureOf(mask),
    features: use,
  }: {
    count?: number;
    mask?: CapabilityMask;
    engine?: DecisionEngine;
    posture?: PostureUse;
    features?: FeaturesUse;
  } = {},
) {
  const trigger = triggerOf(payload);
  const plan = engine.plan(posture);
  const given: FeaturesUse =
    use ??
    (plan.featureGroups.length === 0
      ? { status: plan.forbiddenGroups.length > 0 ? 'FORBIDDEN_BY_MASK' : 'NOT_REQUESTED_BY_PLAN' }
      : snapshotAfter(count, trigger, plan.featureGroups));
  return engine.decide(trigger, plan, given, NO_GRAPH);
}

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

  describe('with a second stage', () => {
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
          bundles: sealed<Bundles>('df.bundles', {
            active: { digest: bundleDigest(bundle), bundle },
            stage2: { digest: bundleDigest(stage2), bundle: stage2, from_score_e6, to_score_e6 },
            shadow: [],
          }),
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
        expect([outcome, reason_codes.includes('SCORE'), reason_codes.includes('SMALL')]).toEqual([
          'QUEUE',
          true,
          true,
        ]);
      }
      expect([alone.outcome, alone.model.stage2]).toEqual(['APPROVE', undefined]);
    });

    it('does not ask it outside of the band, and says so without making a reason of it', () => {
      for (const engine of [staged(firstScore + 1, 1_000_000), staged(0, firstScore - 1)]) {
        const { model, outcome, reason_codes } = decided({ amount_minor: 10 }, { engine });
        expect(model).toEqual({
          ...alone.model,
          stage2: { bundle_id: 'second', bundle_version: 3, digest: bundleDigest(second), skipped: 'OUTSIDE_BAND' },
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
