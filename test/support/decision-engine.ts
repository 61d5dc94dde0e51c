import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { advance, basisRecord, emptyBasis } from '../../src/rails/basis.js';
import { type JsonValue } from '../../src/rails/canonical-json.js';
import { type CapabilityMask, unrestricted } from '../../src/rails/capability-mask.js';
import { digestText } from '../../src/rails/digest.js';
import { asOffset } from '../../src/rails/eb-ref.js';
import type { EventId, EventType } from '../../src/rails/envelope.schema.js';
import type { Activation } from '../../src/rails/events/decision.schema.js';
import type { Posture } from '../../src/rails/events/posture.schema.js';
import type { FeatureDefinitions } from '../../src/rails/features/definition.schema.js';
import { FeatureState } from '../../src/rails/features/feature-state.js';
import { planOf } from '../../src/rails/features/plan.js';
import { snapshotOf } from '../../src/rails/features/snapshot.js';
import { type Bundle, bundleDigest } from '../../src/rails/model/bundle.schema.js';
import { asPins, type RunPins } from '../../src/rails/pins.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import { asUtcMicros, toEpochMicros } from '../../src/rails/time.js';
import { type DecisionArtifacts, type InForce, supposed } from '../../src/rails/decision/artifacts.js';
import { DecisionEngine } from '../../src/rails/decision/engine.js';
import type { DecisionTrigger, FeaturesUse, GraphUse, PostureUse } from '../../src/rails/decision/inputs.js';
import type { DecisionPolicy } from '../../src/rails/decision/policy.schema.js';
import type { Rules } from '../../src/rails/decision/rules.schema.js';

export const shipped = <Body>(policy: string): InForce<Body> => {
  const file = join(process.cwd(), 'profiles', 'local', 'policy', `${policy}.yaml`);
  const { body } = parse(readFileSync(file, 'utf8')) as { body: JsonValue };
  return sealPolicy(policy, 1, body) as unknown as InForce<Body>;
};
export const features = shipped<FeatureDefinitions>('ofp.features');
export const GROUPS = features.body.groups.map(({ name }) => name);
export const sealed = <Body>(policy: string, body: Body): InForce<Body> =>
  sealPolicy(policy, 1, body as JsonValue) as unknown as InForce<Body>;

export const bundle: Bundle = {
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
export const rules: Rules = {
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
export const policy: DecisionPolicy = {
  ...shipped<DecisionPolicy>('df.decision').body,
  required_feature_groups: ['core_card'],
};

/** A fact that made the bundles of a test active. */
export const ACTIVATION: Activation = { event_id: digestText('made active'), registry_seq: 1 };

export const artifactsOf = (
  more: Partial<DecisionArtifacts> = {},
  active: Bundle | null = bundle,
): DecisionArtifacts => ({
  decision: sealed('df.decision', policy),
  rules: sealed('df.rules', rules),
  bundles: supposed(
    { ...(active === null ? {} : { active: { digest: bundleDigest(active), bundle: active } }), shadow: [] },
    ACTIVATION,
  ),
  features,
  graph: shipped('ieg.graph'),
  ...more,
});

export const pins = asPins({
  manifest_fingerprint: 'a'.repeat(64),
  parameter_hash: 'b'.repeat(64),
  seed: '7',
  scenario_id: 'test',
  run_id: 'c'.repeat(32),
}) as RunPins;

export const T0 = '2018-04-01T10:00:00.000000Z';
export const triggerOf = (payload: object = {}, id = 'now'): DecisionTrigger => ({
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

export const postureOf = (mask: CapabilityMask): PostureUse => ({
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
export const PLAIN = new DecisionEngine(artifactsOf());
export const STAGED = new DecisionEngine(
  artifactsOf({
    bundles: supposed(
      {
        active: { digest: bundleDigest(bundle), bundle },
        stage2: { digest: bundleDigest(bundle), bundle, from_score_e6: 1_000, to_score_e6: 900_000 },
        shadow: [],
      },
      ACTIVATION,
    ),
  }),
);
export const NORMAL = unrestricted(GROUPS);
export const NO_GRAPH: GraphUse = { status: 'NOT_REQUESTED_BY_PLAN' };

/** A snapshot after so many earlier payments of the card within the hour. */
export function snapshotAfter(count: number, trigger: DecisionTrigger, groups: readonly string[]): FeaturesUse {
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

export function decided(
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
