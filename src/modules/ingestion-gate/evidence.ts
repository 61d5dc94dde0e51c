import { Injectable } from '@nestjs/common';
import { type Digest, digestBytes } from '../../rails/digest.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { objectKey, type Ref } from '../../rails/ref.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import { sha256 } from './identity.core.js';
import { type Reason, type Stage } from './ingestion-gate.port.js';

/** What proves one refusal. */
export interface EvidenceLine {
  readonly principal: string;
  readonly stage: Stage;
  readonly reason: Reason;
  readonly detail: string;
  /** Of the event's UTF-8 bytes as they came. */
  readonly raw_digest: Digest;
  /** Absent where the digest alone is kept. */
  readonly raw?: string;
  readonly content_digest?: Digest;
  /** Of a conflict: the content that was admitted under the identity. */
  readonly standing_digest?: Digest;
}

export interface EvidencePut {
  readonly ref: Ref;
  /** Where each line stands in the object, in bytes. */
  readonly ranges: readonly { readonly start: number; readonly end: number }[];
}

/**
 * An event that its sender may not send, or that is too large, leaves its digest alone: a caller without rights must not be
 * able to fill the store with what it likes.
 */
const DIGEST_ALONE: ReadonlySet<Reason> = new Set(['PRODUCER_MISMATCH', 'POLICY_DENY', 'PAYLOAD_TOO_LARGE']);

export function keepsRaw(reason: Reason): boolean {
  return !DIGEST_ALONE.has(reason);
}

/** Evidence of refusals: one object per batch, a line of JSON per event, put before the rows that name it (law R4). */
@Injectable()
export class Evidence {
  constructor(private readonly objects: Objects) {}

  async put(lines: readonly EvidenceLine[]): Promise<EvidencePut> {
    const pieces = lines.map((line) => Buffer.from(`${JSON.stringify(line)}\n`));
    let end = 0;
    const ranges = pieces.map((piece) => {
      const start = end;
      end += piece.byteLength;
      return { start, end };
    });
    const bytes = Buffer.concat(pieces, end);
    const digest = digestBytes(bytes);
    const { ref } = await this.objects.putIfAbsent(objectKey(`ig/quarantine/${digest}.ndjson`), bytes, {
      mediaType: 'application/x-ndjson',
      expect: digest,
    });
    return { ref, ranges };
  }

  /** The bytes of one event as they came; null where its digest alone was kept. */
  async raw(ref: Ref, range: { readonly start: number; readonly end: number }, digest: Digest): Promise<Buffer | null> {
    const line = (await this.objects.readRange(ref, range)).toString('utf8');
    // The object's digest was verified, so this is what `put` wrote.
    const { raw } = JSON.parse(line) as EvidenceLine;
    if (raw === undefined) return null;
    if (sha256(raw) !== digest)
      throw new ProbityError('OBJECTS_DIGEST_MISMATCH', 'the evidence is not of the event that the ledger names', {
        data: { key: ref.locator },
      });
    return Buffer.from(raw);
  }
}
