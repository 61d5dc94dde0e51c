import { Type } from '@sinclair/typebox';
import { DigestSchema } from '../digest.js';
import { EventTypeSchema } from '../envelope.schema.js';
import { OutcomeSchema, ScopeSchema } from '../events/decision.schema.js';
import { BundleSchema } from '../model/bundle.schema.js';
import { BundleSlotSchema } from '../registry/scope.js';
import { closed, type Sealed } from '../schema.js';

const outcomes = <Value extends ReturnType<typeof Type.Array>>(value: Value) =>
  closed({ APPROVE: value, STEP_UP: value, QUEUE: value, DECLINE: value });

/** How a verdict is made (`df.decision`): what is judged, what it may lean on and wait for, and what follows from it. */
export const DecisionPolicySchema = closed(
  {
    scope: ScopeSchema,
    trigger_event_types: Type.Array(EventTypeSchema, { minItems: 1, uniqueItems: true }),
    /** The least that comes out where something that the decision needs is missing or may not be used. */
    safe_outcome: OutcomeSchema,
    /** What comes out where nothing speaks against the event. */
    default_outcome: OutcomeSchema,
    /** Answered by the synchronous API when its deadline ends first. */
    timeout_outcome: OutcomeSchema,
    /** Groups without which a decision is not made on features: one of them masked or unserved means the safe outcome. */
    required_feature_groups: Type.Array(Type.String({ pattern: '^[a-z][a-z0-9_-]{0,63}$' }), {
      maxItems: 64,
      uniqueItems: true,
    }),
    /** In which slots of the registry the bundles are. */
    bundles: closed({
      /** Its score is what the rules read. */
      primary: BundleSlotSchema,
      /** A second opinion where the first is undecided: asked when the first score lies in the band, both ends included. */
      stage2: Type.Optional(
        closed({
          slot: BundleSlotSchema,
          from_score_e6: Type.Integer({ minimum: 0, maximum: 1_000_000 }),
          to_score_e6: Type.Integer({ minimum: 0, maximum: 1_000_000 }),
        }),
      ),
      /** Only watched. */
      shadow: Type.Array(BundleSlotSchema, { maxItems: 8, uniqueItems: true }),
    }),
    waits: closed({
      registry_ms: Type.Integer({ minimum: 1, maximum: 30_000 }),
      features_ms: Type.Integer({ minimum: 0, maximum: 30_000 }),
      graph_ms: Type.Integer({ minimum: 0, maximum: 30_000 }),
      posture_ms: Type.Integer({ minimum: 1, maximum: 30_000 }),
    }),
    /** A posture that was confirmed longer ago is none, by wall clock. */
    posture_age_max_ms: Type.Integer({ minimum: 100, maximum: 3_600_000 }),
    deadlines: closed({
      default_ms: Type.Integer({ minimum: 1, maximum: 60_000 }),
      max_ms: Type.Integer({ minimum: 1, maximum: 60_000 }),
    }),
    /** What each verdict asks for. An action domain stands once per verdict: one effect. */
    actions: outcomes(
      Type.Array(
        closed({
          action_domain: Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }),
          action_type: Type.String({ pattern: '^[a-z][a-z0-9_.]{0,63}$' }),
        }),
        { maxItems: 8 },
      ),
    ),
    /** Domains that stay within a posture of STEP_UP_ONLY; others are not asked for then. */
    step_up_only_domains: Type.Array(Type.String({ pattern: '^[a-z][a-z0-9_]{0,63}$' }), { uniqueItems: true }),
  },
  { description: 'How a verdict is made, and what follows from it.' },
);
export type DecisionPolicy = Sealed<typeof DecisionPolicySchema>;

const named = closed({ digest: DigestSchema, bundle: BundleSchema });

/** Bundles that one supposes to be active: what would have been decided with them. */
export const BundlesSchema = closed(
  {
    active: Type.Optional(named),
    /** A second opinion where the first is undecided: asked when the active bundle's score lies in the band, both ends included. */
    stage2: Type.Optional(
      closed({
        ...named.properties,
        from_score_e6: Type.Integer({ minimum: 0, maximum: 1_000_000 }),
        to_score_e6: Type.Integer({ minimum: 0, maximum: 1_000_000 }),
      }),
    ),
    shadow: Type.Array(named, { maxItems: 8 }),
  },
  { description: 'Bundles that are supposed to be active.' },
);
export type Bundles = Sealed<typeof BundlesSchema>;
