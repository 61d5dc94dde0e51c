import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { resourceFromAttributes } from '@opentelemetry/resources';
import {
  DataPointType,
  MeterProvider,
  type MetricData,
  MetricReader,
  PeriodicExportingMetricReader,
  type ResourceMetrics,
} from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  type SpanProcessor,
  TraceIdRatioBasedSampler,
} from '@opentelemetry/sdk-trace-base';
import { type DestinationStream, destination as fileDestination } from 'pino';
import type { Clock } from '../substrate/clock/clock.port.js';
import { OtelTelemetry } from '../substrate/telemetry/otel.telemetry.js';
import { type LogLevel, PinoLogger } from '../substrate/telemetry/pino.logger.js';
import type { Telemetry } from '../substrate/telemetry/telemetry.port.js';

export interface TelemetryOptions {
  readonly component: string;
  readonly version: string;
  readonly env: string;
  readonly clock: Clock;
  readonly logLevel: LogLevel;
  /** Base address of an OTLP/HTTP collector, `http://collector:4318`. Without one nothing is exported. */
  readonly otlpEndpoint?: string;
  readonly otlpHeaders?: Readonly<Record<string, string>>;
  /** Share of new traces that are recorded, 0 to 1. What a caller has decided is followed; propagation always happens. */
  readonly samplingRatio?: number;
  /** Takes the log, one line per call; standard output unless given. */
  readonly destination?: DestinationStream;
}

export interface OpenTelemetry {
  readonly telemetry: Telemetry;
  /** All metrics of this application in Prometheus text format. */
  readonly metricsText: () => Promise<string>;
  /** Sends what is left, within SHUTDOWN_MS, and ends. It never rejects. */
  readonly shutdown: () => Promise<void>;
}

/**
 * Bounds of the export. A collector that is slow or dead costs this much memory and no time of anybody's: spans beyond
 * the queue are dropped, 2,048 spans of about 2 KB are 4 MB.
 */
const SPAN_QUEUE_MAX = 2_048;
const SPAN_BATCH_MAX = 512;
const SPAN_DELAY_MS = 1_000;
const METRIC_INTERVAL_MS = 10_000;
const EXPORT_TIMEOUT_MS = 1_500;
/** A full queue makes 2,048 / 512 = 4 exports at once when it is flushed; one more may be under way. */
const EXPORTS_AT_ONCE_MAX = 8;
/** A stop has five seconds altogether (acceptance 1); telemetry may take two of them. */
const SHUTDOWN_MS = 2_000;
/** Log lines wait in memory while the reader of standard output is slow; beyond this they are dropped. */
const LOG_BYTES_MAX = 16 * 1_048_576;

/**
 * The SDK behind one application's telemetry: providers, readers and exporters of its own, nothing registered globally, so
 * that two applications in one process share no trace, metric or log field.
 */
export function openTelemetry(options: TelemetryOptions): OpenTelemetry {
  const { component, version, env, clock, logLevel, samplingRatio = 1 } = options;
  const resource = resourceFromAttributes({
    'service.name': component,
    'service.version': version,
    'deployment.environment.name': env,
  });
  const log = openLog(options.destination);
  const exporting =
    options.otlpEndpoint === undefined ? undefined : openExport(options.otlpEndpoint, options.otlpHeaders);
  const scrape = new ScrapeReader();
  const tracerProvider = new BasicTracerProvider({
    resource,
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(samplingRatio) }),
    spanProcessors: exporting === undefined ? [] : [exporting.spans],
    forceFlushTimeoutMillis: SHUTDOWN_MS,
  });
  const meterProvider = new MeterProvider({
    resource,
    readers: exporting === undefined ? [scrape] : [scrape, exporting.metrics],
  });
  const logger = PinoLogger.open(component, {
    level: logLevel,
    destination: log.destination,
    clock,
    base: { component_version: version, env },
  });
  const telemetry = new OtelTelemetry({
    tracerProvider,
    meterProvider,
    propagator: new W3CTraceContextPropagator(),
    logger,
    component,
    version,
  });

  return {
    telemetry,
    metricsText: () => scrape.scrape(),
    shutdown: async () => {
      await within(clock, SHUTDOWN_MS, Promise.allSettled([tracerProvider.shutdown(), meterProvider.shutdown()]));
      // Ends requests that a silent collector still holds; they would keep the process alive.
      exporting?.close();
      log.close();
    },
  };
}

interface Export {
  readonly spans: SpanProcessor;
  readonly metrics: PeriodicExportingMetricReader;
  readonly close: () => void;
}

/** OTLP over HTTP with JSON. Everything that the environment could set is set here: the profile is the only source. */
function openExport(endpoint: string, headers: Readonly<Record<string, string>> = {}): Export {
  const base = endpoint.replace(/\/+$/, '');
  const agent = base.startsWith('https:') ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true });
  const common = {
    headers: { ...headers },
    timeoutMillis: EXPORT_TIMEOUT_MS,
    concurrencyLimit: EXPORTS_AT_ONCE_MAX,
    httpAgentOptions: () => agent,
  };
  const spans = new BatchSpanProcessor(new OTLPTraceExporter({ ...common, url: `${base}/v1/traces` }), {
    maxQueueSize: SPAN_QUEUE_MAX,
    maxExportBatchSize: SPAN_BATCH_MAX,
    scheduledDelayMillis: SPAN_DELAY_MS,
    exportTimeoutMillis: EXPORT_TIMEOUT_MS,
  });
  const metrics = new PeriodicExportingMetricReader({
    exporter: new OTLPMetricExporter({ ...common, url: `${base}/v1/metrics` }),
    exportIntervalMillis: METRIC_INTERVAL_MS,
    exportTimeoutMillis: EXPORT_TIMEOUT_MS,
  });
  return { spans, metrics, close: () => agent.destroy() };
}

