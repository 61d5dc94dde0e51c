import { type KeptEvent, type KeptLabel } from '../../rails/features/kept.js';

export type SegmentKind = 'events' | 'labels';

/** Part of a checkpoint before it is compressed: one JSON array a line. */
export interface SegmentText {
  readonly kind: SegmentKind;
  readonly rows: number;
  readonly newestMicros: number;
  readonly text: string;
}

export function eventsSegment(events: readonly KeptEvent[]): SegmentText {
  return segment('events', events, ([, , ts]) => ts);
}

export function labelsSegment(labels: readonly KeptLabel[]): SegmentText {
  return segment('labels', labels, ([, , observed]) => observed);
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
