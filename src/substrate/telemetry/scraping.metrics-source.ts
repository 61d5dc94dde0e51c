import type { Clock } from '../clock/clock.port.js';
import { type MetricSample, type MetricsReading, MetricsSource } from './metrics-source.port.js';
import { parsePrometheusText } from './prometheus-text.js';

export interface ScrapeTarget {
  readonly process: string;
  readonly url: string;
}

export interface ScrapingOptions {
  readonly clock: Clock;
  /** This process's own metrics, without a detour over HTTP. */
  readonly own: () => Promise<string>;
  readonly ownName: string;
  /** The others, as they are known now. */
  readonly others: () => readonly ScrapeTarget[];
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 1_000;
/** A process of ours says some hundred kilobytes; a page of this size is somebody else's. */
const PAGE_CHARACTERS_MAX = 8 * 1024 * 1024;

/** Reads the metrics of this process directly and those of others at their `/metrics`, side by side. */
export class ScrapingMetricsSource extends MetricsSource {
  constructor(private readonly options: ScrapingOptions) {
    super();
  }

  async read(): Promise<MetricsReading> {
    const { own, ownName, others, clock } = this.options;
    const pages = [
      { process: ownName, text: own },
      ...others().map(({ process, url }) => ({ process, text: () => this.#page(url) })),
    ];
    const read = await Promise.all(
      pages.map(async ({ process, text }) => {
        try {
          return { process, samples: parsePrometheusText(await text()) };
        } catch (error) {
          return { process, detail: error instanceof Error ? error.message : 'unknown' };
        }
      }),
    );
    return {
      takenAtMs: clock.nowMs(),
      samples: read.flatMap(({ process, samples = [] }) =>
        samples.map((sample): MetricSample => ({ ...sample, process })),
      ),
      faults: read.flatMap(({ process, detail }) => (detail === undefined ? [] : [{ process, detail }])),
    };
  }

  async #page(url: string): Promise<string> {
    const response = await fetch(new URL('/metrics', url), {
      signal: AbortSignal.timeout(this.options.timeoutMs ?? TIMEOUT_MS),
      redirect: 'error',
    });
    if (!response.ok) throw new Error(`/metrics answered ${response.status}`);
    const text = await response.text();
    if (text.length > PAGE_CHARACTERS_MAX) throw new Error('/metrics answered more than metrics are');
    return text;
  }
}
