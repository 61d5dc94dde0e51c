import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import type { Bus } from '../../substrate/bus/bus.port.js';
import { type Piece, readStretch, type Stretch } from '../../substrate/bus/stretch.js';
import type { Clock } from '../../substrate/clock/clock.port.js';
import type { Objects } from '../../substrate/objects/objects.port.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import { type ArchivedRecord, type ArchivePort, type Chunk, readChunkBesideBus } from '../run-operate/archive.port.js';
import { REPLAY_FAILURES } from './replay-basis.js';

/** A page of two hundred chunks is one look into an index. */
const RANGES_LIMIT_MS = 30_000;

/** What a replay takes of a record, wherever it stands. */
export type ReplayRecord = Pick<ArchivedRecord, 'offset' | 'value'>;

export interface Sources {
  readonly bus: Bus;
  readonly archive: ArchivePort;
  readonly objects: Objects;
  readonly clock: Clock;
}

/** What was read of a piece of the archive: the last link names every chunk up to there. */
export interface ArchiveEvidence {
  readonly chunks: number;
  readonly chain: Chunk['chain'];
}

/** Reads a piece whole, batch by batch. @param onEvidence told once, at the end of a piece of the archive */
export async function* readPiece(
  sources: Sources,
  piece: Piece,
  signal: AbortSignal,
  onEvidence: (evidence: ArchiveEvidence) => void,
): AsyncGenerator<readonly ReplayRecord[]> {
  if (piece.source === 'archive') yield* readArchived(sources, piece, signal, onEvidence);
  else for await (const { records } of readStretch(sources.bus, piece, REPLAY_FAILURES, signal)) yield records;
}

/**
 * Chunk by chunk.
 * @throws OFS_ARCHIVE_GAP that names the offsets, OPS_ARCHIVE_TAMPERED, OFS_REPLAY_BASIS_MISMATCH
 */
async function* readArchived(
  sources: Sources,
  { topic, partition, start, end }: Stretch,
  signal: AbortSignal,
  onEvidence: (evidence: ArchiveEvidence) => void,
): AsyncGenerator<readonly ReplayRecord[]> {
  const { archive, clock } = sources;
  let chunks = 0;
  try {
    for (let next = start; next < end;) {
      const window = { topic, partition, first_offset: next, next_offset: end };
      const page = await archive.ranges(window, outgoing(clock, RANGES_LIMIT_MS, { signal }));
      for (const chunk of page.chunks) {
        signal.throwIfAborted();
        const records = await readChunkBesideBus(sources, chunk, REPLAY_FAILURES, signal);
        yield records.filter(({ offset }) => offset >= start && offset < end);
        chunks += 1;
        onEvidence({ chunks, chain: chunk.chain });
      }
      next = page.next_offset;
    }
  } catch (error) {
    if (!isProbityError(error, 'OPS_ARCHIVE_GAP')) throw error;
    throw new ProbityError('OFS_ARCHIVE_GAP', error.detail, { cause: error, data: error.data });
  }
}
