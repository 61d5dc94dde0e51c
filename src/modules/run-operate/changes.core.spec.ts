import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { sealPolicy } from '../../rails/policy-rev.js';
import { fromEpochMs } from '../../rails/time.js';
import { changesOf, type Head } from './changes.core.js';

const at = { scope: 'test', now: fromEpochMs(1_700_000_000_000) };
const states = fc.array(
  fc.dictionary(fc.constantFrom('a.rules', 'b.rules', 'c.rules'), fc.integer({ min: 1, max: 3 })),
  { minLength: 1, maxLength: 12 },
);

describe('changes of what is in force', () => {
  it('lead from nothing to every state, each on top of the one before, and never name two things alike', () => {
    fc.assert(
      fc.property(states, (visited) => {
        const heads = new Map<string, Head>();
        const ids = new Set<string>();
        for (const state of visited) {
          const inForce = Object.entries(state).map(([id, x]) => sealPolicy(id, x, { x }).policy_rev);
          for (const { fact_id, before, after } of changesOf(heads, inForce, at)) {
            expect(before).toEqual(heads.get(after.policy_id)?.policyRev ?? null);
            expect(before).not.toEqual(after);
            expect(ids.has(fact_id)).toBe(false);
            ids.add(fact_id);
            heads.set(after.policy_id, { factId: fact_id, policyRev: after });
          }
          for (const rev of inForce) expect(heads.get(rev.policy_id)?.policyRev).toEqual(rev);
          expect(changesOf(heads, inForce, at)).toEqual([]);
        }
      }),
    );
  });

  it('sees another content under the same revision, which must not be', () => {
    const { policy_rev } = sealPolicy('a.rules', 1, { x: 1 });
    const heads = new Map([['a.rules', { factId: 'f', policyRev: policy_rev }]]);
    expect(changesOf(heads, [sealPolicy('a.rules', 1, { x: 2 }).policy_rev], at)).toHaveLength(1);
  });
});
