import { asDigest, digestText, type Digest } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { asRef, isObjectKey, objectKey, refTo, type ObjectKey, type Ref } from '../../rails/ref.js';
import { type ByteRange, type PutOptions, type PutResult } from './objects.port.js';

/**
 * What every adapter decides alike, without touching a store: which calls are refused before any I/O, under which name
 * a key is stored, and what it means that something stands there already.
 */

/** One page of a listing. AWS never gives more than 1,000 at once, so no adapter does. */
export const PAGE_KEYS_MAX = 1_000;

/** What `read` takes into memory unless the caller says otherwise. */
export const READ_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Stored names end in this mark, which no key may hold. Without it the keys `a` and `a/b` could not both stand on a file
 * system, would be refused by one S3 server and dropped from listings by another; whether two keys collide would depend
 * on where the platform runs. The mark sorts before every character of a key, so that the order of stored names is the
 * order of keys: where `a` is a prefix of `ab`, `a!` still comes first.
 */
const STORED_MARK = '!';

export function storedName(key: ObjectKey): string {
  return key + STORED_MARK;
}

/** The key of a stored name; null for what the platform has not put there. */
export function keyOfStored(name: string): ObjectKey | null {
  if (!name.endsWith(STORED_MARK)) return null;
  const key = name.slice(0, -1);
  return isObjectKey(key) ? key : null;
}

/** A branded key is parsed again: a cast elsewhere must not become a path outside the store's folder here. */
export function checkKey(key: ObjectKey): void {
  objectKey(key);
}

/** Stands in for the digest that a put does not know yet, so that the rest of its ref can be checked before any I/O. */
const OF_NOTHING = digestText('');

export function checkPut(key: ObjectKey, options: PutOptions): void {
  checkKey(key);
  refTo(key, OF_NOTHING, 0, options.mediaType);
  if (options.expect !== undefined) asDigest(options.expect);
}

export function checkRef(ref: Ref): void {
  checkKey(ref.locator);
  asRef(ref);
}

export function checkRead(ref: Ref, bytesMax: number = READ_BYTES_MAX): void {
  checkRef(ref);
  if (ref.size > bytesMax) {
    throw new ProbityError('OBJECTS_TOO_LARGE', `${ref.locator} has ${ref.size} bytes, more than ${bytesMax}`, {
      data: { key: ref.locator, size: ref.size, bytes_max: bytesMax },
    });
  }
}

export function checkRange(ref: Ref, { start, end }: ByteRange): void {
  checkRef(ref);
  if (!(Number.isSafeInteger(start) && Number.isSafeInteger(end) && 0 <= start && start < end && end <= ref.size)) {
    throw new ProbityError('OBJECTS_RANGE_INVALID', `${start} to ${end} is no range of the ${ref.size} bytes`, {
      data: { key: ref.locator, size: ref.size },
    });
  }
}

export interface Page {
  readonly prefix: string;
  readonly after: ObjectKey | null;
  readonly limit: number;
}

/** The prefix is empty or whole segments with a slash behind, so that `ig/` never finds `ignored`. */
export function checkPage(
  prefix: string,
  options: { readonly after?: ObjectKey; readonly limit?: number } | undefined,
): Page {
  if (prefix !== '') {
    objectKey(prefix.replace(/\/$/, ''));
    if (!prefix.endsWith('/')) {
      throw new ProbityError('OBJECTS_KEY_INVALID', `the prefix ${prefix} does not end in a slash`);
    }
  }
  if (options?.after !== undefined) checkKey(options.after);
  const limit = options?.limit ?? PAGE_KEYS_MAX;
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new ProbityError('VALUE_INVALID', `a page of ${limit} objects cannot be listed`);
  }
  return { prefix, after: options?.after ?? null, limit: Math.min(limit, PAGE_KEYS_MAX) };
}

export function checkExpected(key: ObjectKey, offered: Digest, expect: Digest | undefined): void {
  if (expect !== undefined && expect !== offered) throw mismatch(key, expect, offered);
}

/** What a put meant whose key was taken (law R6). The caller verifies the standing bytes before it says DUPLICATE. */
export function judgeStanding(standing: Ref, offered: Digest): PutResult {
  return { outcome: standing.digest.hex === offered ? 'DUPLICATE' : 'CONFLICT', ref: standing, offered };
}

/** Always names the key: an auditor who reads the error knows which artifact was touched (law R4). */
export function mismatch(key: ObjectKey, expected: Digest, found: Digest | null, why?: string): ProbityError {
  const detail = why ?? (found === null ? 'the bytes are not whole' : `the bytes have digest ${found}`);
  return new ProbityError('OBJECTS_DIGEST_MISMATCH', `${key} should have digest ${expected}, but ${detail}`, {
    data: { key, expected, ...(found === null ? {} : { found }) },
  });
}

export function notFound(key: ObjectKey): ProbityError {
  return new ProbityError('OBJECTS_NOT_FOUND', `nothing stands under ${key}`, { data: { key } });
}
