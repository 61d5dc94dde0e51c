import type { SchemaElement } from 'hyparquet';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { ProbityError } from '../../rails/errors/probity-error.js';
import type { Column } from './dataset.schema.js';

/** A cell: whole numbers as bigint or decimal text, true and false, texts. */
export type Cell = string | number | boolean | bigint | null;

/** What a column of this type is in the file. */
const ELEMENTS: Readonly<Record<string, Partial<SchemaElement>>> = {
  STRING: { type: 'BYTE_ARRAY', converted_type: 'UTF8' },
  INT64: { type: 'INT64' },
  BOOLEAN: { type: 'BOOLEAN' },
  TIMESTAMP_MICROS: {
    type: 'INT64',
    converted_type: 'TIMESTAMP_MICROS',
    logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MICROS' },
  },
};
/** Rows are held in memory for as long as a group of them is not full. */
const GROUP_ROWS = 50_000;
const [INT64_MIN, INT64_MAX] = [-(2n ** 63n), 2n ** 63n - 1n];

/** Hands over what was written so far, and goes on behind it. */
class PieceWriter extends ByteWriter {
  take(): Buffer {
    const bytes = Buffer.from(this.getBytes());
    this.index = 0;
    return bytes;
  }
}

/**
 * Rows as a Parquet file, piece by piece: equal rows give equal bytes.
 * @throws OFS_VALUE_TOO_LARGE for a number beyond 64 bits
 */
export async function* parquetOf(
  columns: readonly Column[],
  pages: AsyncIterable<readonly (readonly Cell[])[]>,
  groupRows = GROUP_ROWS,
): AsyncGenerator<Buffer> {
  const writer = new PieceWriter();
  const parquet = new ParquetWriter({
    writer,
    schema: [{ name: 'root', num_children: columns.length }, ...columns.map(elementOf)],
    codec: 'SNAPPY',
    createdBy: 'probity',
  });
  let held: Cell[][] = columns.map(() => []);
  const write = (): Buffer => {
    void parquet.write({
      columnData: columns.map(({ name }, at) => ({ name, data: held[at] ?? [] })),
      rowGroupSize: groupRows,
    });
    held = columns.map(() => []);
    return writer.take();
  };
  for await (const rows of pages) {
    for (const row of rows) {
      columns.forEach((column, at) => held[at]?.push(cellOf(column, row[at] ?? null)));
      if ((held[0]?.length ?? 0) >= groupRows) yield write();
    }
  }
  if ((held[0]?.length ?? 0) > 0) yield write();
  void parquet.finish();
  yield writer.take();
}

function elementOf({ name, type, nullable }: Column): SchemaElement {
  const element = ELEMENTS[type];
  if (element === undefined) throw new TypeError(`no column is of type ${type}`);
  return { name, repetition_type: nullable ? 'OPTIONAL' : 'REQUIRED', ...element };
}

function cellOf({ name, type }: Column, cell: Cell): Cell {
  if (cell === null || (type !== 'INT64' && type !== 'TIMESTAMP_MICROS') || typeof cell === 'boolean') return cell;
  const number = BigInt(cell);
  if (number < INT64_MIN || number > INT64_MAX)
    throw new ProbityError('OFS_VALUE_TOO_LARGE', `a value of ${name} has more than 64 bits`);
  return number;
}
