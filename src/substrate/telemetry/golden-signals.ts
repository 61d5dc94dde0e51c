import type { Attributes, Counter, Histogram, Meter, UpDownCounter } from '@opentelemetry/api';
import { isProbityError } from '../../rails/errors/probity-error.js';
import type { Clock } from '../clock/clock.port.js';

/**
 * Bounds of duration buckets in seconds. Dense from half a millisecond to 25 ms, because a verdict is promised in under
 * 10 ms and the question will be by how much; sparse up to 10 s, where deadlines end. 14 bounds make 15 series each.
 */
export const DURATION_BUCKETS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

export interface GoldenSignalsOptions {
  readonly meter: Meter;
  readonly clock: Clock;
  /** OpenTelemetry name of what is measured, `rpc.server`: the signals are `<name>.calls`, `.errors` … */
  readonly name: string;
  /** What one call is, for the help texts: "calls of our ports". */
  readonly of: string;
}

/** Ends one observation: with the error that ended the call, or without. */
export type Finish = (error?: unknown) => void;

/**
 * Traffic, errors, latency and saturation of one kind of work (law O3): `<name>.calls` and `<name>.errors` (by
 * `error.type`, the error code), `<name>.duration` in seconds, `<name>.active`. Calls and errors are counted when the
 * call ends, so that their ratio is never above one; what has not ended is in `active`.
 *
 * Attributes become series: give them few values (a role, a method, a topic), never an id.
 */
export class GoldenSignals {
  readonly #clock: Clock;
  readonly #calls: Counter;
  readonly #errors: Counter;
  readonly #duration: Histogram;
  readonly #active: UpDownCounter;

  constructor({ meter, clock, name, of }: GoldenSignalsOptions) {
    this.#clock = clock;
    this.#calls = meter.createCounter(`${name}.calls`, { description: `${of} that ended, well or not` });
    this.#errors = meter.createCounter(`${name}.errors`, { description: `${of} that ended in an error, by its code` });
    this.#duration = meter.createHistogram(`${name}.duration`, {
      description: `How long ${of} took`,
      unit: 's',
      advice: { explicitBucketBoundaries: DURATION_BUCKETS_S },
    });
    this.#active = meter.createUpDownCounter(`${name}.active`, { description: `${of} that are under way` });
  }

  /** Begins one observation; the first call of what it returns ends it, further ones do nothing. */
  start(attributes: Attributes): Finish {
    const startedAtMs = this.#clock.monotonicMs();
    let finished = false;
    this.#active.add(1, attributes);
    return (error) => {
      if (finished) return;
      finished = true;
      this.#active.add(-1, attributes);
      this.#calls.add(1, attributes);
      this.#duration.record((this.#clock.monotonicMs() - startedAtMs) / 1_000, attributes);
      if (error !== undefined) this.#errors.add(1, { ...attributes, 'error.type': errorType(error) });
    };
  }

  async observe<Result>(attributes: Attributes, work: () => Promise<Result>): Promise<Result> {
    const finish = this.start(attributes);
    try {
      const result = await work();
      finish();
      return result;
    } catch (error) {
      finish(error ?? new Error('rejected with nothing'));
      throw error;
    }
  }
}

/** A closed set: codes of our registry, and INTERNAL for everything else, so that no message can become a series. */
function errorType(error: unknown): string {
  return isProbityError(error) ? error.code : 'INTERNAL';
}
