import { isProbityError, ProbityError } from '../../../rails/errors/probity-error.js';

/** SQLSTATEs that the functions of `migrations/bus` raise; the class PB is free for applications by the SQL standard. */
const BY_SQLSTATE = new Map<unknown, 'BUS_PRODUCER_FENCED' | 'BUS_TOPIC_UNKNOWN' | 'BUS_POSITION_BEYOND_LOG'>([
  ['PBB01', 'BUS_PRODUCER_FENCED'],
  ['PBB02', 'BUS_TOPIC_UNKNOWN'],
  ['PBB03', 'BUS_POSITION_BEYOND_LOG'],
]);

/** The transaction was rolled back, and the next try may succeed. */
const PASSING: ReadonlySet<string> = new Set([
  'DATABASE_UNAVAILABLE',
  'DATABASE_TIMEOUT',
  'DATABASE_SERIALIZATION',
  'DATABASE_FULL',
]);

/** What a fault of the database means to a caller of the bus. A defect of the program stays what it is. */
export function busFault(fault: unknown, what: string): unknown {
  if (!isProbityError(fault)) return fault;
  const named = BY_SQLSTATE.get(fault.data['sqlstate']);
  if (named !== undefined) return new ProbityError(named, what, { cause: fault });
  if (fault.code === 'DATABASE_COMMIT_UNKNOWN') return new ProbityError('BUS_APPEND_UNKNOWN', what, { cause: fault });
  if (PASSING.has(fault.code))
    return new ProbityError('BUS_UNAVAILABLE', `${what}: ${fault.message}`, { cause: fault });
  return fault;
}

/** The same for calls whose repetition is harmless: that their answer was lost is no more than that. */
export function repeatableFault(fault: unknown, what: string): unknown {
  if (isProbityError(fault, 'DATABASE_COMMIT_UNKNOWN'))
    return new ProbityError('BUS_UNAVAILABLE', `${what}: ${fault.message}`, { cause: fault });
  return busFault(fault, what);
}
