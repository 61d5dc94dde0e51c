import { type Context } from '@opentelemetry/api';
import { Injectable } from '@nestjs/common';
import { decisionEnvelope, intentEnvelope, intentsOf, type TraceIds } from '../../rails/decision/envelopes.js';
import type { DecisionTrigger } from '../../rails/decision/inputs.js';
import type { EbRef } from '../../rails/eb-ref.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Decision } from '../../rails/events/decision.schema.js';
import { readEvent } from '../../rails/events/read-event.js';
import { Bus } from '../../substrate/bus/bus.port.js';
import { recordAt } from '../../substrate/bus/record-at.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import { IngestionGatePort, SUBMIT_EVENTS_MAX, type SubmitResult } from '../ingestion-gate/ingestion-gate.port.js';

/** A decision on its way through the gate. */
export interface Made {
  readonly trigger: DecisionTrigger;
  readonly decision: Decision;
  readonly trace?: TraceIds;
}

/** A decision that stands on the bus. */
export interface Admitted extends Made {
  readonly ebRef: EbRef;
}

export interface Refused extends Made {
  readonly result: SubmitResult;
}

/** A call of the gate is repeated by the bus's redelivery; this only keeps one from hanging. */
const CALL_LIMIT_MS = 30_000;

/**
 * Decisions and intents through the gate, each kind in as few calls as it takes. The decision goes first: an intent is sent only once its
 * decision stands on the bus, so that there is no effect without a recorded decision.
 */
@Injectable()
export class Submission {
  constructor(
    private readonly gate: IngestionGatePort,
    private readonly bus: Bus,
    private readonly clock: Clock,
  ) {}

  /** @throws what the gate's `submit` throws: then some may stand on the bus, and whoever comes again finds them */
  async decisions(
    made: readonly Made[],
    context: Context,
  ): Promise<{ readonly admitted: readonly Admitted[]; readonly refused: readonly Refused[] }> {
    const texts = made.map(({ decision, trigger, trace }) => decisionEnvelope(decision, trigger.pins, trace).text);
    const results = await this.#submit(texts, context);
    const admitted: Admitted[] = [];
    const refused: Refused[] = [];
    made.forEach((one, at) => {
      const result = results[at];
      if (result === undefined) throw new ProbityError('INTERNAL', 'the gate answered fewer events than it was given');
      if (result.decision === 'QUARANTINE') refused.push({ ...one, result });
      else if (result.eb_ref === undefined) throw new ProbityError('INTERNAL', 'an admitted decision has no place');
      else admitted.push({ ...one, ebRef: result.eb_ref });
    });
    return { admitted, refused };
  }

  /** What these decisions ask for; sent again, each is a DUPLICATE. @returns those that were quarantined */
  async intents(admitted: readonly Admitted[], context: Context): Promise<readonly SubmitResult[]> {
    const texts = admitted.flatMap(({ decision, trigger, trace }) =>
      intentsOf(decision).map((intent) => intentEnvelope(intent, decision, trigger.pins, trace).text),
    );
    const results = await this.#submit(texts, context);
    return results.filter(({ decision }) => decision === 'QUARANTINE');
  }

  /** Which of these were decided before, as they stand on the bus: a decision is decided once, whatever is in force now. */
  async before(
    triggers: readonly { readonly trigger: DecisionTrigger; readonly decisionId: string }[],
    context: Context,
  ): Promise<ReadonlyMap<DecisionTrigger, Admitted>> {
    const found = new Map<DecisionTrigger, Admitted>();
    for (let from = 0; from < triggers.length; from += SUBMIT_EVENTS_MAX) {
      const some = triggers.slice(from, from + SUBMIT_EVENTS_MAX);
      const { receipts } = await this.gate.receipts(
        { event_ids: some.map(({ decisionId }) => decisionId as never) },
        outgoing(this.clock, CALL_LIMIT_MS, { trace: context }),
      );
      const standing = some.flatMap(({ trigger, decisionId }, at) => {
        const ebRef = receipts[at]?.eb_ref;
        return ebRef === undefined ? [] : [{ trigger, decisionId, ebRef }];
      });
      for (const { trigger, decisionId, ebRef } of standing)
        found.set(trigger, { trigger, ebRef, decision: await this.read(ebRef, decisionId) });
    }
    return found;
  }

  /** @throws INTERNAL when another record stands at the place that the receipt names */
  async read(ebRef: EbRef, decisionId: string): Promise<Decision> {
    const record = await recordAt(this.bus, ebRef);
    const read = record === null ? undefined : readEvent(record.value);
    if (read?.ok !== true || read.event.eventId !== decisionId || read.event.eventType !== 'decision') {
      const { topic, partition, offset } = ebRef;
      throw new ProbityError(
        'INTERNAL',
        `the record at ${topic}/${partition}/${offset} is not the decision ${decisionId}`,
      );
    }
    // Admission checked it against the published schema.
    return read.event.payload as unknown as Decision;
  }

  async #submit(texts: readonly string[], trace: Context): Promise<readonly SubmitResult[]> {
    const results: SubmitResult[] = [];
    for (let from = 0; from < texts.length; from += SUBMIT_EVENTS_MAX) {
      const events = texts.slice(from, from + SUBMIT_EVENTS_MAX);
      const answer = await this.gate.submit({ events }, outgoing(this.clock, CALL_LIMIT_MS, { trace }));
      results.push(...(answer.results as readonly SubmitResult[]));
    }
    if (results.length !== texts.length)
      throw new ProbityError('INTERNAL', `the gate answered ${results.length} of ${texts.length} events`);
    return results;
  }
}
