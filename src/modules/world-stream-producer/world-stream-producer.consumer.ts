import { Controller } from '@nestjs/common';
import type { Counter } from '@opentelemetry/api';
import { isProbityError } from '../../rails/errors/probity-error.js';
import { differingPins } from '../../rails/pins.js';
import { fromEpochMs } from '../../rails/time.js';
import type { RecordBatch } from '../../substrate/bus/bus.port.js';
import { BusHandler } from '../../substrate/bus/bus.server.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { readFacts, type StreamFacts } from './stream.facts.js';
import { type ControlRecord, readControl } from './stream.ready.core.js';
import { STREAM_POLICY } from './world-stream-producer.policy.js';
import type { Pace } from './world-stream-producer.port.js';
import { WorldStreamProducerService } from './world-stream-producer.service.js';
import { type ReadyOutcome, type SeenReady, WorldStreamProducerStore } from './world-stream-producer.store.js';

type ReadyRecord = Extract<ControlRecord, { kind: 'ready' }>;

/**
 * READY from the control topic: starts what somebody asked for before it was ready and, where the policy says so, everything that has traffic.
 * Each message once, by its id. What does not agree with the facts view is refused and recorded; what cannot be read is reported; neither
 * stops the topic (a store that does not answer does: the batch comes again).
 */
@Controller()
export class WorldStreamProducerConsumer {
  readonly #unreadable: Counter;

  constructor(
    private readonly store: WorldStreamProducerStore,
    private readonly objects: Objects,
    private readonly policies: Policies,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
    private readonly service: WorldStreamProducerService,
  ) {
    this.#unreadable = telemetry.meter.createCounter('wsp.unreadable', {
      description: 'records of the control topic that could not be read',
    });
  }

  @BusHandler('wsp', 'fp.bus.control.v1')
  async take(batch: RecordBatch): Promise<void> {
    const messages = await this.#fresh(this.#readable(batch));
    const wishes = await this.store.wishes(messages.map(({ pins }) => pins.run_id));
    const { start_on_ready } = this.policies.inForce(STREAM_POLICY).body;
    const seen: SeenReady[] = [];
    for (const message of messages) {
      const pace = wishes.get(message.pins.run_id) ?? (start_on_ready ? DEFAULT_PACE : null);
      seen.push(await this.#judge(message, pace));
    }
    await this.store.take(batch, seen, fromEpochMs(this.clock.nowMs()));
    for (const { run_id, outcome } of seen) {
      if (outcome === 'STARTED' || outcome === 'NUDGED') await this.service.drive(run_id);
    }
  }

  #readable({ records, topic, partition }: RecordBatch): readonly ReadyRecord[] {
    return records.flatMap(({ value, offset }) => {
      const record = readControl(Buffer.from(value).toString('utf8'));
      if (record.kind === 'ready') return [record];
      if (record.kind === 'invalid') {
        this.#unreadable.add(1);
        this.telemetry.logger.error('ready_unreadable', { topic, partition, offset, detail: record.says });
      }
      return [];
    });
  }

  /** Each message once, also within a batch. */
  async #fresh(records: readonly ReadyRecord[]): Promise<readonly ReadyRecord[]> {
    const byId = new Map(records.toReversed().map((record) => [record.ready.message_id as string, record]));
    const seen = await this.store.seen([...byId.keys()]);
    return [...byId].flatMap(([id, record]) => (seen.has(id) ? [] : [record])).reverse();
  }

  /** @throws ProbityError retryable ones alone: then nothing of the batch was taken, and it comes again */
  async #judge({ pins, ready }: ReadyRecord, pace: Pace | null): Promise<SeenReady> {
    const { message_id } = ready;
    const answer = (outcome: ReadyOutcome, detail: string | null = null, facts?: StreamFacts): SeenReady => {
      const log = { ...pins, message_id, outcome, detail };
      if (outcome === 'REFUSED') this.telemetry.logger.error('ready_refused', log);
      else this.telemetry.logger.info('ready_seen', log);
      const now = fromEpochMs(this.clock.nowMs());
      const stream =
        facts === undefined || pace === null ? null : { pins: facts.pins, pace, rows_total: facts.rows_total, now };
      return { message_id, run_id: pins.run_id, outcome, detail, stream };
    };
    try {
      const facts = await readFacts(this.objects, pins.run_id);
      if (facts === null) return answer('REFUSED', 'the run has no READY of its own');
      const differing = differingPins(pins, facts.pins);
      if (differing.length > 0) return answer('REFUSED', `READY and the facts view differ in ${differing.join(', ')}`);
      if (ready.facts_view.digest.hex !== facts.ready.facts_view.digest.hex || message_id !== facts.ready.message_id)
        return answer('REFUSED', 'READY names another facts view than the run does');
      if ((await this.store.find(pins.run_id)) !== null) return answer('NUDGED');
      return pace === null ? answer('NOT_ASKED_FOR') : answer('STARTED', null, facts);
    } catch (error) {
      if (!isProbityError(error) || error.retryable || error.code === 'INTERNAL') throw error;
      if (error.code === 'WSP_NOTHING_TO_STREAM') return answer('NOTHING_TO_STREAM', error.detail);
      return answer('REFUSED', `${error.code}: ${error.detail}`);
    }
  }
}

const DEFAULT_PACE: Pace = { mode: 'as_fast_as_accepted' };
