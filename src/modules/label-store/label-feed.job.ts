import { randomUUID } from 'node:crypto';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { Counter } from '@opentelemetry/api';
import { asTopicName } from '../../rails/eb-ref.js';
import type { EventId } from '../../rails/envelope.schema.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { fromEpochMs } from '../../rails/time.js';
import { validatorOf } from '../../rails/validator.js';
import { Bus, type BusProducer, type PartitionAppend } from '../../substrate/bus/bus.port.js';
import { partitionFor } from '../../substrate/bus/partition.core.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { eventIdOf, type LabelRow, LabelRowSchema } from '../data-engine/data-engine.port.js';
import { openSealedOutput, readRunFacts } from '../scenario-runner/run-facts.port.js';
import { labelEnvelope, RowChoice } from './label-row.core.js';
import { FEED_POLICY } from './label-store.policy.js';
import { type Feed, LabelStoreStore } from './label-store.store.js';

const CONTROL = asTopicName('fp.bus.control.v1');
const PART_BYTES_MAX = 8 * 1024 * 1024;
const LEASE_MS = 15_000;
const LOOK_AGAIN_MS = 5_000;

const rows = validatorOf(LabelRowSchema, 'the row');

/** A label that is chosen to be published, with the row behind it. */
interface Chosen {
  readonly target: EventId;
  readonly text: string;
}

/**
 * Publishes the labels of sealed worlds as control facts, ahead of time: readers count each from its observed time on.
 *
 * Where log and database are one, a batch and the progress behind it are one commit, and each label stands on the topic once. Elsewhere a crash between
 * the two publishes one batch again: the same facts under the same ids, which change nothing for whoever reads them.
 */
