import { ProbityError } from '../../rails/errors/probity-error.js';
import { isUtcMicros, type UtcMicros } from '../../rails/time.js';

/** Where a page of runs ends: the order is by the time of the request, then by run. */
export interface RunsCursor {
  readonly at: UtcMicros;
  readonly runId: string;
}

export function encodeCursor({ at, runId }: RunsCursor): string {
  return Buffer.from(`${at} ${runId}`, 'utf8').toString('base64url');
}

/** @throws ProbityError VALUE_INVALID for a text that is no cursor of ours */
export function decodeCursor(cursor: string): RunsCursor {
  const [at, runId, ...rest] = Buffer.from(cursor, 'base64url').toString('utf8').split(' ');
  if (!isUtcMicros(at) || runId === undefined || !/^[0-9a-f]{32}$/.test(runId) || rest.length > 0)
    throw new ProbityError('VALUE_INVALID', 'the cursor is not one of a page of runs');
  return { at, runId };
}
