import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { type ErrorCode } from '../../rails/errors/registry.js';
import { type ObjectKey } from '../../rails/ref.js';

/** What an adapter does next about an error of the S3 client. */
export type S3Meaning =
  /** The key is taken: by another writer, or by our own put whose answer was lost. */
  | 'TAKEN'
  /** There is no such key. */
  | 'MISSING'
  /** The very same request may succeed: a lost connection, an overloaded server, two puts at once. */
  | 'AGAIN'
  | 'FULL'
  | 'FORBIDDEN'
  | 'OTHER';

export interface S3Fault {
  readonly meaning: S3Meaning;
  /** The server's name for it, or the client's where no answer came. */
  readonly reason: string;
  readonly status: number | null;
}

const BY_NAME: Readonly<Record<string, S3Meaning>> = {
  PreconditionFailed: 'TAKEN',
  ObjectAlreadyExists: 'TAKEN',
  // The parts were joined by a first trial whose answer was lost.
  NoSuchUpload: 'TAKEN',
  NoSuchKey: 'MISSING',
  NotFound: 'MISSING',
  ConditionalRequestConflict: 'AGAIN',
  RequestTimeout: 'AGAIN',
  SlowDown: 'AGAIN',
  // The bytes changed between here and there: they are sent again.
  BadDigest: 'AGAIN',
  XAmzContentChecksumMismatch: 'AGAIN',
  XAmzContentSHA256Mismatch: 'AGAIN',
  IncompleteBody: 'AGAIN',
  QuotaExceeded: 'FULL',
  XMinioStorageFull: 'FULL',
  XMinioAdminBucketQuotaExceeded: 'FULL',
  InsufficientStorage: 'FULL',
  AccessDenied: 'FORBIDDEN',
  InvalidAccessKeyId: 'FORBIDDEN',
  SignatureDoesNotMatch: 'FORBIDDEN',
  ExpiredToken: 'FORBIDDEN',
  InvalidToken: 'FORBIDDEN',
};

interface ErrorShape {
  readonly name?: unknown;
  readonly code?: unknown;
  readonly $metadata?: { readonly httpStatusCode?: unknown };
}

/** Takes an error by its shape: most failures of a connection are of no class of the client's. */
export function s3Fault(error: unknown): S3Fault {
  // Every field is optional and of unknown type, so the cast claims nothing.
  const shape = (typeof error === 'object' && error !== null ? error : {}) as ErrorShape;
  const name = typeof shape.name === 'string' ? shape.name : 'Error';
  const answered = shape.$metadata?.httpStatusCode;
  const status = typeof answered === 'number' ? answered : null;
  const reason = status === null && typeof shape.code === 'string' ? shape.code : name;
  return { meaning: meaningOf(name, status), reason, status };
}

function meaningOf(name: string, status: number | null): S3Meaning {
  const named = Object.hasOwn(BY_NAME, name) ? BY_NAME[name] : undefined;
  if (named !== undefined) return named;
  if (status === null) return 'AGAIN';
  if (status === 412) return 'TAKEN';
  if (status === 507) return 'FULL';
  if (status === 401 || status === 403) return 'FORBIDDEN';
  // No answer, or half of one: a 2xx that could not be read is a broken connection as well.
  if (status >= 500 || status === 429 || status === 408 || status < 300) return 'AGAIN';
  return 'OTHER';
}

const CODES: Readonly<Record<S3Meaning, ErrorCode>> = {
  TAKEN: 'OBJECTS_UNAVAILABLE',
  MISSING: 'OBJECTS_NOT_FOUND',
  AGAIN: 'OBJECTS_UNAVAILABLE',
  FULL: 'OBJECTS_STORE_FULL',
  FORBIDDEN: 'OBJECTS_FORBIDDEN',
  OTHER: 'OBJECTS_UNAVAILABLE',
};

/**
 * The client's error itself stays here: it carries the request with its signature and the server's answer, which may
 * repeat the access key (law C3). Its name and status tell what an operator needs.
 */
export function s3Error(error: unknown, doing: string, key?: ObjectKey): ProbityError {
  if (isProbityError(error)) return error;
  const { meaning, reason, status } = s3Fault(error);
  const subject = key === undefined ? '' : ` of ${key}`;
  const answer = status === null ? '' : ` (${status})`;
  return new ProbityError(CODES[meaning], `${doing}${subject} failed with ${reason}${answer}`, {
    data: { reason, status, ...(key === undefined ? {} : { key }) },
  });
}
