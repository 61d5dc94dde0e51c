import { Injectable } from '@nestjs/common';
import type { Counter } from '@opentelemetry/api';
import type { Static } from '@sinclair/typebox';
import type { Actor } from '../../rails/actor.js';
import { digestCanonical } from '../../rails/canonical-json.js';
import type { Digest } from '../../rails/digest.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import {
  type BundleManifest,
  type BundleState,
  type RegistryFact,
  registryFactRecipe,
} from '../../rails/events/registry-fact.schema.js';
import type { PolicyRev } from '../../rails/policy-rev.js';
import type { RegistryScope } from '../../rails/registry/scope.js';
import { fromEpochMs, type UtcMicros } from '../../rails/time.js';
import { About } from '../../substrate/about.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import type { Transaction } from '../../substrate/database/database.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { type Change, type Command, judgeCommand, type RegistryRefusal } from './lifecycle.core.js';
import { REGISTRY_POLICY } from './model-registry.policy.js';
import {
  ModelRegistryPort,
  type Publication as PublicationRequest,
  type PublishRequest,
  type RegistryDone,
  type Resolved,
  type ResolveRequest,
} from './model-registry.port.js';
import { type Head, ModelRegistryStore } from './model-registry.store.js';
import { Publication } from './publication.js';
import { RegistryTeller } from './registry-teller.job.js';

/** Whoever asks, and the key under which it is asked once. */
export interface Asked {
  readonly actor: Actor;
  readonly reason: string;
  readonly key: string;
}

interface Wish {
  readonly action: string;
  readonly asked: Asked;
  /** What is asked for, as far as it makes the wish the same or another one. */
  readonly content: object;
  /** The fact, or why there is none; under the lock. */
  readonly judge: (transaction: Transaction, head: Head) => Promise<Judged | RegistryRefusal>;
}

type Drawn = Omit<RegistryFact, 'event_id' | 'registry_seq' | 'recorded_at_utc' | 'actor' | 'reason'>;

interface Judged {
  readonly fact: Drawn;
  readonly activations: Parameters<ModelRegistryStore['append']>[3];
}

/** A publication that stands already under another key: the same version, and no conflict. */
class StandsAlready extends Error {
  constructor(readonly fact: RegistryFact) {
    super('published before');
  }
}

/** The lifecycle of bundles. Each wish is once by its key, and is judged by the facts as they stand under one lock; what is refused is kept, too. */
@Injectable()
export class ModelRegistryService extends ModelRegistryPort {
  readonly #wishes: Counter;
  readonly #resolutions: Counter;

