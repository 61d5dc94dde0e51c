import type { TSchema } from '@sinclair/typebox';
import { type Digest, digestBytes } from '../../rails/digest.js';
import type { ErrorCode } from '../../rails/errors/registry.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import type { PolicyRev, SealedPolicy } from '../../rails/policy-rev.js';
import type { Clock } from '../clock/clock.port.js';
import { Rounds } from '../clock/rounds.js';
import type { Health } from '../health.js';
import type { Objects } from '../objects/objects.port.js';
import type { Logger } from '../telemetry/telemetry.port.js';
import { type Activation, activationKey, activations } from './activation.schema.js';
import { PolicyArchive } from './policy.archive.js';
import { PolicyJudge } from './policy-faults.js';
import {
  GovernedPolicies,
  type PolicyFault,
  type PolicyInForce,
  type PolicyKind,
  type PolicyStanding,
} from './policy.port.js';

/** The longest that an activation waits to be seen, apart from the reading itself. */
const FOLLOW_EVERY_MS = 1_000;

export interface FollowedParts {
  readonly kinds: readonly PolicyKind[];
  /** What the profile of the process says. */
  readonly profile: ReadonlyMap<string, SealedPolicy>;
  readonly objects: Objects;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Refusal {
  readonly rev: PolicyRev;
  readonly code: ErrorCode;
  readonly detail: string;
}

/**
 * Policies of the profile, and over them what was activated since: a chain of objects of known names, each naming the bytes of the one before. It
 * is read to its end at the start and followed from then on, without the unit that writes it. All that is in force changes at once, between two
 * pieces of work. What cannot be verified, or does not fit, is refused by name, and what was in force stays.
 */
export class FollowedPolicies extends GovernedPolicies {
  readonly #judge: PolicyJudge;
  readonly #archive: PolicyArchive;
  readonly #rounds: Rounds;
  readonly #wanted = new Map<string, Activation>();
  readonly #refused = new Map<string, Refusal>();
  #inForce: ReadonlyMap<string, SealedPolicy>;
  /** Last link that was read, and the digest of its bytes. */
  #head: { readonly seq: number; readonly digest: Digest | null } = { seq: 0, digest: null };
  #fault: string | undefined;
  #turn: Promise<void> = Promise.resolve();

