import { Injectable } from '@nestjs/common';
import type { Counter, Histogram } from '@opentelemetry/api';
import type { RecordBatch } from '../../substrate/bus/bus.port.js';
import { toEpochMicros, type UtcMicros } from '../../rails/time.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import type { Judged } from './actions-layer.store.js';
import type { Ended } from './outcome.rows.js';
import type { AttemptEnd } from './outward/attempt.core.js';
import type { Breaker } from './outward/breaker.core.js';
import type { Backlog } from './outward/work.store.js';

/** What the actions layer tells the meters (law O3). */
@Injectable()
export class ActionSignals {
  readonly #outcomes: Counter;
  readonly #intents: Counter;
  readonly #quarantined: Counter;
  readonly #attempts: Counter;
  readonly #attemptMs: Histogram;
  #work: Backlog['work'] = [];
  #oldestS = 0;
  #outbox = { waiting: 0, oldestS: 0 };
  #breakers: () => Readonly<Record<string, Breaker['state']>> = () => ({});
  readonly #heads = new Map<number, { readonly next: number; readonly highWater: number }>();

  constructor({ meter }: Telemetry) {
    this.#outcomes = meter.createCounter('al.outcomes', {
      description: 'what became of intents, by status, type and reason',
    });
    this.#intents = meter.createCounter('al.intents', { description: 'intents, by what they were found to be' });
    this.#quarantined = meter.createCounter('al.outcomes.quarantined', {
      description: 'outcomes that the gate refused',
    });
    this.#attempts = meter.createCounter('al.attempts', {
      description: 'attempts at effects outside, by target, what they came to and why',
    });
    this.#attemptMs = meter.createHistogram('al.attempt.duration', {
      unit: 'ms',
      description: 'how long a target took to answer, by target and what the attempt came to',
    });
    meter
      .createObservableGauge('al.work', { description: 'effects outside that are not ended, by target and state' })
      .addCallback((result) => {
        for (const { target, state, count } of this.#work) result.observe(count, { target, state });
      });
    meter
      .createObservableGauge('al.work.oldest_age', { unit: 's', description: 'since the oldest of them was taken' })
      .addCallback((result) => {
        result.observe(this.#oldestS);
      });
    meter
      .createObservableGauge('al.outbox', { description: 'outcomes that the bus was not told of yet' })
      .addCallback((result) => {
        result.observe(this.#outbox.waiting);
      });
    meter
      .createObservableGauge('al.outbox.oldest_age', { unit: 's', description: 'since the oldest of them was made' })
      .addCallback((result) => {
        result.observe(this.#outbox.oldestS);
      });
    meter
      .createObservableGauge('al.breaker.open', {
        description: 'whether nothing is sent to a target: 1 open, 0.5 tried',
      })
      .addCallback((result) => {
        for (const [target, state] of Object.entries(this.#breakers()))
          result.observe({ CLOSED: 0, HALF_OPEN: 0.5, OPEN: 1 }[state], { target });
      });
    meter
      .createObservableGauge('al.lag', {
        description: 'records of a partition that were not looked at yet, at the most',
      })
      .addCallback((result) => {
        for (const [partition, { next, highWater }] of this.#heads)
          result.observe(Math.max(0, highWater - next), { partition });
      });
  }

  batch(batch: RecordBatch, fresh: readonly Judged[], duplicates: number, conflicts: number, refused: number): void {
    this.#heads.set(batch.partition, { next: batch.nextOffset, highWater: batch.highWater });
    for (const [found, count] of Object.entries({
      NEW: fresh.length,
      DUPLICATE: duplicates,
      CONFLICT: conflicts,
      REFUSED: refused,
    }))
      if (count > 0) this.#intents.add(count, { found });
    this.ended(
      fresh.flatMap(({ semanticKey, then }) => (then.kind === 'ended' ? [{ semanticKey, made: then.made }] : [])),
    );
  }

  ended(ended: readonly Ended[]): void {
    for (const { made } of ended) {
      const { status, action_type: type, reason_codes } = made.outcome;
      this.#outcomes.add(1, { status, type, reason: reason_codes[0] ?? 'none' });
    }
  }

  attempt(target: string, { step, reason }: AttemptEnd, durationMs: number): void {
    this.#attempts.add(1, { target, step, reason: reason ?? 'none' });
    this.#attemptMs.record(durationMs, { target, step });
  }

  backlog(work: Backlog['work'], nowMs: number): void {
    this.#work = work;
    const oldest = work.map((row) => toEpochMicros(row.oldest) / 1_000);
    this.#oldestS = oldest.length === 0 ? 0 : Math.max(0, nowMs - Math.min(...oldest)) / 1_000;
  }

  outbox({ waiting, oldest }: { readonly waiting: number; readonly oldest: UtcMicros | null }, nowMs: number): void {
    this.#outbox = {
      waiting,
      oldestS: oldest === null ? 0 : Math.max(0, nowMs - toEpochMicros(oldest) / 1_000) / 1_000,
    };
  }

  watchBreakers(breakers: () => Readonly<Record<string, Breaker['state']>>): void {
    this.#breakers = breakers;
  }

  quarantined(): void {
    this.#quarantined.add(1);
  }

  outcomesOf(fresh: readonly Judged[]): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { then, intent } of fresh) {
      const name = `${intent.action_type}:${then.kind === 'ended' ? then.made.outcome.status : 'ACTIVE'}`;
      counts[name] = (counts[name] ?? 0) + 1;
    }
    return counts;
  }
}
