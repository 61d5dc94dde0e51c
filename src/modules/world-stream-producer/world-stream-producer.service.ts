import { randomUUID } from 'node:crypto';
import { Injectable, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import type { Static } from '@sinclair/typebox';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { fromEpochMs, type UtcMicros } from '../../rails/time.js';
import { About } from '../../substrate/about.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import { Policies } from '../../substrate/policy/policy.port.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { IngestionGatePort } from '../ingestion-gate/ingestion-gate.port.js';
import { sentOf } from './answers.core.js';
import { Bell } from './bell.js';
import { StreamDriver } from './stream.driver.js';
import { isKnown, readFacts, type StreamFacts } from './stream.facts.js';
import { StreamSignals } from './stream.signals.js';
import { StreamTimings } from './stream.timings.js';
import {
  type Pace,
  type StreamQuery,
  type StreamStart,
  type StreamStatus,
  WorldStreamProducerPort,
} from './world-stream-producer.port.js';
import { type StreamRow, WorldStreamProducerStore } from './world-stream-producer.store.js';

const DEFAULT_PACE: Pace = { mode: 'as_fast_as_accepted' };

/**
 * Starts, pauses and shows streams, and drives those whose lease this process gets. Which process that is makes no difference to a caller:
 * one that does not drive a stream answers from the last checkpoint of the one that does.
 */
@Injectable()
export class WorldStreamProducerService
  extends WorldStreamProducerPort
  implements OnApplicationBootstrap, OnModuleDestroy
{
  /** Who holds the leases of this process: unlike any other's, also those of processes that died under the same number. */
  readonly #holder = `${process.pid}-${randomUUID()}`;
  readonly #drivers = new Map<string, StreamDriver>();
  readonly #signals: StreamSignals;
  readonly #bell: Bell;
  #stopping = false;
  #pickingUp: Promise<void> | undefined;

  constructor(
    private readonly store: WorldStreamProducerStore,
    private readonly objects: Objects,
    private readonly gate: IngestionGatePort,
    private readonly policies: Policies,
    private readonly clock: Clock,
    private readonly telemetry: Telemetry,
    private readonly about: About,
    private readonly timings: StreamTimings,
  ) {
    super();
    this.#bell = new Bell(clock);
    const drivers = this.#drivers;
    this.#signals = new StreamSignals(telemetry, function* () {
      for (const driver of drivers.values()) yield driver.gauged();
    });
  }

  async start({ run_id, pace, again }: Static<typeof StreamStart>, _context: CallContext): Promise<StreamStatus> {
    // A stream that is being put down here would write over what is asked for now.
    const driver = this.#drivers.get(run_id);
    if (driver?.ending === true) await driver.done;
    if ((await this.store.find(run_id)) === null) {
      const facts = await this.#facts(run_id, pace ?? DEFAULT_PACE);
      const { pins, rows_total } = facts;
      await this.store.create({ pins, pace: pace ?? DEFAULT_PACE, rows_total, now: this.#now() });
      await this.store.forgetWish(run_id);
    }
    await this.store.ask(run_id, { pace: pace ?? null, again: again ?? false, now: this.#now() });
    if (pace !== undefined) this.#drivers.get(run_id)?.setPace(pace);
    await this.drive(run_id);
    return await this.#status(run_id);
  }

  async pause({ run_id }: Static<typeof StreamQuery>, _context: CallContext): Promise<StreamStatus> {
    const reason = { code: 'PAUSE_ASKED_FOR', detail: 'somebody asked for the pause' };
    await this.store.unwant(run_id, reason, this.#now());
    const driver = this.#drivers.get(run_id);
    driver?.pause();
    await driver?.done;
    return await this.#status(run_id);
  }

  async status({ run_id }: Static<typeof StreamQuery>, _context: CallContext): Promise<StreamStatus> {
    return await this.#status(run_id);
  }

  /** Drives the stream in this process, unless it is not wanted or somebody drives it already: then that one is nudged, where it is here. */
  async drive(runId: string): Promise<void> {
    const here = this.#drivers.get(runId);
    if (here?.ending === false) {
      here.nudge();
      return;
    }
    // Its last write comes first; only then is it known what is to be taken up.
    await here?.done;
    if (this.#isStopping()) return;
    const takenAtMs = this.clock.monotonicMs();
    const row = await this.store.acquire(runId, this.#holder, this.timings.leaseMs);
    if (row === null) return;
    const lease = { run_id: runId, holder: this.#holder, fence: row.fence };
    const driver = new StreamDriver(row, lease, takenAtMs, {
      store: this.store,
      objects: this.objects,
      gate: this.gate,
      policies: this.policies,
      clock: this.clock,
      telemetry: this.telemetry,
      signals: this.#signals,
      about: this.about,
      timings: this.timings,
      random: Math.random,
    });
    this.#drivers.set(runId, driver);
    void driver.done.finally(() => {
      if (this.#drivers.get(runId) === driver) this.#drivers.delete(runId);
    });
    // The process began to stop while the lease was on its way.
    if (this.#isStopping()) driver.stop();
  }

  /** From now on streams that nobody drives are taken up: those of processes that ended, here or elsewhere. */
  onApplicationBootstrap(): void {
    this.#pickingUp = this.#pickUp();
  }

  /** Streams stop where they stand; whoever starts next goes on from there. */
  async onModuleDestroy(): Promise<void> {
    this.#stopping = true;
    this.#bell.ring();
    await this.#pickingUp;
    const drivers = [...this.#drivers.values()];
    for (const driver of drivers) driver.stop();
    await Promise.all(drivers.map(({ done }) => done));
  }

  async #pickUp(): Promise<void> {
    while (!this.#isStopping()) {
      try {
        for (const runId of await this.store.orphans()) await this.drive(runId);
      } catch (error) {
        this.telemetry.logger.warn('stream_pick_up_failed', { error });
      }
      if (!this.#isStopping()) await this.#bell.wait(this.timings.pickUpMs);
    }
  }

  #isStopping(): boolean {
    return this.#stopping;
  }

  /**
   * The facts of a run that is ready. A run that is known and not ready is remembered, so that READY starts it; looked at once more after
   * that, because READY may have come and gone between the two.
   */
  async #facts(runId: string, pace: Pace): Promise<StreamFacts> {
    const facts = await readFacts(this.objects, runId);
    if (facts !== null) return facts;
    if (!(await isKnown(this.objects, runId)))
      throw new ProbityError('SR_RUN_NOT_FOUND', `no run ${runId} was ever requested`);
    await this.store.wish(runId, pace, this.#now());
    const now = await readFacts(this.objects, runId);
    if (now !== null) return now;
    throw new ProbityError('WSP_RUN_NOT_READY', `run ${runId} is not READY; it will be streamed once it is`);
  }

  async #status(runId: string): Promise<StreamStatus> {
    const row = this.#drivers.get(runId)?.current() ?? (await this.store.find(runId));
    if (row === null) throw new ProbityError('WSP_STREAM_NOT_FOUND', `nothing of run ${runId} was ever streamed`);
    return statusOf(row);
  }

  #now(): UtcMicros {
    return fromEpochMs(this.clock.nowMs());
  }
}

function statusOf(row: StreamRow): StreamStatus {
  const { pins, pass, state, reason, pace, rows_total, admitted, duplicate, quarantined, in_flight } = row;
  return {
    run_id: pins.run_id,
    pins: { ...pins },
    pass,
    state,
    ...(reason === null ? {} : { reason: { ...reason } }),
    pace,
    rows_total,
    sent: sentOf(row),
    admitted,
    duplicate,
    quarantined,
    in_flight,
    ...(row.last_place === null ? {} : { last: { ...row.last_place } }),
    ...(row.sim_now_utc === null ? {} : { sim_now_utc: row.sim_now_utc }),
    quarantined_examples: row.quarantined_examples.map(({ event_id, reason_codes }) => ({
      event_id,
      reason_codes: [...reason_codes],
    })),
    started_at_utc: row.started_at,
    changed_at_utc: row.changed_at,
  };
}
