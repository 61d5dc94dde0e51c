import { ProbityError } from '../../../rails/errors/probity-error.js';
import { CsvReader, type CsvRecord } from './csv.core.js';
import type { Cells } from './field-readers.core.js';
import { columnsOf, type Mapping } from './mapping.schema.js';
import { jsonCells } from './ndjson.core.js';
import { textOf, unpacked } from './source-bytes.js';

/** A row's cells, or a sentence that says why it has none. */
export type TableRow = Cells | string;

/** Rows of a source, many at a time, in the order of the file. */
export interface Table {
  /** What the cells of a row stand for. */
  readonly columns: readonly string[];
  /** Every column that was seen so far, for people: of ndjson there may be more than are bound. */
  readonly seen: () => readonly string[];
  readonly batches: AsyncIterable<readonly TableRow[]>;
}

/**
 * A source of text as a table. For csv the header is read first, so that the columns are known.
 * @throws ProbityError ENGINE_SOURCE_UNREADABLE
 */
export async function openText(mapping: Mapping, source: AsyncIterable<Uint8Array>): Promise<Table> {
  const pieces = textOf(unpacked(source));
  return mapping.format === 'csv' ? await openCsv(mapping, pieces) : openNdjson(mapping, pieces);
}

async function openCsv(mapping: Mapping, pieces: AsyncGenerator<string>): Promise<Table> {
  const reader = new CsvReader({ delimiter: mapping.delimiter ?? ',', quote: mapping.quote ?? '"' });
  let records: CsvRecord[] = [];
  let ended = false;
  const readOn = async (): Promise<void> => {
    const next: IteratorResult<string, unknown> = await pieces.next();
    ended = next.done === true;
    reader.read(next.done === true ? '' : next.value, ended, (record) => records.push(record));
  };

  const headless = mapping.columns;
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-condition -- readOn changes it
  while (headless === undefined && records.length === 0 && !ended) await readOn();
  const columns = headless ?? demandHeader(records.shift());
  const width = columns.length;
  const wrong = (found: number): string => `the row has ${found} cells instead of ${width}`;

  async function* batches(): AsyncGenerator<readonly TableRow[]> {
    try {
      for (;;) {
        if (records.length > 0) {
          const batch = records;
          records = [];
          yield batch.map((record) =>
            typeof record === 'string' || record.length === width ? record : wrong(record.length),
          );
        }
        if (ended) return;
        await readOn();
      }
    } finally {
      await pieces.return(undefined);
    }
  }
  return { columns, seen: () => columns, batches: batches() };
}

function demandHeader(record: CsvRecord | undefined): readonly string[] {
  if (record === undefined) throw unreadable('the file is empty: there is no header');
  if (typeof record === 'string') throw unreadable(`the header cannot be read: ${record}`);
  const twice = record.find((name, index) => name !== '' && record.indexOf(name) !== index);
  if (twice !== undefined) throw unreadable(`the header has the column ${JSON.stringify(twice.slice(0, 100))} twice`);
  return record;
}

/** Lines of JSON objects. The columns are those that the mapping reads: the file has no header to say more. */
function openNdjson(mapping: Mapping, pieces: AsyncGenerator<string>): Table {
  const columns = columnsOf(mapping);
  const seen = new Set<string>();
  async function* batches(): AsyncGenerator<readonly TableRow[]> {
    for await (const piece of pieces) {
      const rows: TableRow[] = [];
      for (const line of piece.split('\n')) {
        if (line.trim() !== '') rows.push(jsonCells(line, columns, seen));
      }
      yield rows;
    }
  }
  return { columns, seen: () => [...seen], batches: batches() };
}

function unreadable(detail: string): ProbityError {
  return new ProbityError('ENGINE_SOURCE_UNREADABLE', detail);
}
