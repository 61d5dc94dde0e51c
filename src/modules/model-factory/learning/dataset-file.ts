import { type FileHandle, open } from 'node:fs/promises';
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync, parquetRead } from 'hyparquet';
import { RunningDigest } from '../../../rails/digest.js';
import { isProbityError, ProbityError } from '../../../rails/errors/probity-error.js';
import type { DatasetManifest } from '../../offline-feature-shadow/offline-feature-shadow.port.js';

/** Texts as numbers: the place of each among `names`; −1 is none. */
export interface Coded {
  readonly names: string[];
  readonly codes: Int32Array;
}

/** What every row of a dataset says beside its features. Arrays have one entry per row of the file, in its order. */
export interface RowKeys {
  readonly rows: number;
  /** Since 1970. */
  readonly micros: Float64Array;
  /** 1 fraud, 0 none, −1 not known. */
  readonly isFraud: Int8Array;
  /** Whether it has features, as a decision would have had them. */
  readonly hasFeatures: Uint8Array;
  readonly weight: Float64Array;
  /** NaN: none. */
  readonly amount: Float64Array;
  readonly split: Coded;
  readonly currency: Coded;
  readonly labelState: Coded;
  /** A number for each card, in the order of their first rows; −1 is none. */
  readonly card: Int32Array;
}

const PIECE_BYTES = 4 * 1024 * 1024;
/** Status of rows that have features: those that a decision used, and those that were made without one. */
const WITH_FEATURES: ReadonlySet<unknown> = new Set(['USED', 'REBUILT']);
/** Microseconds stay numbers: a date of this language has none. */
const PARSERS = { timestampFromMicroseconds: (micros: bigint): number => Number(micros) };

type Materialisation = DatasetManifest['built']['materialisations'][number];

/** The rows of a dataset, column by column, from a local file whose digest is that of the manifest. */
export class DatasetFile {
  private constructor(
    private readonly handle: FileHandle,
    private readonly buffer: AsyncBuffer,
    private readonly metadata: FileMetaData,
    readonly rows: number,
  ) {}

  /** @throws MF_MATERIALIZATION_DIGEST_MISMATCH, MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE */
  static async open(path: string, { ref, rows }: Materialisation): Promise<DatasetFile> {
    const handle = await open(path, 'r');
    try {
      const bytes = await verifiedSize(handle, ref);
      const buffer: AsyncBuffer = {
        byteLength: bytes,
        slice: async (start, end = bytes) => {
          const piece = new Uint8Array(end - start);
          await handle.read(piece, 0, piece.length, start);
          return piece.buffer;
        },
      };
      const metadata = await readable(() => parquetMetadataAsync(buffer, { parsers: PARSERS }));
      if (Number(metadata.num_rows) !== rows)
        throw incompatible(`the file has ${metadata.num_rows} rows, and the manifest says ${rows}`);
      return new DatasetFile(handle, buffer, metadata, rows);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.handle.close();
  }

  async keys(): Promise<RowKeys> {
    const { rows } = this;
    const coded = (): Coded => ({ names: [], codes: new Int32Array(rows).fill(-1) });
    const keys: RowKeys = {
      rows,
      micros: new Float64Array(rows),
      isFraud: new Int8Array(rows).fill(-1),
      hasFeatures: new Uint8Array(rows),
      weight: new Float64Array(rows),
      amount: new Float64Array(rows).fill(Number.NaN),
      split: coded(),
      currency: coded(),
      labelState: coded(),
      card: new Int32Array(rows).fill(-1),
    };
    const [split, currency, state] = [coder(keys.split), coder(keys.currency), coder(keys.labelState)];
    const card = coder({ names: [], codes: keys.card });
    const takers: Readonly<Record<string, (row: number, value: unknown) => void>> = {
      ts_utc: (row, value) => (keys.micros[row] = Number(value)),
      is_fraud: (row, value) => (keys.isFraud[row] = value === true ? 1 : value === false ? 0 : -1),
      features_status: (row, value) => (keys.hasFeatures[row] = WITH_FEATURES.has(value) ? 1 : 0),
      weight: (row, value) => (keys.weight[row] = Number(value)),
      amount_minor: (row, value) => (keys.amount[row] = numberOf(value)),
      split,
      currency,
      label_state: state,
      card_id: card,
    };
    await this.each(Object.keys(takers), (name, row, value) => takers[name]?.(row, value));
    return keys;
  }

  /** Every value of these columns, group of rows by group of rows. @throws MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE for a column that is not there */
  async each(columns: readonly string[], take: (name: string, row: number, value: unknown) => void): Promise<void> {
    const known = new Set(this.metadata.schema.map(({ name }) => name));
    for (const name of columns) if (!known.has(name)) throw incompatible(`the file has no column ${name}`);
    let start = 0;
    for (const group of this.metadata.row_groups) {
      const end = start + Number(group.num_rows);
      const [from, to] = [start, end];
      await readable(() =>
        parquetRead({
          file: this.buffer,
          metadata: this.metadata,
          columns: [...columns],
          rowStart: from,
          rowEnd: to,
          parsers: PARSERS,
          onChunk: ({ columnName, columnData, rowStart }) => {
            for (let at = 0; at < columnData.length; at += 1) take(columnName, rowStart + at, columnData[at]);
          },
        }),
      );
      start = end;
    }
  }
}

const INT64_MIN = -(2n ** 63n);

/** As decisions read a whole number of 64 bits, but for the least of them, which they take for missing; what is not there is NaN. */
export function numberOf(value: unknown): number {
  if (value === INT64_MIN) return Number.NaN;
  return typeof value === 'bigint' || typeof value === 'number' ? Number(value) : Number.NaN;
}

function coder({ names, codes }: Coded): (row: number, value: unknown) => void {
  const known = new Map<unknown, number>();
  return (row, value) => {
    if (typeof value !== 'string') return;
    let code = known.get(value);
    if (code === undefined) {
      code = names.length;
      names.push(value);
      known.set(value, code);
    }
    codes[row] = code;
  };
}

async function verifiedSize(handle: FileHandle, { digest, size }: Materialisation['ref']): Promise<number> {
  const found = new RunningDigest();
  const piece = new Uint8Array(PIECE_BYTES);
  let bytes = 0;
  for (;;) {
    const { bytesRead } = await handle.read(piece, 0, piece.length, bytes);
    if (bytesRead === 0) break;
    found.update(piece.subarray(0, bytesRead));
    bytes += bytesRead;
  }
  const hex = found.finish();
  if (bytes === size && hex === digest.hex) return bytes;
  throw new ProbityError(
    'MF_MATERIALIZATION_DIGEST_MISMATCH',
    `the file has ${bytes} bytes of the digest ${hex}, and the manifest names ${size} of ${digest.hex}`,
  );
}

/** The decoder throws errors of every kind at what it cannot read. */
async function readable<Result>(read: () => Promise<Result>): Promise<Result> {
  try {
    return await read();
  } catch (cause) {
    if (isProbityError(cause)) throw cause;
    throw new ProbityError('MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE', 'the file is no Parquet file that can be read', {
      cause,
    });
  }
}

function incompatible(detail: string): ProbityError {
  return new ProbityError('MF_SCHEMA_INCOMPATIBLE_WITH_RECIPE', detail);
}
