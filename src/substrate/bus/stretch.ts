import { isProbityError, ProbityError } from '../../rails/errors/probity-error.js';
import type { ErrorCode } from '../../rails/errors/registry.js';
import type { Bus, BusRecord, Offset, TopicPartition } from './bus.port.js';

const POLL_WAIT_MS = 5_000;
const POLL_RECORDS = 1_000;

/** Part of one partition: from `start` to before `end`. */
export interface Stretch extends TopicPartition {
  readonly start: Offset;
  readonly end: Offset;
}

/** A stretch that is read from one place. */
export interface Piece extends Stretch {
  readonly source: 'bus' | 'archive';
}

/** From where each part of a stretch is read: by itself from the archive what the bus no longer has, and the rest from the bus. */
export async function piecesOf(
  bus: Bus,
  source: 'bus' | 'archive' | 'auto',
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

/** What the failures of a reading are called. */
export interface StretchErrors {
  /** A part of it is gone. */
  readonly gap: ErrorCode;
  /** It ends beyond the log. */
  readonly unresolved: ErrorCode;
}

/** Records one after the other, and the offset up to which that is all there is. */
export interface StretchBatch<Read = BusRecord> {
  readonly records: readonly Read[];
  readonly next: Offset;
}

/** Reads a stretch whole, batch by batch: the bus never skips, so that what was read to the end is all of it. @throws the codes given; BUS_UNAVAILABLE */
export async function* readStretch(
  bus: Bus,
  { topic, partition, start, end }: Stretch,
  errors: StretchErrors,
  signal: AbortSignal,
): AsyncGenerator<StretchBatch, void> {
  if (start >= end) return;
  const gap = (says: string, lowWater?: number): ProbityError =>
    new ProbityError(errors.gap, `${topic}/${partition} ${says}`, {
      data: { topic, partition, ...(lowWater === undefined ? {} : { low_water: lowWater }) },
    });
  const mark = (await bus.marks(topic)).find((each) => each.partition === partition);
  if (mark === undefined || mark.highWater < end)
    throw new ProbityError(errors.unresolved, `${topic}/${partition} does not reach ${end}`);
  if (mark.lowWater > start) throw gap(`begins at ${mark.lowWater}, and ${start} was to be read`, mark.lowWater);
  const reader = await bus.openReader([{ topic, partition, offset: start }]);
  try {
    for (let next: Offset = start; next < end;) {
      signal.throwIfAborted();
      const batches = await reader.poll({ recordsMax: POLL_RECORDS, waitMs: POLL_WAIT_MS });
      // There are records up to the mark: one that is waited for so long is held back by an append that has not ended.
      if (batches.length === 0)
        throw new ProbityError('BUS_UNAVAILABLE', `${topic}/${partition} gave nothing at ${next} of ${end}`);
      for (const batch of batches) {
        next = batch.nextOffset;
        yield {
          records: batch.records.filter(({ offset }) => offset < end),
          next: Math.min(next, end) as Offset,
        };
      }
    }
  } catch (error) {
    if (isProbityError(error, 'BUS_OUT_OF_RETENTION')) throw gap('was trimmed while it was read');
    throw error;
  } finally {
    await reader.close();
  }
}
