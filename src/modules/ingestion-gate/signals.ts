import { type Counter, type Histogram } from '@opentelemetry/api';
import { type Clock } from '../../substrate/clock/clock.port.js';
import { DURATION_BUCKETS_S, GoldenSignals } from '../../substrate/telemetry/golden-signals.js';
import { type Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { type Receipt } from './ingestion-gate.port.js';
import { type Outcome } from './writer.js';

/** What the gauges show, asked for at each reading. */
export interface GateGauges {
  readonly ingress: () => 'OPEN' | 'THROTTLE' | 'PAUSE';
  readonly waitingBytes: () => number;
  /** Of identities that are reserved and not yet admitted: how many wait for the fate of an append, and the oldest one's age. */
  readonly pending: () => { readonly ambiguous: number; readonly oldestAgeMs: number };
}

const STATES = ['OPEN', 'THROTTLE', 'PAUSE'] as const;

/**
 * What the gate tells of itself (laws O2, O3). A boundary decision is a log fact, and there are thousands in a second: the log
 * has one line per batch with its counts and runs, and one per reason of refusal in the batch with an example. The fact
 * of each single event is its receipt, which can be asked for; a line per event would say the same again and drown the rest.
 */
export class GateSignals {
  readonly calls: GoldenSignals;
  readonly #telemetry: Telemetry;
  readonly #clock: Clock;
  readonly #events: Counter;
  readonly #append: Histogram;

  constructor(telemetry: Telemetry, clock: Clock, gauges: GateGauges) {
    const { meter } = telemetry;
    this.#telemetry = telemetry;
    this.#clock = clock;
    this.calls = new GoldenSignals({ meter, clock, name: 'ig.admission', of: 'calls of admission' });
    this.#events = meter.createCounter('ig.events', {
      description: 'submitted events by decision, producer, type and reason',
    });
    this.#append = meter.createHistogram('ig.append.duration', {
      description: 'from a judged batch to its commit on bus and ledger',
      unit: 's',
      advice: { explicitBucketBoundaries: DURATION_BUCKETS_S },
    });
    meter
      .createObservableGauge('ig.ingress.state', { description: '1 for the state that the door is in' })
      .addCallback((result) => {
        const now = gauges.ingress();
        for (const state of STATES) result.observe(state === now ? 1 : 0, { state });
      });
    meter
      .createObservableGauge('ig.waiting', { description: 'bytes of events that wait for their answers', unit: 'By' })
      .addCallback((result) => result.observe(gauges.waitingBytes()));
    meter
      .createObservableGauge('ig.pending.age', { description: 'age of the oldest reserved identity', unit: 's' })
      .addCallback((result) => result.observe(gauges.pending().oldestAgeMs / 1_000));
    meter
      .createObservableGauge('ig.ambiguous', { description: 'reserved identities whose append had no answer' })
      .addCallback((result) => result.observe(gauges.pending().ambiguous));
  }

  /** Times one batch and tells what became of it. */
  async batch(knowsProducer: (name: string) => boolean, work: () => Promise<readonly Outcome[]>) {
    const startedMs = this.#clock.monotonicMs();
    const outcomes = await work();
    const tookMs = this.#clock.monotonicMs() - startedMs;
    this.#append.record(tookMs / 1_000);
    this.#tell(outcomes, knowsProducer, tookMs);
    return outcomes;
  }

  #tell(outcomes: readonly Outcome[], knowsProducer: (name: string) => boolean, tookMs: number): void {
    const counts = { ADMIT: 0, DUPLICATE: 0, QUARANTINE: 0 };
    const series = new Map<string, { count: number; readonly receipt: Receipt }>();
    const runs = new Set<string>();
    const refusals = new Map<string, { count: number; readonly receipt: Receipt }>();
    for (const outcome of outcomes) {
      if (!('decision' in outcome)) continue;
      counts[outcome.decision] += 1;
      const { decision, producer = '', event_type = '', pins } = outcome;
      const reason = outcome.reason_codes[0] ?? '';
      if (pins !== undefined && 'run_id' in pins) runs.add(pins.run_id);
      count(series, `${decision} ${producer} ${event_type} ${reason}`, outcome);
      if (decision === 'QUARANTINE') count(refusals, reason, outcome);
    }
    for (const { count: number, receipt } of series.values()) {
      const { decision, producer, event_type, quarantine } = receipt;
      // A refused event says what it likes: only names that the policy knows may become series.
      const isKnown = producer !== undefined && knowsProducer(producer);
      this.#events.add(number, {
        decision,
        producer: isKnown ? producer : 'unknown',
        event_type: isKnown && quarantine?.stage !== 'allowlist' ? (event_type ?? 'unknown') : 'unknown',
        reason: receipt.reason_codes[0] ?? 'none',
      });
    }
    const { logger } = this.#telemetry;
    logger.info('ig_batch', {
      admitted: counts.ADMIT,
      duplicate: counts.DUPLICATE,
      quarantined: counts.QUARANTINE,
      runs: [...runs].slice(0, RUNS_TOLD),
      took_ms: Math.round(tookMs * 10) / 10,
    });
    for (const [reason, { count: number, receipt }] of refusals) {
      const { principal, producer, event_id, event_type, receipt_id, quarantine } = receipt;
      logger.warn('ig_quarantined', {
        reason,
        count: number,
        principal,
        ...(producer === undefined ? {} : { producer }),
        ...(event_id === undefined ? {} : { event_id }),
        ...(event_type === undefined ? {} : { event_type }),
        quarantine_id: receipt_id,
        stage: quarantine?.stage,
      });
    }
  }
}

const RUNS_TOLD = 20;

function count(map: Map<string, { count: number; readonly receipt: Receipt }>, key: string, receipt: Receipt): void {
  const held = map.get(key);
  if (held === undefined) map.set(key, { count: 1, receipt });
  else held.count += 1;
}
