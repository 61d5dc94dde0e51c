import type { Digest } from '../../rails/digest.js';
import type { ObjectKey, Ref } from '../../rails/ref.js';
import type { Health } from '../health.js';

/**
 * The object store: immutable things under keys. What was put stands for ever; there is no overwrite and no delete here
 * (law R7). Every write and every read is checked against a sha-256 digest (law R4).
 */
export interface PutOptions {
  readonly mediaType: string;
  /** What the bytes are expected to be; others are refused with OBJECTS_DIGEST_MISMATCH and nothing becomes visible. */
  readonly expect?: Digest;
}

/**
 * NEW: it was put by this call. DUPLICATE: the very same bytes stood there already. CONFLICT: other bytes stand there,
 * and stay (law R6). `ref` names what stands now; `offered` is the digest of what was brought.
 */
export interface PutResult {
  readonly outcome: 'NEW' | 'DUPLICATE' | 'CONFLICT';
  readonly ref: Ref;
  readonly offered: Digest;
}

export interface ObjectListing {
  readonly objects: readonly { readonly key: ObjectKey; readonly size: number }[];
  /** Pass it as `after` for the next page; null at the end. */
  readonly next: ObjectKey | null;
}

/** Bytes from `start` up to, not including, `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export abstract class Objects {
  /** `files` or `s3`: for people and metrics. */
  abstract readonly kind: string;

  /**
   * Puts bytes, or a stream of any length in constant memory, if nothing stands under the key. A key may be the parent of
   * another one. What the stream itself throws is thrown on as it is, and nothing becomes visible.
   */
  abstract putIfAbsent(
    key: ObjectKey,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: PutOptions,
  ): Promise<PutResult>;

  /** The whole object, verified. For what fits into memory; `bytesMax` (default 64 MiB) refuses what does not. */
  abstract read(ref: Ref, options?: { readonly bytesMax?: number }): Promise<Buffer>;

  /**
   * The object as a stream in constant memory. The digest is known only at the end: the stream then fails with
   * OBJECTS_DIGEST_MISMATCH instead of ending. Act on what was read only after it has ended.
   */
  abstract open(ref: Ref): AsyncIterable<Uint8Array>;

  /** A part of the object, verified like the whole: it is not handed out before the whole has been hashed. */
  abstract readRange(ref: Ref, range: ByteRange): Promise<Buffer>;

  /** The ref of what stands under the key, as it was recorded when it was put; null when nothing does. */
  abstract head(key: ObjectKey): Promise<Ref | null>;

  /**
   * Keys that begin with the prefix (whole segments: `ig/quarantine/`; empty for all), in code point order. `after` need
   * not be a key that is there. A page ends at 1,000 keys (the default) however many are asked for.
   */
  abstract list(
    prefix: string,
    options?: { readonly after?: ObjectKey; readonly limit?: number },
  ): Promise<ObjectListing>;

  abstract health(): Promise<Health>;
  abstract close(): Promise<void>;
}
