import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { type ErrorCode } from '../../rails/errors/registry.js';

const FAMILIES: readonly (readonly [prefix: string, code: ErrorCode, what: string])[] = [
  ['DATABASE_', 'IG_LEDGER_UNHEALTHY', 'the ledger'],
  ['BUS_', 'IG_EB_UNHEALTHY', 'the event bus'],
  ['OBJECTS_', 'IG_EVIDENCE_STORE_UNHEALTHY', 'the object store'],
];

/** A defect of the program stays what it is: a sender that tries again would only meet it again. */
const DEFECTS: ReadonlySet<ErrorCode> = new Set([
  'DATABASE_STATEMENT_INVALID',
  'DATABASE_CONSTRAINT',
  'DATABASE_APPEND_ONLY',
  'OBJECTS_KEY_INVALID',
  'OBJECTS_RANGE_INVALID',
  'OBJECTS_DIGEST_MISMATCH',
  'OBJECTS_NOT_FOUND',
]);

/**
 * What a fault of a dependency means to a sender: nothing was promised, send the same events again. That holds for a commit
 * whose answer was lost as well, since the second sending finds what the first one left.
 */
export function gateFault(fault: unknown): unknown {
  if (!isProbityError(fault) || DEFECTS.has(fault.code)) return fault;
  const family = FAMILIES.find(([prefix]) => fault.code.startsWith(prefix));
  if (family === undefined) return fault;
  const [, code, what] = family;
  return new ProbityError(code, `${what} did not take the events (${fault.code})`, { cause: fault });
}
