import type { Clock } from '../../substrate/clock/clock.port.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { fromEpochMs, toEpochMicros, type UtcMicros } from '../../rails/time.js';
import type { About } from '../../substrate/about.js';
import type { Objects } from '../../substrate/objects/objects.port.js';
import type { Policies } from '../../substrate/policy/policy.port.js';
import type { Logger, Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import type { IngestionGatePort } from '../ingestion-gate/ingestion-gate.port.js';
import { mayTryAgain, OpenBatch, pauseMs, retryAfterMs, sentOf, sum, tooManyQuarantined } from './answers.core.js';
import { Bell } from './bell.js';
import { Checkpoint } from './stream.checkpoint.js';
import { openOutput, readFacts } from './stream.facts.js';
import { type Flight, type FlightAnswer, Flights, known } from './stream.flights.js';
import { Pacer } from './stream.pacer.js';
import type { Gauged, StreamSignals } from './stream.signals.js';
import type { StreamTimings } from './stream.timings.js';
import { TrafficReader } from './traffic.reader.js';
import { STREAM_POLICY } from './world-stream-producer.policy.js';
import type { Pace } from './world-stream-producer.port.js';
import type { Lease, Progress, Reason, StreamRow, WorldStreamProducerStore } from './world-stream-producer.store.js';

export interface DriverParts {
  readonly store: WorldStreamProducerStore;
  readonly objects: Objects;
  readonly gate: IngestionGatePort;
  readonly policies: Policies;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly signals: StreamSignals;
  readonly about: About;
  readonly timings: StreamTimings;
  /** From 0 up to 1, for the jitter of pauses. */
  readonly random: () => number;
}

/** Characters of the events of one call: some megabytes at most, however large the rows are. */
const BATCH_CHARS_MAX = 4 * 1024 * 1024;
const EXAMPLES_MAX = 20;

/** How a drive ends, and whether the stream is still wanted after it. */
class Ending extends Error {
  constructor(
    readonly state: 'PAUSED' | 'FAILED' | 'STOPPED' | 'LOST',
    readonly reason: Reason | null,
    readonly stays: 'wanted' | 'unwanted' | 'as asked',
  ) {
    super(state);
  }
}

/**
 * Drives one stream, from the verification of the run's facts to the end of the pass, in this process and under its lease.
 *
 * VERIFYING: facts, receipts and indexes are read, each behind its digest and its PASS. STREAMING: batches are cut from the parts in order
 * and sent; up to `batches_in_flight_max` are on their way, and only the first of them, the head, decides what happens next. When all its
 * events have terminal receipts the cursor moves over it and the next one is the head. When it has failed, it alone is sent again after
 * a pause (THROTTLED, after a while PAUSED), while those behind it wait with their answers and nothing new is sent: order is kept as far
 * as it can be, one call probes a gate that is down, and memory holds the same few batches however long that takes. DRAINING: everything
 * is sent, and the last answers are awaited.
 *
 * What may not be read ends the stream as FAILED, before a row of it is sent. What another process may be streaming is not sent at all.
 */
export class StreamDriver {
  readonly done: Promise<void>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #bell: Bell;
  readonly #checkpoint: Checkpoint;
  readonly #flights: Flights;
  readonly #pacer: Pacer;
  #progress: Progress;
  #ending: Ending | undefined;
  #failures = 0;
  #failingSinceMs: number | undefined;
  #nudged = false;
  #stopped = false;
  #laying = false;

  /** @param row as `acquire` gave it, and when that was asked on this process's clock */
  constructor(
    private readonly row: StreamRow,
    private readonly lease: Lease,
    takenAtMs: number,
    private readonly parts: DriverParts,
  ) {
    const { clock, telemetry, store, timings, random } = parts;
    this.#clock = clock;
    this.#logger = telemetry.logger.with({ ...row.pins, pass_number: row.pass });
    this.#bell = new Bell(clock);
    this.#flights = new Flights({ ...parts, run_id: row.run_id, callMs: timings.callMs, bell: this.#bell });
    this.#pacer = new Pacer(clock, row.pace, row.sim_now_utc);
    this.#progress = { ...progressOf(row), state: 'VERIFYING', reason: null, in_flight: 0 };
    const checkpoint = { store, clock, logger: this.#logger, timings, random };
    this.#checkpoint = new Checkpoint(
      lease,
      takenAtMs,
      checkpoint,
      () => this.#current(),
      (answer) => {
        if (answer === 'LOST') this.#end(new Ending('LOST', null, 'wanted'));
        else if (!answer.wanted) this.pause();
        else this.setPace(answer.pace);
        this.#bell.ring();
      },
    );
    this.done = this.#drive();
  }

  /** The stream as it stands in memory, which is ahead of the last checkpoint. */
  current(): StreamRow {
    return { ...this.row, ...this.#current(), pace: this.#pacer.pace };
  }

  /** It sends nothing more; `done` says when it has written its last. */
  get ending(): boolean {
    return this.#laying || this.#ending !== undefined;
  }

  gauged(): Gauged {
    const { sim_now_utc, in_flight } = this.#current();
    const simMs = sim_now_utc === null ? undefined : toEpochMicros(sim_now_utc) / 1000;
    return {
      inFlight: in_flight,
      cursorLag: this.row.rows_total - sentOf(this.#progress),
      simBehindWallS: simMs === undefined ? undefined : (this.#clock.nowMs() - simMs) / 1000,
    };
  }

  setPace(pace: Pace): void {
    if (this.#pacer.change(pace)) this.#bell.ring();
  }

  /** Somebody has reason to think that it may go on: a pause between attempts ends now. */
  nudge(): void {
    this.#nudged = true;
    this.#bell.ring();
  }

  /** Sends nothing more, takes the answers that are on their way, and gives the stream up. */
  pause(): void {
    this.#end(new Ending('PAUSED', { code: 'PAUSE_ASKED_FOR', detail: 'somebody asked for the pause' }, 'as asked'));
  }

  /** The process ends: whoever comes next goes on from the last checkpoint. */
  stop(): void {
    this.#stopped = true;
    this.#end(new Ending('STOPPED', null, 'wanted'));
  }

  #end(ending: Ending): void {
    // Losing the lease is stronger than whatever else was about to end it: nothing may be written after it.
    if (this.#ending === undefined || ending.state === 'LOST') this.#ending = ending;
    if (ending.state === 'LOST' || ending.state === 'STOPPED') this.#flights.cancel();
    this.#bell.ring();
  }

  async #drive(): Promise<void> {
    this.#logger.info('stream_taken_up', { rows_sent: sentOf(this.#progress), rows_total: this.row.rows_total });
    try {
      await this.#pump(await this.#verify());
    } catch (error) {
      this.#ending = this.#lostOr(error instanceof Ending ? error : this.#failed(error));
    }
    await this.#checkpoint.end();
    await this.#lay();
  }

  /** The last write, repeated until the database takes it, another one holds the stream, or the process must stop. */
  async #lay(): Promise<void> {
    const { store, about, policies, timings, random } = this.parts;
    const { policy_rev: policyRev } = policies.inForce(STREAM_POLICY);
    this.#laying = true;
    this.#flights.abandon();
    const ending = this.#ending;
    const last = this.#last(ending);
    // What another one holds is not ours to write; the fence would refuse it in any case.
    for (let failures = 0; !this.#checkpoint.lost; failures += 1) {
      try {
        if (ending === undefined)
          await store.complete(this.lease, last, { policyRev, version: about.version, env: about.env });
        else await store.release(this.lease, last, ending.stays);
        // Nobody is told that it is complete before that stands in the database.
        this.#progress = last;
        break;
      } catch (error) {
        this.#logger.warn('stream_checkpoint_failed', { error });
        // The lease ends by itself, and what was not written is sent again.
        if (this.#stopped) break;
        await this.#bell.wait(pauseMs(failures, timings.backOff, 0, random()));
      }
    }
    const { state, reason } = this.#progress;
    this.#logger.info('stream_put_down', { state, ...reason, ...countsOf(this.#progress) });
  }

  /** A stream that is only handed on keeps the state in which it was: STREAMING without a holder is taken up. */
  #last(ending: Ending | undefined): Progress {
    const current = { ...this.#current(), changed_at: this.#now() };
    if (ending === undefined) return { ...current, state: 'COMPLETED', reason: null };
    if (ending.state === 'STOPPED' || ending.state === 'LOST') return current;
    return { ...current, state: ending.state, reason: ending.reason };
  }

  async #verify(): Promise<TrafficReader> {
    const { objects, policies } = this.parts;
    const { pins, run_id } = this.row;
    const outputs = await this.#insist(async () => {
      const facts = await readFacts(objects, run_id);
      if (facts === null) throw new ProbityError('WSP_RUN_NOT_READY', `run ${run_id} is not READY`);
      return await Promise.all(facts.declared.map((output) => openOutput(objects, facts, output)));
    });
    const { producer } = policies.inForce(STREAM_POLICY).body;
    return new TrafficReader(outputs, { objects, pins, producer }, this.#progress.next_rows);
  }

  async #pump(traffic: TrafficReader): Promise<void> {
    this.#to('STREAMING', null);
    let exhausted = false;
    for (;;) {
      const { batches_in_flight_max: flightsMax, batch_events_max: events } =
        this.parts.policies.inForce(STREAM_POLICY).body;
      let waitMs = Infinity;
      const mayFill = this.#failures === 0 || this.#flights.size === 0;
      while (mayFill && !this.#ending && !exhausted && this.#flights.size < flightsMax && waitMs === Infinity) {
        const next = await this.#next(traffic, events);
        if (next === 'END') exhausted = true;
        else if (typeof next === 'number') waitMs = next;
        else {
          this.#flights.send(next);
          this.#pacer.sent(next.batch.last.ts_utc);
        }
      }
      const { head } = this.#flights;
      if (head === undefined) {
        this.#demandGoing();
        if (exhausted) {
          this.#demandAll();
          return;
        }
        await this.#bell.wait(waitMs);
        continue;
      }
      if (exhausted && this.#failures === 0) this.#to('DRAINING', null);
      if (head.answer === undefined) {
        // A gate that has as much as it takes makes the world's clock stand still.
        if (this.#flights.size >= flightsMax) this.#pacer.hold();
        await this.#bell.wait(waitMs);
        continue;
      }
      await this.#settle(head, head.answer);
    }
  }

  /** The pass is complete when every row that the view counts has its receipt, and not because there was no more to read. */
  #demandAll(): void {
    const [sent, total] = [sentOf(this.#progress), this.row.rows_total];
    if (sent !== total)
      throw new ProbityError('WSP_PART_INVALID', `the parts held ${sent} rows, and the facts view says ${total}`);
  }

  /** The next batch that may be sent now; milliseconds until there is one; or the end. A part that may not be read ends the stream. */
  async #next(traffic: TrafficReader, events: number): Promise<OpenBatch | number | 'END'> {
    try {
      const peeked = await this.#insist(() => traffic.peek());
      if (peeked === null) return 'END';
      const until = this.#pacer.due(peeked);
      if (typeof until === 'number') return until;
      const batch = await this.#insist(() => traffic.next({ events, chars: BATCH_CHARS_MAX, ...until }));
      if (batch === null || !(await this.#holds())) return 1;
      return new OpenBatch(batch, this.parts.timings.quarantineRetriesMax);
    } catch (error) {
      // What was sent before it still gets its receipts.
      this.#end(error instanceof Ending ? error : this.#failed(error));
      return 'END';
    }
  }

  /** True once it is certain that nobody else streams this run. */
  async #holds(): Promise<boolean> {
    while (!this.#checkpoint.held && this.#ending === undefined) {
      this.#checkpoint.mark('now');
      await this.#bell.wait(this.parts.timings.checkpointMs);
    }
    return this.#ending === undefined;
  }

  async #settle(head: Flight, answer: FlightAnswer): Promise<void> {
    const { open } = head;
    if ('error' in answer) {
      this.#demandGoing();
      const { code, detail } = answer.error;
      if (!mayTryAgain(answer.error)) throw this.#refused({ code, detail });
      await this.#backOff({ code, detail }, retryAfterMs(answer.error));
      this.#flights.attempt(head);
      return;
    }
    const verdict = open.take(answer.results);
    switch (verdict.kind) {
      case 'done':
        this.#advance(head);
        return;
      case 'refused':
        throw this.#refused(verdict);
      case 'again':
        await this.#backOff(verdict, 0);
        this.#flights.attempt(head);
        return;
      case 'unreadable':
        await this.#backOff({ code: 'RPC_RESPONSE_INVALID', detail: 'the gate did not answer each event once' }, 0);
        this.#flights.attempt(head);
        return;
    }
  }

  /** Everything before the end of this batch has a terminal receipt now. */
  #advance(head: Flight): void {
    const { batch, counts, quarantined } = head.open;
    this.#flights.landed();
    const total = sum(this.#progress, counts);
    const examples = [...this.#progress.quarantined_examples, ...quarantined].slice(0, EXAMPLES_MAX);
    this.#progress = {
      ...this.#progress,
      ...total,
      next_rows: batch.nextRows,
      last_place: batch.last,
      quarantined_examples: examples,
      changed_at: this.#now(),
    };
    this.#well();
    this.parts.signals.counted(counts);
    this.#checkpoint.mark();
    const { body } = this.parts.policies.inForce(STREAM_POLICY);
    const from = { sent: this.row.judged_sent, quarantined: this.row.judged_quarantined };
    if (!tooManyQuarantined(total, from, body)) return;
    const detail =
      `${total.quarantined - from.quarantined} of ${sentOf(total) - from.sent} rows were quarantined, ` +
      `more than the share of ${body.quarantine_share_max}`;
    this.#end(new Ending('PAUSED', { code: 'QUARANTINE_SHARE_TOO_LARGE', detail }, 'unwanted'));
  }

  /** Does it until it is done, unless it can never be: then its error is thrown on. */
  async #insist<Result>(work: () => Promise<Result>): Promise<Result> {
    for (;;) {
      try {
        return await work();
      } catch (thrown) {
        const error = known(thrown);
        if (error.code === 'INTERNAL' || !mayTryAgain(error)) throw error;
        await this.#backOff(error, retryAfterMs(error));
      }
    }
  }

  /** Waits before the next attempt; the world's clock stands still meanwhile. @throws Ending when the stream ends first */
  async #backOff({ code, detail }: Reason, askedMs: number): Promise<void> {
    this.#demandGoing();
    const { timings, random, signals } = this.parts;
    const startMs = this.#clock.monotonicMs();
    this.#failingSinceMs ??= startMs;
    signals.retried(code);
    this.#pacer.hold();
    const isLong = startMs - this.#failingSinceMs >= timings.pausedAfterMs;
    this.#to(isLong ? 'PAUSED' : 'THROTTLED', { code, detail });
    const untilMs = startMs + pauseMs(this.#failures, timings.backOff, askedMs, random());
    this.#failures += 1;
    this.#nudged = false;
    while (this.#goesOn() && !this.#wasNudged() && this.#clock.monotonicMs() < untilMs)
      await this.#bell.wait(untilMs - this.#clock.monotonicMs());
    this.#demandGoing();
    // The pause may have been longer than the lease.
    await this.#holds();
    this.#demandGoing();
  }

  #goesOn(): boolean {
    return this.#ending === undefined;
  }

  #wasNudged(): boolean {
    return this.#nudged;
  }

  /** @throws Ending */
  #demandGoing(): void {
    if (this.#ending !== undefined) throw this.#ending;
  }

  #well(): void {
    if (this.#failures === 0) return;
    this.#failures = 0;
    this.#failingSinceMs = undefined;
    if (this.#progress.state !== 'VERIFYING') this.#to('STREAMING', null);
  }

  /** The gate does not let us in. */
  #refused({ code, detail }: Reason): Ending {
    this.#logger.error('stream_refused', { code, detail });
    return new Ending('FAILED', { code, detail }, 'unwanted');
  }

  /** Something is not what it was sealed as. */
  #failed(thrown: unknown): Ending {
    const error = known(thrown);
    this.parts.signals.refused(error.code);
    this.#logger.error('stream_failed', { code: error.code, detail: error.detail, ...error.data, error: thrown });
    return new Ending('FAILED', { code: error.code, detail: error.detail }, 'unwanted');
  }

  #lostOr(ending: Ending): Ending {
    return this.#ending?.state === 'LOST' ? this.#ending : ending;
  }

  #to(state: Progress['state'], reason: Reason | null): void {
    const before = this.#progress;
    if (before.state === state && before.reason?.code === reason?.code) return;
    this.#progress = { ...before, state, reason, changed_at: this.#now() };
    this.#logger.info('stream_state', { state, code: reason?.code, detail: reason?.detail, ...countsOf(before) });
    this.#checkpoint.mark('now');
  }

  #current(): Progress {
    const { rows: in_flight } = this.#flights;
    return { ...this.#progress, in_flight, sim_now_utc: this.#pacer.now };
  }

  #now(): UtcMicros {
    return fromEpochMs(this.#clock.nowMs());
  }
}

function progressOf(row: StreamRow): Progress {
  const { state, reason, in_flight, next_rows, last_place, sim_now_utc, quarantined_examples, changed_at } = row;
  return {
    ...countsOf(row),
    state,
    reason,
    in_flight,
    next_rows,
    last_place,
    sim_now_utc,
    quarantined_examples,
    changed_at,
  };
}

function countsOf({ admitted, duplicate, quarantined }: Progress) {
  return { admitted, duplicate, quarantined };
}
