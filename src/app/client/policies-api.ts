import { Type } from '@sinclair/typebox';
import { GovernanceFactSchema } from '../../rails/events/governance-fact.schema.js';
import { type PolicyRev, PolicyRevSchema } from '../../rails/policy-rev.js';
import type { Sealed } from '../../rails/schema.js';
import { validatorOf } from '../../rails/validator.js';
import { type DoorApi, got, posted, queryOf } from './door-api.js';

const Text = Type.String();
const Nullable = Type.Union([Text, Type.Null()]);
const HeadSchema = Type.Union([
  Type.Object({ fact_id: Text, policy_rev: PolicyRevSchema, by: Text, at_utc: Text }),
  Type.Null(),
]);
const ViewSchema = Type.Object({
  policy_rev: PolicyRevSchema,
  takes_effect: Text,
  activated: Type.Union([PolicyRevSchema, Type.Null()]),
  state: Text,
  refused: Type.Optional(Text),
  head: HeadSchema,
});
const RevisionSchema = Type.Object({
  policy_rev: PolicyRevSchema,
  state: Text,
  proposed_by: Nullable,
  approved_by: Nullable,
  by: Text,
  at_utc: Text,
});

const readers = {
  list: validatorOf(Type.Object({ policies: Type.Array(ViewSchema) }), 'the policies'),
  shown: validatorOf(
    Type.Composite([ViewSchema, Type.Object({ revisions: Type.Array(RevisionSchema) })]),
    'the policy',
  ),
  artifact: validatorOf(Type.Composite([PolicyRevSchema, Type.Object({ body: Type.Unknown() })]), 'the artifact'),
  differences: validatorOf(
    Type.Object({ differences: Type.Array(Type.Object({ at: Text, left: Text, right: Text })) }),
    'the differences',
  ),
  done: validatorOf(Type.Object({ outcome: Text, fact: GovernanceFactSchema }), 'the answer'),
  sound: validatorOf(Type.Object({ outcome: Type.Literal('SOUND') }), 'the answer'),
};

export type PolicyShown = Sealed<typeof ViewSchema> & { readonly revisions: readonly Sealed<typeof RevisionSchema>[] };
export type PolicyListed = Sealed<typeof ViewSchema>;
export interface PolicyDone {
  readonly outcome: string;
  readonly fact: Sealed<typeof GovernanceFactSchema>;
}
export type PolicyStep = 'proposals' | 'approve' | 'withdraw' | 'activate' | 'rollback';

/** The routes of policies. Each command is once by its key, so a lost answer is asked for again. */
export class PoliciesApi {
  constructor(private readonly door: DoorApi) {}

  async list(): Promise<readonly PolicyListed[]> {
    return (await this.door.ask('ops', got('/v1/policies'), readers.list)).policies;
  }

  async show(policyId: string): Promise<PolicyShown> {
    return await this.door.ask('ops', got(pathOf(policyId, 'revisions')), readers.shown);
  }

  async artifact(policyId: string, revision: number): Promise<PolicyRev & { readonly body: unknown }> {
    return await this.door.ask('ops', got(pathOf(policyId, `revisions/${revision}`)), readers.artifact);
  }

  async diff(
    policyId: string,
    from: number,
    to: number,
  ): Promise<readonly { readonly at: string; readonly left: string; readonly right: string }[]> {
    const path = `${pathOf(policyId, 'diff')}${queryOf({ from, to })}`;
    return (await this.door.ask('ops', got(path), readers.differences)).differences;
  }

  /** Checks a proposal and keeps nothing. */
  async check(policyId: string, request: object): Promise<void> {
    await this.door.ask('ops', posted(`${pathOf(policyId, 'proposals')}?dry_run=true`, request), readers.sound);
  }

  async step(policyId: string, step: PolicyStep, request: object): Promise<PolicyDone> {
    return await this.door.ask('ops', { ...posted(pathOf(policyId, step), request), repeatable: true }, readers.done);
  }
}

function pathOf(policyId: string, rest: string): string {
  return `/v1/policies/${encodeURIComponent(policyId)}/${rest}`;
}
