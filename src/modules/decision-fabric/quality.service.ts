import { Injectable } from '@nestjs/common';
import { asTopicName } from '../../rails/eb-ref.js';
import { LabelSchema } from '../../rails/events/label.schema.js';
import { readEvent } from '../../rails/events/read-event.js';
import { labelFactOf, LabelTable } from '../../rails/features/label-table.js';
import type { EpochMicros } from '../../rails/time.js';
import { validatorOf } from '../../rails/validator.js';
import { Bus } from '../../substrate/bus/bus.port.js';
import { DecisionFabricStore } from './decision-fabric.store.js';
import { LogTap } from '../../substrate/bus/log-tap.js';

const CONTROL = asTopicName('fp.bus.control.v1');
const labels = validatorOf(LabelSchema, 'the label');

/** Decisions of a run against what became known of its events later. */
export interface DecisionQuality {
  readonly run_id: string;
  readonly decisions: number;
  /** Events that are known as fraud by the last word on each. */
  readonly frauds: number;
  /** By verdict: of those, and of all others. */
  readonly frauds_by_outcome: Readonly<Record<string, number>>;
  readonly others_by_outcome: Readonly<Record<string, number>>;
}

/** How well a run was decided. It reads labels that decisions never saw: for people who judge the rules, after the fact. */
@Injectable()
export class QualityService {
  constructor(
    private readonly bus: Bus,
    private readonly store: DecisionFabricStore,
  ) {}

  async of(runId: string): Promise<DecisionQuality> {
    const frauds = await this.#frauds(runId);
    const [all, caught] = await Promise.all([this.store.counts(runId), this.store.countsOf(runId, frauds)]);
    const total = (counts: Readonly<Record<string, number>>): number =>
      Object.values(counts).reduce((a, b) => a + b, 0);
    return {
      run_id: runId,
      decisions: total(all),
      frauds: total(caught),
      frauds_by_outcome: caught,
      others_by_outcome: Object.fromEntries(
        Object.entries(all).map(([outcome, count]) => [outcome, count - (caught[outcome] ?? 0)]),
      ),
    };
  }

  /** The last word on each event, whatever the order in which the words were published. */
  async #frauds(runId: string): Promise<readonly string[]> {
    const mark = Buffer.from(`"run_id":"${runId}"`);
    const known = new LabelTable();
    for (const marks of await this.bus.marks(CONTROL)) {
      const tap = new LogTap(this.bus, marks);
      const cursor = tap.cursor(({ value }) =>
        Buffer.from(value.buffer, value.byteOffset, value.byteLength).includes(mark),
      );
      try {
        for (let record = await cursor.take(); record !== undefined; record = await cursor.take()) {
          const read = readEvent(record.value);
          if (!read.ok || read.event.eventType !== 'label' || read.event.envelope.run_id !== runId) continue;
          const checked = labels.check(read.event.payload);
          const at = { partition: marks.partition, offset: record.offset };
          const fact = checked.ok ? labelFactOf(checked.value, at) : null;
          if (fact !== null) known.add(fact);
        }
      } finally {
        await tap.close();
      }
    }
    const targets = new Set([...known.facts()].map(({ target }) => target));
    return [...targets].filter((target) => known.isFraud(target, Number.POSITIVE_INFINITY as EpochMicros));
  }
}