interface Log {
  readonly destination: DestinationStream;
  readonly close: () => void;
}

/** Standard output, written without waiting for its reader; what is still in memory is written out at the end. */
function openLog(given: DestinationStream | undefined): Log {
  if (given !== undefined) return { destination: given, close: () => undefined };
  const stdout = fileDestination({ fd: 1, sync: false, maxLength: LOG_BYTES_MAX });
  // A reader that has gone away (EPIPE) is no reason to end the work.
  stdout.on('error', () => undefined);
  const close = () => {
    try {
      stdout.flushSync();
    } catch {
      // Nothing was written yet, or the reader is gone.
    }
  };
  return { destination: stdout, close };
}

async function within(clock: Clock, limitMs: number, work: Promise<unknown>): Promise<void> {
  const done = new AbortController();
  await Promise.race([work, clock.sleep(limitMs, done.signal)]);
  done.abort();
}

/** Collects when it is asked, values since the start (the SDK's default, and what Prometheus wants), and keeps nothing. */
export class ScrapeReader extends MetricReader {
  /** The metrics of this instance in Prometheus text format 0.0.4. */
  async scrape(): Promise<string> {
    const { resourceMetrics } = await this.collect();
    const serializer = new PrometheusSerializer(undefined, false, undefined, false, true);
    return `${serializer.serialize(oneScope(resourceMetrics)).trimEnd()}\n`;
  }

  protected override onForceFlush(): Promise<void> {
    return Promise.resolve();
  }

  protected override onShutdown(): Promise<void> {
    return Promise.resolve();
  }
}

/** What the conventions of Prometheus put at the end of a name for a unit of OpenTelemetry. */
const UNIT_SUFFIXES: ReadonlyMap<string, string> = new Map([
  ['s', 'seconds'],
  ['ms', 'milliseconds'],
  ['us', 'microseconds'],
  ['By', 'bytes'],
]);

/**
 * Two components may have a metric of the same name. The serializer would write its HELP and TYPE once for each, which
 * parsers of the format refuse ("second TYPE line"), and one scrape would be lost over it. So equal names are joined to one
 * metric, and the component becomes the label `component_name`. Of two that differ in type the first stands.
 */
function oneScope(metrics: ResourceMetrics): ResourceMetrics {
  const joined = new Map<string, MetricData>();
  for (const { scope, metrics: scoped } of metrics.scopeMetrics) {
    for (const metric of scoped) {
      const named = labelled(metric, scope.name);
      const name = prometheusName(named);
      const first = joined.get(name);
      if (first === undefined) joined.set(name, named);
      else joined.set(name, together(first, named));
    }
  }
  return { ...metrics, scopeMetrics: [{ scope: { name: 'probity' }, metrics: [...joined.values()] }] };
}

/** The name under which the serializer will write it: two names of ours may become one. */
function prometheusName(metric: MetricData): string {
  const name = metric.descriptor.name.replace(/[^a-z0-9_]/gi, '_').replace(/_{2,}/g, '_');
  const counts = metric.dataPointType === DataPointType.SUM && metric.isMonotonic;
  return counts && !name.endsWith('_total') ? `${name}_total` : name;
}

function labelled(metric: MetricData, component: string): MetricData {
  const { name, unit } = metric.descriptor;
  const suffix = UNIT_SUFFIXES.get(unit);
  const fullName = suffix === undefined || name.endsWith(`.${suffix}`) ? name : `${name}.${suffix}`;
  const descriptor = { ...metric.descriptor, name: fullName, unit: '' };
  const withComponent = <Point extends { attributes: object }>(points: readonly Point[]): Point[] =>
    points.map((point) => ({ ...point, attributes: { component_name: component, ...point.attributes } }));

  switch (metric.dataPointType) {
    case DataPointType.SUM:
      return { ...metric, descriptor, dataPoints: withComponent(metric.dataPoints) };
    case DataPointType.GAUGE:
      return { ...metric, descriptor, dataPoints: withComponent(metric.dataPoints) };
    case DataPointType.HISTOGRAM:
      return { ...metric, descriptor, dataPoints: withComponent(metric.dataPoints) };
    case DataPointType.EXPONENTIAL_HISTOGRAM:
      return { ...metric, descriptor, dataPoints: withComponent(metric.dataPoints) };
  }
}

function together(first: MetricData, second: MetricData): MetricData {
  if (first.dataPointType === DataPointType.SUM && second.dataPointType === DataPointType.SUM) {
    if (first.isMonotonic !== second.isMonotonic) return first;
    return { ...first, dataPoints: [...first.dataPoints, ...second.dataPoints] };
  }
  if (first.dataPointType === DataPointType.GAUGE && second.dataPointType === DataPointType.GAUGE) {
    return { ...first, dataPoints: [...first.dataPoints, ...second.dataPoints] };
  }
  if (first.dataPointType === DataPointType.HISTOGRAM && second.dataPointType === DataPointType.HISTOGRAM) {
    return { ...first, dataPoints: [...first.dataPoints, ...second.dataPoints] };
  }
  return first;
}
