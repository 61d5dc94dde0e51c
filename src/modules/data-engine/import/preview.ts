import type { Static } from '@sinclair/typebox';
import type { Objects } from '../../../substrate/objects/objects.port.js';
import type { LabelRow, Preview, PreviewRequest } from '../data-engine.port.js';
import { payloadFault } from '../sealing/seal-world.js';
import type { RejectedRow } from '../world-source.js';
import { openMapped } from './mapped-rows.js';
import { type MappedRow, missingColumns } from './mapper.core.js';
import type { Mapping } from './mapping.schema.js';

const EXAMPLES_MAX = 5;

/** What an import would make of a file, gathered while it is read: ask at any time how far it is. */
export class FilePreview {
  readonly #problems = new Map<string, { count: number; examples: { row: number; detail: string }[] }>();
  readonly #rows: Preview['rows'] = [];
  #rowsRead = 0;
  #rowsMapped = 0;
  #columns: readonly string[] = [];
  #done = false;

  /** Reads the whole file. @throws ProbityError ENGINE_SOURCE_UNREADABLE, errors of the object store */
  async run(
    objects: Objects,
    { source, rows_max }: Static<typeof PreviewRequest>,
    mapping: Mapping,
    signal: AbortSignal,
  ): Promise<void> {
    const file = await openMapped(objects, source, mapping, () => undefined);
    const missing = mapping.format === 'ndjson' ? [] : missingColumns(mapping, file.columns);
    this.#columns = file.seen();
    for (const column of missing)
      this.#problem('COLUMN_MISSING', 1, `the file has no column ${JSON.stringify(column)}`);
    for await (const { rows, rejects, rowsRead } of file.batches) {
      signal.throwIfAborted();
      // A file without a column that the mapping reads is not imported at all: there is no row to show.
      if (missing.length > 0) break;
      for (const row of rows) this.#row(row, rows_max);
      for (const { reason, row, detail } of rejects) this.#problem(reason, row, detail);
      this.#rowsRead = rowsRead;
      this.#columns = file.seen();
    }
    this.#done = true;
  }

  report(): Preview {
    return {
      state: this.#done ? 'DONE' : 'RUNNING',
      rows_read: this.#rowsRead,
      rows_mapped: this.#rowsMapped,
      rows: [...this.#rows],
      problems: [...this.#problems]
        .map(([reason, { count, examples }]) => ({ reason, count, examples: [...examples] }))
        .sort((a, b) => b.count - a.count),
      columns: [...this.#columns],
    };
  }

  #row(row: MappedRow, rowsMax: number): void {
    const fault = payloadFault(row);
    if (fault !== null) {
      this.#problem('SCHEMA_FAIL', row.row, fault);
      return;
    }
    this.#rowsMapped += 1;
    if (this.#rows.length >= rowsMax) return;
    const { key, ts_utc, payload, label } = row;
    this.#rows.push({
      row: row.row,
      traffic: { key, ts_utc, payload },
      ...(label === undefined
        ? {}
        : { label: { ...label.fields, key: label.key, ts_utc: label.ts_utc } as unknown as LabelRow }),
    });
  }

  #problem(reason: RejectedRow['reason'], row: number, detail: string): void {
    let problem = this.#problems.get(reason);
    if (problem === undefined) {
      problem = { count: 0, examples: [] };
      this.#problems.set(reason, problem);
    }
    problem.count += 1;
    if (problem.examples.length < EXAMPLES_MAX) problem.examples.push({ row, detail });
  }
}
