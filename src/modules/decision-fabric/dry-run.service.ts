import { randomUUID } from 'node:crypto';
import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import { canonicalJson } from '../../rails/canonical-json.js';
import type { DecisionPolicies } from '../../rails/decision/artifacts.js';
import type { DecisionEngine } from '../../rails/decision/engine.js';
import { firstDifference } from '../../rails/difference.js';
import type { DecisionPlan } from '../../rails/decision/inputs.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import type { Decision } from '../../rails/events/decision.schema.js';
import type { RunId } from '../../rails/pins.js';
import { compareUtc, fromEpochMs, parseUtc, toEpochMicros, type UtcMicros } from '../../rails/time.js';
import { Bus } from '../../substrate/bus/bus.port.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { PolicyArchive } from '../../substrate/policy/policy.archive.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { LabelStorePort } from '../label-store/label-store.port.js';
import { BundleSource } from './bundle-source.js';
import { CitedPolicies } from './cited-policies.js';
import { EngineInForce } from './decision-fabric.engine.js';
import { type Candidate, candidateOf } from './dry-run.candidate.js';
import {
  candidateInputs,
  changeOf,
  type DryRunRow,
  DryRunTally,
  type KnownAs,
  knownAs,
  type LabelsBasis,
} from './dry-run.core.js';
import type { DryRun, DryRunChange, DryRunChanges, DryRunRequest } from './dry-run.schema.js';
import { DryRunStore } from './dry-run.store.js';
import { ExternalModels, type Question } from './external-models.js';
import { Reexecution, type Reexecuted } from './reexecution.js';
import { standsIn } from './verification.service.js';

type Mutable<Value> = { -readonly [Key in keyof Value]: Value[Key] };

interface Job {
  readonly state: Mutable<DryRun>;
  readonly changes: DryRunChange[];
}

/** A decision that was made again as it was, and waits for what the candidate makes of it. */
interface Waiting {
  readonly runId: RunId;
  readonly recorded: Decision;
  readonly engine: DecisionEngine;
  readonly plan: DecisionPlan;
  readonly question: Question;
}

interface Asked {
  /** As it was when the dry run began, whatever comes into force meanwhile. */
  readonly inForce: DecisionPolicies;
  readonly candidate: Candidate;
  readonly from: UtcMicros | null;
  readonly to: UtcMicros | null;
  readonly labels: Labels | null;
}

interface Labels {
  readonly label_type: string;
  readonly as_of_utc: UtcMicros;
  readonly maturityMicros: number | null;
  readonly ledger_seq: Record<string, number>;
}

const KEPT_MAX = 4;
/** Decisions of one pass of the candidate, and of one call for labels. */
const BATCH = 512;
/** Some tens of megabytes of one dry run; what changes beyond is counted and not listed. */
export const CHANGES_MAX = 50_000;
const LABELS_MS = 30_000;
const DAY_MICROS = 86_400_000_000;

/**
 * What a candidate would have decided on events of the past, as jobs of this process, one at a time: it holds the features of a run. Each decision is
 * made again without any change first, and compared byte for byte: where that fails, what the candidate decides says nothing, and is not told.
 */
@Injectable()
export class DryRunService implements OnModuleDestroy {
  readonly #jobs = new Map<string, Job>();
  #ended = false;

