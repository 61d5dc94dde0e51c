import { DuckDBInstance } from '@duckdb/node-api';
import { join } from 'node:path';
import type { TrainingMatrix } from '../../src/rails/learning/matrix.js';
import { HANDBOOK_FEATURES, handbookQuery } from '../../test/support/handbook-oracle.js';

export interface HandbookRows {
  /** Where the same rows stand for programs that are not ours. */
  readonly parquet: string;
  readonly matrix: Required<Omit<TrainingMatrix, 'weights'>>;
  /** Which of the three kinds of fraud a row is; 0 is none. */
  readonly scenarios: Uint8Array;
}

/** The handbook's fifteen features over its file, written as Parquet into a folder and read from there. */
export async function handbookRows(csv: string, folder: string): Promise<HandbookRows> {
  const parquet = join(folder, 'rows.parquet');
  const instance = await DuckDBInstance.create(':memory:', { memory_limit: '2GB', threads: '1' });
  const connection = await instance.connect();
  const quoted = `'${parquet.replaceAll("'", "''")}'`;
  await connection.run(`copy (${handbookQuery(csv)}) to ${quoted} (format parquet)`);
  const read = async (name: string): Promise<Float64Array> => {
    const result = await connection.runAndReadAll(`select ${name}::double from read_parquet(${quoted}) order by id`);
    return Float64Array.from(result.getColumns()[0] ?? [], Number);
  };
  const columns: Float64Array[] = [];
  for (const name of HANDBOOK_FEATURES) columns.push(await read(name));
  const matrix = {
    names: HANDBOOK_FEATURES,
    columns,
    labels: Uint8Array.from(await read('fraud')),
    groups: Int32Array.from(await read('card')),
    seconds: await read('seconds'),
  };
  const scenarios = Uint8Array.from(await read('scenario'));
  connection.closeSync();
  instance.closeSync();
  return { parquet, matrix, scenarios };
}
