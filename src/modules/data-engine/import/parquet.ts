import {
  type AsyncBuffer,
  type FileMetaData,
  parquetMetadataAsync,
  parquetReadObjects,
  type SchemaElement,
} from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { isProbityError, ProbityError } from '../../../rails/errors/probity-error.js';
import type { ScratchFile } from '../sealing/scratch.js';
import type { Cells } from './field-readers.core.js';
import { columnsOf, type Mapping } from './mapping.schema.js';
import { cellOf } from './ndjson.core.js';
import type { Table, TableRow } from './table.js';

/** Rows that are decoded at a time: some megabytes of a dozen columns. */
const SLICE_ROWS = 20_000;

/**
 * Times as text, without a zone: whether they are moments or local times is the column's to say (`isAdjustedToUTC`), and a date
 * of this language has no microseconds.
 */
const PARSERS = {
  timestampFromMilliseconds: (millis: bigint) => naive(millis * 1_000_000n),
  timestampFromMicroseconds: (micros: bigint) => naive(micros * 1_000n),
  timestampFromNanoseconds: (nanos: bigint) => naive(nanos),
  dateFromDays: (days: number) => new Date(days * 86_400_000).toISOString().slice(0, 10),
};

function naive(nanos: bigint): string {
  const second = 1_000_000_000n;
  const rest = ((nanos % second) + second) % second;
  const text = new Date(Number((nanos - rest) / 1_000_000n)).toISOString().slice(0, 19);
  return `${text}.${rest.toString().padStart(9, '0')}`;
}

/**
 * A Parquet file as a table. Its index stands at its end, so that it is read from a temporary file; row groups are decoded in slices.
 * @throws ProbityError ENGINE_SOURCE_UNREADABLE
 */
export async function openParquet(mapping: Mapping, file: ScratchFile): Promise<Table> {
  const buffer: AsyncBuffer = {
    byteLength: file.bytes,
    slice: async (start, end = file.bytes) => {
      const bytes = new Uint8Array(end - start);
      await file.read(bytes, start);
      return bytes.buffer;
    },
  };
  const metadata = await readable(() => parquetMetadataAsync(buffer, { parsers: PARSERS }));
  const elements = topLevel(metadata);
  const columns = elements.map(({ name }) => name);
  const wanted = columnsOf(mapping).filter((column) => columns.includes(column));
  const readers = wanted.map((column) => cellReader(elements.find(({ name }) => name === column)));
  const rows = Number(metadata.num_rows);

  async function* batches(): AsyncGenerator<readonly TableRow[]> {
    // Slices end where row groups end: one that reached into the next would decode both.
    let groupStart = 0;
    for (const group of metadata.row_groups) {
      const groupEnd = groupStart + Number(group.num_rows);
      for (let start = groupStart; start < groupEnd; start += SLICE_ROWS) {
        const end = Math.min(groupEnd, start + SLICE_ROWS);
        const objects = await readable(() =>
          parquetReadObjects({
            file: buffer,
            metadata,
            columns: wanted,
            rowStart: start,
            rowEnd: end,
            compressors,
            parsers: PARSERS,
            useOffsetIndex: true,
          }),
        );
        yield objects.map((object) => cellsOf(object, wanted, readers));
      }
      groupStart = groupEnd;
    }
    if (groupStart !== rows) {
      throw new ProbityError(
        'ENGINE_SOURCE_UNREADABLE',
        `the row groups hold ${groupStart} rows, the file says ${rows}`,
      );
    }
  }
  return { columns: wanted, seen: () => columns, batches: batches() };
}

/** Columns of their own: what is nested in groups has no one text. */
function topLevel({ schema }: FileMetaData): readonly SchemaElement[] {
  const elements: SchemaElement[] = [];
  for (let at = 1; at < schema.length; at = skip(schema, at)) {
    const element = schema[at];
    if (element !== undefined && (element.num_children ?? 0) === 0) elements.push(element);
  }
  return elements;
}

function skip(schema: readonly SchemaElement[], at: number): number {
  let next = at + 1;
  for (let child = 0; child < (schema[at]?.num_children ?? 0); child += 1) next = skip(schema, next);
  return next;
}

type CellReader = (value: unknown) => string | undefined | null;

function cellsOf(
  object: Readonly<Record<string, unknown>>,
  columns: readonly string[],
  readers: readonly CellReader[],
): Cells | string {
  const cells: (string | undefined)[] = [];
  for (let i = 0; i < columns.length; i += 1) {
    const cell = readers[i]?.(object[columns[i] ?? '']);
    if (cell === null) return `the value of ${JSON.stringify(columns[i])} has no exact text`;
    cells.push(cell);
  }
  return cells;
}

function cellReader(element: SchemaElement | undefined): CellReader {
  if (element === undefined) return () => undefined;
  const { converted_type: converted, logical_type: logical, type } = element;
  if (logical?.type === 'TIMESTAMP' || converted?.startsWith('TIMESTAMP') === true || type === 'INT96') {
    const zone = logical?.type === 'TIMESTAMP' && !logical.isAdjustedToUTC ? '' : 'Z';
    return (value) => (typeof value === 'string' ? `${value}${zone}` : cellOf(value));
  }
  if (converted === 'DECIMAL') return (value) => decimalText(value, element.scale ?? 0);
  if (type === 'FLOAT') return (value) => (typeof value === 'number' ? floatText(value) : cellOf(value));
  return cellOf;
}

/** The decoder gives a decimal as a floating-point number: its digits are exact as long as it is far from 2^53 units. */
function decimalText(value: unknown, scale: number): string | undefined | null {
  if (typeof value !== 'number') return cellOf(value);
  return Math.abs(value) * 10 ** scale < 2 ** 50 ? value.toFixed(scale) : null;
}

/** The shortest digits that mean this single-precision number: 57.16, where double precision would say 57.15999984741211. */
function floatText(value: number): string | null {
  for (let digits = 6; digits <= 9; digits += 1) {
    const text = Number(value.toPrecision(digits));
    if (Math.fround(text) === value) return cellOf(text) ?? null;
  }
  return null;
}

/** The decoder throws errors of every kind at a file that is damaged or of a kind that it does not know. */
async function readable<Result>(read: () => Promise<Result>): Promise<Result> {
  try {
    return await read();
  } catch (cause) {
    if (isProbityError(cause)) throw cause;
    const says = cause instanceof Error ? cause.message.slice(0, 200) : 'unknown';
    throw new ProbityError('ENGINE_SOURCE_UNREADABLE', `the file cannot be read as Parquet: ${says}`, { cause });
  }
}
