import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { digestBytes } from '../../../rails/digest.js';
import { isProbityError, ProbityError } from '../../../rails/errors/probity-error.js';
import type { Objects } from '../../../substrate/objects/objects.port.js';
import { type ArchivedRecord, type Chunk, decodeChunk } from './chunk.core.js';

const unpacked = promisify(gunzip);

/**
 * The records of one chunk, after its bytes, its place, its count and every payload were compared with what the index says.
 * @throws OPS_ARCHIVE_GAP where the object is gone, OPS_ARCHIVE_TAMPERED where it is another; both name topic, partition and offsets
 */
export async function readChunk(objects: Objects, chunk: Chunk): Promise<readonly ArchivedRecord[]> {
  const bytes = await contentOf(objects, chunk);
  if (digestBytes(bytes) !== chunk.content_digest) throw tampered(chunk, chunk.first_offset, 'the content is another');
  const read = decodeChunk(chunk, bytes);
  if (!read.ok) throw tampered(chunk, read.damage.offset, read.damage.says);
  return read.records;
}

async function contentOf(objects: Objects, chunk: Chunk): Promise<Buffer> {
  let packed: Buffer;
  try {
    packed = await objects.read(chunk.ref);
  } catch (error) {
    if (isProbityError(error, 'OBJECTS_NOT_FOUND'))
      throw gapOf(chunk, chunk.first_offset, chunk.next_offset, `the chunk ${chunk.ref.locator} is gone`);
    if (isProbityError(error, 'OBJECTS_DIGEST_MISMATCH'))
      throw tampered(chunk, chunk.first_offset, `the bytes of ${chunk.ref.locator} are others`);
    throw error;
  }
  try {
    // What the index says bounds what may come out: a few bytes cannot become more memory than that.
    return await unpacked(packed, { maxOutputLength: Math.max(1, chunk.bytes) });
  } catch {
    throw tampered(chunk, chunk.first_offset, `${chunk.ref.locator} cannot be unpacked to ${chunk.bytes} bytes`);
  }
}

function tampered({ topic, partition, next_offset }: Chunk, first: number, says: string): ProbityError {
  return new ProbityError('OPS_ARCHIVE_TAMPERED', `${topic}/${partition} from offset ${first} on: ${says}`, {
    data: { topic, partition, first_offset: first, next_offset },
  });
}

export function gapOf(
  { topic, partition }: Pick<Chunk, 'topic' | 'partition'>,
  first: number,
  next: number,
  says: string,
): ProbityError {
  return new ProbityError('OPS_ARCHIVE_GAP', `${topic}/${partition} from offset ${first} to before ${next}: ${says}`, {
    data: { topic, partition, first_offset: first, next_offset: next },
  });
}
