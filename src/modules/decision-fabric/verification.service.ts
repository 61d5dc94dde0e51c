import { randomUUID } from 'node:crypto';
import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { canonicalJson } from '../../rails/canonical-json.js';
import { type DecisionPolicies, type ResolvedBundles, supposed } from '../../rails/decision/artifacts.js';
import { DecisionEngine } from '../../rails/decision/engine.js';
import { firstDifference } from '../../rails/difference.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { sealPolicy } from '../../rails/policy-rev.js';
import { validatorOf } from '../../rails/validator.js';
import { Bus } from '../../substrate/bus/bus.port.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import type { PolicyFault, PolicyKind } from '../../substrate/policy/policy.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { FEATURES_POLICY } from '../feature-plane/feature-plane.port.js';
import { bandOf, BundleSource } from './bundle-source.js';
import { CitedPolicies } from './cited-policies.js';
import { EngineInForce } from './decision-fabric.engine.js';
import { DECISION_POLICY, RULES_POLICY, SUPPOSED_BUNDLES } from './decision-fabric.policy.js';
import { ExternalModels } from './external-models.js';
import { Reexecution, type ReexecutionOptions } from './reexecution.js';

export interface VerificationRequest {
  readonly run_id: string;
  /** This decision alone. */
  readonly decision_id?: string;
  /** What would have come out under other artifacts: bodies of their policies. */
  readonly counterfactual?: Counterfactual;
}

export interface Verification {
  readonly verification_id: string;
  readonly kind: 'verification' | 'counterfactual';
  readonly run_id: string;
  readonly state: 'RUNNING' | 'DONE' | 'FAILED';
  /** Decisions that were made again and compared, byte for byte. */
  readonly compared: number;
  readonly equal: number;
  /** Decisions of which something is not at hand. */
  readonly not_made_again: number;
  readonly first_difference?: {
    readonly decision_id: string;
    readonly event_id: string;
    /** JSON Pointer into the decision. */
    readonly at: string;
    readonly recorded: string;
    readonly again: string;
  };
  /** The first that would have come out otherwise, rather than only cite other artifacts. */
  readonly first_other_outcome?: {
    readonly decision_id: string;
    readonly event_id: string;
    readonly recorded: string;
    readonly again: string;
  };
  readonly first_not_made_again?: { readonly decision_id: string; readonly event_id: string; readonly why: string };
  /** `APPROVE>DECLINE`: how many went from the one to the other. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly took_ms: number;
  readonly detail?: string;
}

type Mutable<Value> = { -readonly [Key in keyof Value]: Value[Key] };

const KEPT_MAX = 32;
const SLICE = 64;

/** Makes decisions again and compares them, as jobs of this process: asked for, then asked about until they are done. */
@Injectable()
export class VerificationService implements OnModuleDestroy {
  readonly #jobs = new Map<string, Mutable<Verification>>();
  #ended = false;

