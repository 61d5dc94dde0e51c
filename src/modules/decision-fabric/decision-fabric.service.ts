import { Injectable } from '@nestjs/common';
import type { Context } from '@opentelemetry/api';
import type { JsonObject } from '../../rails/canonical-json.js';
import { checkEnvelope, envelopePins } from '../../rails/envelope.js';
import type { EbRef } from '../../rails/eb-ref.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { isErrorCode } from '../../rails/errors/registry.js';
import type { Decision } from '../../rails/events/decision.schema.js';
import { isNoWorld, type RunPins } from '../../rails/pins.js';
import { fromEpochMs, type UtcMicros } from '../../rails/time.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { NO_LONGER_NEEDED } from '../../substrate/clock/deadline.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import { IngestionGatePort } from '../ingestion-gate/ingestion-gate.port.js';
import { ProducerEdgesPort } from '../producer-edges/producer-edges.port.js';
import { decisionIdOf } from './decision-fabric.consumer.js';
import { EngineInForce } from './decision-fabric.engine.js';
import { DecisionFabricStore, type DecisionRow, type Timeout } from './decision-fabric.store.js';
import { DecisionTail, type DecisionWatch } from './decision-tail.js';
import { Submission } from './submission.js';

/** A request for a verdict at once: one of the two. */
export interface DecisionRequest {
  readonly transaction?: JsonObject;
  readonly envelope?: JsonObject;
  readonly deadline_ms?: number;
}

export interface DecisionAnswer {
  readonly decision_id: string;
  readonly event_id: string;
  readonly outcome: string;
  /** True when the deadline ended first: `outcome` is then the policy's, and the decision still comes under the same id. */
  readonly timed_out: boolean;
  /** What the submission was: a duplicate is answered with the first decision. */
  readonly admission: string;
  readonly decision?: Decision;
  readonly eb_ref?: EbRef;
}

export interface DecisionView {
  readonly run_id: string;
  readonly decision: Decision;
  readonly eb_ref: EbRef;
  readonly decided_at_utc: UtcMicros;
  readonly admitted_at_utc?: UtcMicros;
  readonly receipt_id?: string;
  readonly timeouts: readonly Timeout[];
}

interface Submitted {
  readonly pins: RunPins;
  readonly eventId: string;
  readonly eventType: string;
  readonly admission: string;
}

/** A submission may take this long before the deadline decides; the gate's own limits are shorter. */
const ANSWER_MS = 10_000;
const LOOK_AGAIN_MS = 50;

/** Verdicts for those who wait for one, and decisions for those who look one up. */
@Injectable()
export class DecisionFabricService {
  constructor(
    private readonly engine: EngineInForce,
    private readonly gate: IngestionGatePort,
    private readonly edges: ProducerEdgesPort,
    private readonly tail: DecisionTail,
    private readonly store: DecisionFabricStore,
    private readonly submission: Submission,
    private readonly clock: Clock,
  ) {}

  /**
   * Submits the event and waits for its own decision of the ordinary path, which is the very record that is answered. A deadline that ends first
   * is answered with the policy's time-out outcome, marked so and kept.
   */
  async decide(request: DecisionRequest, trace: Context): Promise<DecisionAnswer> {
    const { scope, deadlines, timeout_outcome } = this.engine.now().decision.body;
    const deadlineMs = Math.min(request.deadline_ms ?? deadlines.default_ms, deadlines.max_ms);
    const late = new AbortController();
    const ended = this.clock.sleep(deadlineMs, late.signal).then(() => late.abort(NO_LONGER_NEEDED));
    const watch = await this.tail.watch();
    try {
      const submitted = await this.#submit(request, trace);
      if (!this.engine.triggerTypes().has(submitted.eventType))
        throw new ProbityError('DF_NOT_A_TRIGGER', `events of the type ${submitted.eventType} are not decided`);
      const decisionId = decisionIdOf({ pins: submitted.pins, eventId: submitted.eventId as never }, scope);
      const answer = { decision_id: decisionId, event_id: submitted.eventId, admission: submitted.admission };
      const seen = await this.#await(watch, decisionId, submitted.admission === 'DUPLICATE', late.signal);
      if (seen !== undefined)
        return {
          ...answer,
          outcome: seen.decision.outcome,
          timed_out: false,
          decision: seen.decision,
          eb_ref: seen.ebRef,
        };
      await this.store.addTimeout(decisionId, {
        outcome: timeout_outcome,
        deadline_ms: deadlineMs,
        answered_at: fromEpochMs(this.clock.nowMs()),
      });
      return { ...answer, outcome: timeout_outcome, timed_out: true };
    } finally {
      watch.close();
      late.abort(NO_LONGER_NEEDED);
      await ended;
    }
  }

