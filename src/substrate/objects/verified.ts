import { RunningDigest } from '../../rails/digest.js';
import { type Ref } from '../../rails/ref.js';
import { mismatch } from './objects.core.js';
import { type ByteRange } from './objects.port.js';

/**
 * Hands on what the ref promises and fails instead of ending when it was something else (law R4). More bytes than
 * promised are never handed on: the reader may have made room for `ref.size` and no more.
 *
 * @throws ProbityError OBJECTS_DIGEST_MISMATCH
 */
export async function* verified(ref: Ref, source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const running = new RunningDigest();
  for await (const chunk of source) {
    running.update(chunk);
    if (running.size > ref.size) {
      throw mismatch(ref.locator, ref.digest.hex, null, `there are more than the ${ref.size} bytes of the ref`);
    }
    yield chunk;
  }
  const { size } = running;
  if (size !== ref.size) {
    throw mismatch(ref.locator, ref.digest.hex, null, `there are ${size} bytes instead of ${ref.size}`);
  }
  const found = running.finish();
  if (found !== ref.digest.hex) throw mismatch(ref.locator, ref.digest.hex, found);
}

/** A part of the object, held back until the whole has been verified. Memory: the part and one chunk. */
export async function verifiedRange(ref: Ref, source: AsyncIterable<Uint8Array>, range: ByteRange): Promise<Buffer> {
  const part = Buffer.allocUnsafe(range.end - range.start);
  let offset = 0;
  for await (const chunk of verified(ref, source)) {
    const from = Math.max(range.start - offset, 0);
    const to = Math.min(range.end - offset, chunk.byteLength);
    if (from < to) part.set(chunk.subarray(from, to), offset + from - range.start);
    offset += chunk.byteLength;
  }
  return part;
}

/** Reads to the end for the verdict alone. */
export async function verify(ref: Ref, source: AsyncIterable<Uint8Array>): Promise<void> {
  // Nothing to do with a chunk: the generator has hashed it.
  for await (const _chunk of verified(ref, source));
}