  constructor(
    private readonly store: ModelRegistryStore,
    private readonly publication: Publication,
    private readonly teller: RegistryTeller,
    private readonly policies: Policies,
    private readonly about: About,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    super();
    this.#wishes = telemetry.meter.createCounter('mpr.commands', { description: 'Commands by action and outcome' });
    this.#resolutions = telemetry.meter.createCounter('mpr.resolutions', {
      description: 'Slots that were resolved, by outcome',
    });
  }

  async resolve({ slots, as_of_seq, as_of_utc }: Static<typeof ResolveRequest>): Promise<Resolved> {
    const asOf = await this.#cursor(as_of_seq, as_of_utc);
    const { rows, seq } = await this.store.active(slots, asOf);
    const active = new Map(rows.map((row) => [row.slot as string, row]));
    const resolutions = slots.map((slot): Resolved['resolutions'][number] => {
      const row = active.get(slot);
      const found = row !== undefined && row.bundle !== null && row.ref !== null;
      this.#resolutions.add(1, { slot, outcome: found ? 'ACTIVE' : 'NO_ACTIVE' });
      return found
        ? {
            slot: row.slot,
            status: 'ACTIVE',
            bundle: row.bundle,
            ref: row.ref,
            activation: { event_id: row.event_id, registry_seq: row.seq },
          }
        : { slot: slot, status: 'NO_ACTIVE' };
    });
    return { resolutions, registry_seq: seq };
  }

  async publish(request: Static<typeof PublishRequest>, context: CallContext) {
    const { bundle, reason, idempotency_key: key, ...rest } = request as unknown as PublicationRequest;
    const asked = { actor: context.caller.actor, reason, key };
    return await this.register(async () => await this.publication.read(bundle), rest, asked);
  }

  /** Registers what `read` gives. @throws as `publish` */
  async register(
    read: () => Promise<unknown>,
    rest: Pick<BundleManifest, 'lineage' | 'evidence' | 'supersedes'>,
    asked: Asked,
  ): Promise<RegistryDone> {
    const { policy_rev } = this.policies.inForce(REGISTRY_POLICY);
    const { lineage, evidence, supersedes } = rest;
    const taken = await this.#recorded(
      'publish',
      asked,
      { lineage, evidence, supersedes: supersedes ?? null },
      async () => this.publication.take(await read(), lineage, evidence),
    );
    const { bundle, digest, ref, ineligible } = taken;
    const { bundle_id, bundle_version } = bundle;
    const manifest: BundleManifest = {
      bundle_id,
      bundle_version,
      artifacts: [{ role: 'bundle', ref }],
      lineage,
      evidence,
      ...(supersedes === undefined ? {} : { supersedes }),
    };
    const fingerprint = digestCanonical(manifest);
    const judge = async (transaction: Transaction): Promise<Judged | RegistryRefusal> => {
      const before = await this.store.publication(transaction, bundle);
      if (before !== null) {
        if (before.bundle_fingerprint === fingerprint) throw new StandsAlready(before);
        const detail = `${bundle_id} version ${bundle_version} stands with the digest ${before.bundle.digest}, and this manifest is another one`;
        return { code: 'MPR_IDENTITY_CONFLICT', detail };
      }
      const fact: Drawn = {
        action: 'BUNDLE_PUBLISHED',
        bundle: { bundle_id, bundle_version, digest },
        bundle_fingerprint: fingerprint,
        from_state: null,
        to_state: stateOf(ineligible, evidence),
        ...(ineligible.length === 0 ? {} : { ineligible }),
        manifest,
        scopes: [],
        replaced: null,
        policy_rev,
      };
      return { fact, activations: [] };
    };
    return await this.#carryOut({ action: 'publish', asked, content: { fingerprint }, judge });
  }

  /** @throws MPR_BUNDLE_UNKNOWN, MPR_STATE_FORBIDS, MPR_FOUR_EYES, MPR_CONFLICT, MPR_SLOT_UNKNOWN, MPR_NO_ROLLBACK_TARGET, MPR_PERSON_NEEDED … */
  async command(command: Command, asked: Asked): Promise<RegistryDone> {
    const { policy_rev, body } = this.policies.inForce(REGISTRY_POLICY);
    const judge = async (transaction: Transaction): Promise<Judged | RegistryRefusal> => {
      const seen = await this.store.seen(transaction, command);
      const verdict = judgeCommand(command, seen, body, asked.actor);
      return verdict.ok ? await this.#judged(transaction, verdict.change, policy_rev) : verdict.refusal;
    };
    const content = { ...command, reason: asked.reason };
    return await this.#carryOut({ action: command.action, asked, content, judge });
  }

  async #judged(transaction: Transaction, change: Change, policyRev: PolicyRev): Promise<Judged> {
    const { version, slots, activates, action, toState, replaced } = change;
    const published = await this.store.publication(transaction, version.ref);
    const ref = published?.manifest?.artifacts[0]?.ref;
    if (published === null || ref === undefined) throw new TypeError('a version was published before anything else');
    // Whoever makes it active relies on its bytes: they are read again.
    if (activates) await this.publication.verify(ref);
    const fact: Drawn = {
      action,
      bundle: version.ref,
      bundle_fingerprint: published.bundle_fingerprint,
      from_state: version.state,
      to_state: toState,
      scopes: slots.map((slot): RegistryScope => ({
        environment: this.about.env,
        mode: 'live',
        bundle_slot: slot,
      })),
      replaced,
      policy_rev: policyRev,
    };
    const active = activates ? { bundle: version.ref, ref } : null;
    return { fact, activations: slots.map((slot) => ({ slot, active })) };
  }

  async #carryOut({ action, asked, content, judge }: Wish): Promise<RegistryDone> {
    const { actor, reason, key } = asked;
    const eventId = registryFactRecipe.derive({
      environment: this.about.env,
      idempotency_key: key,
    }) as string as Digest;
    const wanted = digestCanonical({ action, actor_id: actor.actor_id, content });
    const done = await this.#recorded(action, asked, content, async () => {
      const result = await this.store.database
        .transaction(async (transaction): Promise<RegistryDone | RegistryRefusal> => {
          const now = fromEpochMs(this.clock.nowMs());
          const head = await this.store.lock(transaction, now);
          const before = await this.store.find(transaction, eventId);
          if (before !== null) {
            if (before.content === wanted) return { outcome: 'DUPLICATE', fact: before.fact };
            return { code: 'MPR_IDEMPOTENCY_CONFLICT', detail: 'something else was asked for under this key' };
          }
          const judged = await judge(transaction, head);
          if ('code' in judged) return judged;
          const fact: RegistryFact = {
            ...judged.fact,
            event_id: eventId,
            registry_seq: head.seq + 1,
            actor,
            reason,
            recorded_at_utc: head.settled,
          };
          await this.store.append(transaction, fact, wanted, judged.activations);
          return { outcome: 'NEW', fact };
        })
        .catch((error: unknown): RegistryDone => {
          if (error instanceof StandsAlready) return { outcome: 'DUPLICATE', fact: error.fact };
          throw error;
        });
      if ('code' in result) throw new ProbityError(result.code, result.detail);
      return result;
    });
    this.#wishes.add(1, { action, outcome: done.outcome });
    const { bundle, scopes } = done.fact;
    this.telemetry.logger.info('mpr_command', {
      ...{ action, outcome: done.outcome, actor: actor.actor_id, bundle_id: bundle.bundle_id },
      ...{ bundle_version: bundle.bundle_version, slots: scopes.map(({ bundle_slot }) => bundle_slot) },
    });
    this.teller.wake();
    return done;
  }

  /** What is refused is kept with who wanted it; that a server is away is no refusal. */
  async #recorded<Result>(
    action: string,
    { actor }: Asked,
    request: object,
    work: () => Promise<Result>,
  ): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      if (!isProbityError(error) || error.retryable) throw error;
      this.#wishes.add(1, { action, outcome: error.code });
      const { code, detail } = error;
      const row = { refused_at_utc: fromEpochMs(this.clock.nowMs()), actor_id: actor.actor_id, action, code, detail };
      await this.store.refuse(row, request);
      this.telemetry.logger.warn('mpr_refused', { action, code, detail, actor: actor.actor_id });
      throw error;
    }
  }

  async #cursor(seq: number | undefined, utc: UtcMicros | undefined): Promise<number | undefined> {
    if (seq !== undefined && utc !== undefined)
      throw new ProbityError('HTTP_REQUEST_INVALID', 'as of a number or as of a time, not both');
    if (seq !== undefined) {
      const head = await this.store.headSeq();
      if (seq > head) throw new ProbityError('MPR_CURSOR_UNKNOWN', `the last fact is ${head}`);
      return seq;
    }
    if (utc === undefined) return undefined;
    if (utc > fromEpochMs(this.clock.nowMs()))
      throw new ProbityError('MPR_AS_OF_IN_FUTURE', 'nobody can say yet what will be active then');
    return await this.store.settle(utc);
  }
}

/** What a policy ships was approved with the policy. */
function stateOf(ineligible: readonly string[], { shipped_by }: BundleManifest['evidence']): BundleState {
  if (shipped_by !== undefined) return 'APPROVED';
  return ineligible.length === 0 ? 'REGISTERED_ELIGIBLE' : 'REGISTERED_INELIGIBLE';
}
