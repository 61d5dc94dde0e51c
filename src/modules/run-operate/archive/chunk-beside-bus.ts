import type { Offset } from '../../../rails/eb-ref.js';
import { isProbityError, ProbityError } from '../../../rails/errors/probity-error.js';
import type { ErrorCode } from '../../../rails/errors/registry.js';
import type { Bus } from '../../../substrate/bus/bus.port.js';
import { readStretch, type StretchErrors } from '../../../substrate/bus/stretch.js';
import type { Objects } from '../../../substrate/objects/objects.port.js';
import { readChunk } from './chunk-reader.js';
import type { ArchivedRecord, Chunk } from './chunk.core.js';

export interface ChunkErrors extends StretchErrors {
  /** Bus and archive hold different records. */
  readonly mismatch: ErrorCode;
}

/**
 * The records of a chunk. What the bus still has of it is held against it, record by record: where the two differ nobody can say which of them was admitted.
 * @throws OPS_ARCHIVE_GAP that names the offsets, OPS_ARCHIVE_TAMPERED, the code for `mismatch`
 */
export async function readChunkBesideBus(
  { bus, objects }: { readonly bus: Bus; readonly objects: Objects },
  chunk: Chunk,
  errors: ChunkErrors,
  signal: AbortSignal,
): Promise<readonly ArchivedRecord[]> {
  const records = await readChunk(objects, chunk);
  await demandSame(bus, chunk, records, errors, signal);
  return records;
}

async function demandSame(
  bus: Bus,
  { topic, partition, first_offset, next_offset }: Chunk,
  records: readonly ArchivedRecord[],
  errors: ChunkErrors,
  signal: AbortSignal,
): Promise<void> {
  const mark = (await bus.marks(topic)).find((each) => each.partition === partition);
  if (mark === undefined) return;
  const start = Math.max(first_offset, mark.lowWater) as Offset;
  const end = Math.min(next_offset, mark.highWater) as Offset;
  const archived = records.filter(({ offset }) => offset >= start && offset < end);
  let at = 0;
  const differs = (offset: number): ProbityError =>
    new ProbityError(errors.mismatch, `${topic}/${partition} at ${offset}: bus and archive hold different records`, {
      data: { topic, partition, offset },
    });
  try {
    for await (const batch of readStretch(bus, { topic, partition, start, end }, errors, signal)) {
      for (const { offset, value } of batch.records) {
        const same = archived[at];
        if (same?.offset !== offset) throw differs(Math.min(offset, same?.offset ?? offset));
        if (Buffer.compare(same.value, value) !== 0) throw differs(offset);
        at += 1;
      }
    }
  } catch (error) {
    // Trimmed meanwhile: there is nothing left to hold the chunk against.
    if (isProbityError(error, errors.gap)) return;
    throw error;
  }
  const beyond = archived[at];
  if (beyond !== undefined) throw differs(beyond.offset);
}
