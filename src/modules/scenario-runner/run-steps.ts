import { Inject, Injectable } from '@nestjs/common';
import { canonicalJson, type JsonObject } from '../../rails/canonical-json.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { toEpochMicros, type UtcMicros } from '../../rails/time.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { DataEnginePort } from '../data-engine/data-engine.port.js';
import { type EvidenceVerdict, judgeEvidence, NOTHING_TO_PROVE } from './evidence.core.js';
import { ReadyPublisher } from './ready.publisher.js';
import { RunObjects } from './run-objects.js';
import { RUN_PACE, type RunPace } from './run-pace.js';
import { factsViewOf, failureOf, isPlanOf, isTerminal, planOf, type Proven, readyOf } from './scenario-runner.core.js';
import {
  factsViews,
  failures,
  plans,
  readies,
  type RunEventName,
  type RunRecord,
} from './scenario-runner.documents.js';
import { RunMetrics } from './scenario-runner.metrics.js';
import { RUN_GATES_POLICY } from './scenario-runner.policy.js';
import { readyKey, runKey, type RunPlan } from './scenario-runner.port.js';
import { type Lease, type RunRow, ScenarioRunnerStore } from './scenario-runner.store.js';
import { afterEngine, afterEvidence, type EngineAnswer, type Move } from './steps.core.js';

type End = Extract<Move, { readonly move: 'END' }>;

/** The world has been sealed otherwise before: found inside the transaction that would have decided READY. */
class OtherSeal extends Error {}

const DETAIL_MAX = 2_000;

/**
 * The steps of a run. Each reads the row as it stands, does one thing that may be done again, and writes the outcome under the
 * lease, so that a process may die between any two lines and the next holder goes on from there.
 *
 * The end of a run in its order: the facts view; the verdict in the database, under the lease, once and for ever (from here
 * on nobody can decide otherwise); `ready.json` or `failed.json`, which tell others; the state; the record; the signal.
 */
@Injectable()
export class RunSteps {
  constructor(
    private readonly store: ScenarioRunnerStore,
    private readonly objects: RunObjects,
    private readonly engine: DataEnginePort,
    private readonly policies: Policies,
    private readonly publisher: ReadyPublisher,
    private readonly metrics: RunMetrics,
    private readonly telemetry: Telemetry,
    private readonly clock: Clock,
    @Inject(RUN_PACE) private readonly pace: RunPace,
  ) {}

  /**
   * Takes up what a run's objects say already: after a loss of the database they say more than the row does, and nothing
   * leaves READY. For the beginning of a holder's work; while it holds the lease nobody else puts them.
   */
  async takeUp(row: RunRow, lease: Lease): Promise<void> {
    if (row.verdict !== null) return;
    const { run_id } = row.intent.pins;
    const ready = await this.objects.standing(readyKey(run_id), readies);
    if (ready !== null) {
      const view = await this.objects.read(ready.facts_view, factsViews);
      if (row.state === 'OPEN') await this.store.advance(lease, { state: 'PLANNED', plan: view.plan });
      if (row.state === 'OPEN' || row.state === 'PLANNED' || row.state === 'EXECUTING')
        await this.store.advance(lease, { state: 'VERIFYING' });
      const { facts_view, message_id } = ready;
      await this.store.advance(lease, { verdict: 'READY', factsView: facts_view, messageId: message_id });
      return;
    }
    const failure = await this.objects.standing(runKey(run_id, 'failed.json'), failures);
    if (failure === null) return;
    const { state, reasons, detail } = failure;
    await this.store.advance(lease, { verdict: state, reasons, detail });
  }

  /** One step. Gives how long to wait before the next, 0 for at once. @throws LeaseLost, and what stores and bus throw */
  async step(row: RunRow, lease: Lease, polls: number): Promise<number> {
    if (row.verdict === 'READY') return await this.#finishReady(row, lease);
    if (row.verdict !== null) return await this.#finishFailed(row, lease);
    switch (row.state) {
      case 'OPEN':
        return await this.#plan(row, lease);
      case 'PLANNED':
        return await this.#begin(row, lease);
      case 'EXECUTING':
        return await this.#execute(row, lease, polls);
      case 'VERIFYING':
      case 'WAITING_EVIDENCE':
        return await this.#verify(row, lease);
      case 'READY':
      case 'FAILED':
      case 'QUARANTINED':
        throw new ProbityError('INTERNAL', `run ${lease.runId} is ${row.state} without a verdict`);
    }
  }

