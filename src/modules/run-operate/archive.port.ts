import { Type } from '@sinclair/typebox';
import { OffsetSchema, PartitionSchema, TopicNameSchema } from '../../rails/eb-ref.js';
import { closed, type Sealed } from '../../rails/schema.js';
import type { CallContext } from '../../substrate/rpc/rpc.port.js';
import { defineContract } from '../../substrate/rpc/rpc-contract.js';
import { ChunkSchema } from './archive/chunk.core.js';

export { type ChunkErrors, readChunkBesideBus } from './archive/chunk-beside-bus.js';
export { readChunk } from './archive/chunk-reader.js';
export { type ArchivedRecord, type Chunk, ChunkSchema } from './archive/chunk.core.js';

export const ArchiveWindowSchema = closed({
  topic: TopicNameSchema,
  partition: PartitionSchema,
  first_offset: OffsetSchema,
  /** Exclusive. */
  next_offset: OffsetSchema,
});
export type ArchiveWindow = Sealed<typeof ArchiveWindowSchema>;

export const ArchiveRangesSchema = closed({
  /** In order, each beginning where the one before ended, the first at or before the window, their links compared. */
  chunks: Type.Array(ChunkSchema),
  /** Where they end; before the end of the window there are more to ask for from here. */
  next_offset: OffsetSchema,
});
export type ArchiveRanges = Sealed<typeof ArchiveRangesSchema>;

/** What was admitted, from objects that never change: for whoever needs what the bus no longer keeps. */
export abstract class ArchivePort {
  /**
   * Refs of the chunks that hold a window, a page of them; the caller reads each with `readChunk`, which compares its bytes.
   * @throws OPS_ARCHIVE_GAP that names the first offsets that are in no chunk, OPS_ARCHIVE_TAMPERED for an index that does not hang together
   */
  abstract ranges(request: ArchiveWindow, context: CallContext): Promise<ArchiveRanges>;
}

export const ARCHIVE_CONTRACT = defineContract('ops', {
  ranges: {
    request: ArchiveWindowSchema,
    response: ArchiveRangesSchema,
    idempotent: true,
    permission: 'rpc.call:ops',
    summary: 'The chunks of the archive that hold a window, proven to be without a gap',
  },
});
