import { Type } from '@sinclair/typebox';
import { asBasis, BasisSchema } from '../../rails/basis.js';
import { type Offset, OffsetSchema, PartitionSchema, TopicNameSchema } from '../../rails/eb-ref.js';
import type { Ref } from '../../rails/ref.js';
import { closed, type Sealed } from '../../rails/schema.js';
import { validatorOf } from '../../rails/validator.js';
import type { Bus } from '../../substrate/bus/bus.port.js';
import { readStretch, type StretchBatch } from '../../substrate/bus/stretch.js';
import type { Objects } from '../../substrate/objects/objects.port.js';
import type { ReplayLog, ReplayRecord } from '../../substrate/projection/replay.js';
import { type ChunkErrors, readChunkBesideBus } from './archive/chunk-beside-bus.js';
import { ChunkSchema } from './archive/chunk.core.js';

export const SourceSchema = Type.Union([Type.Literal('bus'), Type.Literal('archive')]);

export const ReplayPieceSchema = closed({
  topic: TopicNameSchema,
  partition: PartitionSchema,
  start: OffsetSchema,
  /** Exclusive. */
  end: OffsetSchema,
  source: SourceSchema,
  /** Of a piece of the archive: the chunks that hold it, in order. */
  chunks: Type.Array(ChunkSchema),
});
export type ReplayPiece = Sealed<typeof ReplayPieceSchema>;

/** Stands in `gov/jobs/<op_id>/replay.json` before anything is read, and never changes: whoever goes on after a crash reads the very same. */
export const ReplayPlanSchema = closed(
  {
    format: Type.Literal('probity.replay.v1'),
    basis: BasisSchema,
    /** Those of a partition join, in order, from its beginning to the basis. */
    pieces: Type.Array(ReplayPieceSchema),
  },
  { description: 'What a backfill reads of the log: each stretch, and where it stands.' },
);
export type ReplayPlan = Sealed<typeof ReplayPlanSchema>;

const FAILURES: ChunkErrors = {
  gap: 'REPLAY_BASIS_GAP',
  unresolved: 'REPLAY_BASIS_UNRESOLVED',
  mismatch: 'REPLAY_BASIS_MISMATCH',
};
const plans = validatorOf(ReplayPlanSchema, 'the replay plan');

export interface ReplaySources {
  readonly bus: Bus;
  readonly objects: Objects;
}

export async function readReplayPlan(objects: Objects, ref: Ref): Promise<ReplayPlan> {
  return plans.demand(JSON.parse((await objects.read(ref)).toString('utf8')));
}

/**
 * A piece from some offset on, batch by batch.
 * @throws REPLAY_BASIS_GAP, REPLAY_BASIS_MISMATCH, OPS_ARCHIVE_GAP, OPS_ARCHIVE_TAMPERED; all name topic, partition and offset
 */
export async function* readReplayPiece(
  sources: ReplaySources,
  piece: ReplayPiece,
  from: Offset,
  signal: AbortSignal,
): AsyncGenerator<StretchBatch<ReplayRecord>, void> {
  const { topic, partition, end } = piece;
  const start = Math.max(from, piece.start) as Offset;
  if (piece.source === 'bus') {
    yield* readStretch(sources.bus, { topic, partition, start, end }, FAILURES, signal);
    return;
  }
  for (const chunk of piece.chunks) {
    if (chunk.next_offset <= start) continue;
    signal.throwIfAborted();
    const records = await readChunkBesideBus(sources, chunk, FAILURES, signal);
    yield {
      records: records.filter(({ offset }) => offset >= start && offset < end),
      next: Math.min(chunk.next_offset, end) as Offset,
    };
  }
}

/** The log as the unit reads it whose state is made again. */
export function replayLog(sources: ReplaySources): ReplayLog {
  return {
    open: async (plan) => {
      const { basis, pieces } = await readReplayPlan(sources.objects, plan);
      return {
        basis: asBasis(basis),
        stretches: pieces.map((piece) => ({
          ...{ topic: piece.topic, partition: piece.partition, start: piece.start, end: piece.end },
          read: (from, signal) => readReplayPiece(sources, piece, from, signal),
        })),
      };
    },
    onward: (stretch) => ({
      ...stretch,
      read: (from, signal) => readStretch(sources.bus, { ...stretch, start: from }, FAILURES, signal),
    }),
  };
}
