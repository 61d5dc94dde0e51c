import { digestText, isDigest, type Digest } from '../../rails/digest.js';

/**
 * A stored file is the object's bytes followed by a seal of 512 bytes: what was put, in a form that `tail -c 512` shows.
 * Bytes and record are one file, so no crash can leave one without the other. It stands behind the bytes, because the
 * digest of a stream is known only at its end; its length is fixed, so that the size of an object is the size of its
 * file less 512. A truncated or extended file has no seal at its end.
 */
export interface Seal {
  readonly digest: Digest;
  /** Bytes, the seal not counted. */
  readonly size: number;
  readonly mediaType: string;
}

export const SEAL_BYTES = 512;

const FORM = 'probity-object/1';

/** 512 less the 64 hex digits of the seal's own digest and the line feed behind them. */
const TEXT_BYTES = SEAL_BYTES - 65;

export function encodeSeal(seal: Seal): Buffer {
  const record = JSON.stringify({ digest: seal.digest, media_type: seal.mediaType, size: seal.size });
  // Form 16, line feeds 2, names and marks 37, digest 64, size at most 16 digits, media type at most 127: 262 of 447.
  const text = `${FORM}\n${record}`.padEnd(TEXT_BYTES - 1, ' ') + '\n';
  if (text.length !== TEXT_BYTES) throw new RangeError(`a seal has ${TEXT_BYTES} bytes of text, not ${text.length}`);
  return Buffer.from(`${text}${digestText(text)}\n`, 'latin1');
}

/** The seal in these 512 bytes; null when they are none, or any bit of them has changed since they were written. */
export function decodeSeal(bytes: Uint8Array): Seal | null {
  if (bytes.byteLength !== SEAL_BYTES) return null;
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  const text = all.slice(0, TEXT_BYTES);
  if (!text.startsWith(`${FORM}\n`) || all.slice(TEXT_BYTES) !== `${digestText(text)}\n`) return null;
  // The digest matched, so this is what encodeSeal wrote; the shape is checked all the same before it is believed.
  const record: unknown = JSON.parse(text.slice(FORM.length + 1));
  if (typeof record !== 'object' || record === null) return null;
  if (!('digest' in record && 'media_type' in record && 'size' in record)) return null;
  const { digest, media_type: mediaType, size } = record;
  if (!isDigest(digest) || typeof mediaType !== 'string' || typeof size !== 'number') return null;
  return { digest, mediaType, size };
}