  async #plan(row: RunRow, lease: Lease): Promise<number> {
    const { intent } = row;
    const { supersedes } = intent.request;
    const by = supersedes === undefined ? null : await this.store.supersededBy(supersedes.run_id);
    if (supersedes !== undefined && by !== lease.runId) {
      const detail = `run ${supersedes.run_id} is superseded by run ${by ?? 'none'}: supersede that one`;
      return await this.#decideEnd(lease, failed('SCENARIO_BINDING_INVALID', detail));
    }
    const policy = this.policies.inForce(RUN_GATES_POLICY);
    const put = await this.objects.put(
      runKey(lease.runId, 'plan.json'),
      planOf(intent, policy.body, policy.policy_rev),
    );
    const plan = await this.objects.read(put.ref, plans);
    if (!isPlanOf(plan, intent)) {
      const detail = 'the plan that stands is not one of this request';
      return await this.#decideEnd(lease, { ...failed('PLAN_DRIFT', detail), state: 'QUARANTINED' });
    }
    const { engine_timeout_ms } = policy.body;
    await this.store.advance(lease, { state: 'PLANNED', plan: put.ref, engineTimeoutMs: engine_timeout_ms }, [
      { event: 'POLICY_RESOLVED', data: { policy_rev: plan.policy_rev, engine_timeout_ms } },
      { event: 'PLAN_COMMITTED', data: { plan: put.ref } },
    ]);
    return 0;
  }

  async #begin(row: RunRow, lease: Lease): Promise<number> {
    const { world, strategy } = row.intent.request;
    const since = this.store.now();
    if (world.kind === 'live') {
      await this.store.advance(lease, { state: 'VERIFYING', since });
      return 0;
    }
    const seal = strategy === 'FORCE_INVOKE' ? null : await this.objects.sealRef(await this.#planOf(row));
    if (seal !== null) {
      this.metrics.world('reused');
      await this.store.advance(lease, { state: 'VERIFYING', since }, [{ event: 'WORLD_REUSED', data: { seal } }]);
    } else if (strategy === 'FORCE_REUSE') {
      // Never made here: whether somebody else seals it in time, the wait for evidence will show.
      await this.store.advance(lease, { state: 'VERIFYING', since });
    } else {
      this.metrics.world('made');
      await this.store.advance(lease, { state: 'EXECUTING', attempts: 1, since }, [
        { event: 'ENGINE_ATTEMPT_START', data: { attempt: 1 } },
      ]);
    }
    return 0;
  }

  async #execute(row: RunRow, lease: Lease, polls: number): Promise<number> {
    const plan = await this.#planOf(row);
    const answer = await this.#ask(row);
    const tookMs = this.#msSince(row.since);
    const timeoutMs = row.engineTimeoutMs ?? this.policies.inForce(RUN_GATES_POLICY).body.engine_timeout_ms;
    const move = afterEngine(answer, plan.pins, {
      number: row.attempts,
      attemptsMax: plan.attempts_max,
      tookMs,
      timeoutMs,
      pollMs: Math.min(this.pace.pollFirstMs * 2 ** Math.min(polls, 10), this.pace.pollMaxMs),
      running: row.engine !== null,
    });
    const engine = 'status' in answer ? { engine: answer.status } : {};
    const finished = { event: 'ENGINE_ATTEMPT_FINISH' as const, data: finishOf(row.attempts, answer) };
    if (move.move !== 'WAIT') this.metrics.stage('engine', tookMs);
    switch (move.move) {
      case 'WAIT':
        await this.#showProgress(row, lease, answer);
        return move.waitMs;
      case 'RETRY': {
        const attempts = row.attempts + 1;
        await this.store.advance(lease, { ...engine, attempts, since: this.store.now() }, [
          finished,
          { event: 'ENGINE_ATTEMPT_START', data: { attempt: attempts, after: move.detail } },
        ]);
        return this.pace.pollFirstMs;
      }
      case 'END':
        return await this.#decideEnd(lease, move, [finished]);
      case 'GO':
      case 'COMMIT':
        await this.store.advance(lease, { ...engine, detail: '', state: 'VERIFYING', since: this.store.now() }, [
          finished,
        ]);
        return 0;
    }
  }

  /** For people who wait; progress that is none costs no write. */
  async #showProgress(row: RunRow, lease: Lease, answer: EngineAnswer): Promise<void> {
    const detail = 'error' in answer ? `waiting for the engine: ${answer.error.code}: ${answer.error.detail}` : '';
    const isNew = 'status' in answer && canonicalJson(answer.status) !== canonicalJson(row.engine);
    if (!isNew && detail === (row.detail ?? '')) return;
    await this.store.advance(lease, {
      detail: detail.slice(0, DETAIL_MAX),
      ...(isNew ? { engine: answer.status } : {}),
    });
  }

  async #ask(row: RunRow): Promise<EngineAnswer> {
    const { world } = row.intent.request;
    if (world.kind === 'live') throw new ProbityError('INTERNAL', 'a live run has no engine');
    try {
      return { status: await this.engine.seal({ invocation: world }, outgoing(this.clock, this.pace.callMs)) };
    } catch (error) {
      if (!isProbityError(error)) throw error;
      const { code, detail } = error;
      return { error: { code, detail, retryable: error.retryable } };
    }
  }

  async #verify(row: RunRow, lease: Lease): Promise<number> {
    const plan = await this.#planOf(row);
    const verdict = await this.#judge(row, plan);
    const waitedMs = this.#msSince(row.since);
    const move = afterEvidence(verdict, {
      state: row.state,
      waitedMs,
      deadlineMs: plan.evidence_deadline_ms,
      pollMs: this.pace.evidenceMs,
    });
    if (move.move !== 'WAIT' && row.state === 'WAITING_EVIDENCE') this.metrics.stage('evidence', waitedMs);
    switch (move.move) {
      case 'WAIT':
        return move.waitMs;
      case 'GO':
        await this.store.advance(lease, { state: move.to, since: this.store.now() }, [evidenceEvent(verdict)]);
        return 0;
      case 'COMMIT':
        return await this.#commit(row, lease, plan, verdict.verdict === 'COMPLETE' ? verdict.proven : null);
      case 'END':
        return await this.#decideEnd(lease, move, [evidenceEvent(verdict)]);
      case 'RETRY':
        throw new ProbityError('INTERNAL', 'evidence is not tried again, it is waited for');
    }
  }

  async #judge(row: RunRow, plan: RunPlan): Promise<EvidenceVerdict> {
    if (plan.kind === 'live') return NOTHING_TO_PROVE;
    const known = await this.store.sealOf(plan.pins.manifest_fingerprint);
    const answered = row.engine?.seal?.digest.hex;
    const seen = [...(known === null ? [] : [known]), ...(answered === undefined ? [] : [answered])];
    return judgeEvidence(plan, await this.objects.evidence(plan, seen));
  }

  async #commit(row: RunRow, lease: Lease, plan: RunPlan, proven: Proven | null): Promise<number> {
    const view = factsViewOf(row.intent, plan, planRefOf(row), proven);
    const { outcome, ref } = await this.objects.put(runKey(lease.runId, 'facts_view.json'), view);
    if (outcome === 'CONFLICT') {
      const detail = 'another facts view stands; the first is never changed';
      return await this.#decideEnd(lease, { ...failed('FACTS_VIEW_DRIFT', detail), state: 'QUARANTINED' });
    }
    const { message_id } = readyOf(plan.pins, ref);
    try {
      await this.store.advance(
        lease,
        { verdict: 'READY', factsView: ref, messageId: message_id },
        [{ event: 'EVIDENCE_COMPLETE' }, { event: 'FACTS_VIEW_COMMITTED', data: { facts_view: ref } }],
        async (transaction) => {
          if (proven === null) return;
          const { manifest_fingerprint: manifestFingerprint } = plan.pins;
          const seal = proven.sealRef.digest.hex;
          const stands = await this.store.keepSeal(transaction, { manifestFingerprint, seal, runId: lease.runId });
          if (!stands) throw new OtherSeal();
        },
      );
    } catch (error) {
      if (!(error instanceof OtherSeal)) throw error;
      const detail = 'two materialisations: another run stands on another seal of this world';
      return await this.#decideEnd(lease, { ...failed('EVIDENCE_CONFLICT', detail), state: 'QUARANTINED' });
    }
    return 0;
  }

  async #finishReady(row: RunRow, lease: Lease): Promise<number> {
    const { factsView } = row;
    if (factsView === null) throw new ProbityError('INTERNAL', `run ${lease.runId} is ready without a facts view`);
    const { pins } = row.intent;
    const ready = readyOf(pins, factsView);
    const { message_id } = ready;
    if (row.state !== 'READY') {
      const { outcome } = await this.objects.put(readyKey(pins.run_id), ready);
      if (outcome === 'CONFLICT') throw new ProbityError('INTERNAL', `another ready.json of run ${pins.run_id} stands`);
      await this.store.advance(lease, { state: 'READY' }, [{ event: 'READY_COMMITTED', data: { message_id } }]);
      this.metrics.ended('READY', [], this.#msSince(row.intent.requested_at_utc));
      this.telemetry.logger.info('run_ready', { ...pins, message_id, facts_view: factsView.locator });
      return 0;
    }
    await this.#keepRecord(row, 'READY_COMMITTED');
    await this.publisher.publish(lease, row.intent, ready);
    return 0;
  }

  async #finishFailed(row: RunRow, lease: Lease): Promise<number> {
    const { verdict, reasons, detail, plan } = row;
    if (verdict === null || verdict === 'READY') throw new ProbityError('INTERNAL', 'only what failed ends as failed');
    const event = verdict === 'FAILED' ? 'RUN_FAILED' : 'RUN_QUARANTINED';
    if (!isTerminal(row.state)) {
      const { pins } = row.intent;
      const failure = failureOf(pins, { state: verdict, reasons, detail: detail ?? '' }, plan);
      await this.objects.put(runKey(lease.runId, 'failed.json'), failure);
      const data = { reasons, detail: failure.detail };
      await this.store.advance(lease, { state: verdict }, [{ event, data }]);
      this.metrics.ended(verdict, reasons, this.#msSince(row.intent.requested_at_utc));
      this.telemetry.logger.warn('run_ended', { ...pins, state: verdict, reasons: reasons.join(',') });
      return 0;
    }
    await this.#keepRecord(row, event);
    await this.store.advance(lease, { settled: true });
    return 0;
  }

  /** Up to the run's end and no further, so that whoever writes it, and when, writes the same. */
  async #keepRecord(row: RunRow, last: RunEventName): Promise<void> {
    const { pins } = row.intent;
    const events = await this.store.events(pins.run_id);
    const end = events.findIndex(({ event }) => event === last);
    const record: RunRecord = { pins, events: events.slice(0, end + 1) };
    const { outcome } = await this.objects.put(runKey(pins.run_id, 'record.json'), record);
    // Only after a loss of the database, whose events then begin anew: what was recorded first stands.
    if (outcome === 'CONFLICT') this.telemetry.logger.warn('run_record_stands', { ...pins });
  }

  /** The verdict that is not READY, once and for ever; what tells others of it follows. */
  async #decideEnd(
    lease: Lease,
    { state, reasons, detail }: End,
    events: Parameters<ScenarioRunnerStore['advance']>[2] = [],
  ): Promise<number> {
    await this.store.advance(lease, { verdict: state, reasons, detail: detail.slice(0, DETAIL_MAX) }, events);
    return 0;
  }

  async #planOf(row: RunRow): Promise<RunPlan> {
    return await this.objects.read(planRefOf(row), plans);
  }

  /** By the wall clock, since the moment stands in the database and another process may go on from it. */
  #msSince(at: UtcMicros): number {
    return Math.max(0, this.clock.nowMs() - toEpochMicros(at) / 1_000);
  }
}