  /** @throws DF_DECISION_NOT_FOUND */
  async find(decisionId: string, trace: Context): Promise<DecisionView> {
    const row = await this.store.find(decisionId);
    if (row === null) throw new ProbityError('DF_DECISION_NOT_FOUND', 'no decision of this id is known here');
    const ebRef = ebRefOf(row);
    const [decision, { receipts }, timeouts] = await Promise.all([
      this.submission.read(ebRef, decisionId),
      this.gate.receipts(
        { event_ids: [decisionId as never], run_id: row.run_id as never },
        outgoing(this.clock, ANSWER_MS, { trace }),
      ),
      this.store.timeouts(decisionId),
    ]);
    const [receipt] = receipts;
    return {
      run_id: row.run_id,
      decision,
      eb_ref: ebRef,
      decided_at_utc: row.decided_at,
      ...(receipt === null || receipt === undefined
        ? {}
        : { admitted_at_utc: receipt.decided_at_utc, receipt_id: receipt.receipt_id }),
      timeouts,
    };
  }

  /** On the bus, or, of an event that was decided before, where the index says; both are looked at until one answers. */
  async #await(
    watch: DecisionWatch,
    decisionId: string,
    mayBeOld: boolean,
    signal: AbortSignal,
  ): Promise<{ readonly decision: Decision; readonly ebRef: EbRef } | undefined> {
    const waiting = watch.wait(decisionId, signal);
    if (!mayBeOld) return await waiting;
    // A decision that passed before the tail was opened stands in the index, or will in a moment.
    for (;;) {
      const row = await this.store.find(decisionId);
      if (row !== null) {
        const ebRef = ebRefOf(row);
        return { decision: await this.submission.read(ebRef, decisionId), ebRef };
      }
      const seen = await Promise.race([waiting, this.clock.sleep(LOOK_AGAIN_MS, signal)]);
      if (seen !== undefined || signal.aborted) return seen ?? undefined;
    }
  }

  async #submit({ transaction, envelope }: DecisionRequest, trace: Context): Promise<Submitted> {
    const call = outgoing(this.clock, ANSWER_MS, { trace });
    if (transaction !== undefined) {
      const { pins, results } = await this.edges.admit({ transactions: [transaction] }, call);
      const [result] = results;
      if (result?.event_id === undefined || (result.decision !== 'ADMIT' && result.decision !== 'DUPLICATE'))
        throw notAdmitted(result?.code, result?.detail);
      return { pins, eventId: result.event_id, eventType: 'transaction', admission: result.decision };
    }
    const checked = checkEnvelope(envelope);
    if (!checked.ok) throw new ProbityError('DF_REQUEST_INVALID', `/envelope${checked.fault.at} ${checked.fault.says}`);
    const pins = envelopePins(checked.value);
    if (!pins.ok || isNoWorld(pins.pins)) throw new ProbityError('DF_REQUEST_INVALID', '/envelope belongs to no run');
    const { results } = await this.gate.submit({ events: [JSON.stringify(envelope)] }, call);
    const [result] = results;
    if (result === undefined || result.decision === 'QUARANTINE')
      throw notAdmitted(
        result?.reason_codes[0] === undefined ? undefined : `IG_${result.reason_codes[0]}`,
        result?.detail,
      );
    const { event_id: eventId, event_type: eventType } = checked.value;
    return { pins: pins.pins, eventId, eventType, admission: result.decision };
  }
}

function ebRefOf({ partition, record_offset }: DecisionRow): EbRef {
  return { topic: 'fp.bus.traffic.v1' as EbRef['topic'], partition, offset: record_offset };
}

/** With the gate's own code where there is one, so that the client knows what to do. */
function notAdmitted(code: string | undefined, detail: string | undefined): ProbityError {
  if (code !== undefined && isErrorCode(code)) return new ProbityError(code, detail ?? 'the event was not admitted');
  return new ProbityError('DF_NOT_ADMITTED', detail ?? 'the event was not admitted');
}
