import type { Offset, TopicName } from '../../rails/eb-ref.js';
import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import type { Bus } from '../../substrate/bus/bus.port.js';
import type { Clock } from '../../substrate/clock/clock.port.js';
import type { Objects } from '../../substrate/objects/objects.port.js';
import { outgoing } from '../../substrate/rpc/outgoing.js';
import { type ArchivedRecord, type ArchivePort, type Chunk, readChunk } from '../run-operate/archive.port.js';
import type { BuildPlan } from './dataset.schema.js';
import { readStretch } from './replay-basis.js';

/** A page of two hundred chunks is one look into an index. */
const RANGES_LIMIT_MS = 30_000;

export interface Stretch {
  readonly topic: TopicName;
  readonly partition: number;
  readonly start: Offset;
  readonly end: Offset;
}

/** A stretch that is read from one place. */
export interface Piece extends Stretch {
  readonly source: 'bus' | 'archive';
}

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

/** From where each part of a stretch is read: by itself from the archive what the bus no longer has, and the rest from the bus. */
export async function piecesOf(
  { bus }: Pick<Sources, 'bus'>,
  source: BuildPlan['source'],
  stretch: Stretch,
): Promise<readonly Piece[]> {
  const { topic, partition, start, end } = stretch;
  if (source !== 'auto') return [{ ...stretch, source }];
  const low = (await bus.marks(topic)).find((mark) => mark.partition === partition)?.lowWater ?? start;
  if (low <= start || start >= end) return [{ ...stretch, source: 'bus' }];
  if (low >= end) return [{ ...stretch, source: 'archive' }];
  return [
    { ...stretch, end: low, source: 'archive' },
    { ...stretch, start: low, source: 'bus' },
  ];
}

/** Reads a piece whole, batch by batch. @param onEvidence told once, at the end of a piece of the archive */
export async function* readPiece(
  sources: Sources,
  piece: Piece,
  signal: AbortSignal,
  onEvidence: (evidence: ArchiveEvidence) => void,
): AsyncGenerator<readonly ReplayRecord[]> {
  if (piece.source === 'bus') yield* readStretch(sources.bus, piece, signal);
  else yield* readArchived(sources, piece, signal, onEvidence);
}

/**
 * Chunk by chunk. What the bus still has of a chunk is held against it, record by record: where the two differ nobody can say which of them was
 * admitted.
 * @throws OFS_ARCHIVE_GAP that names the offsets, OPS_ARCHIVE_TAMPERED, OFS_REPLAY_BASIS_MISMATCH
 */
async function* readArchived(
  sources: Sources,
  { topic, partition, start, end }: Stretch,
  signal: AbortSignal,
  onEvidence: (evidence: ArchiveEvidence) => void,
): AsyncGenerator<readonly ReplayRecord[]> {
  const { archive, objects, clock } = sources;
  let chunks = 0;
  try {
    for (let next = start; next < end;) {
      const window = { topic, partition, first_offset: next, next_offset: end };
      const page = await archive.ranges(window, outgoing(clock, RANGES_LIMIT_MS, { signal }));
      for (const chunk of page.chunks) {
        signal.throwIfAborted();
        const records = await readChunk(objects, chunk);
        await demandSame(sources.bus, chunk, records, signal);
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

async function demandSame(
  bus: Bus,
  { topic, partition, first_offset, next_offset }: Chunk,
  records: readonly ArchivedRecord[],
  signal: AbortSignal,
): Promise<void> {
  const mark = (await bus.marks(topic)).find((each) => each.partition === partition);
  if (mark === undefined) return;
  const start = Math.max(first_offset, mark.lowWater) as Offset;
  const end = Math.min(next_offset, mark.highWater) as Offset;
  const archived = records.filter(({ offset }) => offset >= start && offset < end);
  let at = 0;
  const differs = (offset: number): ProbityError =>
    new ProbityError(
      'OFS_REPLAY_BASIS_MISMATCH',
      `${topic}/${partition} at ${offset}: bus and archive hold different records`,
      {
        data: { topic, partition, offset },
      },
    );
  try {
    for await (const batch of readStretch(bus, { topic, partition, start, end }, signal)) {
      for (const { offset, value } of batch) {
        const same = archived[at];
        if (same?.offset !== offset) throw differs(Math.min(offset, same?.offset ?? offset));
        if (Buffer.compare(same.value, value) !== 0) throw differs(offset);
        at += 1;
      }
    }
  } catch (error) {
    // Trimmed meanwhile: there is nothing left to hold the chunk against.
    if (isProbityError(error, 'OFS_REPLAY_BASIS_GAP')) return;
    throw error;
  }
  const beyond = archived[at];
  if (beyond !== undefined) throw differs(beyond.offset);
}
