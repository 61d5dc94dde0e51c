import { Controller } from '@nestjs/common';
import type { Counter } from '@opentelemetry/api';
import { isProbityError } from '../../rails/errors/probity-error.js';
import { ReadySchema } from '../../rails/events/ready.schema.js';
import { readEvent } from '../../rails/events/read-event.js';
import { differingPins, isNoWorld, type RunPins } from '../../rails/pins.js';
import { fromEpochMs } from '../../rails/time.js';
import { validatorOf } from '../../rails/validator.js';
import type { RecordBatch } from '../../substrate/bus/bus.port.js';
import { BusHandler } from '../../substrate/bus/bus.server.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { readRunFacts } from '../scenario-runner/run-facts.port.js';
import { LabelFeed } from './label-feed.job.js';
import { LABELS_OUTPUT } from './label-store.port.js';
import { LabelStoreStore, type NewFeed } from './label-store.store.js';

const readies = validatorOf(ReadySchema, 'the payload');

/** READY from the control topic: what has labels is queued for publishing. A record that cannot be read stops nobody. */
@Controller()
export class LabelStoreConsumer {
  readonly #invalid: Counter;

  constructor(
    private readonly store: LabelStoreStore,
    private readonly objects: Objects,
    private readonly feed: LabelFeed,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    this.#invalid = telemetry.meter.createCounter('labels.invalid', {
      description: 'records of the control topic that could not be read',
    });
  }

  @BusHandler('labels', 'fp.bus.control.v1')
  async take(batch: RecordBatch): Promise<void> {
    const feeds: NewFeed[] = [];
    for (const { value, offset } of batch.records) {
      const read = readEvent(value);
      if (!read.ok) {
        const { topic, partition } = batch;
        this.#invalid.add(1);
        this.telemetry.logger.error('labels_invalid_record', { topic, partition, offset, detail: read.says });
        continue;
      }
      const { eventType, pins, payload } = read.event;
      if (eventType !== 'sr.ready' || isNoWorld(pins) || !readies.check(payload).ok) continue;
      // A run is READY once, so this is once per run, not once per event.
      feeds.push(await this.#feedOf(pins));
    }
    await this.store.take(batch, feeds, fromEpochMs(this.clock.nowMs()));
    if (feeds.some(({ state }) => state === 'WAITING')) this.feed.wake();
  }

  /** @throws ProbityError retryable ones alone: then nothing of the batch was taken, and it comes again */
  async #feedOf(pins: RunPins): Promise<NewFeed> {
    const none = { pins, output_id: null, rows_total: 0, traffic_outputs: [] };
    try {
      const facts = await readRunFacts(this.objects, pins.run_id);
      if (facts === null || differingPins(pins, facts.view.pins).length > 0)
        return { ...none, state: 'REFUSED', detail: 'READY and the facts view of the run do not agree' };
      const traffic_outputs = facts.view.traffic.flatMap(({ output_id: id }) => (id === undefined ? [] : [id]));
      const output = facts.view.outputs.find(
        ({ output_id, role }) => output_id === LABELS_OUTPUT && role === 'truth_products',
      );
      if (output === undefined) return { ...none, traffic_outputs, state: 'NONE', detail: null };
      const { output_id, rows } = output;
      return { pins, traffic_outputs, state: 'WAITING', detail: null, output_id, rows_total: rows };
    } catch (error) {
      if (!isProbityError(error) || error.retryable || error.code === 'INTERNAL') throw error;
      return { ...none, state: 'REFUSED', detail: `${error.code}: ${error.detail}` };
    }
  }
}
