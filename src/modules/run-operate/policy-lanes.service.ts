import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { Actor } from '../../rails/actor.js';
import { canonicalJson } from '../../rails/canonical-json.js';
import { allDifferences, type JsonDifference } from '../../rails/difference.js';
import { type Digest, digestText } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type GovernanceFact, governanceFactRecipe, policyRevOf } from '../../rails/events/governance-fact.schema.js';
import type { PolicyRev, SealedPolicy } from '../../rails/policy-rev.js';
import { fromEpochMs } from '../../rails/time.js';
import { About } from '../../substrate/about.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Rounds } from '../../substrate/clock/rounds.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import { type Activation, activationKey } from '../../substrate/policy/activation.schema.js';
import { PolicyArchive } from '../../substrate/policy/policy.archive.js';
import { GovernedPolicies, type PolicyStanding } from '../../substrate/policy/policy.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { GOVERNANCE_POLICY, needsFourEyes } from './governance.policy.js';
import {
  judgeLane,
  type Lane,
  LANE_FACTS,
  type LaneCommand,
  type LaneHead,
  laneOf,
  type LaneRefusal,
  type LaneRevision,
} from './policy-lane.core.js';
import { LaneGuard } from './lane-guard.js';
import { PolicyLanesStore } from './policy-lanes.store.js';

const LOOK_AGAIN_MS = 2_000;
const DIFFERENCES_MAX = 1_000;
/** Refusals that tell of people rather than of slips: they are facts, too. */
const RECORDED = new Set(['OPS_SELF_APPROVAL', 'OPS_HEAD_MOVED']);

/** Who wants it, why, and under which key, so that it is done once. */
export interface Asked {
  readonly actor: Actor;
  readonly reason: string;
  readonly key: string;
}

export interface LaneDone {
  readonly outcome: 'NEW' | 'DUPLICATE';
  readonly fact: GovernanceFact;
}

/** A policy as people look at it. */
export interface PolicyView extends PolicyStanding {
  /** The fact that put in force what is; what a command on it must name as `expected`. */
  readonly head: LaneHead | null;
}

/**
 * Carries out what people want done with policies: one at a time, each a fact in the commit that does it. An activation is told to all processes by
 * the next object of a chain, which is put after the commit, and again until it stands.
 */
