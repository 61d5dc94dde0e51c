import { ProbityError } from '../../../rails/errors/probity-error.js';
import { type ErrorCode } from '../../../rails/errors/registry.js';
import { type Clock } from '../../clock/clock.port.js';
import { classify, isRefusal, type WireError } from './kafka.protocol.js';
import { type Wire } from './kafka.wire.js';

/** Refusals that pass by themselves: a leader or coordinator moves, loads, or is in the middle of a transaction. */
const PASSING = [
  'NOT_LEADER_FOR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_COORDINATOR_FOR_GROUP',
  'GROUP_COORDINATOR_NOT_AVAILABLE',
  'GROUP_LOAD_IN_PROGRESS',
  'REQUEST_TIMED_OUT',
  'NOT_ENOUGH_REPLICAS',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'KAFKA_STORAGE_ERROR',
  'NETWORK_EXCEPTION',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'OFFSET_NOT_AVAILABLE',
  'CONCURRENT_TRANSACTIONS',
  'BROKER_NOT_AVAILABLE',
  'REPLICA_NOT_AVAILABLE',
  'NOT_CONTROLLER',
] as const;

export function passes(error: WireError, also: readonly string[] = []): boolean {
  return error.kind === 'unreachable' || (error.kind === 'refused' && [...PASSING, ...also].includes(error.type));
}

export interface Persistence {
  readonly wire: Wire;
  readonly clock: Clock;
  /** On the clock's monotonic scale; past it the last failure is thrown. */
  readonly deadlineMs: number;
  /** Further refusals that pass. */
  readonly also?: readonly string[];
  readonly signal?: AbortSignal;
}

/** Does the work until it succeeds, fails for good, or the deadline is past. Only for work that may be done twice. */
export async function persist<Result>(plan: Persistence, work: () => Promise<Result>): Promise<Result> {
  const { wire, clock, deadlineMs, signal } = plan;
  for (let waitMs = 1; ; waitMs = Math.min(waitMs * 2, 250)) {
    try {
      return await work();
    } catch (raw) {
      // What the platform itself refused (an answer that makes no sense) does not get better by asking again.
      if (raw instanceof ProbityError) throw raw;
      const error = classify(raw);
      if (!passes(error, plan.also) || clock.monotonicMs() + waitMs > deadlineMs || signal?.aborted === true)
        throw error;
      // Another transaction of the same name ends within milliseconds: its wait starts at 1 ms, an outage's at 50.
      const busy = isRefusal(error, 'CONCURRENT_TRANSACTIONS');
      await clock.sleep(busy ? waitMs : Math.max(waitMs, 50), signal);
      if (!busy) await wire.refresh().catch(() => undefined);
    }
  }
}

/** The work's result, or undefined when it takes longer than `limitMs`; the work itself is then left to itself. */
export async function bounded<Result>(
  clock: Clock,
  limitMs: number,
  work: Promise<Result>,
  from: Promise<void> = Promise.resolve(),
): Promise<Result | undefined> {
  const settled = new AbortController();
  const late = from.then(() => clock.sleep(limitMs, settled.signal)).then(() => undefined);
  try {
    return await Promise.race([work, late]);
  } finally {
    // Neither a timer nor an unheard failure is left behind.
    settled.abort();
    work.catch(() => undefined);
  }
}

/** The platform's word for what went wrong on the wire, where nothing was appended. */
export function busError(raw: unknown, what: string): ProbityError {
  if (raw instanceof ProbityError) return raw;
  const error = classify(raw);
  const detail = `${what}: ${error.type}, ${error.message}`;
  const code = ((): ErrorCode => {
    if (error.kind === 'defect') return 'INTERNAL';
    if (isRefusal(error, 'UNKNOWN_TOPIC_OR_PARTITION', 'INVALID_TOPIC_EXCEPTION')) return 'BUS_TOPIC_UNKNOWN';
    if (isRefusal(error, 'MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE')) return 'BUS_RECORD_TOO_LARGE';
    return 'BUS_UNAVAILABLE';
  })();
  return new ProbityError(code, detail, { cause: raw });
}
