import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Rounds } from '../../substrate/clock/rounds.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { IngestionGatePort } from '../ingestion-gate/ingestion-gate.port.js';
import { ActionsLayerStore } from './actions-layer.store.js';
import { ActionSignals } from './actions-layer.signals.js';

const BATCH = 1_000;
const LOOK_AGAIN_MS = 2_000;
const CALL_LIMIT_MS = 30_000;

/**
 * Tells the bus what was done, through the gate: the same bytes at every attempt, so that a second telling is a duplicate. Publishing never does
 * anything again; an outcome that the gate quarantines is the loudest of incidents and waits for a person.
 */
@Injectable()
export class OutcomePublisher implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #rounds: Rounds;
  #measuredMs = -Infinity;

  constructor(
    private readonly store: ActionsLayerStore,
    private readonly gate: IngestionGatePort,
    private readonly signals: ActionSignals,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    this.#rounds = new Rounds({
      clock,
      everyMs: LOOK_AGAIN_MS,
      round: async () => (await this.round()) || (await this.#measure()),
      onFailure: (error) => telemetry.logger.warn('al_publish_failed', { detail: String(error) }),
    });
  }

  onApplicationBootstrap(): void {
    this.#rounds.start();
  }

  async onModuleDestroy(): Promise<void> {
    await this.#rounds.stop();
  }

  wake(): void {
    this.#rounds.wake();
  }

  /** One batch. @returns how many were told; what the gate does not answer is told again */
  async round(): Promise<number> {
    const waiting = await this.store.unpublished(BATCH);
    if (waiting.length === 0) return 0;
    const { results } = await this.gate.submit(
      { events: waiting.map(({ event }) => event) },
      outgoing(this.clock, CALL_LIMIT_MS),
    );
    const told: number[] = [];
    for (const [at, { number }] of waiting.entries()) {
      const result = results[at];
      if (result === undefined) continue;
      if (result.decision !== 'QUARANTINE') {
        told.push(number);
        continue;
      }
      await this.store.quarantined(number, result.reason_codes);
      this.signals.quarantined();
      const { receipt_id, reason_codes, detail } = result;
      this.telemetry.logger.error('al_outcome_quarantined', { receipt_id, reason_codes, detail });
    }
    await this.store.published(told);
    return told.length;
  }

  /** What waits, for the meters; now and then, since it costs a query. @returns 0: it told nobody anything */
  async #measure(): Promise<0> {
    const nowMs = this.clock.monotonicMs();
    if (nowMs - this.#measuredMs < LOOK_AGAIN_MS) return 0;
    this.#measuredMs = nowMs;
    this.signals.outbox(await this.store.outbox(), this.clock.nowMs());
    return 0;
  }
}
