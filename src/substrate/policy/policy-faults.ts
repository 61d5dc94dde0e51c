import type { JsonValue } from '../../rails/canonical-json.js';
import { type SealedPolicy, verifyPolicy } from '../../rails/policy-rev.js';
import { type Validator, validatorOf } from '../../rails/validator.js';
import type { PolicyFault, PolicyKind } from './policy.port.js';

/** Judges artifacts by their kinds, as a profile is judged when it is read. A kind's schema is compiled once. */
export class PolicyJudge {
  readonly #kinds: ReadonlyMap<string, PolicyKind>;
  readonly #validators = new Map<string, Validator<unknown>>();

  constructor(kinds: readonly PolicyKind[]) {
    this.#kinds = new Map(kinds.map((kind) => [kind.policy_id, kind]));
  }

  kindOf(policyId: string): PolicyKind | undefined {
    return this.#kinds.get(policyId);
  }

  /** What is wrong with an artifact by itself. */
  alone(policy: SealedPolicy): readonly PolicyFault[] {
    const { policy_id } = policy.policy_rev;
    const kind = this.#kinds.get(policy_id);
    if (kind === undefined) return [{ pointer: '', sentence: `no unit reads a policy "${policy_id}"` }];
    if (!verifyPolicy(policy).ok) return [{ pointer: '', sentence: 'the content is not the one of its digest' }];
    let validator = this.#validators.get(policy_id);
    if (validator === undefined) {
      validator = validatorOf(kind.schema, `the policy ${policy_id}`);
      this.#validators.set(policy_id, validator);
    }
    const verdict = validator.check(policy.body);
    if (!verdict.ok) return [{ pointer: verdict.fault.at, sentence: verdict.fault.says }];
    return kind.check?.(policy.body as never) ?? [];
  }

  /** What is wrong with artifacts beside each other; each is sound by itself. */
  among(policies: ReadonlyMap<string, SealedPolicy>): readonly PolicyFault[] {
    const bodyOf = (policyId: string): JsonValue | undefined => policies.get(policyId)?.body;
    return [...this.#kinds.values()].flatMap(({ policy_id, checkAmong }) => {
      const body = bodyOf(policy_id);
      if (checkAmong === undefined || body === undefined) return [];
      return checkAmong(body as never, bodyOf).map(({ pointer, sentence }) => ({
        pointer,
        sentence: `${policy_id}: ${sentence}`,
      }));
    });
  }
}
