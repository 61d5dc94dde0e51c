import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { type KeptEvent, type KeptLabel } from '../../rails/features/kept.js';

export type SegmentKind = 'events' | 'labels';

const packed = promisify(gzip);
const unpacked = promisify(gunzip);

export interface StoredSegment {
  readonly kind: SegmentKind;
  readonly rows: number;
  readonly newestMicros: number;
  readonly bytes: Buffer;
}

/** Part of a checkpoint before it is compressed: one JSON array a line. */
interface SegmentText {
  readonly kind: SegmentKind;
  readonly rows: number;
  readonly newestMicros: number;
  readonly text: string;
}

export async function packedSegments(
  events: readonly KeptEvent[],
  facts: readonly KeptLabel[],
): Promise<readonly StoredSegment[]> {
  const texts: SegmentText[] = [];
  if (events.length > 0) texts.push(segment('events', events, ([, , ts]) => ts));
  if (facts.length > 0) texts.push(segment('labels', facts, ([, , observed]) => observed));
  return await Promise.all(
    texts.map(async ({ kind, rows, newestMicros, text }) => ({
      kind,
      rows,
      newestMicros,
      bytes: await packed(text, { level: 1 }),
    })),
  );
}

export async function unpackedText({ bytes }: StoredSegment): Promise<string> {
  return (await unpacked(bytes)).toString('utf8');
}

/** @throws SyntaxError for text that no segment has */
export function* rowsOf<Row>(text: string): Generator<Row, void> {
  let from = 0;
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', from)) {
    yield JSON.parse(text.slice(from, end)) as Row;
    from = end + 1;
  }
  if (from !== text.length) throw new SyntaxError('the last line of a segment is cut off');
}

function segment<Row>(kind: SegmentKind, rows: readonly Row[], timeOf: (row: Row) => number): SegmentText {
  let newestMicros = Number.NEGATIVE_INFINITY;
  let text = '';
  for (const row of rows) {
    newestMicros = Math.max(newestMicros, timeOf(row));
    text += `${JSON.stringify(row)}\n`;
  }
  return { kind, rows: rows.length, newestMicros, text };
}