  constructor(
    private readonly engine: EngineInForce,
    private readonly bundles: BundleSource,
    private readonly models: ExternalModels,
    private readonly store: DryRunStore,
    private readonly labels: LabelStorePort,
    private readonly archive: PolicyArchive,
    private readonly bus: Bus,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {}

  onModuleDestroy(): void {
    this.#ended = true;
  }

  /** @throws DF_CANDIDATE_REFUSED, DF_DRY_RUN_BUSY; TIME_INVALID for a time that is none */
  async start(request: DryRunRequest): Promise<DryRun> {
    const inForce = this.engine.now();
    const candidate = candidateOf(request.candidate, inForce);
    const { run_id } = request;
    const from = request.from === undefined ? null : parseUtc(request.from);
    const to = request.to === undefined ? null : parseUtc(request.to);
    const labels = this.#labelsOf(request);
    if ([...this.#jobs.values()].some(({ state }) => state.state === 'RUNNING'))
      throw new ProbityError('DF_DRY_RUN_BUSY', 'another dry run is under way in this process');
    const state: Mutable<DryRun> = {
      dry_run_id: randomUUID(),
      state: 'RUNNING',
      run_ids: [],
      decisions: 0,
      seen: 0,
      left_out: {},
      changes_kept: 0,
      took_ms: 0,
      decisions_per_second: 0,
    };
    const job: Job = { state, changes: [] };
    this.#jobs.set(state.dry_run_id, job);
    const [oldest] = this.#jobs.keys();
    if (this.#jobs.size > KEPT_MAX && oldest !== undefined) this.#jobs.delete(oldest);
    try {
      const runs = await this.store.runs({
        ...(run_id === undefined ? {} : { run_id }),
        ...(from === null ? {} : { from }),
        ...(to === null ? {} : { to }),
      });
      state.run_ids = run_id === undefined ? runs.map((run) => run.run_id) : [run_id];
      state.decisions = runs.reduce((sum, { decisions }) => sum + decisions, 0);
    } catch (error) {
      this.#jobs.delete(state.dry_run_id);
      throw error;
    }
    void this.#run(job, { inForce, candidate, from, to, labels });
    return state;
  }

  /** @throws DF_DRY_RUN_NOT_FOUND */
  find(id: string): DryRun {
    return this.#job(id).state;
  }

  /** Changed decisions in the order in which they were made again. @throws DF_DRY_RUN_NOT_FOUND */
  changes(id: string, after: number, limit: number): DryRunChanges {
    const { state, changes } = this.#job(id);
    // What a control that failed has put beside each other is not told, and until all is compared it may fail.
    const told = state.state === 'DONE' ? changes : [];
    const page = told.slice(after, after + limit);
    const next = after + page.length;
    return { changes: page, ...(next < told.length ? { next_cursor: String(next) } : {}) };
  }

  #job(id: string): Job {
    const job = this.#jobs.get(id);
    if (job !== undefined) return job;
    throw new ProbityError('DF_DRY_RUN_NOT_FOUND', 'no dry run of this id runs or ran here lately');
  }

  #labelsOf({ labels }: DryRunRequest): Labels | null {
    if (labels === undefined) return null;
    const { label_type, as_of, maturity_days } = labels;
    return {
      label_type,
      as_of_utc: as_of === undefined ? fromEpochMs(this.clock.nowMs()) : parseUtc(as_of),
      maturityMicros: maturity_days === undefined ? null : maturity_days * DAY_MICROS,
      ledger_seq: {},
    };
  }

  async #run({ state, changes }: Job, asked: Asked): Promise<void> {
    const startedMs = this.clock.monotonicMs();
    const tally = new DryRunTally();
    let compared = 0;
    try {
      for (const runId of state.run_ids) {
        let waiting: Waiting[] = [];
        const flush = async (): Promise<void> => {
          if (this.#ended) throw new ProbityError('RPC_UNAVAILABLE', 'the process was stopped');
          const rows = await this.#decided(waiting, asked.labels);
          waiting = [];
          tally.add(rows);
          for (const row of rows)
            if (row.before.outcome !== row.after.outcome && changes.length < CHANGES_MAX) changes.push(changeOf(row));
          state.changes_kept = changes.length;
          state.took_ms = Math.round(this.clock.monotonicMs() - startedMs);
          // Whoever waits for an answer of this process gets a turn.
          await new Promise((resolve) => setImmediate(resolve));
        };
        for await (const one of this.#again(runId, asked)) {
          state.seen += 1;
          if (one.again !== null) {
            demandEqual(one, one.again);
            compared += 1;
          }
          const next = waitingFor(one, runId, asked.candidate);
          if ('reason' in next) leaveOut(state, one, next);
          else waiting.push(next);
          if (waiting.length >= BATCH || state.seen % BATCH === 0) await flush();
        }
        await flush();
      }
      state.report = tally.report(compared, basisOf(asked.labels));
      state.state = 'DONE';
    } catch (error) {
      state.state = 'FAILED';
      state.code = isProbityError(error) ? error.code : 'INTERNAL';
      state.detail = isProbityError(error) ? error.detail : 'an internal error';
      state.changes_kept = 0;
      changes.length = 0;
      this.telemetry.logger.error('df_dry_run_failed', { dry_run_id: state.dry_run_id, detail: String(error) });
    }
    const took = this.clock.monotonicMs() - startedMs;
    state.took_ms = Math.round(took);
    state.decisions_per_second = took > 0 ? Math.round((1_000 * state.seen) / took) : 0;
    const { dry_run_id, state: end, seen, took_ms } = state;
    this.telemetry.logger.info('df_dry_run', { dry_run_id, state: end, seen, compared, took_ms });
  }

  #again(runId: RunId, { inForce: policies, from, to }: Asked): AsyncGenerator<Reexecuted, void> {
    const cited = new CitedPolicies(this.archive, policies);
    return new Reexecution({
      bus: this.bus,
      policies,
      models: this.models,
      runId,
      wanted: ({ source_event: { ts_utc } }) =>
        (from === null || compareUtc(ts_utc, from) >= 0) && (to === null || compareUtc(ts_utc, to) < 0),
      // Under rules of then a decision is made again; a candidate is set beside policy and definitions of now, and theirs have to be the same.
      citedPolicies: async (decision) => {
        const then = await cited.of(decision);
        if (typeof then === 'string') return then;
        const other = (['decision', 'features', 'graph'] as const).find((name) => then[name] !== policies[name]);
        if (other === undefined) return then;
        const { policy_id, revision } = then[other].policy_rev;
        return `the decision stands on revision ${revision} of ${policy_id}, and the candidate would stand on the one in force`;
      },
      engineFor: async (decision, under) => {
        const bundles = await this.bundles.cited(decision, under.decision.body);
        return typeof bundles === 'string' ? bundles : cited.engine(under, bundles);
      },
    }).run();
  }

  /** All that wait, by engine and posture: one pass of the candidate for each, one call for the labels of all. */
  async #decided(waiting: readonly Waiting[], labels: Labels | null): Promise<readonly DryRunRow[]> {
    if (waiting.length === 0) return [];
    const passes = new Map<DecisionEngine, Map<string, Waiting[]>>();
    for (const one of waiting) {
      const byPosture = passes.get(one.engine) ?? new Map<string, Waiting[]>();
      passes.set(one.engine, byPosture);
      const { status, posture_seq, scope_key, decided_at_utc } = one.recorded.posture;
      const key = [status, posture_seq, scope_key, decided_at_utc].join(' ');
      const pass = byPosture.get(key);
      if (pass === undefined) byPosture.set(key, [one]);
      else pass.push(one);
    }
    const after = new Map<Waiting, Decision>();
    for (const [engine, byPosture] of passes) {
      await this.models.ready(engine);
      for (const pass of byPosture.values()) {
        const [first] = pass;
        if (first === undefined) continue;
        const decisions = await this.models.decide(
          engine,
          first.plan,
          pass.map(({ question }) => question),
        );
        pass.forEach((one, at) => {
          const decision = decisions[at];
          if (decision !== undefined) after.set(one, decision);
        });
      }
    }
    const known = labels === null ? null : await this.#knownAs(waiting, labels);
    return waiting.flatMap((one, at): DryRunRow[] => {
      const decision = after.get(one);
      if (decision === undefined) throw new ProbityError('INTERNAL', 'a question was left without a decision');
      const { runId, recorded: before, question } = one;
      const as = known?.[at];
      return [
        { runId, trigger: question.trigger, before, after: decision, ...(as === undefined ? {} : { knownAs: as }) },
      ];
    });
  }

