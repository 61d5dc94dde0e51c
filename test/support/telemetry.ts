import { W3CTraceContextPropagator } from '@opentelemetry/core';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import { ScrapeReader } from '../../src/app/telemetry.js';
import type { Clock } from '../../src/substrate/clock/clock.port.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { OtelTelemetry } from '../../src/substrate/telemetry/otel.telemetry.js';
import { type LogLevel, PinoLogger } from '../../src/substrate/telemetry/pino.logger.js';
import type { Telemetry } from '../../src/substrate/telemetry/telemetry.port.js';

export type LogLine = Readonly<Record<string, unknown>>;

export interface RecordedTelemetry {
  readonly telemetry: Telemetry;
  /** The log as text, and line by line. */
  readonly text: () => string;
  readonly lines: () => readonly LogLine[];
  /** Spans that have ended. */
  readonly spans: () => readonly ReadableSpan[];
  readonly metricsText: () => Promise<string>;
}

/** Real telemetry whose log, spans and metrics stay in memory for the test to look at. */
export function recordedTelemetry(
  component = 'test',
  { clock = new SystemClock(), level = 'debug' }: { readonly clock?: Clock; readonly level?: LogLevel } = {},
): RecordedTelemetry {
  const written: string[] = [];
  const exporter = new InMemorySpanExporter();
  const scrape = new ScrapeReader();
  const logger = PinoLogger.open(component, {
    level,
    destination: { write: (line) => void written.push(line) },
    clock,
    base: { component_version: '1.2.3', env: 'test' },
  });
  const telemetry = new OtelTelemetry({
    tracerProvider: new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }),
    meterProvider: new MeterProvider({ readers: [scrape] }),
    propagator: new W3CTraceContextPropagator(),
    logger,
    component,
    version: '1.2.3',
  });
  return {
    telemetry,
    text: () => written.join(''),
    lines: () => written.map((line) => JSON.parse(line) as LogLine),
    spans: () => exporter.getFinishedSpans(),
    metricsText: () => scrape.scrape(),
  };
}
