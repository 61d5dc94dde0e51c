import { isUtf8 } from 'node:buffer';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type RunPins } from '../../rails/pins.js';
import { type UtcMicros } from '../../rails/time.js';
import type { Objects } from '../../substrate/objects/objects.port.js';
import { eventIdOf } from '../data-engine/data-engine.port.js';
import { type Batch, type RowPlace } from './answers.core.js';
import { EnvelopeWriter } from './envelope-text.core.js';
import { type CutRow, cutRow } from './row.core.js';
import { type TimedPart } from '../scenario-runner/run-facts.port.js';
import { type TrafficOutput } from './stream.facts.js';

/** Parts are sealed with at most 8 MiB; a larger one is not taken into memory. */
const PART_BYTES_MAX = 8 * 1024 * 1024;
const NEWLINE = 10;

export interface BatchLimits {
  readonly events: number;
  /** Characters of the events of one batch: rows may be large, and a call is held in memory several times. */
  readonly chars: number;
  /** Rows with a later time are left. */
  readonly until?: UtcMicros;
}

/**
 * One output, row by row. Each part is read whole and verified by its ref before a row of it is used; the next one is being read
 * meanwhile. Memory: the text of one part and the bytes of the next.
 */
class OutputReader {
  /** The row to send next; null where a part has to be loaded first, or at the end. */
  row: CutRow | null = null;
  #rowNumber: number;
  #partIndex: number;
  #text = '';
  #at = 0;
  #ahead: Promise<Buffer> | undefined;
  #lastTs = '';
  readonly writer: EnvelopeWriter;

