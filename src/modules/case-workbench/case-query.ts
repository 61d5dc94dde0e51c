import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Principal } from '../../substrate/identity/identity.port.js';
import type { CaseFilter } from './case-export.core.js';

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