  /** As of one moment and one number of the ledger for all of a run. @throws what `asOf` of the label store throws */
  async #knownAs(waiting: readonly Waiting[], labels: Labels): Promise<readonly KnownAs[]> {
    const [{ runId } = {}] = waiting;
    if (runId === undefined) return [];
    const { label_type, as_of_utc, maturityMicros, ledger_seq } = labels;
    const seen = ledger_seq[runId];
    const { answers, basis } = await this.labels.asOf(
      {
        run_id: runId,
        targets: waiting.map(({ question }) => ({ kind: 'EVENT', event_id: question.trigger.eventId })),
        label_type,
        as_of_utc,
        ...(seen === undefined ? {} : { ledger_seq: seen }),
      },
      outgoing(this.clock, LABELS_MS),
    );
    if (answers.length !== waiting.length)
      throw new ProbityError('INTERNAL', `the label store answered ${answers.length} of ${waiting.length} targets`);
    ledger_seq[runId] = basis.ledger_seq;
    const asOf = toEpochMicros(as_of_utc);
    return waiting.map(({ question: { trigger } }, at) => {
      const answer = answers[at];
      const mature = maturityMicros !== null && trigger.ts + maturityMicros <= asOf;
      return knownAs(answer?.state === 'LABEL' ? answer.label.label_value : null, answer?.state === 'CONFLICT', mature);
    });
  }
}

