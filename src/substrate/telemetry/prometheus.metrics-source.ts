import { Type } from '@sinclair/typebox';
import { validatorOf } from '../../rails/validator.js';
import type { Clock } from '../clock/clock.port.js';
import { type MetricSample, type MetricsReading, MetricsSource } from './metrics-source.port.js';

const answers = validatorOf(
  Type.Object({
    status: Type.Literal('success'),
    data: Type.Object({
      resultType: Type.Literal('vector'),
      result: Type.Array(
        Type.Object({
          metric: Type.Record(Type.String(), Type.String()),
          /** Time in seconds, and the value as text. */
          value: Type.Array(Type.Union([Type.Number(), Type.String()]), { minItems: 2, maxItems: 2 }),
        }),
      ),
    }),
  }),
  'the answer of Prometheus',
);

export interface PrometheusOptions {
  readonly clock: Clock;
  /** Base address of the server. */
  readonly url: string;
  /** An instant selector of the series that are wanted: `{component_name!=""}`. */
  readonly selector: string;
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 2_000;

/** Reads the newest value of each series from a Prometheus server, which has scraped all processes. */
export class PrometheusMetricsSource extends MetricsSource {
  constructor(private readonly options: PrometheusOptions) {
    super();
  }

  async read(): Promise<MetricsReading> {
    const { clock, url, selector, timeoutMs = TIMEOUT_MS } = this.options;
    try {
      const query = new URL('/api/v1/query', url);
      query.searchParams.set('query', selector);
      const response = await fetch(query, { signal: AbortSignal.timeout(timeoutMs), redirect: 'error' });
      if (!response.ok) throw new Error(`the query was answered ${response.status}`);
      const { data } = answers.demand(await response.json());
      const samples = data.result.map(({ metric, value }): MetricSample => {
        const { __name__: name = '', instance, ...labels } = metric;
        return { name, labels, value: Number(value[1]), process: instance ?? 'unknown' };
      });
      return { samples, takenAtMs: clock.nowMs(), faults: [] };
    } catch (error) {
      const detail = error instanceof Error ? error.message : 'unknown';
      return { samples: [], takenAtMs: clock.nowMs(), faults: [{ process: 'prometheus', detail }] };
    }
  }
}
