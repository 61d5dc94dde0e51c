import { Injectable } from '@nestjs/common';
import { type Decision, DecisionSchema } from '../../rails/events/decision.schema.js';
import { readEvent } from '../../rails/events/read-event.js';
import { validatorOf } from '../../rails/validator.js';
import { Bus } from '../../substrate/bus/bus.port.js';
import { recordAt } from '../../substrate/bus/record-at.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import { IngestionGatePort, SUBMIT_EVENTS_MAX } from '../ingestion-gate/ingestion-gate.port.js';

const CALL_LIMIT_MS = 10_000;
const decisions = validatorOf(DecisionSchema, 'the decision');

/** Which event a decision was about: an outcome names the decision alone. Asked for the few actions that failed. */
@Injectable()
export class DecisionSources {
  constructor(
    private readonly gate: IngestionGatePort,
    private readonly bus: Bus,
    private readonly clock: Clock,
  ) {}

  /**
   * By decision; one that was never admitted, or whose record is gone, is left out.
   * @throws what the gate's `receipts` throws, and the bus's reader: then the same outcomes come again
   */
  async eventsOf(runId: string, decisionIds: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    for (let from = 0; from < decisionIds.length; from += SUBMIT_EVENTS_MAX) {
      const ids = decisionIds.slice(from, from + SUBMIT_EVENTS_MAX);
      const { receipts } = await this.gate.receipts(
        { run_id: runId as never, event_ids: ids as never[] },
        outgoing(this.clock, CALL_LIMIT_MS),
      );
      for (const [index, id] of ids.entries()) {
        const ebRef = receipts[index]?.eb_ref;
        const event = ebRef === undefined ? undefined : await this.#sourceOf(ebRef, id);
        if (event !== undefined) found.set(id, event);
      }
    }
    return found;
  }

  async #sourceOf(ebRef: Decision['source_event']['eb_ref'], decisionId: string): Promise<string | undefined> {
    const record = await recordAt(this.bus, ebRef);
    const read = record === null ? undefined : readEvent(record.value);
    if (read?.ok !== true || read.event.eventId !== decisionId) return undefined;
    const checked = decisions.check(read.event.payload);
    return checked.ok ? checked.value.source_event.event_id : undefined;
  }
}