@Injectable()
export class LabelFeed implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #holder = randomUUID();
  readonly #ended = new AbortController();
  readonly #published: Counter;
  #bell = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #producer: BusProducer | undefined;

  constructor(
    private readonly store: LabelStoreStore,
    private readonly objects: Objects,
    private readonly bus: Bus,
    private readonly policies: Policies,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    this.#published = telemetry.meter.createCounter('labels.published', { description: 'labels on the control topic' });
  }

  onApplicationBootstrap(): void {
    this.#loop = this.#run();
  }

  async onModuleDestroy(): Promise<void> {
    this.#ended.abort();
    this.#bell.abort();
    await this.#loop;
    await this.#producer?.close().catch(() => undefined);
  }

  /** There may be something to publish. */
  wake(): void {
    this.#bell.abort();
  }

  async #run(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      this.#bell = new AbortController();
      try {
        const feed = await this.store.acquire(this.#holder, LEASE_MS);
        if (feed !== null) {
          await this.#publish(feed);
          continue;
        }
      } catch (error) {
        this.telemetry.logger.warn('labels_feed_failed', { detail: String(error) });
      }
      await this.clock.sleep(LOOK_AGAIN_MS, AbortSignal.any([this.#bell.signal, this.#ended.signal]));
    }
  }

  async #publish(feed: Feed): Promise<void> {
    const { pins } = feed;
    try {
      const { published } = await this.#publishRows(feed);
      this.telemetry.logger.info('labels_published', { ...pins, published });
    } catch (error) {
      if (!isProbityError(error) || error.retryable || error.code === 'INTERNAL') throw error;
      const detail = `${error.code}: ${error.detail}`;
      this.telemetry.logger.error('labels_refused', { ...pins, detail });
      const at = (await this.store.find(feed.run_id)) ?? feed;
      await this.#advance(feed, { nextRow: at.next_row, published: at.published, state: 'REFUSED', detail });
    }
  }

  async #publishRows(feed: Feed): Promise<{ readonly published: number }> {
    const { publish, batch_labels_max: batchMax } = this.policies.inForce(FEED_POLICY).body;
    const choice = new RowChoice(publish);
    let published = feed.published;
    let row = 0;
    let batch: Chosen[] = [];
    for await (const { sealed, target } of this.#rows(feed)) {
      if (this.#ended.signal.aborted) throw new ProbityError('RPC_UNAVAILABLE', 'the process is being stopped');
      const wanted = choice.wants(sealed);
      row += 1;
      // Rows that were published before are read again for what they say of later ones, and not published again.
      if (row <= feed.next_row || !wanted) continue;
      batch.push({ target, text: labelEnvelope(sealed, target, feed.pins, feed.output_id ?? '') });
      if (batch.length < batchMax) continue;
      published += batch.length;
      await this.#append(feed, batch, { nextRow: row, published, state: 'PUBLISHING' });
      batch = [];
    }
    published += batch.length;
    await this.#append(feed, batch, { nextRow: row, published, state: 'DONE' });
    return { published };
  }

  /** The rows in their sealed order, each part verified whole before one of its rows is used. */
  async *#rows({
    pins,
    output_id,
  }: Feed): AsyncGenerator<{ readonly sealed: LabelRow; readonly target: EventId }, void> {
    const facts = await readRunFacts(this.objects, pins.run_id);
    const output = facts?.view.outputs.find((each) => each.output_id === output_id);
    if (facts === null || output === undefined)
      throw new ProbityError('LBL_ROW_INVALID', `the run has no output ${output_id ?? ''}`);
    const [traffic, ...more] = facts.view.traffic.flatMap(({ output_id: id }) => (id === undefined ? [] : [id]));
    if (traffic === undefined || more.length > 0)
      throw new ProbityError(
        'LBL_ROW_INVALID',
        'labels name rows of one sealed output of traffic, and the run has none or several',
      );
    const { run_id: _run, ...world } = pins;
    const { parts } = await openSealedOutput(this.objects, facts.view, output);
    for (const { ref } of parts) {
      const text = (await this.objects.read(ref, { bytesMax: PART_BYTES_MAX })).toString('utf8');
      for (const line of text.split('\n')) {
        if (line === '') continue;
        const checked = rows.check(parsed(line));
        if (!checked.ok)
          throw new ProbityError('LBL_ROW_INVALID', `${ref.locator}${checked.fault.at} ${checked.fault.says}`);
        yield { sealed: checked.value, target: eventIdOf(traffic, checked.value.key, world) as EventId };
      }
    }
  }

  async #append(feed: Feed, batch: readonly Chosen[], to: Parameters<LabelStoreStore['advance']>[3]): Promise<void> {
    const appends = await this.#appendsOf(batch);
    const { transactional } = this.bus;
    if (transactional !== undefined) {
      await this.store.database.transaction(async (transaction) => {
        await this.#advance(feed, to, transaction);
        if (appends.length > 0) await transactional.appendWithin(transaction, appends);
      });
    } else {
      if (appends.length > 0) await this.#send(appends);
      await this.#advance(feed, to);
    }
    if (batch.length > 0) this.#published.add(batch.length);
  }

  async #send(appends: readonly PartitionAppend[]): Promise<void> {
    try {
      this.#producer ??= await this.bus.openProducer({ name: `labels.${this.#holder}` });
      await this.#producer.append(appends);
    } catch (error) {
      // What became of the batch is not known: it is published again, under the same ids.
      await this.#producer?.close().catch(() => undefined);
      this.#producer = undefined;
      throw error;
    }
  }

  /** Labels of one event stand on one partition, hence in their order. */
  async #appendsOf(batch: readonly Chosen[]): Promise<readonly PartitionAppend[]> {
    if (batch.length === 0) return [];
    const partitions = await this.bus.partitionsOf(CONTROL);
    const byPartition = new Map<number, { key: string; value: Buffer; headers: Record<string, string> }[]>();
    for (const { target, text } of batch) {
      const partition = partitionFor(target, partitions);
      const records = byPartition.get(partition) ?? [];
      byPartition.set(partition, records);
      records.push({ key: target, value: Buffer.from(text), headers: {} });
    }
    return [...byPartition].map(([partition, records]) => ({ topic: CONTROL, partition, records }));
  }

  async #advance(
    feed: Feed,
    to: Parameters<LabelStoreStore['advance']>[3],
    queryable: Parameters<LabelStoreStore['advance']>[0] = this.store.database,
  ): Promise<void> {
    const now = fromEpochMs(this.clock.nowMs());
    if (!(await this.store.advance(queryable, feed, this.#holder, to, LEASE_MS, now)))
      throw new ProbityError('RPC_UNAVAILABLE', 'another process publishes these labels now');
  }
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
