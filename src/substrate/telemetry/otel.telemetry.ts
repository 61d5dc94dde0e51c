import {
  type Context,
  type Meter,
  type MeterProvider,
  ROOT_CONTEXT,
  type Span,
  type SpanKind,
  type SpanOptions,
  SpanStatusCode,
  type TextMapPropagator,
  trace,
  type Tracer,
  type TracerProvider,
} from '@opentelemetry/api';
import { isProbityError } from '../../rails/errors/probity-error.js';
import type { PinoLogger } from './pino.logger.js';
import { redactText } from './redaction.patterns.js';
import { type Logger, Telemetry } from './telemetry.port.js';

export interface OtelTelemetryParts {
  readonly tracerProvider: TracerProvider;
  readonly meterProvider: MeterProvider;
  readonly propagator: TextMapPropagator;
  readonly logger: PinoLogger;
  readonly component: string;
  readonly version: string;
}

/**
 * The port over providers that it is given: it knows the OpenTelemetry API and not the SDK, and registers nothing globally.
 * A component is the instrumentation scope: its name is on each span and, as `component_name`, on each metric.
 */
export class OtelTelemetry extends Telemetry {
  readonly logger: Logger;
  readonly meter: Meter;
  readonly tracer: Tracer;

  constructor(private readonly parts: OtelTelemetryParts) {
    super();
    const { component, version } = parts;
    this.logger = parts.logger.forComponent(component);
    this.meter = parts.meterProvider.getMeter(component, version);
    this.tracer = parts.tracerProvider.getTracer(component, version);
  }

  forComponent(component: string): Telemetry {
    return new OtelTelemetry({ ...this.parts, component });
  }

  async span<Result>(
    name: string,
    options: SpanOptions & { readonly parent?: Context; readonly kind?: SpanKind },
    work: (context: Context, span: Span) => Promise<Result>,
  ): Promise<Result> {
    const { parent = ROOT_CONTEXT, ...spanOptions } = options;
    const attributes = { component_name: this.parts.component, ...spanOptions.attributes };
    const span = this.tracer.startSpan(name, { ...spanOptions, attributes }, parent);
    try {
      return await work(trace.setSpan(parent, span), span);
    } catch (error) {
      markFailed(span, error);
      throw error;
    } finally {
      span.end();
    }
  }

  inject(context: Context, headers: Record<string, string>): void {
    this.parts.propagator.inject(context, headers, {
      set: (carrier: Record<string, string>, name, value) => {
        carrier[name] = value;
      },
    });
  }

  /** What is no valid trace context is as good as none: the work begins a trace of its own. */
  extract(headers: Readonly<Record<string, string | undefined>>): Context {
    return this.parts.propagator.extract(ROOT_CONTEXT, headers, {
      keys: (carrier: typeof headers) => Object.keys(carrier),
      get: (carrier: typeof headers, name) => (Object.hasOwn(carrier, name) ? carrier[name] : undefined),
    });
  }
}

/** The code says what happened; the sentence of an error that we do not know may hold a secret and is cleaned. */
function markFailed(span: Span, error: unknown): void {
  const code = isProbityError(error) ? error.code : error instanceof Error ? error.name : typeof error;
  const message = error instanceof Error ? error.message : String(error);
  span.setAttribute('error.type', code);
  span.setStatus({ code: SpanStatusCode.ERROR, message: redactText(message.slice(0, 1_024)) });
}