  constructor(
    private readonly engine: EngineInForce,
    private readonly bundles: BundleSource,
    private readonly models: ExternalModels,
    private readonly cited: CitedPolicies,
    private readonly bus: Bus,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {}

  onModuleDestroy(): void {
    this.#ended = true;
  }

  /** @throws DF_REQUEST_INVALID for rules or bundles that could never be in force */
  start({ run_id, decision_id, counterfactual }: VerificationRequest): Verification {
    const { policies, engineFor } = counterfactual === undefined ? this.#asRecorded() : this.#other(counterfactual);
    const job: Mutable<Verification> = {
      verification_id: randomUUID(),
      kind: counterfactual === undefined ? 'verification' : 'counterfactual',
      run_id,
      state: 'RUNNING',
      compared: 0,
      equal: 0,
      not_made_again: 0,
      outcomes: {},
      took_ms: 0,
    };
    this.#jobs.set(job.verification_id, job);
    const [oldest] = this.#jobs.keys();
    if (this.#jobs.size > KEPT_MAX && oldest !== undefined) this.#jobs.delete(oldest);
    const reexecution = new Reexecution({
      bus: this.bus,
      policies,
      engineFor,
      models: this.models,
      runId: run_id,
      ...(decision_id === undefined ? {} : { only: decision_id }),
      counterfactual: counterfactual !== undefined,
    });
    void this.#run(job, reexecution);
    return job;
  }

  /** @throws DF_VERIFICATION_NOT_FOUND */
  find(verificationId: string): Verification {
    const job = this.#jobs.get(verificationId);
    if (job !== undefined) return job;
    throw new ProbityError('DF_VERIFICATION_NOT_FOUND', 'no verification of this id runs or ran here lately');
  }

  async #run(job: Mutable<Verification>, reexecution: Reexecution): Promise<void> {
    const startedMs = this.clock.monotonicMs();
    const outcomes: Record<string, number> = {};
    job.outcomes = outcomes;
    let done = 0;
    try {
      for await (const { decisionId, eventId, recorded, bytes, again, why } of reexecution.run()) {
        if (this.#ended) throw new ProbityError('RPC_UNAVAILABLE', 'the process was stopped');
        done += 1;
        // Whoever waits for an answer of this process gets a turn now and then.
        if (done % SLICE === 0) await new Promise((resolve) => setImmediate(resolve));
        job.took_ms = Math.round(this.clock.monotonicMs() - startedMs);
        if (again === null) {
          job.not_made_again += 1;
          job.first_not_made_again ??= { decision_id: decisionId, event_id: eventId, why: why ?? 'unknown' };
          continue;
        }
        job.compared += 1;
        const turn = `${recorded.outcome}>${again.outcome}`;
        outcomes[turn] = (outcomes[turn] ?? 0) + 1;
        if (recorded.outcome !== again.outcome)
          job.first_other_outcome ??= {
            decision_id: decisionId,
            event_id: eventId,
            recorded: recorded.outcome,
            again: again.outcome,
          };
        if (standsIn(bytes, canonicalJson(again))) {
          job.equal += 1;
          continue;
        }
        const found = firstDifference(recorded, again);
        job.first_difference ??= {
          decision_id: decisionId,
          event_id: eventId,
          at: found?.at ?? '',
          recorded: found?.left ?? '',
          again: found?.right ?? '',
        };
      }
      job.state = 'DONE';
    } catch (error) {
      job.state = 'FAILED';
      job.detail = error instanceof ProbityError ? `${error.code}: ${error.detail}` : 'an internal error';
      this.telemetry.logger.error('df_verification_failed', { run_id: job.run_id, detail: String(error) });
    }
    job.took_ms = Math.round(this.clock.monotonicMs() - startedMs);
    const { state, kind, compared, equal, not_made_again, took_ms } = job;
    this.telemetry.logger.info('df_verification', {
      run_id: job.run_id,
      kind,
      state,
      compared,
      equal,
      not_made_again,
      took_ms,
    });
  }

  #asRecorded(): Again {
    const policies = this.engine.now();
    return {
      policies,
      engineFor: async (decision) => {
        const cited = await this.cited.of(decision, policies);
        if (typeof cited === 'string') return cited;
        const bundles = await this.bundles.cited(decision, cited.decision.body);
        if (typeof bundles === 'string') return bundles;
        return this.cited.engine(cited, bundles);
      },
    };
  }

  /** Each is checked as it would be before it came into force, beside the others that it would stand with. */
  #other(bodies: Counterfactual): Again {
    const inForce = this.engine.now();
    const swapped = { ...inForce } as { -readonly [Name in keyof DecisionPolicies]: DecisionPolicies[Name] };
    for (const [name, { artifact, kind }] of Object.entries(SWAPPED)) {
      const body = bodies[name as keyof typeof SWAPPED];
      if (body !== undefined) swapped[artifact] = otherwise(name, kind, body) as never;
    }
    const bodyOf = (id: string): unknown =>
      Object.values(SWAPPED)
        .filter(({ kind }) => kind.policy_id === id)
        .map(({ artifact }) => swapped[artifact].body)[0];
    for (const [name, { artifact, kind }] of Object.entries(SWAPPED)) {
      const [fault] = kind.checkAmong?.(swapped[artifact].body as never, bodyOf) ?? [];
      if (fault !== undefined) throw faultIn(name, fault);
    }
    const given =
      bodies.bundles === undefined ? null : supposed(checkedBody('bundles', SUPPOSED_BUNDLES, bodies.bundles) as never);
    const engines = new Map<ResolvedBundles, DecisionEngine>();
    return {
      policies: swapped,
      engineFor: async (decision) => {
        // Where nothing else is supposed, each with the bundles that it had.
        const bundles = given ?? (await this.bundles.cited(decision, inForce.decision.body));
        if (typeof bundles === 'string') return bundles;
        const band = given === null ? bandOf(swapped.decision.body) : bundles.band;
        const engine = engines.get(bundles) ?? new DecisionEngine({ ...swapped, bundles: { ...bundles, band } });
        engines.set(bundles, engine);
        return engine;
      },
    };
  }
}

/** Under what decisions are made again. */
interface Again {
  readonly policies: DecisionPolicies;
  readonly engineFor: ReexecutionOptions['engineFor'];
}

export const COUNTERFACTUALS = ['rules', 'bundles', 'features', 'policy'] as const;
export type Counterfactual = { readonly [Name in (typeof COUNTERFACTUALS)[number]]?: unknown };

const SWAPPED: Readonly<
  Record<
    Exclude<(typeof COUNTERFACTUALS)[number], 'bundles'>,
    { readonly artifact: keyof DecisionPolicies; readonly kind: PolicyKind }
  >
> = {
  rules: { artifact: 'rules', kind: RULES_POLICY },
  features: { artifact: 'features', kind: FEATURES_POLICY },
  policy: { artifact: 'decision', kind: DECISION_POLICY },
};

/** Cited as what it is: a revision that was never in force has its own name and digest. */
function otherwise(name: string, kind: PolicyKind, raw: unknown): DecisionPolicies['rules'] {
  const body = checkedBody(name, kind, raw);
  return { ...sealPolicy(`${kind.policy_id}.counterfactual`, 1, body as never), body: body as never };
}

function checkedBody(name: string, { schema, check }: PolicyKind, body: unknown): unknown {
  const checked = validatorOf(schema, `the ${name}`).check(body);
  if (!checked.ok) throw faultIn(name, { pointer: checked.fault.at, sentence: checked.fault.says });
  const [fault] = check?.(checked.value as never) ?? [];
  if (fault !== undefined) throw faultIn(name, fault);
  return body;
}

function faultIn(name: string, { pointer, sentence }: PolicyFault): ProbityError {
  return new ProbityError('DF_REQUEST_INVALID', `/${name}${pointer}: ${sentence}`);
}

/** Whether the record holds this very text as its payload: records are canonical, so the members around it are always the same. */
function standsIn(record: Uint8Array, payload: string): boolean {
  return Buffer.from(record.buffer, record.byteOffset, record.byteLength).includes(`"payload":${payload},"producer":`);
}
