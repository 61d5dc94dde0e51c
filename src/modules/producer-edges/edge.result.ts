import { Type } from '@sinclair/typebox';
import { DigestSchema } from '../../rails/digest.js';
import { EbRefSchema } from '../../rails/eb-ref.js';
import { EventIdSchema } from '../../rails/envelope.schema.js';
import { type ErrorCode, errorSpec } from '../../rails/errors/registry.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { closed, safeInteger, type Sealed } from '../../rails/schema.js';
import type { SubmitResult } from '../ingestion-gate/ingestion-gate.port.js';
import type { Made } from './transaction.core.js';

/** What became of one message at an edge; of many messages the answer has one each, in their order. */
export const EdgeResultSchema = closed(
  {
    decision: Type.Union(
      (['ADMIT', 'DUPLICATE', 'QUARANTINE', 'REFUSED'] as const).map((name) => Type.Literal(name)),
      { description: 'REFUSED: it never reached the gate, has no receipt, and may be sent again' },
    ),
    transaction_id: Type.Optional(Type.String()),
    event_id: Type.Optional(EventIdSchema),
    receipt_id: Type.Optional(DigestSchema),
    eb_ref: Type.Optional(EbRefSchema),
    /** Of what was not admitted: a code of docs/errors.md, the place as a JSON Pointer, and a sentence. */
    code: Type.Optional(Type.String()),
    at: Type.Optional(Type.String()),
    detail: Type.Optional(Type.String()),
    /** Whether the same message may be admitted later without being changed. */
    retryable: Type.Boolean(),
    retry_after_ms: Type.Optional(safeInteger(0, 'how long to wait before, where that is known')),
  },
  { description: 'What became of one message at an edge.' },
);
export type EdgeResult = Sealed<typeof EdgeResultSchema>;

export function resultOfGate(made: Extract<Made, { readonly ok: true }>, result: SubmitResult): EdgeResult {
  const { decision, receipt_id, reason_codes, retryable, detail, eb_ref } = result;
  const [reason] = reason_codes;
  return {
    decision,
    transaction_id: made.transaction_id,
    event_id: made.event_id as EdgeResult['event_id'] & string,
    receipt_id,
    ...(eb_ref === undefined ? {} : { eb_ref }),
    ...(reason === undefined ? {} : { code: `IG_${reason}` }),
    ...(detail === undefined ? {} : { detail }),
    retryable,
  };
}

export function resultOfFault({ fault, transaction_id }: Extract<Made, { readonly ok: false }>): EdgeResult {
  return {
    decision: 'REFUSED',
    ...(transaction_id === undefined ? {} : { transaction_id }),
    code: fault.code,
    at: fault.at,
    detail: fault.says,
    retryable: errorSpec(fault.code).retryable,
  };
}

/** An error that ends an answer: what stands before it has been taken, it and all after it has not. */
export function resultOfError(error: ProbityError): EdgeResult {
  const waitMs = retryAfterMsOf(error);
  return {
    decision: 'REFUSED',
    code: error.code,
    detail: error.detail,
    retryable: error.retryable,
    ...(waitMs === undefined ? {} : { retry_after_ms: waitMs }),
  };
}

/** How long the gate says to wait, where it says so. */
export function retryAfterMsOf({ data }: ProbityError): number | undefined {
  const waitMs = data['retry_after_ms'];
  return typeof waitMs === 'number' && waitMs >= 0 ? Math.ceil(waitMs) : undefined;
}

/** The same for a caller that sent one message: what was not admitted is his error. */
export function demandAdmitted(result: EdgeResult): EdgeResult {
  if (result.decision === 'ADMIT' || result.decision === 'DUPLICATE') return result;
  const { code, at, detail = 'the gate gave no detail', receipt_id, event_id, transaction_id } = result;
  const data = {
    ...(at === undefined ? {} : { at }),
    ...(transaction_id === undefined ? {} : { transaction_id }),
    ...(event_id === undefined ? {} : { event_id }),
    ...(receipt_id === undefined ? {} : { receipt_id }),
  };
  const place = at === undefined || at === '' ? '' : `${at} `;
  throw new ProbityError(code as ErrorCode, `${place}${detail}`, { data });
}

/** What the caller can do something about is part of an answer; anything else ends the request. */
export function demandKnown(error: unknown): ProbityError {
  if (isProbityError(error)) return error;
  throw error;
}
