import { Injectable } from '@nestjs/common';
import { type BusEvent, readEvent } from '../../rails/events/read-event.js';
import { Bus } from '../../substrate/bus/bus.port.js';
import { recordAt } from '../../substrate/bus/record-at.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import { IngestionGatePort, type Receipt, SUBMIT_EVENTS_MAX } from '../ingestion-gate/ingestion-gate.port.js';

const CALL_LIMIT_MS = 10_000;
const AT_ONCE = 8;

/** What was admitted, as it stands on the bus. */
export interface AdmittedRecord {
  readonly receipt: Receipt;
  readonly event: BusEvent;
  readonly value: Uint8Array;
}

/** Records by the receipts of the gate: for the few events that cases are about, never for traffic. */
@Injectable()
export class AdmittedRecords {
  constructor(
    private readonly gate: IngestionGatePort,
    private readonly bus: Bus,
    private readonly clock: Clock,
  ) {}

  /**
   * By event id, in the order of the question, in this run alone; what was never admitted, or whose record is gone or another, is left out.
   * @throws what the gate's `receipts` throws, and the bus's reader
   */
  async find(runId: string, eventIds: readonly string[]): Promise<ReadonlyMap<string, AdmittedRecord>> {
    const found = new Map<string, AdmittedRecord>();
    for (let from = 0; from < eventIds.length; from += SUBMIT_EVENTS_MAX) {
      const ids = eventIds.slice(from, from + SUBMIT_EVENTS_MAX);
      const { receipts } = await this.gate.receipts(
        { run_id: runId as never, event_ids: ids as never[] },
        outgoing(this.clock, CALL_LIMIT_MS),
      );
      const queue = ids.flatMap((id, at) => {
        const receipt = receipts[at];
        return receipt === undefined || receipt === null ? [] : [{ id, receipt }];
      });
      const read = new Map<string, AdmittedRecord>();
      const worker = async (): Promise<void> => {
        for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
          const record = await this.#recordOf(next.receipt, next.id);
          if (record !== undefined) read.set(next.id, record);
        }
      };
      await Promise.all(Array.from({ length: Math.min(AT_ONCE, queue.length) }, worker));
      for (const id of ids) {
        const record = read.get(id);
        if (record !== undefined) found.set(id, record);
      }
    }
    return found;
  }

  async #recordOf(receipt: Receipt, id: string): Promise<AdmittedRecord | undefined> {
    if (receipt.eb_ref === undefined) return undefined;
    const record = await recordAt(this.bus, receipt.eb_ref);
    const read = record === null ? undefined : readEvent(record.value);
    if (record === null || read?.ok !== true || read.event.eventId !== id) return undefined;
    return { receipt, event: read.event, value: record.value };
  }
}
