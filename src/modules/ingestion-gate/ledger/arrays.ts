import { type Digest } from '../../../rails/digest.js';

/**
 * Columns of a batch as the server takes them at the least cost: numbers and texts as array literals, digests as one byte
 * string that the statement cuts. An array of byte strings would travel in hexadecimal, and the driver quotes each element.
 */
export function numberArray(values: readonly number[]): string {
  return `{${values.join(',')}}`;
}

const SPECIAL = /["\\]/g;
const HAS_SPECIAL = /["\\]/;

export function textArray(values: readonly string[]): string {
  let text = '{';
  for (const value of values)
    text += `${text.length > 1 ? ',' : ''}"${HAS_SPECIAL.test(value) ? value.replace(SPECIAL, '\\$&') : value}"`;
  return `${text}}`;
}

/** 32 bytes each, in their order. */
export function digestBytes(digests: readonly Digest[]): Buffer {
  return Buffer.from(digests.join(''), 'hex');
}

/** For a single `bytea` column. */
export function bytesOf(digest: Digest): Buffer {
  return Buffer.from(digest, 'hex');
}
