import { Controller, Injectable } from '@nestjs/common';
import { type Context, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import type { DecisionEngine } from '../../rails/decision/engine.js';
import { decisionIdRecipe } from '../../rails/decision/ids.js';
import type { DecisionTrigger } from '../../rails/decision/inputs.js';
import { payloadHash } from '../../rails/envelope.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { isOtherType, readEvent } from '../../rails/events/read-event.js';
import { isNoWorld } from '../../rails/pins.js';
import { fromEpochMs } from '../../rails/time.js';
import type {
  BusRecord,
  OutgoingRecord,
  Position,
  PositionStore,
  RecordBatch,
  TopicPartition,
} from '../../substrate/bus/bus.port.js';
import { BusHandler } from '../../substrate/bus/bus.server.js';
import { PassedBy } from '../../substrate/bus/passed-by.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { DegradeLadderPort } from '../degrade-ladder/degrade-ladder.port.js';
import { EntityGraphPort } from '../entity-graph/entity-graph.port.js';
import { FeaturePlanePort } from '../feature-plane/feature-plane.port.js';
import { type ContextPorts, featuresOf, graphsOf, postureNow } from './contexts.js';
import { EngineInForce } from './decision-fabric.engine.js';
import { DecisionSignals } from './decision-fabric.signals.js';
import { DecisionFabricStore, type DecisionRow, type Incident, type Invalid } from './decision-fabric.store.js';
import { ExternalModels } from './external-models.js';
import { type Admitted, type Made, Submission } from './submission.js';

export const TRAFFIC = 'fp.bus.traffic.v1';
/** Of one delivery; also how far a batch that was begun in an earlier life can reach. */
export const BATCH_RECORDS_MAX = 500;
/** Records without a trigger that may pass before the position is noted: each of their own commit would cost what a decision costs. */
export const PASSED_BY_MAX = 500;
export const SUSPICIOUS_MAX = BATCH_RECORDS_MAX + PASSED_BY_MAX;

interface Sorted {
  readonly triggers: readonly (Omit<Made, 'decision'> & { readonly context: Context })[];
  readonly invalid: readonly Invalid[];
}

/**
 * Where the batches begin, and how far it is known that they were not begun before.
 *
 * One batch of a partition is in flight at a time. So whatever an earlier life left half done lies within one batch's length from the stored
 * position, and from what was passed by behind it: there, and only there, the gate is asked for decisions that stand already. The hot path
 * pays nothing for it.
 */
@Injectable()
export class DecisionPositions implements PositionStore {
  readonly #suspicious = new Map<string, number>();
  readonly passedBy = new PassedBy(PASSED_BY_MAX);

  constructor(
    private readonly store: DecisionFabricStore,
    private readonly engine: EngineInForce,
  ) {}

  wakesOn(record: OutgoingRecord): boolean {
    return this.needs(record);
  }

  needs({ value }: OutgoingRecord): boolean {
    const types = this.engine.triggerTypes();
    return !isOtherType(value, (type) => types.has(type));
  }

  /** Asked at each assignment and after each failed batch: what follows may have been begun before. */
  async positions(partitions: readonly TopicPartition[]): Promise<readonly Position[]> {
    for (const { topic, partition } of partitions) this.#suspicious.set(`${topic} ${partition}`, SUSPICIOUS_MAX);
    for (const place of partitions) this.passedBy.noted(place);
    return await this.store.positions(partitions);
  }

  /** For whoever only wants to know: nothing is assigned anew by it. */
  async restartsAt(partitions: readonly TopicPartition[]): Promise<readonly Position[]> {
    return await this.store.positions(partitions);
  }

  mayHaveBeenBegun({ topic, partition }: TopicPartition): boolean {
    return (this.#suspicious.get(`${topic} ${partition}`) ?? SUSPICIOUS_MAX) > 0;
  }

  passed({ topic, partition }: TopicPartition, records: number): void {
    const name = `${topic} ${partition}`;
    this.#suspicious.set(name, Math.max(0, (this.#suspicious.get(name) ?? SUSPICIOUS_MAX) - records));
  }
}

/**
 * Turns each admitted trigger into one decision and its intents.
 *
 *     records → triggers → plan (once per batch) → features and graph within the mask → decide → decisions through the gate → their intents
 *       → the index of decisions and the position, in one transaction
 *
 * The position moves only when every output has a terminal receipt. A decision that the gate quarantines is an incident: it is recorded,
 * nothing follows from it, and the partition goes on.
 */
@Controller()
export class DecisionFabricConsumer {
  readonly #ports: ContextPorts;
  #seen: DecisionEngine | undefined;

  constructor(
    private readonly engine: EngineInForce,
    private readonly models: ExternalModels,
    private readonly submission: Submission,
    private readonly store: DecisionFabricStore,
    private readonly positions: DecisionPositions,
    private readonly signals: DecisionSignals,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
    ladder: DegradeLadderPort,
    features: FeaturePlanePort,
    graph: EntityGraphPort,
  ) {
    this.#ports = { ladder, features, graph, clock, telemetry };
  }

  @BusHandler('df', TRAFFIC)
  async take(batch: RecordBatch): Promise<void> {
    const startedMs = this.clock.monotonicMs();
    const { triggers, invalid } = this.#sort(batch);
    const context = triggers.length === 1 ? (triggers[0]?.context ?? ROOT_CONTEXT) : ROOT_CONTEXT;
    const { admitted, incidents } =
      triggers.length === 0
        ? { admitted: [], incidents: [] }
        : await this.telemetry.span(
            'df.decide',
            { parent: context, attributes: { triggers: triggers.length } },
            (inner) => this.#decide(batch, triggers, inner),
          );
    const now = fromEpochMs(this.clock.nowMs());
    const holdsNothing = triggers.length + invalid.length === 0;
    if (!holdsNothing || !this.positions.passedBy.mayPass(batch, batch.records.length)) {
      await this.store.save({ at: batch, decisions: admitted.map((one) => rowOf(one, now)), incidents, invalid, now });
      this.positions.passedBy.noted(batch);
    }
    this.positions.passed(batch, batch.records.length);
    this.signals.batch(batch, admitted, this.clock.monotonicMs() - startedMs);
    if (triggers.length > 0 || invalid.length > 0)
      this.telemetry.logger.info('df_batch', {
        partition: batch.partition,
        decided: admitted.length,
        incidents: incidents.length,
        invalid: invalid.length,
        outcomes: this.signals.outcomesOf(admitted),
        took_ms: Math.round(this.clock.monotonicMs() - startedMs),
        trace: context,
      });
  }

  async #decide(
    batch: TopicPartition,
    triggers: Sorted['triggers'],
    context: Context,
  ): Promise<{ readonly admitted: readonly Admitted[]; readonly incidents: readonly Incident[] }> {
    const policies = this.engine.now();
    const policy = policies.decision.body;
    const before = this.positions.mayHaveBeenBegun(batch)
      ? await this.submission.before(
          triggers.map(({ trigger }) => ({ trigger, decisionId: decisionIdOf(trigger, policy.scope) })),
          context,
        )
      : new Map<DecisionTrigger, Admitted>();
    const open = triggers.filter(({ trigger }) => !before.has(trigger));
    let fresh: Awaited<ReturnType<Submission['decisions']>> = { admitted: [], refused: [] };
    if (open.length > 0) {
      // Frozen for the batch: everything that is decided in it cites one posture, one set of revisions and of bundles.
      const [engine, posture] = await Promise.all([
        this.engine.resolved(policies, context),
        postureNow(this.#ports, policy, context),
      ]);
      this.#makeReady(engine);
      const plan = engine.plan(posture);
      const asked = open.map(({ trigger }) => trigger);
      const [features, graphs] = await Promise.all([
        featuresOf(this.#ports, asked, plan, policy, context),
        graphsOf(this.#ports, asked, plan, policy, context),
      ]);
      const questions = asked.map((trigger) => ({
        trigger,
        features: features.get(trigger) ?? ({ status: 'UNAVAILABLE' } as const),
        graph: graphs.get(trigger) ?? ({ status: 'UNAVAILABLE' } as const),
      }));
      const decisions = await this.models.decide(engine, plan, questions);
      const made = open.map(({ trigger, trace: ids }, at): Made => {
        const decision = decisions[at];
        if (decision === undefined) throw new ProbityError('INTERNAL', 'a trigger was not decided');
        return { trigger, decision, ...(ids === undefined ? {} : { trace: ids }) };
      });
      fresh = await this.submission.decisions(made, context);
    }
    const admitted = [...before.values(), ...fresh.admitted];
    const quarantined = await this.submission.intents(admitted, context);
    for (const { event_id, reason_codes, receipt_id } of quarantined)
      this.telemetry.logger.error('df_intent_quarantined', {
        action_intent_id: event_id ?? '',
        reason_codes,
        receipt_id,
      });
    const incidents = fresh.refused.map(({ decision, trigger, result }): Incident => {
      const { decision_id } = decision;
      const { run_id } = trigger.pins;
      const { reason_codes, receipt_id, detail } = result;
      this.telemetry.logger.error('df_decision_quarantined', {
        ...trigger.pins,
        decision_id,
        reason_codes,
        receipt_id,
        detail,
      });
      return { decision_id, event_id: trigger.eventId, run_id, reason_codes, receipt_id };
    });
    this.signals.incidents(incidents.length + quarantined.length);
    return { admitted, incidents };
  }

  /** Triggers of the batch in their order. What follows from decisions never triggers one; what nobody can read is passed by. */
  /** A model that cannot be asked is a reason in every decision; why, and what to do, is said once. */
  #makeReady(engine: DecisionEngine): void {
    if (this.#seen === engine) return;
    this.#seen = engine;
    this.models
      .ready(engine)
      .catch((error: unknown) => this.telemetry.logger.error('df_model_unusable', { detail: String(error) }));
  }

  #sort(batch: RecordBatch): Sorted {
    const triggers: Sorted['triggers'][number][] = [];
    const invalid: Invalid[] = [];
    const types = this.engine.triggerTypes();
    const wanted = (type: string): boolean => types.has(type);
    for (const record of batch.records) {
      if (isOtherType(record.value, wanted)) continue;
      const read = readEvent(record.value);
      if (!read.ok) {
        invalid.push({ offset: record.offset, reason: read.reason, detail: read.says.slice(0, 500) });
        this.telemetry.logger.error('df_invalid_record', {
          partition: batch.partition,
          offset: record.offset,
          reason: read.reason,
        });
        continue;
      }
      const { event } = read;
      if (!types.has(event.eventType)) continue;
      if (isNoWorld(event.pins)) {
        invalid.push({ offset: record.offset, reason: 'MISSING_REQUIRED_PINS', detail: 'the event belongs to no run' });
        continue;
      }
      const { envelope, eventId, eventType, ts, pins, payload } = event;
      const context = this.telemetry.extract(record.headers);
      const ids = traceOf(context, envelope);
      triggers.push({
        context,
        ...(ids === undefined ? {} : { trace: ids }),
        trigger: {
          pins,
          eventId,
          eventType,
          ts,
          tsUtc: envelope.ts_utc,
          partition: batch.partition,
          offset: record.offset,
          ebRef: { offset: record.offset, partition: batch.partition, topic: batch.topic },
          payloadHash: payloadHash(envelope),
          entityKey: entityKeyOf(record),
          payload,
        },
      });
    }
    this.signals.invalid(invalid.length);
    return { triggers, invalid };
  }
}

export function decisionIdOf({ pins, eventId }: Pick<DecisionTrigger, 'pins' | 'eventId'>, scope: string): string {
  return decisionIdRecipe.derive({ pins, event_id: eventId, scope });
}

function entityKeyOf({ key }: BusRecord): string {
  return key === null || key === '' ? 'none' : key.slice(0, 256);
}

/** The trace of the request that brought the event: of its headers, or of its envelope. */
function traceOf(
  context: Context,
  envelope: { readonly trace_id?: string; readonly span_id?: string },
): Made['trace'] | undefined {
  const span = trace.getSpanContext(context);
  if (span !== undefined && trace.isSpanContextValid(span)) return { trace_id: span.traceId, span_id: span.spanId };
  const { trace_id, span_id } = envelope;
  return trace_id === undefined || span_id === undefined ? undefined : { trace_id, span_id };
}

function rowOf({ decision, trigger, ebRef }: Admitted, now: DecisionRow['decided_at']): DecisionRow {
  return {
    decision_id: decision.decision_id,
    run_id: trigger.pins.run_id,
    event_id: trigger.eventId,
    ts_utc: trigger.tsUtc,
    entity_key: decision.entity_key,
    outcome: decision.outcome,
    reason_codes: decision.reason_codes,
    score_e6: decision.model.score_e6 ?? null,
    mode: decision.posture.mode,
    partition: ebRef.partition,
    record_offset: ebRef.offset,
    source_partition: trigger.partition,
    source_offset: trigger.offset,
    decided_at: now,
  };
}
