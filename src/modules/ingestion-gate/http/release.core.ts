import { ProbityError } from '../../../rails/errors/probity-error.js';
import { rawMembers } from './raw-members.core.js';

/** What a person asks for who lets a quarantined event in again. */
export interface Release {
  readonly reason: string;
  /** The corrected event in the very bytes that were sent; absent where the stored one is to enter as it was. */
  readonly correction?: string;
}

const REASON_CHARS_MAX = 500;

/** @throws ProbityError HTTP_BODY_INVALID for what is not JSON, HTTP_REQUEST_INVALID for what is no release */
export function releaseOf(text: string): Release {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ProbityError('HTTP_BODY_INVALID', 'the body is not JSON', { cause });
  }
  if (!isObject(value)) throw invalid('the body is not an object');
  const members = rawMembers(text);
  const names = new Set(members.map(([name]) => name));
  if (names.size < members.length) throw invalid('a member stands there twice');
  for (const name of names) if (name !== 'reason' && name !== 'correction') throw invalid('only reason and correction');

  const { reason, correction } = value as { readonly reason?: unknown; readonly correction?: unknown };
  if (typeof reason !== 'string' || reason.trim() === '' || reason.length > REASON_CHARS_MAX) {
    throw invalid(`reason is a text of 1 to ${REASON_CHARS_MAX} characters`);
  }
  if (!names.has('correction')) return { reason };
  if (!isObject(correction)) throw invalid('correction is not an object');
  return { reason, correction: members.find(([name]) => name === 'correction')?.[1] ?? '' };
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(says: string): ProbityError {
  return new ProbityError('HTTP_REQUEST_INVALID', says);
}
