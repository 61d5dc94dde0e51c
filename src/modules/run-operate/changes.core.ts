import { systemActor } from '../../rails/actor.js';
import type { Digest } from '../../rails/digest.js';
import { type GovernanceFact, policyInForceRecipe } from '../../rails/events/governance-fact.schema.js';
import type { PolicyRev } from '../../rails/policy-rev.js';
import type { UtcMicros } from '../../rails/time.js';

/** The last fact about a policy. */
export interface Head {
  readonly factId: string;
  readonly policyRev: PolicyRev;
}

/** Of POLICY_IN_FORCE: both sides are revisions. */
export type InForceFact = GovernanceFact & { readonly before: PolicyRev | null; readonly after: PolicyRev };

/** What is in force otherwise than the last facts say, as facts that follow on them; in the order of the policies' ids. */
export function changesOf(
  heads: ReadonlyMap<string, Head>,
  inForce: readonly PolicyRev[],
  { scope, now }: { readonly scope: string; readonly now: UtcMicros },
): readonly InForceFact[] {
  const sorted = [...inForce].sort((a, b) => (a.policy_id < b.policy_id ? -1 : 1));
  return sorted.flatMap((after): readonly InForceFact[] => {
    const head = heads.get(after.policy_id);
    const before = head?.policyRev ?? null;
    if (before !== null && before.content_digest === after.content_digest && before.revision === after.revision)
      return [];
    const before_fact = head?.factId ?? null;
    return [
      {
        fact_id: policyInForceRecipe.derive({ scope, after, before_fact }) as string as Digest,
        kind: 'POLICY_IN_FORCE',
        scope,
        subject: after.policy_id,
        actor: systemActor('ops'),
        before,
        after,
        reason:
          before === null ? 'in force when it was first looked' : 'the profile of the process says so since its start',
        evidence: [],
        detail: {},
        op_id: null,
        step: 0,
        observed_at_utc: now,
      },
    ];
  });
}
