import { ProbityError } from '../../rails/errors/probity-error.js';
import { type Ref } from '../../rails/ref.js';
import { s3Error, s3Fault } from './s3.errors.js';

export interface Resumption {
  /** The object from this byte on. Errors of the platform; what breaks later breaks in the stream. */
  get(offset: number): Promise<AsyncIterable<Uint8Array>>;
  /** Breaks in a row, without a byte between them, after which the reading is given up. */
  readonly attemptsMax: number;
  pause(failures: number): Promise<void>;
}

/**
 * The bytes of an object as they come. When the connection breaks, the rest is asked for: the server was restarted, or
 * the consumer was so slow that the connection counted as dead. Whether the pieces are of one object, the digest tells.
 *
 * @throws ProbityError OBJECTS_UNAVAILABLE
 */
export async function* resumed(ref: Ref, from: Resumption): AsyncGenerator<Uint8Array> {
  let offset = 0;
  for (let failures = 0; ;) {
    const body = await from.get(offset);
    try {
      for await (const chunk of body) {
        offset += chunk.byteLength;
        failures = 0;
        yield chunk;
      }
    } catch (error) {
      if (s3Fault(error).meaning !== 'AGAIN') throw s3Error(error, 'the reading', ref.locator);
    }
    // All has come, even when the connection broke behind it. An empty object is here after its first answer.
    if (offset >= ref.size) return;
    failures += 1;
    if (failures >= from.attemptsMax) {
      throw new ProbityError('OBJECTS_UNAVAILABLE', `the reading of ${ref.locator} broke off at byte ${offset}`, {
        data: { key: ref.locator, offset },
      });
    }
    await from.pause(failures);
  }
}
