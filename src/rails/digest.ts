import { createHash } from 'node:crypto';
import { type Brand } from './brand.js';
import { ProbityError } from './errors/probity-error.js';
import { brandedText } from './schema.js';

/** The sha-256 of some bytes as 64 lower-case hex digits. Node's hash is a pure function: no I/O, no clock. */
export type Digest = Brand<string, 'Digest'>;

const HEX64 = /^[0-9a-f]{64}$/;

export const DigestSchema = brandedText<Digest>({
  pattern: '^[0-9a-f]{64}$',
  description: 'sha-256 as 64 lower-case hex digits',
});

export function isDigest(value: unknown): value is Digest {
  return typeof value === 'string' && HEX64.test(value);
}

/** @throws ProbityError VALUE_INVALID when the text is not 64 lower-case hex digits */
export function asDigest(value: string): Digest {
  if (!isDigest(value)) throw new ProbityError('VALUE_INVALID', 'a digest is 64 lower-case hex digits');
  return value;
}

export function digestBytes(bytes: Uint8Array): Digest {
  return createHash('sha256').update(bytes).digest('hex') as Digest;
}

/** The digest of the text's UTF-8 bytes. */
export function digestText(text: string): Digest {
  return createHash('sha256').update(text, 'utf8').digest('hex') as Digest;
}

/** A digest over bytes that arrive in pieces, for what does not fit into memory. */
export class RunningDigest {
  readonly #hash = createHash('sha256');
  #size = 0;

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#size += bytes.byteLength;
  }

  /** Bytes seen so far. */
  get size(): number {
    return this.#size;
  }

  /** Ends the computation; call it once. */
  finish(): Digest {
    return this.#hash.digest('hex') as Digest;
  }
}