function planRefOf({ plan, intent }: RunRow): NonNullable<RunRow['plan']> {
  if (plan === null) throw new ProbityError('INTERNAL', `run ${intent.pins.run_id} has gone on without a plan`);
  return plan;
}

function failed(reason: End['reasons'][number], detail: string): End {
  return { move: 'END', state: 'FAILED', reasons: [reason], detail };
}

function finishOf(attempt: number, answer: EngineAnswer): JsonObject {
  if ('error' in answer) return { attempt, error: `${answer.error.code}: ${answer.error.detail}` };
  const { state, seal, error } = answer.status;
  return {
    attempt,
    state,
    ...(seal === undefined ? {} : { seal: seal.digest.hex }),
    ...(error === undefined ? {} : { error: `${error.code}: ${error.detail}` }),
  };
}

function evidenceEvent(verdict: EvidenceVerdict): { readonly event: RunEventName; readonly data: JsonObject } {
  switch (verdict.verdict) {
    case 'COMPLETE':
      return { event: 'EVIDENCE_COMPLETE', data: {} };
    case 'WAITING':
      return { event: 'EVIDENCE_WAITING', data: { missing: verdict.missing } };
    case 'FAIL':
      return { event: 'EVIDENCE_FAIL', data: { reason: verdict.reason, findings: verdict.findings } };
    case 'CONFLICT':
      return { event: 'EVIDENCE_CONFLICT', data: { findings: verdict.findings } };
  }
}
