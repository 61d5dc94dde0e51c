import { randomUUID } from 'node:crypto';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { Counter } from '@opentelemetry/api';
import { canonicalJson } from '../../rails/canonical-json.js';
import { asTopicName } from '../../rails/eb-ref.js';
import type { Label } from '../../rails/events/label.schema.js';
import { targetKey } from '../../rails/labels/target.js';
import type { RunPins } from '../../rails/pins.js';
import { Bus, type BusProducer, type PartitionAppend } from '../../substrate/bus/bus.port.js';
import { partitionFor } from '../../substrate/bus/partition.core.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Rounds } from '../../substrate/clock/rounds.js';
import { Database } from '../../substrate/database/database.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { LedgerStore } from './ledger.store.js';

const CONTROL = asTopicName('fp.bus.control.v1');
const LOOK_AGAIN_MS = 500;
const BATCH_LABELS = 500;

/**
 * Tells the control topic of the ledger's labels, in the order of their numbers and one process at a time. Where log and database are one, a
 * batch and how far it has come are one commit, and each label stands on the topic once; elsewhere a crash between the two tells one batch
 * again: the same facts under the same ids, which change nothing for whoever reads them.
 */
@Injectable()
export class LabelTeller implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #rounds: Rounds;
  readonly #published: Counter;
  #producer: BusProducer | undefined;

  constructor(
    private readonly ledger: LedgerStore,
    private readonly database: Database,
    private readonly bus: Bus,
    clock: Clock,
    telemetry: Telemetry,
  ) {
    this.#published = telemetry.meter.createCounter('labels.published', { description: 'labels on the control topic' });
    this.#rounds = new Rounds({
      clock,
      everyMs: LOOK_AGAIN_MS,
      round: () => this.tell(),
      onFailure: (error) => telemetry.logger.warn('labels_tell_failed', { detail: String(error) }),
    });
  }

  onApplicationBootstrap(): void {
    this.#rounds.start();
  }

  async onModuleDestroy(): Promise<void> {
    await this.#rounds.stop();
    await this.#producer?.close().catch(() => undefined);
  }

  /** There may be something to tell. */
  wake(): void {
    this.#rounds.wake();
  }

  /** One batch. @returns how many labels */
  async tell(): Promise<number> {
    const told = await this.database.transaction(async (transaction) => {
      const labels = await this.ledger.untold(transaction, BATCH_LABELS);
      const last = labels.at(-1);
      if (last === undefined) return 0;
      const appends = await this.#appendsOf(labels);
      await this.ledger.markTold(transaction, last.seq);
      const { transactional } = this.bus;
      if (transactional !== undefined) await transactional.appendWithin(transaction, appends);
      else await this.#send(appends);
      return labels.length;
    });
    if (told > 0) this.#published.add(told);
    return told;
  }

  async #send(appends: readonly PartitionAppend[]): Promise<void> {
    try {
      this.#producer ??= await this.bus.openProducer({ name: `labels.${randomUUID()}` });
      await this.#producer.append(appends);
    } catch (error) {
      // What became of the batch is not known: it is told again, under the same ids.
      await this.#producer?.close().catch(() => undefined);
      this.#producer = undefined;
      throw error;
    }
  }

  /** Labels of one target stand on one partition, hence in their order. */
  async #appendsOf(
    labels: readonly { readonly label: Label; readonly pins: RunPins }[],
  ): Promise<readonly PartitionAppend[]> {
    const partitions = await this.bus.partitionsOf(CONTROL);
    const byPartition = new Map<number, { key: string; value: Buffer; headers: Record<string, string> }[]>();
    for (const { label, pins } of labels) {
      const key = label.target.kind === 'EVENT' ? label.target.event_id : targetKey(label.target);
      const partition = partitionFor(key, partitions);
      const records = byPartition.get(partition) ?? [];
      byPartition.set(partition, records);
      records.push({ key, value: Buffer.from(envelopeOf(label, pins)), headers: {} });
    }
    return [...byPartition].map(([partition, records]) => ({ topic: CONTROL, partition, records }));
  }
}

function envelopeOf(label: Label, pins: RunPins): string {
  return canonicalJson({
    ...pins,
    event_id: label.label_id,
    event_type: 'label',
    schema_version: 'v2',
    producer: 'label-store',
    ...(label.target.kind === 'EVENT' ? { parent_event_id: label.target.event_id } : {}),
    ts_utc: label.observed_at_utc,
    payload: label,
  });
}