  constructor(
    readonly output: TrafficOutput,
    private readonly objects: Objects,
    pins: RunPins,
    producer: string,
    firstRow: number,
  ) {
    this.#rowNumber = firstRow;
    this.#partIndex = output.parts.findIndex(({ first_row, rows }) => firstRow < first_row + rows);
    if (this.#partIndex < 0) this.#partIndex = output.parts.length;
    this.writer = new EnvelopeWriter({ ...output, pins, producer }, eventIdOf);
  }

  get rowNumber(): number {
    return this.#rowNumber;
  }

  get ended(): boolean {
    return this.row === null && this.#partIndex >= this.output.parts.length;
  }

  /** Makes `row` the next row of the next part. May be called again after it has failed. */
  async load(): Promise<void> {
    const part = this.output.parts[this.#partIndex];
    if (part === undefined) return;
    const reading = this.#ahead ?? this.#read(part);
    // What fails is read again at the next call: it may have been the network.
    this.#ahead = undefined;
    const bytes = await reading;
    this.#text = checkedText(bytes, part);
    this.#at = 0;
    this.#partIndex += 1;
    const next = this.output.parts[this.#partIndex];
    if (next !== undefined) {
      this.#ahead = this.#read(next);
      // Looked at when it is needed; until then a failure is nobody's.
      this.#ahead.catch(() => undefined);
    }
    for (let skipped = part.first_row; skipped < this.#rowNumber; skipped += 1)
      this.#at = this.#text.indexOf('\n', this.#at) + 1;
    this.#cut(part);
    if (this.row === null) throw broken(part, 'has no row where the index says so');
    if (this.#rowNumber === part.first_row && this.row.ts !== part.first_ts_utc)
      throw broken(part, 'does not begin at the time that the index says');
  }

  advance(): void {
    this.#rowNumber += 1;
    const part = this.output.parts[this.#partIndex - 1];
    if (part !== undefined) this.#cut(part);
  }

  #read({ ref }: TimedPart): Promise<Buffer> {
    return this.objects.read(ref, { bytesMax: PART_BYTES_MAX });
  }

  #cut(part: TimedPart): void {
    const end = this.#text.indexOf('\n', this.#at);
    if (end < 0) {
      this.row = null;
      this.#text = '';
      if (this.#lastTs !== part.last_ts_utc) throw broken(part, 'does not end at the time that the index says');
      return;
    }
    const row = cutRow(this.#text, this.#at, end);
    if (row === null) throw broken(part, `holds a row of another form (row ${this.#rowNumber} of the output)`);
    if (row.ts < this.#lastTs) throw broken(part, `goes back in time at row ${this.#rowNumber} of the output`);
    this.row = row;
    this.#lastTs = row.ts;
    this.#at = end + 1;
  }
}

function checkedText(bytes: Buffer, part: TimedPart): string {
  if (!isUtf8(bytes)) throw broken(part, 'is not UTF-8');
  let rows = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) rows += 1;
  if (rows !== part.rows || bytes.at(-1) !== NEWLINE) throw broken(part, `does not hold ${part.rows} whole rows`);
  return bytes.toString('utf8');
}

function broken({ ref }: TimedPart, what: string): ProbityError {
  return new ProbityError('WSP_PART_INVALID', `${ref.locator} ${what}`, { data: { locator: ref.locator } });
}

/**
 * The sealed traffic of a run as one sequence of events in the order of (`ts_utc`, output, row), from any row on. The order follows from the
 * sealed bytes alone, so that whoever takes the stream up sends the same events in the same order.
 */
export class TrafficReader {
  readonly #readers: readonly OutputReader[];

  /** @param nextRows per output the first row to send; those that it does not name begin at their first */
  constructor(
    outputs: readonly TrafficOutput[],
    { objects, pins, producer }: { readonly objects: Objects; readonly pins: RunPins; readonly producer: string },
    nextRows: Readonly<Record<string, number>>,
  ) {
    this.#readers = outputs.map(
      (output) => new OutputReader(output, objects, pins, producer, nextRows[output.output_id] ?? 0),
    );
  }

  /** The time of the next event; null at the end. */
  async peek(): Promise<UtcMicros | null> {
    await this.#loadAll();
    return this.#first()?.row.ts ?? null;
  }

  /**
   * The next events, fewer where a part ends; null where none is due, or at the end, which `peek` tells apart. After an error nothing was
   * taken, and it may be called again.
   *
   * @throws ProbityError OBJECTS_DIGEST_MISMATCH, OBJECTS_NOT_FOUND, OBJECTS_UNAVAILABLE, WSP_PART_INVALID: names the object
   */
  async next({ events: eventsMax, chars: charsMax, until }: BatchLimits): Promise<Batch | null> {
    await this.#loadAll();
    const events: string[] = [];
    let chars = 0;
    let last: RowPlace | null = null;
    while (events.length < eventsMax && chars < charsMax) {
      // What follows may stand in a part that is not loaded yet; the batch ends before it, so that a bad part spoils no good row.
      const first: FirstRow | null = last !== null && this.#readers.some(needsPart) ? null : this.#first();
      if (first === null || (until !== undefined && first.row.ts > until)) break;
      const { reader, row }: FirstRow = first;
      const event = reader.writer.write(row);
      last = { ts_utc: row.ts, output_id: reader.output.output_id, row: reader.rowNumber, key: row.key };
      events.push(event);
      chars += event.length;
      reader.advance();
    }
    if (last === null) return null;
    const key = JSON.parse(last.key) as string; // Cut out as a JSON string.
    const nextRows = Object.fromEntries(this.#readers.map(({ output, rowNumber }) => [output.output_id, rowNumber]));
    return { events, last: { ...last, key }, nextRows };
  }

  async #loadAll(): Promise<void> {
    for (const reader of this.#readers) if (needsPart(reader)) await reader.load();
  }

  /** Readers stand in the order of their outputs' ids, so among equal times the first one wins. */
  #first(): FirstRow | null {
    let first: FirstRow | null = null;
    for (const reader of this.#readers) {
      const { row } = reader;
      if (row !== null && (first === null || row.ts < first.row.ts)) first = { reader, row };
    }
    return first;
  }
}

interface FirstRow {
  readonly reader: OutputReader;
  readonly row: CutRow;
}

function needsPart(reader: OutputReader): boolean {
  return reader.row === null && !reader.ended;
}
