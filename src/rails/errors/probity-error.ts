import { errorSpec, isErrorCode, type ErrorCode } from './registry.js';

export interface ProbityErrorOptions {
  readonly cause?: unknown;
  /** Values for machines, beside the sentence for people. Never a secret, never a payload body. */
  readonly data?: Readonly<Record<string, string | number | boolean | null>>;
}

/** The one error class that crosses boundaries: its code decides status, retry and remedy. */
export class ProbityError extends Error {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly data: Readonly<Record<string, string | number | boolean | null>>;

  constructor(code: ErrorCode, detail: string, options: ProbityErrorOptions = {}) {
    super(`${code}: ${detail}`, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ProbityError';
    this.code = code;
    this.detail = detail;
    this.data = options.data ?? {};
  }

  get status(): number {
    return errorSpec(this.code).status;
  }

  get retryable(): boolean {
    return errorSpec(this.code).retryable;
  }

  get remedy(): string {
    return errorSpec(this.code).remedy;
  }
}

export function isProbityError(error: unknown, code?: ErrorCode): error is ProbityError {
  return error instanceof ProbityError && (code === undefined || error.code === code);
}

/** What crosses HTTP (RFC 9457 problem details, with `code`, `retryable` and `remedy` as extension members). */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: ErrorCode;
  readonly retryable: boolean;
  readonly remedy: string;
  readonly data?: ProbityError['data'];
  readonly trace_id?: string;
}

export function toProblem(error: ProbityError, traceId?: string): Problem {
  const spec = errorSpec(error.code);
  return {
    type: `urn:probity:error:${error.code}`,
    title: spec.title,
    status: spec.status,
    detail: error.detail,
    code: error.code,
    retryable: spec.retryable,
    remedy: spec.remedy,
    ...(Object.keys(error.data).length > 0 ? { data: error.data } : {}),
    ...(traceId === undefined ? {} : { trace_id: traceId }),
  };
}

/** The error that a problem document describes; an unknown code becomes INTERNAL, so that a caller never crashes on it. */
export function fromProblem(problem: Partial<Problem>): ProbityError {
  const code = typeof problem.code === 'string' && isErrorCode(problem.code) ? problem.code : 'INTERNAL';
  const detail = typeof problem.detail === 'string' ? problem.detail : 'the callee gave no detail';
  return new ProbityError(code, detail, problem.data === undefined ? {} : { data: problem.data });
}
