import { isSpanContextValid, trace } from '@opentelemetry/api';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ProbityError, toProblem } from '../../rails/errors/probity-error.js';
import { deadline } from '../clock/deadline.js';
import type { Authenticator, Principal } from '../identity/identity.port.js';
import { type IncomingCall, RpcCallee, type RpcCalleeParts } from './rpc-callee.js';
import { encode } from './rpc-codec.js';
import { portable } from './rpc-errors.js';
import { DEADLINE_HEADER, type DeadlineLimits, deadlineMsOf } from './rpc-headers.js';
import type { RpcContract } from './rpc.port.js';

export interface RpcHostParts extends RpcCalleeParts {
  readonly authenticator: Authenticator;
  readonly limits?: DeadlineLimits;
  /** Where an application's own guard has left the caller, so that he is not authenticated twice. */
  readonly principalOf?: (request: FastifyRequest) => Principal | undefined;
}

const LIMITS: DeadlineLimits = { defaultMs: 30_000, maxMs: 300_000 };

/** Answers one request of the method that its route names. */
export type RpcAnswer = (method: string, request: FastifyRequest, reply: FastifyReply) => Promise<void>;

/** Serves contracts over HTTP: everything between Fastify's request and the callee, and back. One per application. */
export class RpcHost {
  readonly #limits: DeadlineLimits;

  constructor(private readonly parts: RpcHostParts) {
    this.#limits = parts.limits ?? LIMITS;
  }

  /** @throws TypeError when the service lacks a method of the contract */
  serve(contract: RpcContract, service: object): RpcAnswer {
    const callee = new RpcCallee(contract, service, this.parts);
    return async (method, request, reply) => {
      const headers = headersOf(request);
      const gone = goneSignal(reply);
      let context = this.parts.telemetry.extract(headers);
      try {
        const caller = await this.#callerOf(request);
        const deadlineAtMs = this.parts.clock.monotonicMs() + deadlineMsOf(headers[DEADLINE_HEADER], this.#limits);
        const { signal, dispose } = deadline(this.parts.clock, deadlineAtMs, gone);
        const call: IncomingCall = { caller, deadlineAtMs, signal, trace: context, onSpan: (span) => (context = span) };
        const answer = await callee.call(method, request.body, call).finally(dispose);
        const body = encode(answer, 'RPC_RESPONSE_INVALID');
        // Not awaited: a reply settles only when its socket has taken it, and there is nothing left to do for us.
        void reply.status(200).headers({ 'content-type': 'application/json; charset=utf-8' }).send(body);
      } catch (error) {
        const span = trace.getSpanContext(context);
        sendProblem(reply, portable(error), span !== undefined && isSpanContextValid(span) ? span.traceId : undefined);
      }
    };
  }

  async #callerOf(request: FastifyRequest): Promise<Principal> {
    const known = this.parts.principalOf?.(request);
    if (known !== undefined) return known;
    // Only this header says who calls; names in the body or in other headers are just text.
    const { authorization } = request.headers;
    return this.parts.authenticator.authenticate(authorization === undefined ? {} : { authorization });
  }
}

/** Writes an error as problem+json (RFC 9457). */
export function sendProblem(reply: FastifyReply, error: ProbityError, traceId?: string): void {
  const problem = toProblem(error, traceId);
  const headers: Record<string, string> = { 'content-type': 'application/problem+json; charset=utf-8' };
  // RFC 9110 demands the challenge with each 401.
  if (problem.status === 401) headers['www-authenticate'] = 'Bearer realm="probity"';
  void reply.status(problem.status).headers(headers).send(JSON.stringify(problem));
}

/** Aborts when the connection ends before the answer was written: there is nobody left to work for. */
function goneSignal(reply: FastifyReply): AbortSignal {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort(new ProbityError('RPC_CANCELLED', 'the caller went away'));
  });
  return controller.signal;
}

/** Repeated headers come as lists; none of ours may be repeated, and what is repeated counts as absent. */
function headersOf(request: FastifyRequest): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, typeof value === 'string' ? value : undefined]),
  );
}