@Injectable()
export class PolicyLanes implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #archive: PolicyArchive;
  readonly #rounds: Rounds;
  #kept = false;

  constructor(
    private readonly store: PolicyLanesStore,
    private readonly policies: GovernedPolicies,
    private readonly objects: Objects,
    private readonly about: About,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
    private readonly guard: LaneGuard,
  ) {
    this.#archive = new PolicyArchive(objects);
    this.#rounds = new Rounds({
      clock,
      everyMs: LOOK_AGAIN_MS,
      round: () => this.#round(),
      onFailure: (error) => telemetry.logger.warn('ops_lanes_round_failed', { detail: String(error) }),
    });
  }

  onApplicationBootstrap(): void {
    this.#rounds.start();
  }

  async onModuleDestroy(): Promise<void> {
    await this.#rounds.stop();
  }

  /** @throws OPS_POLICY_UNKNOWN, OPS_POLICY_INVALID; nothing is kept */
  check(artifact: SealedPolicy): void {
    this.#demandKnown(artifact.policy_rev.policy_id);
    const [fault] = this.policies.faultsOf(artifact);
    if (fault !== undefined) throw new ProbityError('OPS_POLICY_INVALID', `${fault.pointer} ${fault.sentence}`.trim());
  }

  /** @throws as `check` and the guard, OPS_REVISION_USED, OPS_IDEMPOTENCY_CONFLICT */
  async propose(artifact: SealedPolicy, asked: Asked): Promise<LaneDone> {
    this.check(artifact);
    await this.guard.demand(artifact);
    const { policy_rev } = artifact;
    // Before the fact that names it: whoever reads the fact finds the artifact.
    await this.#archive.keep(artifact);
    return await this.#carryOut(policy_rev.policy_id, { action: 'propose', policy_rev }, asked);
  }

  /** @throws OPS_HEAD_MOVED, OPS_STATE_FORBIDS, OPS_SELF_APPROVAL, OPS_REVISION_UNKNOWN, OPS_NO_ROLLBACK_TARGET, OPS_ARTIFACT_TAMPERED, OPS_POLICY_INVALID … */
  async command(
    policyId: string,
    command: Exclude<LaneCommand, { action: 'propose' }>,
    asked: Asked,
  ): Promise<LaneDone> {
    this.#demandKnown(policyId);
    const done = await this.#carryOut(policyId, command, asked);
    if (command.action === 'activate' || command.action === 'rollback') {
      await this.putActivations();
      await this.policies.follow();
    }
    return done;
  }

  async policy(policyId: string): Promise<PolicyView & { readonly revisions: readonly LaneRevision[] }> {
    this.#demandKnown(policyId);
    const standing = this.policies.standing().find(({ policy_rev }) => policy_rev.policy_id === policyId);
    if (standing === undefined) throw new ProbityError('OPS_POLICY_UNKNOWN', policyId);
    const { head, revisions } = await this.#lane(policyId);
    return { ...standing, head, revisions: [...revisions.values()] };
  }

  async list(): Promise<readonly PolicyView[]> {
    return await Promise.all(
      this.policies.standing().map(async (standing) => {
        const { head } = await this.#lane(standing.policy_rev.policy_id);
        return { ...standing, head };
      }),
    );
  }

  async artifact(policyId: string, revision: number): Promise<SealedPolicy> {
    const { revisions } = await this.#lane(policyId);
    const found = [...revisions.values()].filter(({ policy_rev }) => policy_rev.revision === revision).at(-1);
    if (found === undefined) throw new ProbityError('OPS_REVISION_UNKNOWN', `revision ${revision} of ${policyId}`);
    return await this.#archive.artifact(found.policy_rev);
  }

  /** Where two revisions of a policy differ; at most 1,000 places. */
  async difference(policyId: string, from: number, to: number): Promise<readonly JsonDifference[]> {
    const [left, right] = await Promise.all([this.artifact(policyId, from), this.artifact(policyId, to)]);
    return allDifferences(left.body, right.body, DIFFERENCES_MAX);
  }

  /** Puts what was activated where all processes look. @throws OPS_CHAIN_BROKEN where something else stands there */
  async putActivations(): Promise<number> {
    const waiting = await this.store.toPut();
    for (const activation of waiting) {
      const key = activationKey(activation.seq);
      const { outcome } = await this.objects.putIfAbsent(key, Buffer.from(canonicalJson(activation)), {
        mediaType: 'application/json',
      });
      if (outcome === 'CONFLICT') throw new ProbityError('OPS_CHAIN_BROKEN', `another activation stands under ${key}`);
      await this.store.put(activation.seq);
    }
    return waiting.length;
  }

  /** Keeps what the process found in force, so that what cites it can be read again. */
  async keepInForce(): Promise<void> {
    for (const artifact of this.policies.artifacts()) await this.#archive.keep(artifact);
  }

  async #round(): Promise<number> {
    if (!this.#kept) await this.keepInForce();
    this.#kept = true;
    return await this.putActivations();
  }

  async #carryOut(policyId: string, command: LaneCommand, asked: Asked): Promise<LaneDone> {
    const result = await this.store.locked(async (transaction): Promise<LaneDone | LaneRefusal> => {
      const lane = laneOf(await this.store.factsOf(policyId, transaction));
      const before = await this.store.doneUnder(transaction, asked.key);
      if (before !== undefined) return again(before, policyId, command);
      const { body } = this.policies.inForce(GOVERNANCE_POLICY);
      const who = { actor: asked.actor.actor_id, fourEyes: needsFourEyes(body, policyId) };
      const verdict = judgeLane(lane, command, who);
      if (!verdict.ok) {
        if (RECORDED.has(verdict.code))
          await this.store.append(transaction, this.#refusal(policyId, command, asked, verdict));
        return verdict;
      }
      const { policy_rev } = verdict;
      const fact = this.#fact(policyId, LANE_FACTS[command.action], asked, {
        before: lane.head?.policy_rev ?? null,
        after: policy_rev,
      });
      if (command.action !== 'activate' && command.action !== 'rollback') {
        await this.store.append(transaction, fact);
        return { outcome: 'NEW', fact };
      }
      // Whoever puts it in force relies on its bytes, and on what stands beside it now.
      const artifact = await this.#archive.artifact(policy_rev);
      this.check(artifact);
      await this.guard.demand(artifact);
      await this.store.append(transaction, fact, (last) => linkAfter(last, fact, policy_rev, lane.known));
      return { outcome: 'NEW', fact };
    });
    const { actor, key } = asked;
    const code = 'code' in result ? result.code : result.outcome;
    this.telemetry.logger.info('ops_policy', {
      policy_id: policyId,
      action: command.action,
      outcome: code,
      actor: actor.actor_id,
      key,
    });
    if ('code' in result) throw new ProbityError(result.code, result.detail);
    return result;
  }

  #fact(
    policyId: string,
    kind: GovernanceFact['kind'],
    { actor, reason, key }: Asked,
    sides: { readonly before: PolicyRev | null; readonly after: PolicyRev | null },
    detail: GovernanceFact['detail'] = {},
  ): GovernanceFact {
    const scope = this.about.env;
    return {
      fact_id: governanceFactRecipe.derive({ scope, op_id: key, kind, step: 0 }) as string as Digest,
      ...{ kind, scope, subject: policyId, actor, ...sides, reason, evidence: [], detail, op_id: key, step: 0 },
      observed_at_utc: fromEpochMs(this.clock.nowMs()),
    };
  }

  #refusal(policyId: string, { action }: LaneCommand, asked: Asked, { code, policy_rev }: LaneRefusal): GovernanceFact {
    return this.#fact(policyId, 'POLICY_REFUSED', asked, { before: null, after: policy_rev }, { action, code });
  }

  async #lane(policyId: string): Promise<Lane> {
    return laneOf(await this.store.factsOf(policyId));
  }

  #demandKnown(policyId: string): void {
    if (this.policies.revisions().some(({ policy_id }) => policy_id === policyId)) return;
    throw new ProbityError('OPS_POLICY_UNKNOWN', `"${policyId.slice(0, 100)}" is not among them`);
  }
}

/** The same again is answered with what was done; another wish under the key is refused. */
function again(before: GovernanceFact, policyId: string, command: LaneCommand): LaneDone | LaneRefusal {
  const rev = policyRevOf(before.after);
  const same =
    before.kind === LANE_FACTS[command.action] &&
    before.subject === policyId &&
    (command.action === 'propose'
      ? rev?.content_digest === command.policy_rev.content_digest
      : command.revision === undefined || rev?.revision === command.revision);
  if (same) return { outcome: 'DUPLICATE', fact: before };
  const detail = `under this key stands ${before.kind} of ${before.subject}`;
  return { ok: false, code: 'OPS_IDEMPOTENCY_CONFLICT', detail, policy_rev: rev ?? null };
}

function linkAfter(last: Activation | null, fact: GovernanceFact, policyRev: PolicyRev, known: number): Activation {
  return {
    seq: (last?.seq ?? 0) + 1,
    previous: last === null ? null : digestText(canonicalJson(last)),
    policy_rev: policyRev,
    known_revision: known,
    fact_id: fact.fact_id,
    actor: fact.actor,
    activated_at_utc: fact.observed_at_utc,
  };
}
