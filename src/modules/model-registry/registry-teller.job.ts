import { randomUUID } from 'node:crypto';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { canonicalJson } from '../../rails/canonical-json.js';
import { asTopicName } from '../../rails/eb-ref.js';
import type { RegistryFact } from '../../rails/events/registry-fact.schema.js';
import { NO_WORLD } from '../../rails/pins.js';
import { Bus, type BusProducer, type PartitionAppend } from '../../substrate/bus/bus.port.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Rounds } from '../../substrate/clock/rounds.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { ModelRegistryStore } from './model-registry.store.js';

const CONTROL = asTopicName('fp.bus.control.v1');
const LOOK_AGAIN_MS = 1_000;
const BATCH_FACTS = 100;

/** Tells the control topic of the registry's facts, in their order and one process at a time; readers know one that comes twice by its id. */
@Injectable()
export class RegistryTeller implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #rounds: Rounds;
  #producer: BusProducer | undefined;

  constructor(
    private readonly store: ModelRegistryStore,
    private readonly bus: Bus,
    clock: Clock,
    telemetry: Telemetry,
  ) {
    this.#rounds = new Rounds({
      clock,
      everyMs: LOOK_AGAIN_MS,
      round: () => this.tell(),
      onFailure: (error) => telemetry.logger.warn('mpr_tell_failed', { detail: String(error) }),
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

  /** One batch. @returns how many facts */
  async tell(): Promise<number> {
    return await this.store.database.transaction(async (transaction) => {
      const facts = await this.store.untold(transaction, BATCH_FACTS);
      const last = facts.at(-1);
      if (last === undefined) return 0;
      await this.store.markTold(transaction, last.registry_seq);
      const records = facts.map((fact) => ({
        key: fact.bundle.bundle_id,
        value: Buffer.from(envelopeOf(fact)),
        headers: {},
      }));
      // One partition, so that they stand in their order.
      const appends: readonly PartitionAppend[] = [{ topic: CONTROL, partition: 0, records }];
      const { transactional } = this.bus;
      if (transactional !== undefined) await transactional.appendWithin(transaction, appends);
      else await this.#send(appends);
      return facts.length;
    });
  }

  async #send(appends: readonly PartitionAppend[]): Promise<void> {
    try {
      this.#producer ??= await this.bus.openProducer({ name: `mpr.${randomUUID()}` });
      await this.#producer.append(appends);
    } catch (error) {
      await this.#producer?.close().catch(() => undefined);
      this.#producer = undefined;
      throw error;
    }
  }
}

function envelopeOf(fact: RegistryFact): string {
  return canonicalJson({
    event_id: fact.event_id,
    event_type: 'mpr.bundle',
    manifest_fingerprint: NO_WORLD.manifest_fingerprint,
    payload: fact,
    producer: 'model-registry',
    schema_version: 'v1',
    ts_utc: fact.recorded_at_utc,
  });
}
