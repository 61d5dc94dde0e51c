import { Type } from '@sinclair/typebox';
import { type Brand } from './brand.js';
import { brandedText, closed, type Sealed } from './schema.js';
import { validatorOf } from './validator.js';

export type FeatureGroup = Brand<string, 'FeatureGroup'>;

export const CapabilityMaskSchema = closed(
  {
    allow_ieg: Type.Boolean({ description: 'may ask the identity graph' }),
    allowed_feature_groups: Type.Array(
      brandedText<FeatureGroup>({ pattern: '^[a-z][a-z0-9_-]{0,63}$', description: 'name of a feature group' }),
      { uniqueItems: true, maxItems: 256, description: 'may ask for these groups and no others' },
    ),
    allow_model_primary: Type.Boolean({ description: 'may score with the primary model' }),
    allow_model_stage2: Type.Boolean({ description: 'may score with the second stage' }),
    allow_fallback_heuristics: Type.Boolean({ description: 'may put heuristics in the place of a model' }),
    action_posture: Type.Union([Type.Literal('NORMAL'), Type.Literal('STEP_UP_ONLY')]),
  },
  { description: 'What the decision fabric may use (law R8): what is masked is not called.' },
);

/**
 * What the decision fabric may use (law R8). Masks are ordered by "allows no more than": `meetMasks` is the greatest mask
 * that allows no more than either, `joinMasks` the least that allows no less. Feature groups are a set, kept sorted, so that equal masks
 * have equal digests.
 */
export type CapabilityMask = Sealed<typeof CapabilityMaskSchema>;
export type MaskField = keyof CapabilityMask;

/** One use of something that a mask may forbid. ACTION_BEYOND_STEP_UP is any action other than asking for a step-up. */
export type Capability =
  | { readonly use: 'IEG' | 'MODEL_PRIMARY' | 'MODEL_STAGE2' | 'FALLBACK_HEURISTICS' | 'ACTION_BEYOND_STEP_UP' }
  | { readonly use: 'FEATURE_GROUP'; readonly group: string };

const masks = validatorOf(CapabilityMaskSchema, 'the capability mask');

/**
 * The bottom, and the mask of FAIL_CLOSED: no model, no features, no graph, no heuristics in their place; only rules over the
 * event's own fields remain, and they may only raise the outcome.
 */
export const MOST_RESTRICTIVE: CapabilityMask = Object.freeze({
  allow_ieg: false,
  allowed_feature_groups: Object.freeze([]),
  allow_model_primary: false,
  allow_model_stage2: false,
  allow_fallback_heuristics: false,
  action_posture: 'STEP_UP_ONLY',
});

/**
 * The mask that forbids nothing **of what is named**: groups have no "all", since a group that is added tomorrow would then
 * be allowed by a posture that was decided before anybody knew it.
 */
export function unrestricted(groups: readonly string[]): CapabilityMask {
  return asMask({
    allow_ieg: true,
    allowed_feature_groups: [...new Set(groups)],
    allow_model_primary: true,
    allow_model_stage2: true,
    allow_fallback_heuristics: true,
    action_posture: 'NORMAL',
  });
}

/** @throws ProbityError VALUE_INVALID that names the place. Groups may come in any order. */
export function asMask(value: unknown): CapabilityMask {
  return sorted(masks.demand(value));
}

/** The mask of a posture that may be unknown or damaged: then it is the most restrictive one (law R8), never a guess. */
export function maskOrMostRestrictive(value: unknown): CapabilityMask {
  const verdict = masks.check(value);
  return verdict.ok ? sorted(verdict.value) : MOST_RESTRICTIVE;
}

/** What both allow. */
export function meetMasks(a: CapabilityMask, b: CapabilityMask): CapabilityMask {
  const other = new Set(b.allowed_feature_groups);
  return sorted({
    allow_ieg: a.allow_ieg && b.allow_ieg,
    allowed_feature_groups: a.allowed_feature_groups.filter((group) => other.has(group)),
    allow_model_primary: a.allow_model_primary && b.allow_model_primary,
    allow_model_stage2: a.allow_model_stage2 && b.allow_model_stage2,
    allow_fallback_heuristics: a.allow_fallback_heuristics && b.allow_fallback_heuristics,
    action_posture: a.action_posture === 'NORMAL' ? b.action_posture : 'STEP_UP_ONLY',
  });
}

/** What either allows. */
export function joinMasks(a: CapabilityMask, b: CapabilityMask): CapabilityMask {
  return sorted({
    allow_ieg: a.allow_ieg || b.allow_ieg,
    allowed_feature_groups: [...new Set([...a.allowed_feature_groups, ...b.allowed_feature_groups])],
    allow_model_primary: a.allow_model_primary || b.allow_model_primary,
    allow_model_stage2: a.allow_model_stage2 || b.allow_model_stage2,
    allow_fallback_heuristics: a.allow_fallback_heuristics || b.allow_fallback_heuristics,
    action_posture: a.action_posture === 'STEP_UP_ONLY' ? b.action_posture : 'NORMAL',
  });
}

/** Whether `a` allows nothing that `b` forbids. */
export function allowsNoMoreThan(a: CapabilityMask, b: CapabilityMask): boolean {
  const groups = new Set(b.allowed_feature_groups);
  return (
    (!a.allow_ieg || b.allow_ieg) &&
    a.allowed_feature_groups.every((group) => groups.has(group)) &&
    (!a.allow_model_primary || b.allow_model_primary) &&
    (!a.allow_model_stage2 || b.allow_model_stage2) &&
    (!a.allow_fallback_heuristics || b.allow_fallback_heuristics) &&
    (a.action_posture === 'STEP_UP_ONLY' || b.action_posture === 'NORMAL')
  );
}

/** The field of the mask that forbids this use, for `CAPABILITY_BLOCK:<field>`; null when it is permitted. */
export function maskedBy(mask: CapabilityMask, capability: Capability): MaskField | null {
  switch (capability.use) {
    case 'IEG':
      return mask.allow_ieg ? null : 'allow_ieg';
    case 'FEATURE_GROUP':
      return mask.allowed_feature_groups.some((group) => group === capability.group) ? null : 'allowed_feature_groups';
    case 'MODEL_PRIMARY':
      return mask.allow_model_primary ? null : 'allow_model_primary';
    case 'MODEL_STAGE2':
      return mask.allow_model_stage2 ? null : 'allow_model_stage2';
    case 'FALLBACK_HEURISTICS':
      return mask.allow_fallback_heuristics ? null : 'allow_fallback_heuristics';
    case 'ACTION_BEYOND_STEP_UP':
      return mask.action_posture === 'NORMAL' ? null : 'action_posture';
  }
}

export function permits(mask: CapabilityMask, capability: Capability): boolean {
  return maskedBy(mask, capability) === null;
}

function sorted(mask: CapabilityMask): CapabilityMask {
  return { ...mask, allowed_feature_groups: [...mask.allowed_feature_groups].sort() };
}
