import { type ErrorCode } from '../../rails/errors/registry.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import { type ObjectKey } from '../../rails/ref.js';

/** What the operating system's answers mean to a caller; every other one is a store that does not answer. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'OBJECTS_STORE_FULL',
  EDQUOT: 'OBJECTS_STORE_FULL',
  // A limit on file sizes set for the process: no room either, as far as this object goes.
  EFBIG: 'OBJECTS_STORE_FULL',
  EACCES: 'OBJECTS_FORBIDDEN',
  EPERM: 'OBJECTS_FORBIDDEN',
  EROFS: 'OBJECTS_FORBIDDEN',
};

/** By its shape, because an error of Node's core may be of another realm's class than `Error` here. */
export function systemCode(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null;
  return typeof error.code === 'string' ? error.code : null;
}

/** The path stays out of it: callers in other processes read these errors. */
export function fileFault(error: unknown, doing: string, key?: ObjectKey): ProbityError {
  if (isProbityError(error)) return error;
  const reason = systemCode(error);
  const code = (reason === null ? undefined : CODES[reason]) ?? 'OBJECTS_UNAVAILABLE';
  const subject = key === undefined ? '' : ` of ${key}`;
  return new ProbityError(code, `${doing}${subject} failed with ${reason ?? 'an unknown error'}`, {
    cause: error,
    data: { reason: reason ?? 'unknown', ...(key === undefined ? {} : { key }) },
  });
}

/** Awaits a call to the file system; whatever fails leaves as an error of the platform. */
export async function onDisk<T>(call: Promise<T>, doing: string, key?: ObjectKey): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw fileFault(error, doing, key);
  }
}
