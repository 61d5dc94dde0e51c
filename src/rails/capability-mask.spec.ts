import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { digestCanonical } from './canonical-json.js';
import {
  allowsNoMoreThan,
  asMask,
  joinMasks,
  maskedBy,
  maskOrMostRestrictive,
  meetMasks,
  MOST_RESTRICTIVE,
  permits,
  unrestricted,
  type Capability,
  type CapabilityMask,
} from './capability-mask.js';

const GROUPS = ['card', 'core', 'merchant'];

const mask: fc.Arbitrary<CapabilityMask> = fc
  .record({
    allow_ieg: fc.boolean(),
    allowed_feature_groups: fc.shuffledSubarray(GROUPS),
    allow_model_primary: fc.boolean(),
    allow_model_stage2: fc.boolean(),
    allow_fallback_heuristics: fc.boolean(),
    action_posture: fc.constantFrom('NORMAL', 'STEP_UP_ONLY'),
  })
  .map(asMask);

const capability: fc.Arbitrary<Capability> = fc.oneof(
  fc
    .constantFrom('IEG', 'MODEL_PRIMARY', 'MODEL_STAGE2', 'FALLBACK_HEURISTICS', 'ACTION_BEYOND_STEP_UP')
    .map((use): Capability => ({ use: use as 'IEG' })),
  fc.constantFrom(...GROUPS, 'unheard-of').map((group): Capability => ({ use: 'FEATURE_GROUP', group })),
);

describe('the lattice of masks', () => {
  it('has a commutative, associative, idempotent meet and join', () => {
    fc.assert(
      fc.property(mask, mask, mask, (a, b, c) => {
        for (const combine of [meetMasks, joinMasks]) {
          expect(combine(a, b)).toEqual(combine(b, a));
          expect(combine(combine(a, b), c)).toEqual(combine(a, combine(b, c)));
          expect(combine(a, a)).toEqual(a);
        }
      }),
    );
  });

  it('absorbs and distributes', () => {
    fc.assert(
      fc.property(mask, mask, mask, (a, b, c) => {
        expect(meetMasks(a, joinMasks(a, b))).toEqual(a);
        expect(joinMasks(a, meetMasks(a, b))).toEqual(a);
        expect(meetMasks(a, joinMasks(b, c))).toEqual(joinMasks(meetMasks(a, b), meetMasks(a, c)));
      }),
    );
  });

  it('is ordered by "allows no more than"', () => {
    fc.assert(
      fc.property(mask, mask, mask, (a, b, c) => {
        expect(allowsNoMoreThan(a, a)).toBe(true);
        expect(allowsNoMoreThan(a, b)).toBe(digestCanonical(meetMasks(a, b)) === digestCanonical(a));
        expect(allowsNoMoreThan(a, b)).toBe(digestCanonical(joinMasks(a, b)) === digestCanonical(b));
        if (allowsNoMoreThan(a, b) && allowsNoMoreThan(b, a)) expect(a).toEqual(b);
        if (allowsNoMoreThan(a, b) && allowsNoMoreThan(b, c)) expect(allowsNoMoreThan(a, c)).toBe(true);
      }),
    );
  });

  it('has the most restrictive mask at the bottom, and over named groups a top', () => {
    fc.assert(
      fc.property(mask, (a) => {
        expect(meetMasks(a, MOST_RESTRICTIVE)).toEqual(MOST_RESTRICTIVE);
        expect(joinMasks(a, MOST_RESTRICTIVE)).toEqual(a);
        expect(meetMasks(a, unrestricted(GROUPS))).toEqual(a);
        expect(joinMasks(a, unrestricted(GROUPS))).toEqual(unrestricted(GROUPS));
      }),
    );
  });
});

describe('what a mask permits', () => {
  it('is under a meet what both permit, under a join what either does', () => {
    fc.assert(
      fc.property(mask, mask, capability, (a, b, use) => {
        expect(permits(meetMasks(a, b), use)).toBe(permits(a, use) && permits(b, use));
        expect(permits(joinMasks(a, b), use)).toBe(permits(a, use) || permits(b, use));
      }),
    );
  });

  it('is nothing at the bottom', () => {
    fc.assert(fc.property(capability, (use) => expect(permits(MOST_RESTRICTIVE, use)).toBe(false)));
  });

  it.each<[Capability, object, string]>([
    [{ use: 'IEG' }, { allow_ieg: false }, 'allow_ieg'],
    [{ use: 'FEATURE_GROUP', group: 'core' }, { allowed_feature_groups: ['card'] }, 'allowed_feature_groups'],
    [{ use: 'MODEL_PRIMARY' }, { allow_model_primary: false }, 'allow_model_primary'],
    [{ use: 'MODEL_STAGE2' }, { allow_model_stage2: false }, 'allow_model_stage2'],
    [{ use: 'FALLBACK_HEURISTICS' }, { allow_fallback_heuristics: false }, 'allow_fallback_heuristics'],
    [{ use: 'ACTION_BEYOND_STEP_UP' }, { action_posture: 'STEP_UP_ONLY' }, 'action_posture'],
  ])('%j falls with one field alone, which is named', (use, change, field) => {
    const open = unrestricted(GROUPS);
    expect(maskedBy(open, use)).toBeNull();
    expect(maskedBy(asMask({ ...open, ...change }), use)).toBe(field);
  });

  it('leaves out a group that nobody knew when the posture was decided', () => {
    expect(permits(unrestricted(GROUPS), { use: 'FEATURE_GROUP', group: 'new-tomorrow' })).toBe(false);
  });
});

describe('a mask that is read', () => {
  const open = unrestricted(GROUPS);

  it('has one form, whatever the order of its groups', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(GROUPS, { minLength: 3 }), (groups) => {
        expect(asMask({ ...open, allowed_feature_groups: groups })).toEqual(open);
      }),
    );
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a field missing', { ...open, allow_ieg: undefined }],
    ['a text for a boolean', { ...open, allow_ieg: 'true' }],
    ['an unknown posture', { ...open, action_posture: 'RELAXED' }],
    ['a group twice', { ...open, allowed_feature_groups: ['core', 'core'] }],
    ['a member too many', { ...open, allow_everything: true }],
  ])('from %s is the most restrictive one', (_name, value) => {
    expect(() => asMask(value)).toThrow('VALUE_INVALID');
    expect(maskOrMostRestrictive(value)).toEqual(MOST_RESTRICTIVE);
  });

  it('from a good one is that one', () => {
    expect(maskOrMostRestrictive(JSON.parse(JSON.stringify(open)))).toEqual(open);
  });
});
