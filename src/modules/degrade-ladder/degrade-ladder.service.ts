import { randomUUID } from 'node:crypto';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { Static } from '@sinclair/typebox';
import { canonicalJson } from '../../rails/canonical-json.js';
import { postureIdRecipe } from '../../rails/decision/ids.js';
import { asTopicName } from '../../rails/eb-ref.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Posture } from '../../rails/events/posture.schema.js';
import { NO_WORLD } from '../../rails/pins.js';
import { Bus, type BusProducer } from '../../substrate/bus/bus.port.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import { type MetricsReading, MetricsSource } from '../../substrate/telemetry/metrics-source.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { LADDER_POLICY } from './degrade-ladder.policy.js';
import { DegradeLadderPort, GLOBAL_SCOPE, type PostureRequest, type PostureResponse } from './degrade-ladder.port.js';
import { DegradeLadderStore, type Stored } from './degrade-ladder.store.js';
import { evaluate, type Evaluated, type Reading } from './ladder.core.js';
import { readingsOf } from './readings.core.js';

const CONTROL = asTopicName('fp.bus.control.v1');
const LEASE_ROUNDS = 3;
const OUTBOX_BATCH = 100;

/**
 * Evaluates the ladder in rounds: read the metrics, decide on them under the lease, publish what has changed. A process that does not hold the
 * lease reads the posture that the holder decided. What is answered is the last posture that was committed; how fresh it is,
 * whoever asks judges by its time.
 */
@Injectable()
export class DegradeLadderService extends DegradeLadderPort implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #holder = randomUUID();
  readonly #ended = new AbortController();
  #posture: Posture | null = null;
  #readings: readonly Reading[] = [];
  #before: MetricsReading | null = null;
  #producer: BusProducer | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(
    private readonly store: DegradeLadderStore,
    private readonly metrics: MetricsSource,
    private readonly policies: Policies,
    private readonly bus: Bus,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
  ) {
    super();
    const { meter } = telemetry;
    const modes = ['NORMAL', 'DEGRADED_1', 'DEGRADED_2', 'FAIL_CLOSED'];
    meter
      .createObservableGauge('dl.mode', { description: 'the rung that holds: 0 NORMAL to 3 FAIL_CLOSED' })
      .addCallback((result) => {
        if (this.#posture !== null)
          result.observe(modes.indexOf(this.#posture.mode), { scope: this.#posture.scope_key });
      });
  }

  onApplicationBootstrap(): void {
    this.#loop = this.#run();
  }

  async onModuleDestroy(): Promise<void> {
    this.#ended.abort();
    await this.#loop;
    await this.store.release(GLOBAL_SCOPE, this.#holder).catch(() => undefined);
    await this.#producer?.close().catch(() => undefined);
  }

  posture({ scope_key }: Static<typeof PostureRequest>): Promise<Static<typeof PostureResponse>> {
    if (scope_key !== GLOBAL_SCOPE)
      throw new ProbityError('DL_SCOPE_UNKNOWN', 'postures are decided for the scope GLOBAL');
    // The very value that was committed; the wire form's arrays are mutable in name alone.
    return Promise.resolve({ posture: this.#posture as Static<typeof PostureResponse>['posture'] });
  }

  get readings(): readonly Reading[] {
    return this.#readings;
  }

  /** One evaluation; what it throws, the next one may not. */
  async round(): Promise<void> {
    const policy = this.policies.inForce(LADDER_POLICY);
    const taken = await this.metrics.read();
    const before = this.#before;
    const evaluated = await this.store.decide(
      GLOBAL_SCOPE,
      this.#holder,
      policy.body.evaluate_every_ms * LEASE_ROUNDS + 2_000,
      (prior: Stored, lastSeq) => {
        const nowMs = this.clock.nowMs();
        const readings = readingsOf(policy.body.signals, taken, before, nowMs, policy.body.reading_age_max_ms);
        const { policy_rev: policyRev, body } = policy;
        return {
          readings,
          evaluated: evaluate({ scopeKey: GLOBAL_SCOPE, policy: body, policyRev, readings, prior, nowMs, lastSeq }),
        };
      },
    );
    this.#before = taken;
    if (evaluated === null) {
      const stored = await this.store.current(GLOBAL_SCOPE);
      this.#posture = stored === null || stored === 'damaged' ? null : stored.posture;
      return;
    }
    this.#readings = readingsOf(policy.body.signals, taken, before, this.clock.nowMs(), policy.body.reading_age_max_ms);
    this.#took(evaluated);
    await this.#publish();
  }

  #took({ posture, isMaterial }: Evaluated): void {
    this.#posture = posture;
    if (!isMaterial) return;
    const { scope_key, mode, health, posture_seq, reason_codes, triggers } = posture;
    this.telemetry.logger.info('dl_posture', {
      scope_key,
      mode,
      health,
      posture_seq,
      reason_codes,
      triggers: triggers.map(({ signal }) => signal),
    });
  }

  async #run(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      try {
        await this.round();
      } catch (error) {
        // The posture in memory grows old meanwhile, and whoever reads it sees that.
        this.telemetry.logger.warn('dl_round_failed', { detail: String(error) });
      }
      await this.clock.sleep(this.policies.inForce(LADDER_POLICY).body.evaluate_every_ms, this.#ended.signal);
    }
  }

  /** To the control topic, after the commit: a bus that does not answer blocks no posture. Readers know a message by its id. */
  async #publish(): Promise<void> {
    const changes = await this.store.unpublished(OUTBOX_BATCH);
    if (changes.length === 0) return;
    try {
      this.#producer ??= await this.bus.openProducer({ name: `dl.${this.#holder}` });
      const records = changes.map((posture) => ({
        key: posture.scope_key,
        value: Buffer.from(envelopeOf(posture)),
        headers: {},
      }));
      await this.#producer.append([{ topic: CONTROL, partition: 0, records }]);
      await this.store.published(changes);
    } catch (error) {
      this.telemetry.logger.warn('dl_publish_failed', { detail: String(error) });
      await this.#producer?.close().catch(() => undefined);
      this.#producer = undefined;
    }
  }
}

function envelopeOf(posture: Posture): string {
  const { scope_key, posture_seq, decided_at_utc } = posture;
  return canonicalJson({
    manifest_fingerprint: NO_WORLD.manifest_fingerprint,
    event_id: postureIdRecipe.derive({ scope_key, posture_seq }),
    event_type: 'dl.posture',
    schema_version: 'v1',
    producer: 'degrade-ladder',
    ts_utc: decided_at_utc,
    payload: posture,
  });
}
