import type { Signal } from './ladder.schema.js';
import type { Reading } from './ladder.core.js';

/** Samples as they were read: the shape of the metrics source, spelled out, since a core knows no substrate. */
export interface Taken {
  readonly samples: readonly {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly value: number;
    readonly process: string;
  }[];
  readonly takenAtMs: number;
  readonly faults: readonly object[];
}

/**
 * The signals of two readings: counters need the one before. A process that did not answer makes what is missing an ERROR: it may be
 * the one that would have said it. Counters that fall have begun anew, and what they count counts from 0.
 */
export function readingsOf(
  signals: readonly Signal[],
  now: Taken,
  before: Taken | null,
  atMs: number,
  ageMaxMs: number,
): readonly Reading[] {
  return signals.map((signal): Reading => {
    const { name } = signal;
    if (atMs - now.takenAtMs > ageMaxMs) return { signal: name, value: null, quality: 'STALE' };
    const value = valueOf(signal, now, before);
    if (value !== null) return { signal: name, value, quality: 'OK' };
    return { signal: name, value: null, quality: now.faults.length > 0 ? 'ERROR' : 'MISSING' };
  });
}

interface Series {
  readonly metric: string;
  readonly labels?: Readonly<Record<string, string>>;
}

function valueOf(signal: Signal, now: Taken, before: Taken | null): number | null {
  switch (signal.statistic) {
    case 'max':
      return join(matching(signal, now), (values) => Math.max(...values));
    case 'sum':
      return join(matching(signal, now), (values) => values.reduce((a, b) => a + b, 0));
    case 'rate':
      return rateOf(signal, now, before);
    case 'share': {
      const whole = signal.of === undefined ? null : rateOf(signal.of, now, before);
      if (whole === null) return null;
      const part = rateOf(signal, now, before) ?? 0;
      return whole === 0 ? 0 : part / whole;
    }
  }
}

function rateOf(series: Series, now: Taken, before: Taken | null): number | null {
  const samples = matching(series, now);
  if (samples.length === 0) return null;
  if (before === null || now.takenAtMs <= before.takenAtMs) return 0;
  const earlier = new Map(matching(series, before).map((sample) => [keyOf(sample), sample.value]));
  const risen = samples.reduce((sum, sample) => {
    const from = earlier.get(keyOf(sample)) ?? 0;
    return sum + (sample.value >= from ? sample.value - from : sample.value);
  }, 0);
  return (risen * 1_000) / (now.takenAtMs - before.takenAtMs);
}

type Sample = Taken['samples'][number];

function matching({ metric, labels = {} }: Series, { samples }: Taken): readonly Sample[] {
  return samples.filter(
    ({ name, labels: own, value }) =>
      name === metric && Number.isFinite(value) && Object.entries(labels).every(([key, wanted]) => own[key] === wanted),
  );
}

function keyOf({ labels, process }: Sample): string {
  return JSON.stringify([process, Object.entries(labels).sort()]);
}

function join(samples: readonly Sample[], of: (values: readonly number[]) => number): number | null {
  return samples.length === 0 ? null : of(samples.map(({ value }) => value));
}
