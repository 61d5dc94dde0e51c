import { DuckDBInstance } from '@duckdb/node-api';

/**
 * The fifteen features of the handbook, computed by nobody of ours: window functions over the raw file in DuckDB. Windows
 * (t − w, t] slide in seconds, so their lower end is w − 1 s; ratios are whole numbers, rounded half to even as the definitions say.
 */
export const HANDBOOK_FEATURES = [
  'hb_amount',
  'hb_weekend',
  'hb_night',
  ...[1, 7, 30].flatMap((days) => [`hb_customer_count_${days}d`, `hb_customer_mean_${days}d`]),
  ...[1, 7, 30].flatMap((days) => [`hb_terminal_count_${days}d`, `hb_terminal_risk_${days}d`]),
] as const;

const DAY_S = 86_400;

const rounded = (over: string, under: string): string =>
  `case when ${under} = 0 then 0
        when 2 * (${over} % ${under}) > ${under} or (2 * (${over} % ${under}) = ${under} and (${over} // ${under}) % 2 = 1)
        then ${over} // ${under} + 1 else ${over} // ${under} end`;

/** The features and, of each row, whose card, when (seconds since 1970), whether fraud and of which kind. */
export function handbookQuery(file: string): string {
  const windows = [1, 7, 30].flatMap((days) => [
    `customer_${days} as (partition by CUSTOMER_ID order by s range between ${days * DAY_S - 1} preceding and current row)`,
    `terminal_${days} as (partition by TERMINAL_ID order by s range between ${(7 + days) * DAY_S - 1} preceding and ${7 * DAY_S} preceding)`,
  ]);
  const sums = [1, 7, 30].flatMap((days) => [
    `count(*) over customer_${days} as n_${days}`,
    `sum(cents) over customer_${days} as sum_${days}`,
    `count(*) over terminal_${days} as tn_${days}`,
    `coalesce(sum(fraud) over terminal_${days}, 0) as tf_${days}`,
  ]);
  const features = [1, 7, 30].flatMap((days) => [
    `n_${days} as hb_customer_count_${days}d`,
    `${rounded(`sum_${days}::hugeint * 1000000`, `n_${days}`)} as hb_customer_mean_${days}d`,
  ]);
  const risks = [1, 7, 30].flatMap((days) => [
    `tn_${days} as hb_terminal_count_${days}d`,
    `${rounded(`tf_${days}::hugeint * 1000000000`, `tn_${days}`)} as hb_terminal_risk_${days}d`,
  ]);
  return `
    with raw as (
      select TRANSACTION_ID as id, CUSTOMER_ID, TERMINAL_ID, TX_DATETIME as moment, epoch(TX_DATETIME)::bigint as s,
        round(TX_AMOUNT * 100)::bigint as cents, TX_FRAUD::bigint as fraud, TX_FRAUD_SCENARIO::bigint as scenario
      from read_csv('${file.replaceAll("'", "''")}', header = true, types = { 'TX_DATETIME': 'TIMESTAMP', 'TX_AMOUNT': 'DECIMAL(12,2)' })
    ), summed as (select *, ${sums.join(', ')} from raw window ${windows.join(', ')})
    select id, cents as hb_amount, case when isodow(moment) >= 6 then 1 else 0 end as hb_weekend,
      case when hour(moment) <= 6 then 1 else 0 end as hb_night, ${[...features, ...risks].map((each) => `(${each.replace(/ as (\w+)$/, ')::double as $1')}`).join(', ')},
      CUSTOMER_ID::bigint as card, s as seconds, fraud, scenario
    from summed order by id`;
}

/** Transactions of one customer in the same second: there the order within the second decides, which the file does not say. */
function tiesQuery(file: string): string {
  return `select TRANSACTION_ID as id from (
      select *, count(*) over (partition by CUSTOMER_ID, TX_DATETIME) as n
      from read_csv('${file.replaceAll("'", "''")}', header = true)) where n > 1 order by id`;
}

export interface Oracle {
  /** Rows in the order of their id; values in the order of `HANDBOOK_FEATURES`. */
  rows(): AsyncGenerator<{ readonly id: number; readonly values: readonly number[] }, void>;
  ties(): Promise<ReadonlySet<number>>;
  close(): void;
}

export async function openOracle(file: string): Promise<Oracle> {
  const instance = await DuckDBInstance.create(':memory:', { memory_limit: '2GB', threads: '2' });
  const connection = await instance.connect();
  return {
    async *rows() {
      const result = await connection.stream(handbookQuery(file));
      const names = result.columnNames();
      const places = HANDBOOK_FEATURES.map((name) => names.indexOf(name));
      for (;;) {
        const chunk = await result.fetchChunk();
        if (chunk === null || chunk.rowCount === 0) return;
        for (const row of chunk.getRows())
          yield { id: Number(row[0]), values: places.map((place) => Number(row[place])) };
      }
    },
    async ties() {
      const found = await connection.runAndReadAll(tiesQuery(file));
      return new Set(found.getRows().map(([id]) => Number(id)));
    },
    close() {
      connection.closeSync();
      instance.closeSync();
    },
  };
}

export interface Difference {
  readonly id: number;
  readonly feature: string;
  readonly ours: number | null;
  readonly theirs: number;
}

/**
 * Compares feature values with the oracle's. Those of transactions that share customer and second are told apart: all of their customer
 * features may differ, nothing else may.
 * @param oursOf the values of a transaction in the order of `HANDBOOK_FEATURES`; null where there are none
 */
export async function compareWithOracle(
  oracle: Oracle,
  oursOf: (id: number) => readonly (number | null)[] | undefined,
): Promise<{ readonly compared: number; readonly off: readonly Difference[]; readonly ties: readonly Difference[] }> {
  const tied = await oracle.ties();
  const [off, ties]: [Difference[], Difference[]] = [[], []];
  let compared = 0;
  for await (const { id, values } of oracle.rows()) {
    compared += 1;
    const ours = oursOf(id);
    values.forEach((theirs, index) => {
      const own = ours?.[index] ?? null;
      if (own === theirs) return;
      const feature = HANDBOOK_FEATURES[index] ?? '';
      const list = tied.has(id) && feature.startsWith('hb_customer_') ? ties : off;
      list.push({ id, feature, ours: own, theirs });
    });
  }
  return { compared, off, ties };
}
