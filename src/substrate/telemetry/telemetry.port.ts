import type { Context, Meter, Span, SpanKind, SpanOptions, Tracer } from '@opentelemetry/api';

/**
 * Correlation keys of law O1: what makes a log line, a span or a metric joinable with everything else.
 * Names are those of the envelope and the records.
 */
export interface Correlation {
  readonly manifest_fingerprint?: string;
  readonly parameter_hash?: string;
  readonly seed?: string;
  readonly scenario_id?: string;
  readonly run_id?: string;
  readonly event_id?: string;
  readonly event_type?: string;
  readonly schema_version?: string;
  readonly ts_utc?: string;
  readonly decision_id?: string;
  readonly action_intent_id?: string;
  readonly idempotency_key?: string;
  readonly action_outcome_id?: string;
  readonly feature_snapshot_hash?: string;
  readonly graph_version?: string;
  readonly input_basis?: string;
  readonly train_run_id?: string;
  readonly dataset_manifest_id?: string;
  readonly bundle_id?: string;
}

/** `trace` takes the context of a call; the line shows it as `trace_id` and `span_id`. */
export type LogFields = Correlation & { readonly trace?: Context } & Readonly<Record<string, unknown>>;

/** Structured logs: an event name in snake_case, then fields. Secrets are redacted and payload bodies do not belong here. */
export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** The same logger with fields that every line carries. */
  with(fields: LogFields): Logger;
}

/**
 * What a unit gets of OpenTelemetry: the API only. Providers belong to one application instance; there is no global one,
 * so two applications in one process share nothing. Telemetry never blocks and never fails the work that it watches.
 */
export abstract class Telemetry {
  abstract readonly logger: Logger;
  abstract readonly meter: Meter;
  abstract readonly tracer: Tracer;

  /** The same for one component: `component_name` on every log line, span and metric. */
  abstract forComponent(name: string): Telemetry;

  /**
   * Runs the work in a span below `parent` and ends the span with the outcome. The context given to the work carries the
   * span; pass it on, it is not ambient.
   */
  abstract span<Result>(
    name: string,
    options: SpanOptions & { readonly parent?: Context; readonly kind?: SpanKind },
    work: (context: Context, span: Span) => Promise<Result>,
  ): Promise<Result>;

  /** W3C trace context: into the headers of a request or record … */
  abstract inject(context: Context, headers: Record<string, string>): void;
  /** … and out of them. */
  abstract extract(headers: Readonly<Record<string, string | undefined>>): Context;
}
