import { Injectable } from '@nestjs/common';
import { SpanKind } from '@opentelemetry/api';
import { canonicalJson } from '../../rails/canonical-json.js';
import { asTopicName, type EbRef } from '../../rails/eb-ref.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type Appended, Bus, type PartitionAppend } from '../../substrate/bus/bus.port.js';
import { partitionFor } from '../../substrate/bus/partition.core.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { readyEnvelope } from './scenario-runner.core.js';
import type { RunIntent } from './scenario-runner.documents.js';
import type { RunReady } from './scenario-runner.port.js';
import { type Lease, ScenarioRunnerStore } from './scenario-runner.store.js';

export const CONTROL_TOPIC = 'fp.bus.control.v1';

/**
 * Puts the READY signal on the bus, at least once, always the same bytes under the same message id, which is how readers tell
 * a repetition. Where log and database are one it is exactly once: signal and note commit together.
 */
@Injectable()
export class ReadyPublisher {
  readonly #topic = asTopicName(CONTROL_TOPIC);
  /** The last append: one after the other, since a second producer of the name would fence the first one. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly bus: Bus,
    private readonly store: ScenarioRunnerStore,
    private readonly telemetry: Telemetry,
  ) {}

  /**
   * Publishes unless it is known to be out, and settles the run.
   * @throws LeaseLost; BUS_ codes: the signal may be out or not, and is sent again
   */
  async publish(lease: Lease, intent: RunIntent, ready: RunReady): Promise<void> {
    const { run_id } = intent.pins;
    const { message_id } = ready;
    if ((await this.store.signalOf(message_id)) !== null) {
      await this.store.advance(lease, { settled: true });
      return;
    }
    const attributes = { run_id, message_id };
    await this.telemetry.span('sr.ready.publish', { kind: SpanKind.PRODUCER, attributes }, async (trace) => {
      const headers: Record<string, string> = {};
      this.telemetry.inject(trace, headers);
      const value = Buffer.from(canonicalJson(readyEnvelope(intent, ready)));
      const partition = partitionFor(run_id, await this.bus.partitionsOf(this.#topic));
      const batch = [{ topic: this.#topic, partition, records: [{ key: run_id, value, headers }] }];
      await this.#settle(lease, message_id, batch);
    });
  }

  async #settle(lease: Lease, messageId: string, batch: readonly PartitionAppend[]): Promise<void> {
    const { transactional } = this.bus;
    const outside = transactional === undefined ? placeOf(await this.#append(batch)) : null;
    const event = { event: 'READY_PUBLISHED', data: { message_id: messageId } } as const;
    await this.store.advance(lease, { settled: true }, [event], async (transaction) => {
      const place = outside ?? placeOf((await transactional?.appendWithin(transaction, batch)) ?? []);
      await this.store.keepSignal(transaction, messageId, lease.runId, place);
    });
  }

  /** Signals are rare: a producer for each leaves nothing behind that could be fenced or half-finished. */
  async #append(batch: readonly PartitionAppend[]): Promise<readonly Appended[]> {
    const append = async (): Promise<readonly Appended[]> => {
      const producer = await this.bus.openProducer({ name: 'ready' });
      try {
        return await producer.append(batch);
      } finally {
        await producer.close();
      }
    };
    const mine = this.#last.then(append, append);
    this.#last = mine.catch(() => undefined);
    return await mine;
  }
}

function placeOf(appended: readonly Appended[]): EbRef {
  const [place] = appended;
  if (place === undefined) throw new ProbityError('INTERNAL', 'the bus gave no place for the signal');
  return { topic: place.topic, partition: place.partition, offset: place.firstOffset };
}
