import { DuckDBInstance } from '@duckdb/node-api';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TrainingMatrix } from '../../src/rails/learning/matrix.js';
import { HANDBOOK_FEATURES, handbookQuery } from './handbook-oracle.js';

export interface CardRows {
  /** Holds rows.parquet, which programs that are not ours read; in the order of the file's ids, as the matrix. */
  readonly folder: string;
  readonly matrix: Required<Omit<TrainingMatrix, 'weights'>>;
  /** Which of the three kinds of fraud a row is; 0 is none. */
  readonly scenarios: Uint8Array;
}

export interface Likeness {
  readonly compared: number;
  /** Rows of which some feature differs; `tied` of them are of a customer with another payment in the same second, whose order the file does not say. */
  readonly differing: number;
  readonly tied: number;
}

const FEATURES = HANDBOOK_FEATURES.join(', ');

/** DuckDB over the user's file and over datasets: their rows side by side. */
export class CardDesk {
  private constructor(
    private readonly instance: DuckDBInstance,
    private readonly connection: Awaited<ReturnType<DuckDBInstance['connect']>>,
    private readonly folder: string,
  ) {}

  static async open(csv: string, folder: string): Promise<CardDesk> {
    const instance = await DuckDBInstance.create(':memory:', { memory_limit: '2GB', threads: '1' });
    const connection = await instance.connect();
    await connection.run(`create table source as
      select TRANSACTION_ID as id, TX_FRAUD_SCENARIO as scenario, TX_FRAUD as truth, CUSTOMER_ID::varchar as customer,
        TERMINAL_ID::varchar as terminal, epoch(TX_DATETIME)::bigint as s, round(TX_AMOUNT * 100)::bigint as cents,
        count(*) over (partition by CUSTOMER_ID, TX_DATETIME) > 1 as tied
      from read_csv(${quoted(csv)}, header = true, types = { 'TX_DATETIME': 'TIMESTAMP', 'TX_AMOUNT': 'DECIMAL(12,2)' })`);
    await connection.run(`create table oracle as select id, ${FEATURES} from (${handbookQuery(csv)})`);
    return new CardDesk(instance, connection, folder);
  }

  close(): void {
    this.connection.closeSync();
    this.instance.closeSync();
  }

  /**
   * The rows of a dataset, with what only the file says of them.
   * @throws where a row is none of the file, or a label not the file's
   */
  async rowsOf(name: string, dataset: string, features: readonly string[]): Promise<CardRows> {
    const folder = join(this.folder, name);
    mkdirSync(folder, { recursive: true });
    const parquet = quoted(join(folder, 'rows.parquet'));
    const columns = features.map((feature) => `f_${feature} as ${feature}`).join(', ');
    await this.connection.run(`copy (
      select id, scenario, truth, is_fraud::int as fraud, customer_id::bigint as card, s as seconds, ${columns}
      from read_parquet(${quoted(dataset)}) join source
        on customer = customer_id and terminal = terminal_id and s = epoch_us(ts_utc) // 1000000 and cents = amount_minor
      order by id) to ${parquet} (format parquet)`);
    const [rows, joined, ids, strange] = await this.#numbers(
      `select (select count(*) from read_parquet(${quoted(dataset)})), count(*), count(distinct id), count_if(fraud is distinct from truth)
       from read_parquet(${parquet})`,
    );
    if (rows !== joined || joined !== ids || strange !== 0)
      throw new Error(
        `${name}: ${rows} rows, ${joined} found in the file as ${ids}, ${strange} of them with another label`,
      );
    const read = async (column: string): Promise<Float64Array> => {
      const result = await this.connection.runAndReadAll(
        `select ${column}::double from read_parquet(${parquet}) order by id`,
      );
      return Float64Array.from(result.getColumns()[0] ?? [], (value) => (value === null ? Number.NaN : Number(value)));
    };
    const values: Float64Array[] = [];
    for (const feature of features) values.push(await read(feature));
    const matrix = {
      names: features,
      columns: values,
      labels: Uint8Array.from(await read('fraud')),
      groups: Int32Array.from(await read('card')),
      seconds: await read('seconds'),
    };
    return { folder, matrix, scenarios: Uint8Array.from(await read('scenario')) };
  }

  /** How like the features of a dataset are to those that window functions find in the file. */
  async likenessOf({ folder }: CardRows): Promise<Likeness> {
    const differs = HANDBOOK_FEATURES.map((feature) => `r.${feature}::double is distinct from o.${feature}::double`);
    const [compared = 0, differing = 0, tied = 0] = await this.#numbers(
      `select count(*), count_if(differs), count_if(differs and tied) from (
         select ${differs.join(' or ')} as differs, tied
         from read_parquet(${quoted(join(folder, 'rows.parquet'))}) r join oracle o using (id) join source using (id))`,
    );
    return { compared, differing, tied };
  }

  async #numbers(query: string): Promise<readonly number[]> {
    const result = await this.connection.runAndReadAll(query);
    return (result.getRows()[0] ?? []).map(Number);
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
