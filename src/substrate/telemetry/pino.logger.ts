import { type Context, isSpanContextValid, trace } from '@opentelemetry/api';
import { type DestinationStream, type Logger as Pino, pino } from 'pino';
import type { Clock } from '../clock/clock.port.js';
import { type Plain, redact } from './redaction.js';
import type { LogFields, Logger } from './telemetry.port.js';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

export interface PinoLoggerOptions {
  readonly level: LogLevel;
  /** Takes one line of JSON, newline included, per call. */
  readonly destination: DestinationStream;
  readonly clock: Clock;
  /** What every line of this application carries (law O1). */
  readonly base: { readonly component_version: string; readonly env: string };
}

/** Members of a line that are the logger's own: a field of the same name must not be able to stand in for them. */
const RESERVED: ReadonlySet<string> = new Set([
  'level',
  'time',
  'event',
  'component_name',
  'component_version',
  'env',
  'trace_id',
  'span_id',
]);

type Fields = { readonly [key: string]: Plain };

/**
 * JSON lines: level, time, component_name, component_version, env, trace_id and span_id when a context is given, the
 * fields, and the name of the event. Fields are copied without secrets before pino sees them, so that nothing which pino,
 * a serializer or a destination does with them can bring one back.
 */
export class PinoLogger implements Logger {
  readonly #pino: Pino;
  readonly #component: string;
  readonly #fields: Fields;

  private constructor(writer: Pino, component: string, fields: Fields) {
    this.#pino = writer;
    this.#component = component;
    this.#fields = fields;
  }

  static open(component: string, { level, destination, clock, base }: PinoLoggerOptions): PinoLogger {
    const writer = pino(
      {
        level,
        base: null,
        messageKey: 'event',
        timestamp: () => `,"time":"${new Date(clock.nowMs()).toISOString()}"`,
        formatters: { level: (label) => ({ level: label }) },
      },
      sturdy(destination),
    );
    return new PinoLogger(writer.child(base), component, {});
  }

  debug(event: string, fields?: LogFields): void {
    if (this.#pino.isLevelEnabled('debug')) this.#pino.debug(this.#line(fields), safeEvent(event));
  }

  info(event: string, fields?: LogFields): void {
    if (this.#pino.isLevelEnabled('info')) this.#pino.info(this.#line(fields), safeEvent(event));
  }

  warn(event: string, fields?: LogFields): void {
    if (this.#pino.isLevelEnabled('warn')) this.#pino.warn(this.#line(fields), safeEvent(event));
  }

  error(event: string, fields?: LogFields): void {
    if (this.#pino.isLevelEnabled('error')) this.#pino.error(this.#line(fields), safeEvent(event));
  }

  with(fields: LogFields): Logger {
    return new PinoLogger(this.#pino, this.#component, { ...this.#fields, ...shownFields(fields) });
  }

  /** The same logger for another component: `component_name` changes, kept fields stay. */
  forComponent(component: string): PinoLogger {
    return new PinoLogger(this.#pino, component, this.#fields);
  }

  #line(fields: LogFields | undefined): object {
    return {
      component_name: this.#component,
      ...this.#fields,
      ...(fields === undefined ? {} : shownFields(fields)),
    };
  }
}

function shownFields(fields: LogFields): Fields {
  let context: Context | undefined;
  let rest: object;
  try {
    ({ trace: context, ...rest } = fields);
  } catch {
    return { fields: '[unreadable]' };
  }
  const shown: Record<string, Plain> = { ...traceFields(context) };
  const plain = redact(rest) as Fields;
  for (const [name, value] of Object.entries(plain)) shown[RESERVED.has(name) ? `field_${name}` : name] = value;
  return shown;
}

function traceFields(context: Context | undefined): Fields {
  const span = isContext(context) ? trace.getSpanContext(context) : undefined;
  if (span === undefined || !isSpanContextValid(span)) return {};
  return { trace_id: span.traceId, span_id: span.spanId };
}

/** Typed as a context, but a log call must survive whatever it is given. */
function isContext(value: unknown): value is Context {
  return typeof value === 'object' && value !== null && 'getValue' in value && typeof value.getValue === 'function';
}

function safeEvent(event: string): string {
  const safe = redact(event);
  return typeof safe === 'string' ? safe : '';
}

/** A full disk or a closed pipe under the log must not end the work that logs. */
function sturdy(destination: DestinationStream): DestinationStream {
  return {
    write(line) {
      try {
        destination.write(line);
      } catch {
        // There is no other place to say it: this line is lost.
      }
    },
  };
}