  private constructor(private readonly parts: FollowedParts) {
    super();
    this.#judge = new PolicyJudge(parts.kinds);
    this.#archive = new PolicyArchive(parts.objects);
    this.#inForce = parts.profile;
    this.#rounds = new Rounds({
      clock: parts.clock,
      everyMs: FOLLOW_EVERY_MS,
      round: async () => {
        await this.follow();
        return 0;
      },
      onFailure: (error) => {
        this.#tell(error);
      },
    });
  }

  /** With everything that was activated before. @throws OPS_CHAIN_BROKEN, OPS_ARTIFACT_TAMPERED, OPS_POLICY_INVALID: nobody decides under what cannot be verified */
  static async open(parts: FollowedParts): Promise<FollowedPolicies> {
    const policies = new FollowedPolicies(parts);
    await policies.#readChain();
    await policies.#settle(() => true);
    const [refusal] = policies.#refused.values();
    if (refusal !== undefined)
      throw new ProbityError(refusal.code, `${told(refusal.rev)}, which was activated: ${refusal.detail}`);
    return policies;
  }

  start(): void {
    this.#rounds.start();
  }

  async close(): Promise<void> {
    await this.#rounds.stop();
  }

  /** Reads what was activated since, and takes it. One at a time. */
  async follow(): Promise<void> {
    const before = this.#turn;
    const work = (async (): Promise<void> => {
      await before;
      await this.#readChain();
      await this.#settle((kind) => kind.takesEffect !== 'at_restart');
      this.#fault = undefined;
    })();
    this.#turn = work.catch(() => undefined);
    await work;
  }

  inForce<Schema extends TSchema>({ policy_id }: PolicyKind<Schema>): PolicyInForce<Schema> {
    const policy = this.#inForce.get(policy_id);
    if (policy === undefined) throw new TypeError(`no policy "${policy_id}" was read at the start`);
    // The body was checked against the kind's schema before it came in here.
    return policy as unknown as PolicyInForce<Schema>;
  }

  revisions(): readonly PolicyRev[] {
    return this.artifacts().map(({ policy_rev }) => policy_rev);
  }

  artifacts(): readonly SealedPolicy[] {
    return [...this.#inForce.values()];
  }

  standing(): readonly PolicyStanding[] {
    return this.artifacts().map(({ policy_rev }) => {
      const { policy_id } = policy_rev;
      const wanted = this.#wanted.get(policy_id);
      const refusal = this.#refused.get(policy_id);
      return {
        policy_rev,
        takes_effect: this.#judge.kindOf(policy_id)?.takesEffect ?? 'at_once',
        activated: wanted?.policy_rev ?? null,
        state: this.#stateOf(policy_rev, wanted, refusal),
        ...(refusal === undefined ? {} : { refused: `${refusal.code}: ${refusal.detail}` }),
      };
    });
  }

  faultsOf(policy: SealedPolicy): readonly PolicyFault[] {
    const alone = this.#judge.alone(policy);
    if (alone.length > 0) return alone;
    const { policy_id } = policy.policy_rev;
    const beside = this.#judge.among(new Map(this.#inForce).set(policy_id, policy));
    return beside;
  }

  /** Always well: what is refused leaves what was in force. What it is stands in the detail. */
  health(): Health {
    const refused = [...this.#refused.values()].map(({ rev, code }) => `${told(rev)} refused (${code})`);
    const faults = [...(this.#fault === undefined ? [] : [this.#fault]), ...refused];
    const detail = [`activations read up to ${this.#head.seq}`, ...faults].join('; ');
    return { ok: true, detail, tookMs: 0 };
  }

  #stateOf(inForce: PolicyRev, wanted: Activation | undefined, refusal: Refusal | undefined): PolicyStanding['state'] {
    if (wanted === undefined) return 'AS_IN_PROFILE';
    if (wanted.policy_rev.content_digest === inForce.content_digest) return 'AS_ACTIVATED';
    if (this.#isOlderThanProfile(wanted)) return 'PROFILE_IS_NEWER';
    return refusal === undefined ? 'AWAITS_RESTART' : 'REFUSED';
  }

  #isOlderThanProfile({ policy_rev, known_revision }: Activation): boolean {
    const profile = this.parts.profile.get(policy_rev.policy_id);
    return profile !== undefined && profile.policy_rev.revision > known_revision;
  }

  async #readChain(): Promise<void> {
    for (;;) {
      const seq = this.#head.seq + 1;
      const key = activationKey(seq);
      const ref = await this.parts.objects.head(key);
      if (ref === null) return;
      const bytes = await this.parts.objects.read(ref);
      const activation = linkIn(bytes);
      if (activation === undefined || activation.seq !== seq || activation.previous !== this.#head.digest)
        throw new ProbityError('OPS_CHAIN_BROKEN', `${key} does not follow on the activation before it`);
      this.#head = { seq, digest: digestBytes(bytes) };
      this.#wanted.set(activation.policy_rev.policy_id, activation);
    }
  }

  /** Takes what is wanted and not yet in force, all of it at once; where it does not fit together, in the order of the chain. */
  async #settle(mayChange: (kind: PolicyKind) => boolean): Promise<void> {
    const found: SealedPolicy[] = [];
    const wanted = [...this.#wanted.values()].sort((a, b) => a.seq - b.seq);
    for (const activation of wanted) {
      const { policy_rev: rev } = activation;
      const kind = this.#judge.kindOf(rev.policy_id);
      if (this.#inForce.get(rev.policy_id)?.policy_rev.content_digest === rev.content_digest) {
        this.#refused.delete(rev.policy_id);
        continue;
      }
      if (kind === undefined || !mayChange(kind) || this.#isOlderThanProfile(activation)) continue;
      const artifact = await this.#sound(rev);
      if (artifact !== undefined) found.push(artifact);
    }
    if (found.length === 0) return;
    const together = new Map(this.#inForce);
    for (const artifact of found) together.set(artifact.policy_rev.policy_id, artifact);
    if (this.#judge.among(together).length === 0) {
      this.#take(together, found);
      return;
    }
    for (const artifact of found) {
      const next = new Map(this.#inForce).set(artifact.policy_rev.policy_id, artifact);
      const [fault] = this.#judge.among(next);
      if (fault === undefined) this.#take(next, [artifact]);
      else this.#refuse(artifact.policy_rev, 'OPS_POLICY_INVALID', `${fault.pointer} ${fault.sentence}`);
    }
  }

  /** undefined: it is refused. @throws what a store that is away says; then it is tried again */
  async #sound(rev: PolicyRev): Promise<SealedPolicy | undefined> {
    try {
      const artifact = await this.#archive.artifact(rev);
      const [fault] = this.#judge.alone(artifact);
      if (fault === undefined) return artifact;
      this.#refuse(rev, 'OPS_POLICY_INVALID', `${fault.pointer} ${fault.sentence}`);
    } catch (error) {
      if (!isProbityError(error) || error.retryable) throw error;
      this.#refuse(rev, error.code, error.detail);
    }
    return undefined;
  }

  #take(next: ReadonlyMap<string, SealedPolicy>, taken: readonly SealedPolicy[]): void {
    this.#inForce = next;
    for (const { policy_rev } of taken) {
      this.#refused.delete(policy_rev.policy_id);
      this.parts.logger.info('policy_in_force', { ...policy_rev });
    }
  }

  #refuse(rev: PolicyRev, code: ErrorCode, detail: string): void {
    const before = this.#refused.get(rev.policy_id);
    if (before?.rev.content_digest === rev.content_digest && before.code === code) return;
    this.#refused.set(rev.policy_id, { rev, code, detail });
    this.parts.logger.error('policy_refused', { ...rev, code, detail });
  }

  /** Once for each fault, not once a second. */
  #tell(error: unknown): void {
    const fault = isProbityError(error) ? `${error.code}: ${error.detail}` : String(error);
    if (fault === this.#fault) return;
    this.#fault = fault;
    this.parts.logger.error('policy_chain_unread', { detail: fault });
  }
}

function told({ policy_id, revision }: PolicyRev): string {
  return `revision ${revision} of ${policy_id}`;
}

/** undefined: no link at all. */
function linkIn(bytes: Buffer): Activation | undefined {
  try {
    const verdict = activations.check(JSON.parse(bytes.toString('utf8')));
    return verdict.ok ? verdict.value : undefined;
  } catch {
    return undefined;
  }
}
