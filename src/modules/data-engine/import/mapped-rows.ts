import type { Ref } from '../../../rails/ref.js';
import type { Objects } from '../../../substrate/objects/objects.port.js';
import { ScratchFile } from '../sealing/scratch.js';
import type { RejectedRow } from '../world-source.js';
import { type MappedRow, mapperOf } from './mapper.core.js';
import type { Mapping } from './mapping.schema.js';
import { openParquet } from './parquet.js';
import { RowFault } from './row-fault.core.js';
import { openText, type Table } from './table.js';
import { zoneTimes } from './zone.js';

/** A slice of the file after mapping. */
export interface MappedBatch {
  readonly rows: readonly MappedRow[];
  readonly rejects: readonly RejectedRow[];
  /** Rows of the file so far, and the share of its bytes that was read. */
  readonly rowsRead: number;
  readonly shareRead: number;
}

export interface MappedFile {
  readonly columns: readonly string[];
  readonly seen: () => readonly string[];
  readonly batches: AsyncIterable<MappedBatch>;
}

/** Rows between two looks at everything else that waits in this process: some 10 ms of work. */
const BATCH_ROWS = 2_000;

/**
 * Maps a file row by row: the one way, for the import as for its preview, so that the preview cannot promise what the import
 * does not do. Whether a payload keeps its schema, both ask of `payloadFault`.
 * @throws ProbityError ENGINE_SOURCE_UNREADABLE, ENGINE_MAPPING_INVALID, errors of the object store
 */
export async function openMapped(
  objects: Objects,
  source: Ref,
  mapping: Mapping,
  checkColumns: (columns: readonly string[]) => void,
): Promise<MappedFile> {
  let bytesRead = 0;
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const piece of objects.open(source)) {
      bytesRead += piece.byteLength;
      yield piece;
    }
  }
  const scratch = mapping.format === 'parquet' ? await spooled(counted()) : undefined;
  try {
    const table = scratch === undefined ? await openText(mapping, counted()) : await openParquet(mapping, scratch);
    checkColumns(table.columns);
    const share = (): number => (source.size === 0 ? 1 : bytesRead / source.size);
    return { columns: table.columns, seen: table.seen, batches: mapped(table, mapping, share, () => scratch?.close()) };
  } catch (error) {
    await scratch?.close();
    throw error;
  }
}

async function* mapped(
  table: Table,
  mapping: Mapping,
  shareRead: () => number,
  close: () => Promise<void> | undefined,
): AsyncGenerator<MappedBatch> {
  try {
    const localToUtc = zoneTimes(mapping.time.zone ?? 'UTC', mapping.time.ambiguous ?? 'earlier');
    const map = mapperOf(mapping, table.columns, localToUtc);
    let rowsRead = 0;
    for await (const batch of table.batches) {
      for (let start = 0; start < batch.length; start += BATCH_ROWS) {
        const rows: MappedRow[] = [];
        const rejects: RejectedRow[] = [];
        for (const cells of batch.slice(start, start + BATCH_ROWS)) {
          rowsRead += 1;
          const row = typeof cells === 'string' ? new RowFault('ROW_MALFORMED', cells) : map(rowsRead, cells);
          if (row instanceof RowFault) rejects.push({ row: rowsRead, reason: row.reason, detail: row.detail });
          else rows.push(row);
        }
        yield { rows, rejects, rowsRead, shareRead: shareRead() };
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
  } finally {
    await close();
  }
}

async function spooled(bytes: AsyncIterable<Uint8Array>): Promise<ScratchFile> {
  const scratch = await ScratchFile.open();
  try {
    for await (const piece of bytes) await scratch.append(piece);
    return scratch;
  } catch (error) {
    await scratch.close();
    throw error;
  }
}
