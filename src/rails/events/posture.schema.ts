import { Type } from '@sinclair/typebox';
import { CapabilityMaskSchema } from '../capability-mask.js';
import { DigestSchema } from '../digest.js';
import { PolicyRevSchema } from '../policy-rev.js';
import { closed, safeInteger, type Sealed } from '../schema.js';
import { UtcMicrosSchema } from '../time.js';

/** From the best service to the least: what is lower allows no more than what is above it. */
export const POSTURE_MODES = ['NORMAL', 'DEGRADED_1', 'DEGRADED_2', 'FAIL_CLOSED'] as const;
export type PostureMode = (typeof POSTURE_MODES)[number];
export const PostureModeSchema = Type.Union(POSTURE_MODES.map((mode) => Type.Literal(mode)));

/** Of the evaluator itself. IMPAIRED: no step up. BLIND and BROKEN: FAIL_CLOSED until there is evidence of recovery. */
export const LadderHealthSchema = Type.Union(
  (['HEALTHY', 'IMPAIRED', 'BLIND', 'BROKEN'] as const).map((health) => Type.Literal(health)),
);

export const PostureTriggerSchema = closed({
  signal: Type.String({ pattern: '^[a-z][a-z0-9_.]{0,99}$' }),
  /** null: there was no reading. */
  observed: Type.Union([Type.Number(), Type.Null()]),
  comparison: Type.Union([
    Type.Literal('above'),
    Type.Literal('below'),
    Type.Literal('missing'),
    Type.Literal('stale'),
  ]),
  threshold: Type.Union([Type.Number(), Type.Null()]),
});

/**
 * `dl.posture` v1, a control fact: how much of the platform decisions may lean on, and why. It belongs to no world. Freshness is
 * wall-clock time, whatever world is being replayed.
 */
export const PostureSchema = closed(
  {
    scope_key: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9:._-]{0,199}$', description: 'GLOBAL' }),
    mode: PostureModeSchema,
    mask: CapabilityMaskSchema,
    health: LadderHealthSchema,
    reason_codes: Type.Array(Type.String({ pattern: '^[A-Z][A-Z0-9_]{0,63}(:[A-Za-z0-9_.-]{1,100})?$' }), {
      maxItems: 32,
    }),
    triggers: Type.Array(PostureTriggerSchema, { maxItems: 64 }),
    /** The digest of the readings that it was decided on. */
    snapshot_id: DigestSchema,
    policy_rev: Type.Union([PolicyRevSchema, Type.Null()]),
    /** Rises with every material change and never otherwise. */
    posture_seq: safeInteger(1, 'from 1, per scope'),
    /** When it was last found to hold. */
    decided_at_utc: UtcMicrosSchema,
  },
  { description: 'How much decisions may lean on, and why.' },
);
export type Posture = Sealed<typeof PostureSchema>;
