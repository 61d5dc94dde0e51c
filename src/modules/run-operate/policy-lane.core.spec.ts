import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { humanActor } from '../../rails/actor.js';
import { digestText } from '../../rails/digest.js';
import type { GovernanceFact } from '../../rails/events/governance-fact.schema.js';
import { sealPolicy } from '../../rails/policy-rev.js';
import { fromEpochMs } from '../../rails/time.js';
import { judgeLane, LANE_FACTS, type LaneCommand, laneOf } from './policy-lane.core.js';

/** The same rules, told as a table of states and a stack, without facts. */
class Model {
  readonly states = new Map<number, { state: string; proposer: string }>();
  readonly stack: number[] = [];
  changes = 0;

  /** null: done. */
  try(action: LaneCommand['action'], revision: number, actor: string, seen: number): string | null {
    const one = this.states.get(revision);
    if (action === 'propose') {
      if (revision <= Math.max(0, ...this.states.keys())) return 'OPS_REVISION_USED';
      this.states.set(revision, { state: 'PROPOSED', proposer: actor });
      return null;
    }
    const moves = action === 'activate' || action === 'rollback';
    if (moves && seen !== this.changes) return 'OPS_HEAD_MOVED';
    if (one === undefined) return 'OPS_REVISION_UNKNOWN';
    const from = {
      approve: ['PROPOSED'],
      withdraw: ['PROPOSED', 'APPROVED'],
      activate: ['APPROVED'],
      rollback: ['WAS_ACTIVE'],
    }[action];
    if (!from.includes(one.state)) return 'OPS_STATE_FORBIDS';
    if (action === 'approve' && one.proposer === actor) return 'OPS_SELF_APPROVAL';
    if (action === 'activate' && this.stack.some((past) => past > revision)) return 'OPS_STATE_FORBIDS';
    if (moves) {
      const now = this.states.get(this.stack.at(-1) ?? 0);
      if (now !== undefined) now.state = 'WAS_ACTIVE';
      this.stack.push(revision);
      this.changes += 1;
    }
    one.state = { approve: 'APPROVED', withdraw: 'WITHDRAWN', activate: 'ACTIVE', rollback: 'ACTIVE' }[action];
    return null;
  }
}

const wishes = fc.array(
  fc.record({
    action: fc.constantFrom<LaneCommand['action']>(
      'propose',
      'approve',
      'approve',
      'withdraw',
      'activate',
      'activate',
      'rollback',
    ),
    revision: fc.integer({ min: 1, max: 6 }),
    actor: fc.constantFrom('mia', 'ole'),
    late: fc.integer({ min: 0, max: 9 }).map((n) => (n === 0 ? 1 : 0)),
  }),
  { minLength: 1, maxLength: 60 },
);

describe('the lane of a policy', () => {
  it('comes to what a table of states comes to, over any history', () => {
    fc.assert(
      fc.property(wishes, (history) => {
        const model = new Model();
        const facts: GovernanceFact[] = [];
        const heads: (string | null)[] = [null];
        for (const { action, revision, actor, late } of history) {
          const lane = laneOf(facts);
          const { policy_rev } = sealPolicy('a.rules', revision, { revision });
          const seen = Math.max(0, model.changes - late);
          const expected = heads[seen] ?? null;
          const command = action === 'propose' ? { action, policy_rev } : { action, revision, expected };
          const verdict = judgeLane(lane, command, { actor: `HUMAN::${actor}`, fourEyes: true });
          const answer = model.try(action, revision, `HUMAN::${actor}`, seen);
          expect(verdict.ok ? null : verdict.code).toBe(answer);
          if (!verdict.ok) continue;
          const fact_id = digestText(String(facts.length));
          facts.push({
            ...{
              fact_id,
              kind: LANE_FACTS[action],
              scope: 'test',
              subject: 'a.rules',
              actor: humanActor(actor, 'OIDC'),
            },
            ...{ before: null, after: verdict.policy_rev, reason: 'r', evidence: [], detail: {}, op_id: 'o', step: 0 },
            observed_at_utc: fromEpochMs(facts.length),
          });
          if (action === 'activate' || action === 'rollback') heads.push(fact_id);
          const states = [...laneOf(facts).revisions.values()].map((one) => [one.policy_rev.revision, one.state]);
          expect(new Map(states as [number, string][])).toEqual(
            new Map([...model.states].map(([n, { state }]) => [n, state])),
          );
          expect(laneOf(facts).head?.policy_rev.revision).toBe(model.stack.at(-1));
        }
      }),
      { numRuns: 300 },
    );
  });
});
