import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Principal } from '../../substrate/identity/identity.port.js';
import type { CaseFilter } from './case-export.core.js';

const LIMIT_MAX = 200;

/** For the documents of routes that give pages. */
export const LIMIT = {
  name: 'limit',
  required: false,
  schema: { type: 'integer', minimum: 1, maximum: LIMIT_MAX, default: 50 },
} as const;

export function limitOf(text = '50'): number {
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= LIMIT_MAX) return limit;
  throw new ProbityError('HTTP_REQUEST_INVALID', `limit is a whole number from 1 to ${LIMIT_MAX}`);
}

export function numberOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^[0-9]{1,15}$/.test(text)) return Number(text);
  throw new ProbityError('HTTP_REQUEST_INVALID', 'cursor is that of an answer');
}

/** The filters that lists and exports share. */
export function filterOf(
  { status, queue, run, assignee }: Readonly<Record<string, string | undefined>>,
  caller: Principal,
): CaseFilter {
  return {
    ...(status === undefined ? {} : { status }),
    ...(queue === undefined ? {} : { queue }),
    ...(run === undefined ? {} : { runId: run }),
    ...(assignee === undefined ? {} : { assignee: assigneeOf(assignee, caller) }),
  };
}

function assigneeOf(text: string, { actor }: Principal): string | null {
  if (text === 'none') return null;
  return text === 'me' ? actor.actor_id : text;
}
