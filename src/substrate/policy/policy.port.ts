import type { TSchema } from '@sinclair/typebox';
import type { PolicyRev, SealedPolicy } from '../../rails/policy-rev.js';
import type { Sealed } from '../../rails/schema.js';

/** What a policy artifact of one id must look like. Units bring theirs in the unit table. */
export interface PolicyKind<Schema extends TSchema = TSchema> {
  readonly policy_id: string;
  /** The schema of its body. */
  readonly schema: Schema;
  /** Faults that a schema cannot see, each with its place as a JSON Pointer into the body. */
  readonly check?: (body: never) => readonly PolicyFault[];
  /**
   * Faults that only show beside other policies: a rule that reads a feature which nobody defines. Asked once all are sound by
   * themselves; `bodyOf` gives the body of another policy by its id.
   */
  readonly checkAmong?: (body: never, bodyOf: (policyId: string) => unknown) => readonly PolicyFault[];
  /** When an activation takes effect; at once where nothing is said. `at_restart`: something is built from it when a process starts. */
  readonly takesEffect?: 'at_once' | 'at_restart';
}

/** What is wrong with a policy, and where. */
export interface PolicyFault {
  /** JSON Pointer into the body. */
  readonly pointer: string;
  readonly sentence: string;
}

/** A policy whose body has been checked against its kind. */
export type PolicyInForce<Schema extends TSchema> = Omit<SealedPolicy, 'body'> & { readonly body: Sealed<Schema> };

/**
 * The policies in force. A unit asks at the beginning of each piece of work (a batch, a run) and keeps to that answer until its
 * end, so that everything that was done in it cites one revision (law C1), and a new one takes effect without a restart.
 */
export abstract class Policies {
  /** The very same object until another revision is in force. @throws ProbityError INTERNAL for a kind that the unit's row does not name */
  abstract inForce<Schema extends TSchema>(kind: PolicyKind<Schema>): PolicyInForce<Schema>;

  /** Which revision of each policy is in force in this process; of all of them, for whoever keeps the record. */
  abstract revisions(): readonly PolicyRev[];
}

/** How a policy stands in this process. */
export interface PolicyStanding {
  /** In force here. */
  readonly policy_rev: PolicyRev;
  readonly takes_effect: 'at_once' | 'at_restart';
  /** What was activated last; null: nothing ever was. */
  readonly activated: PolicyRev | null;
  readonly state: 'AS_IN_PROFILE' | 'AS_ACTIVATED' | 'AWAITS_RESTART' | 'PROFILE_IS_NEWER' | 'REFUSED';
  /** Why what was activated is not in force. */
  readonly refused?: string;
}

/** Policies that may change while the process runs, for whoever governs them. */
export abstract class GovernedPolicies extends Policies {
  /** What is in force, with its content. */
  abstract artifacts(): readonly SealedPolicy[];
  abstract standing(): readonly PolicyStanding[];
  /** What would keep this artifact from being in force, by itself and beside what is. */
  abstract faultsOf(policy: SealedPolicy): readonly PolicyFault[];
  /** Reads at once what was activated since. @throws what the store says */
  abstract follow(): Promise<void>;
}

/** Policies that were read and checked at the start. */
export class StaticPolicies extends Policies {
  constructor(private readonly policies: ReadonlyMap<string, SealedPolicy>) {
    super();
  }

  inForce<Schema extends TSchema>({ policy_id }: PolicyKind<Schema>): PolicyInForce<Schema> {
    const policy = this.policies.get(policy_id);
    if (policy === undefined) throw new TypeError(`no policy "${policy_id}" was read at the start`);
    // The body was checked against the kind's schema when the profile was read.
    return policy as unknown as PolicyInForce<Schema>;
  }

  revisions(): readonly PolicyRev[] {
    return [...this.policies.values()].map(({ policy_rev }) => policy_rev);
  }
}