/** The control: without any change the decision is the one that was recorded. @throws DF_DRY_RUN_CONTROL_FAILED */
function demandEqual({ decisionId, eventId, recorded, bytes }: Reexecuted, again: Decision): void {
  if (standsIn(bytes, canonicalJson(again))) return;
  const found = firstDifference(recorded, again);
  throw new ProbityError(
    'DF_DRY_RUN_CONTROL_FAILED',
    `made again without any change, decision ${decisionId} of event ${eventId} differs at ${found?.at ?? '/'}: recorded ${found?.left ?? ''}, made again ${found?.right ?? ''}`,
  );
}

interface LeftOut {
  readonly reason: string;
  readonly why: string;
}

function waitingFor(
  { again, inputs, recorded, reason, why }: Reexecuted,
  runId: RunId,
  candidate: Candidate,
): Waiting | LeftOut {
  if (again === null || inputs === undefined) return { reason: reason ?? 'UNKNOWN', why: why ?? 'unknown' };
  const { trigger, posture } = inputs;
  const { bundles } = inputs.engine.artifacts;
  const unknown = candidate.unknownWith(bundles);
  if (unknown !== null) return { reason: unknown, why: 'nobody knows which bundles would have scored' };
  const engine = candidate.engineWith(bundles);
  if (!engine.isTrigger(trigger.eventType))
    return { reason: 'NOT_A_TRIGGER', why: 'the candidate does not decide events of this type' };
  const plan = engine.plan(posture);
  const leaned = candidateInputs(plan, inputs);
  if (!leaned.ok)
    return { reason: leaned.reason, why: 'the decision did not have what the candidate would have asked for' };
  const { features, graph } = leaned;
  return { runId, recorded, engine, plan, question: { trigger, features, graph } };
}

function leaveOut(state: Mutable<DryRun>, { decisionId, eventId }: Reexecuted, { reason, why }: LeftOut): void {
  state.left_out = { ...state.left_out, [reason]: (state.left_out[reason] ?? 0) + 1 };
  state.first_left_out ??= { decision_id: decisionId as never, event_id: eventId, reason, why };
}

function basisOf(labels: Labels | null): LabelsBasis | null {
  if (labels === null) return null;
  const { label_type, as_of_utc, ledger_seq } = labels;
  return { label_type, as_of_utc, ledger_seq };
}
