import { Controller } from '@nestjs/common';
import type { RecordBatch } from '../../substrate/bus/bus.port.js';
import { BusHandler } from '../../substrate/bus/bus.server.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { AuditSignals } from './audit.signals.js';
import { AuditWriter } from './audit.writer.js';
import { DecisionLogAuditStore } from './decision-log-audit.store.js';
import { leafOf } from './leaf.core.js';

export const TRAFFIC = 'fp.bus.traffic.v1';

/** Every record of the traffic topic is one leaf of the log. Here it gets its place; the writer carries it into the objects. */
@Controller()
export class DecisionLogAuditConsumer {
  constructor(
    private readonly store: DecisionLogAuditStore,
    private readonly writer: AuditWriter,
    private readonly signals: AuditSignals,
    private readonly telemetry: Telemetry,
  ) {}

  @BusHandler('dla', TRAFFIC)
  async take(batch: RecordBatch): Promise<void> {
    const { topic, partition } = batch;
    const made = batch.records.map(({ offset, key, value }) => leafOf({ topic, partition, offset, key, value }));
    const placed = await this.store.sequence(batch, made);
    const leaves = placed?.leaves ?? [];
    for (const { kind, reasons, offset, eventId } of leaves)
      if (kind === 'quarantine')
        this.telemetry.logger.error('dla_quarantined', {
          partition,
          offset,
          reason_codes: reasons,
          ...(eventId === null ? {} : { event_id: eventId }),
        });
    this.signals.logged(batch, leaves);
    if (placed !== null)
      this.writer.offer(
        placed.first,
        leaves.map(({ bytes }) => bytes),
      );
  }
}
