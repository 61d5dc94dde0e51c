import { ProbityError } from '../../rails/errors/probity-error.js';

/**
 * What the driver was doing when it failed. It decides what a lost connection means:
 *
 * - `connect`: nothing was sent.
 * - `statement`: inside a transaction that has not been asked to commit; the server rolls it back by itself.
 * - `autocommit`: a single statement outside a transaction; it commits before its answer leaves the server, so a lost
 *   answer says nothing about its fate.
 * - `commit`: COMMIT was sent; the same.
 */
export type DriverPhase = 'connect' | 'statement' | 'autocommit' | 'commit';

export interface DriverContext {
  readonly phase: DriverPhase;
  /** Whose door it was; for the sentence. */
  readonly schema: string;
  /** The program's constant text or name of the statement; never a value. */
  readonly statement?: string;
  /** True when nothing can have been written, so that a lost answer is no more than a lost answer. */
  readonly readOnly?: boolean;
}

/** Raised by the append-only guards of `migrations/probity`; the class PB is free for applications by the SQL standard. */
export const SQLSTATE_APPEND_ONLY = 'PB001';

const SQLSTATE = /^[0-9A-Z]{5}$/;
const SOCKET_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'EADDRNOTAVAIL',
]);
/** The driver's own words where it has no code for a lost connection. */
const LOSS_MESSAGES = /^(Connection terminated|Query read timeout|timeout expired|The server does not support SSL)/;
/** … and for one that was lost before the statement: then nothing was sent, and its fate is known. */
const UNSENT_MESSAGES =
  /^(Client has encountered a connection error|Client was closed|Cannot use a pool after calling end|timeout exceeded when trying to connect|Query runner already released)/;

interface DriverError {
  readonly message: string;
  readonly code?: unknown;
  readonly constraint?: unknown;
  readonly table?: unknown;
  readonly schema?: unknown;
  readonly position?: unknown;
}

function isDriverError(error: unknown): error is DriverError {
  return typeof error === 'object' && error !== null && 'message' in error && typeof error.message === 'string';
}

/** What the driver said, where TypeORM has wrapped it. */
export function driverErrorOf(error: unknown): unknown {
  return typeof error === 'object' && error !== null && 'driverError' in error ? error.driverError : error;
}

/** The SQLSTATE of a server's refusal; undefined for what the driver or the network says. */
export function sqlstateOf(error: unknown): string | undefined {
  if (!isDriverError(error) || typeof error.code !== 'string') return undefined;
  // EPIPE has five letters, too, and is no SQLSTATE.
  return SQLSTATE.test(error.code) && !SOCKET_CODES.has(error.code) ? error.code : undefined;
}

/** True when the connection that the error came from must not be used again. */
export function isConnectionLoss(error: unknown): boolean {
  const state = sqlstateOf(error);
  // 08P01 is a protocol violation of ours: calling it a lost connection would have it retried for ever.
  if (state !== undefined) {
    return (state.startsWith('08') && state !== '08P01') || /^(57P0[1-5]|25P0[34]|53300)$/.test(state);
  }
  if (!isDriverError(error)) return false;
  return (
    (typeof error.code === 'string' && SOCKET_CODES.has(error.code)) ||
    LOSS_MESSAGES.test(error.message) ||
    wasUnsent(error)
  );
}

function wasUnsent(error: unknown): boolean {
  return isDriverError(error) && UNSENT_MESSAGES.test(error.message);
}

/**
 * The platform's code for what the driver threw. The driver's error itself goes no further, not even as a cause: its
 * `detail` and `where` quote rows, and a row in a log is a payload in a log (laws C3, O2).
 */
