import { type Context, type Span, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { ProbityError } from '../../rails/errors/probity-error.js';
import type { Clock } from '../clock/clock.port.js';
import { type Finish, GoldenSignals } from '../telemetry/golden-signals.js';
import type { Telemetry } from '../telemetry/telemetry.port.js';

interface Observed {
  readonly span: Span;
  readonly context: Context;
  readonly finish: Finish;
  error?: ProbityError;
}

const OBSERVED = Symbol('observed');

type ObservedRequest = FastifyRequest & { [OBSERVED]?: Observed };

/**
 * A span and the golden signals for each request, from its first byte to the end of its answer, refused ones included. As
 * Fastify hooks, because Nest's interceptors run only after the guards have let a request in.
 */
export function observeHttp(fastify: FastifyInstance, telemetry: Telemetry, clock: Clock): void {
  const signals = new GoldenSignals({ meter: telemetry.meter, clock, name: 'http.server', of: 'HTTP requests' });

  fastify.addHook('onRequest', (request, _reply, done) => {
    const parent = telemetry.extract(singleHeaders(request));
    const route = request.routeOptions.url ?? 'unknown';
    const attributes = { 'http.request.method': request.method, 'http.route': route };
    const span = telemetry.tracer.startSpan(
      `${request.method} ${route}`,
      { kind: SpanKind.SERVER, attributes },
      parent,
    );
    // Routes, not paths: paths hold ids, and each would become a series of its own.
    const finish = signals.start(attributes);
    (request as ObservedRequest)[OBSERVED] = { span, context: trace.setSpan(parent, span), finish };
    done();
  });

  fastify.addHook('onResponse', (request, reply, done) => {
    const observed = (request as ObservedRequest)[OBSERVED];
    if (observed !== undefined) {
      observed.span.setAttribute('http.response.status_code', reply.statusCode);
      if (reply.statusCode >= 500) observed.span.setStatus({ code: SpanStatusCode.ERROR });
      observed.span.end();
      observed.finish(observed.error);
    }
    done();
  });
}

/** The trace to which a handler's own work belongs. */
export function contextOf(request: FastifyRequest): Context | undefined {
  return (request as ObservedRequest)[OBSERVED]?.context;
}

/** Tells the hooks with which error a request ends, so that it is counted under its code. */
export function noteError(request: FastifyRequest, error: ProbityError): void {
  const observed = (request as ObservedRequest)[OBSERVED];
  if (observed !== undefined) observed.error = error;
}

export function traceIdOf(request: FastifyRequest): string | undefined {
  return (request as ObservedRequest)[OBSERVED]?.span.spanContext().traceId;
}

function singleHeaders(request: FastifyRequest): Readonly<Record<string, string | undefined>> {
  const { traceparent, tracestate } = request.headers;
  return {
    traceparent: typeof traceparent === 'string' ? traceparent : undefined,
    tracestate: typeof tracestate === 'string' ? tracestate : undefined,
  };
}
