import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import type { ErrorCode } from '../../rails/errors/registry.js';
import { noteError, traceIdOf } from '../../substrate/http/telemetry.hooks.js';
import { sendProblem } from '../../substrate/rpc/rpc-host.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';

/** What Fastify calls its refusals, and what we call them. */
const FASTIFY_CODES: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'HTTP_BODY_TOO_LARGE',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'HTTP_MEDIA_TYPE_UNSUPPORTED',
  FST_ERR_CTP_INVALID_JSON_BODY: 'HTTP_BODY_INVALID',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'HTTP_BODY_INVALID',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'HTTP_BODY_INVALID',
};

const STATUS_CODES: Readonly<Record<number, ErrorCode>> = {
  400: 'HTTP_REQUEST_INVALID',
  404: 'HTTP_NOT_FOUND',
  405: 'HTTP_METHOD_NOT_ALLOWED',
  408: 'HTTP_REQUEST_TIMEOUT',
  413: 'HTTP_BODY_TOO_LARGE',
  415: 'HTTP_MEDIA_TYPE_UNSUPPORTED',
};

/**
 * The one way in which an error leaves over HTTP: problem+json (RFC 9457) with code, retryable and remedy. What the
 * program does not know becomes INTERNAL: its message goes to the log, not to the caller, for it may name insides.
 */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(private readonly telemetry: Telemetry) {}

  catch(exception: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const reply = http.getResponse<FastifyReply>();
    const error = toProbityError(exception);
    if (error.code === 'INTERNAL') {
      this.telemetry.logger.error('http_internal_error', {
        method: request.method,
        route: request.routeOptions.url,
        error: exception,
      });
    }
    noteError(request, error);
    sendProblem(reply, error, traceIdOf(request));
  }
}

export function toProbityError(exception: unknown): ProbityError {
  if (isProbityError(exception)) return exception;
  // Nest wraps what Fastify refused and keeps the original as the cause.
  const code = FASTIFY_CODES[codeOf(exception)] ?? FASTIFY_CODES[codeOf((exception as Error | null)?.cause)];
  if (code !== undefined) return new ProbityError(code, sentenceOf(exception), { cause: exception });
  const status = exception instanceof HttpException ? STATUS_CODES[exception.getStatus()] : undefined;
  if (status !== undefined) return new ProbityError(status, sentenceOf(exception), { cause: exception });
  return new ProbityError('INTERNAL', 'the request could not be served', { cause: exception });
}

function codeOf(error: unknown): string {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : '';
}

/** class-validator's pipe puts its findings into `response.message` as a list. */
function sentenceOf(exception: unknown): string {
  if (exception instanceof HttpException) {
    const response = exception.getResponse();
    const message: unknown = typeof response === 'string' ? response : (response as { message?: unknown }).message;
    if (Array.isArray(message)) return message.join('; ');
    if (typeof message === 'string') return message;
  }
  return exception instanceof Error ? exception.message : 'the request could not be served';
}