export function toDatabaseError(error: unknown, context: DriverContext): ProbityError {
  if (error instanceof ProbityError) return error;
  const state = sqlstateOf(error);
  if (state === '25P03' || state === '25P04' || state === '57P05') {
    return refusal('DATABASE_TIMEOUT', 'the connection idled in a transaction past its limit', state, context);
  }
  if (isConnectionLoss(error)) return lost(error, context);
  if (state !== undefined && isDriverError(error)) return refused(error, state, context);
  if (context.phase === 'commit') return lost(error, context);
  const reason = isDriverError(error) ? error.message : 'the driver threw something that is no error';
  return new ProbityError('DATABASE_STATEMENT_INVALID', `the driver refused a statement${where(context)}: ${reason}`);
}

function lost(error: unknown, context: DriverContext): ProbityError {
  const reason = isDriverError(error) ? error.message : 'no reason given';
  const data = {
    schema: context.schema,
    ...(sqlstateOf(error) === undefined ? {} : { sqlstate: String(sqlstateOf(error)) }),
  };
  const committing = context.phase === 'commit' || context.phase === 'autocommit';
  const unknown = committing && context.readOnly !== true && !wasUnsent(error);
  if (unknown) {
    return new ProbityError('DATABASE_COMMIT_UNKNOWN', `the answer to a commit was lost${where(context)}: ${reason}`, {
      data,
    });
  }
  return new ProbityError('DATABASE_UNAVAILABLE', `no answer from the database${where(context)}: ${reason}`, { data });
}

function refused(error: DriverError, state: string, context: DriverContext): ProbityError {
  switch (state) {
    case SQLSTATE_APPEND_ONLY:
      return refusal('DATABASE_APPEND_ONLY', error.message, state, context, error);
    case '57014':
      return refusal('DATABASE_TIMEOUT', 'a statement ran longer than its limit', state, context);
    case '55P03':
      return refusal('DATABASE_TIMEOUT', 'a lock was not granted within its limit', state, context);
    case '40001':
    case '40P01':
      return refusal('DATABASE_SERIALIZATION', error.message, state, context);
    case '42501':
      return refusal('DATABASE_FORBIDDEN', error.message, state, context);
    case '28000':
    case '28P01':
    case '3D000':
      return refusal('DATABASE_LOGIN_REFUSED', error.message, state, context);
    case '53100':
      return refusal('DATABASE_FULL', 'the database has no room left', state, context);
    case 'XX001':
    case 'XX002':
      return refusal('DATABASE_DAMAGED', error.message, state, context);
    case '25006':
      // A standby after a switch-over refuses writes, too; only a transaction that asked for it is the program's fault.
      if (context.readOnly !== true) return refusal('DATABASE_UNAVAILABLE', error.message, state, context);
      break;
    default:
      break;
  }
  if (state.startsWith('23')) {
    const name = typeof error.constraint === 'string' ? error.constraint : 'of a column';
    return refusal('DATABASE_CONSTRAINT', `the constraint ${name} refused a row`, state, context, error);
  }
  if (state.startsWith('53') || state.startsWith('58')) {
    return refusal('DATABASE_UNAVAILABLE', error.message, state, context);
  }
  // Class 22 quotes the offending value in its message, and a value may be anybody's payload.
  const reason = state.startsWith('22') ? 'a value is not of the form that its column demands' : error.message;
  return refusal('DATABASE_STATEMENT_INVALID', reason, state, context, error);
}

function refusal(
  code: ConstructorParameters<typeof ProbityError>[0],
  reason: string,
  sqlstate: string,
  context: DriverContext,
  error?: DriverError,
): ProbityError {
  return new ProbityError(code, `${reason}${where(context)} [${sqlstate}]`, {
    data: {
      schema: context.schema,
      sqlstate,
      ...(typeof error?.constraint === 'string' ? { constraint: error.constraint } : {}),
      ...(typeof error?.table === 'string' ? { table: error.table } : {}),
      ...(typeof error?.position === 'string' ? { position: Number(error.position) } : {}),
    },
  });
}

function where(context: DriverContext): string {
  const text = context.statement?.replace(/\s+/g, ' ').trim();
  if (text === undefined || text === '') return ` (schema ${context.schema})`;
  return ` (schema ${context.schema}, "${text.length > 80 ? `${text.slice(0, 79)}…` : text}")`;
}
