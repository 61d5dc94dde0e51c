import { type Context, ROOT_CONTEXT } from '@opentelemetry/api';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isProbityError, ProbityError, toProblem } from '../../../rails/errors/probity-error.js';
import { isErrorCode } from '../../../rails/errors/registry.js';
import { contextOf, noteError, traceIdOf } from '../../../substrate/http/telemetry.hooks.js';
import type { Principal } from '../../../substrate/identity/identity.port.js';
import type { SubmissionContext } from '../ingestion-gate.gate.js';
import type { Receipt } from '../ingestion-gate.port.js';

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

/** The problem that a refused event is answered with: its code is the receipt's reason. */
export function errorOf(receipt: Receipt): ProbityError {
  const code = `IG_${receipt.reason_codes[0] ?? ''}`;
  if (!isErrorCode(code)) throw new ProbityError('INTERNAL', 'a receipt of quarantine has no known reason');
  return new ProbityError(code, receipt.quarantine?.detail ?? 'the event was refused', {
    data: { receipt_id: receipt.receipt_id },
  });
}

/**
 * Answers one submission: 201 with the receipt, 200 where the same event had been admitted before, and otherwise a problem
 * that carries the receipt.
 */
export function sendReceipt(request: FastifyRequest, reply: FastifyReply, receipt: Receipt): void {
  reply.header('location', `/v1/receipts/${receipt.receipt_id}`);
  if (receipt.decision !== 'QUARANTINE') {
    if (receipt.decision === 'DUPLICATE') reply.header('idempotency-replayed', 'true');
    reply.status(receipt.decision === 'ADMIT' ? 201 : 200).header('content-type', 'application/json; charset=utf-8');
    void reply.send(JSON.stringify(receipt));
    return;
  }
  const error = errorOf(receipt);
  noteError(request, error);
  setRetryAfter(reply, error);
  reply.status(error.status).header('content-type', PROBLEM_TYPE);
  void reply.send(JSON.stringify({ ...toProblem(error, traceIdOf(request)), receipt }));
}

/** Runs a handler's work; a refusal that says "later" also says when, before it leaves as every other error. */
export async function sayingWhen<Result>(reply: FastifyReply, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    if (isProbityError(error)) setRetryAfter(reply, error);
    throw error;
  }
}

/** Whole seconds, at least one: a client that is told 0 comes back at once, and with it everybody else. */
function setRetryAfter(reply: FastifyReply, error: ProbityError): void {
  if (error.status !== 429 && error.status !== 503) return;
  const ms = error.data['retry_after_ms'];
  reply.header('retry-after', String(typeof ms === 'number' ? Math.max(1, Math.ceil(ms / 1_000)) : 1));
}

/** Who submits, in which trace, and until when it is worth while: nobody waits for answers on a closed connection. */
export function submissionContext(
  request: FastifyRequest,
  reply: FastifyReply,
  principal: Principal,
): SubmissionContext {
  const controller = new AbortController();
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) controller.abort(new ProbityError('RPC_CANCELLED', 'the caller went away'));
  });
  return { principal, trace: traceOf(request), signal: controller.signal };
}

function traceOf(request: FastifyRequest): Context {
  return contextOf(request) ?? ROOT_CONTEXT;
}
