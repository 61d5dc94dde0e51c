import { randomUUID } from 'node:crypto';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { canonicalJson } from '../../rails/canonical-json.js';
import { asTopicName } from '../../rails/eb-ref.js';
import type { GovernanceFact } from '../../rails/events/governance-fact.schema.js';
import { NO_WORLD } from '../../rails/pins.js';
import { fromEpochMs } from '../../rails/time.js';
import { About } from '../../substrate/about.js';
import { Bus, type BusProducer } from '../../substrate/bus/bus.port.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Rounds } from '../../substrate/clock/rounds.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { changesOf } from './changes.core.js';
import { RunOperateStore } from './run-operate.store.js';

const CONTROL = asTopicName('fp.bus.control.v1');
const LOOK_AGAIN_MS = 2_000;
const OUTBOX_BATCH = 100;

/**
 * Makes a fact of every change of what is in force: compares the policies of its process with the last facts when it starts, and tells the control
 * topic. What is in force without a fact is shown by nobody, so a database that is away is tried until it answers.
 */
@Injectable()
export class RunOperateService implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #rounds: Rounds;
  #producer: BusProducer | undefined;
  #observed = false;

  constructor(
    private readonly store: RunOperateStore,
    private readonly policies: Policies,
    private readonly about: About,
    private readonly bus: Bus,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    this.#rounds = new Rounds({
      clock,
      everyMs: LOOK_AGAIN_MS,
      round: () => this.#round(),
      onFailure: (error) => telemetry.logger.warn('ops_round_failed', { detail: String(error) }),
    });
  }

  onApplicationBootstrap(): void {
    this.#rounds.start();
  }

  async onModuleDestroy(): Promise<void> {
    await this.#rounds.stop();
    await this.#producer?.close().catch(() => undefined);
  }

  /** One comparison. @returns the facts that it made */
  async observe(): Promise<readonly GovernanceFact[]> {
    const facts = await this.store.record((heads) =>
      changesOf(heads, this.policies.revisions(), { scope: this.about.env, now: fromEpochMs(this.clock.nowMs()) }),
    );
    for (const { fact_id, kind, before, after, actor } of facts)
      this.telemetry.logger.info('ops_fact', { fact_id, kind, before, after, actor: actor.actor_id });
    return facts;
  }

  /** One batch to the control topic. @returns how many; readers know a message that comes twice by its id */
  async publish(): Promise<number> {
    const waiting = await this.store.unpublished(OUTBOX_BATCH);
    if (waiting.length === 0) return 0;
    try {
      this.#producer ??= await this.bus.openProducer({ name: `ops.${randomUUID()}` });
      const records = waiting.map(({ fact }) => ({
        key: fact.subject,
        value: Buffer.from(envelopeOf(fact)),
        headers: {},
      }));
      await this.#producer.append([{ topic: CONTROL, partition: 0, records }]);
    } catch (error) {
      await this.#producer?.close().catch(() => undefined);
      this.#producer = undefined;
      throw error;
    }
    await this.store.published(waiting.map(({ number }) => number));
    return waiting.length;
  }

  /**
   * Compares once: policies are read when a process starts. Two processes on different profiles, as while one replaces another, would otherwise take
   * turns for ever in finding the other's changed.
   */
  async #round(): Promise<number> {
    if (!this.#observed) await this.observe();
    this.#observed = true;
    return await this.publish();
  }
}

function envelopeOf(fact: GovernanceFact): string {
  return canonicalJson({
    event_id: fact.fact_id,
    event_type: 'gov.fact',
    manifest_fingerprint: NO_WORLD.manifest_fingerprint,
    payload: fact,
    producer: 'run-operate',
    schema_version: 'v2',
    ts_utc: fact.observed_at_utc,
  });
}
