import { type JsonObject } from '../../../rails/canonical-json.js';
import { RunningDigest } from '../../../rails/digest.js';
import { canonicalJson } from '../../../rails/canonical-json.js';
import { type GenerateInvocation } from '../data-engine.port.js';
import { type RowSink, type UnsealedRow, type UnsealedTruth } from '../world-source.js';
import { generatorSource } from './generator.source.js';
import { type FraudKind, type Pack, packOf } from './pack.core.js';
import { PACKS } from './packs.js';

/** What the tests of the generator have in common: small packs, and a sink that keeps everything. */

type Changes<Value> = {
  readonly [Name in keyof Value]?: Value[Name] extends readonly unknown[] ? Value[Name] : Changes<Value[Name]>;
};

/** The pack with some members changed, at any depth; arrays are replaced. */
export function changed(pack: Pack, changes: Changes<Pack>): Pack {
  return packOf(merged(pack, changes));
}

function merged(base: JsonObject, changes: JsonObject): JsonObject {
  const isObject = (value: unknown): value is JsonObject =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const members = Object.entries(changes).map(([name, value]) => {
    const old = base[name];
    return [name, isObject(value) && isObject(old) ? merged(old, value) : value] as const;
  });
  return { ...base, ...Object.fromEntries(members) };
}

export const packNamed = (name: string): Pack => packOf(PACKS[name]?.parameters ?? {});

/** Some 1,300 payments in 12 days, every kind of fraud among them. */
export const tinyPack = (): Pack =>
  changed(packNamed('small'), {
    window: { days: 12 },
    customers: { count: 80 },
    merchants: { count: 150 },
    fraud: {
      large_amount: { starts_per_1000_customers_day: 8 },
      compromised_terminal: { starts_per_1000_terminals_day: 2 },
      stolen_card: { starts_per_1000_customers_day: 4 },
      card_testing: { starts_per_1000_customers_day: 3 },
      account_takeover: { starts_per_1000_customers_day: 3 },
      ring: { starts_per_1000_customers_day: 4, build_up_days_min: 2, build_up_days_max: 4 },
    },
  });

export const only = (pack: Pack, ...kinds: readonly FraudKind[]): Pack => ({
  ...pack,
  fraud: Object.fromEntries(
    Object.entries(pack.fraud).map(([kind, section]) => [
      kind,
      { ...section, enabled: kinds.includes(kind as FraudKind) },
    ]),
  ) as Pack['fraud'],
});

export interface Collected {
  readonly rows: readonly UnsealedRow[];
  readonly labels: readonly UnsealedTruth[];
  readonly frauds: readonly UnsealedTruth[];
  readonly processes: readonly UnsealedTruth[];
  readonly rings: readonly UnsealedTruth[];
  readonly rowsRead: number;
  /** Lengths of the batches of traffic, and what was said of the progress. */
  readonly batches: readonly number[];
  readonly shares: readonly number[];
}

/** A member of a payload or of a truth that is a text; the empty text where there is none. */
export function textOf(fields: JsonObject, member: string): string {
  const value = fields[member];
  return typeof value === 'string' ? value : '';
}

export const invocationOf = (seed: string, pack: Pack): GenerateInvocation =>
  ({ kind: 'generate', scenario_id: 'test', seed, parameters: pack }) as unknown as GenerateInvocation;

export async function collect(seed: string, pack: Pack): Promise<Collected> {
  const rows: UnsealedRow[] = [];
  const labels: UnsealedTruth[] = [];
  const truths: Record<string, UnsealedTruth[]> = { fraud_transactions: [], fraud_processes: [], rings: [] };
  const batches: number[] = [];
  const shares: number[] = [];
  const sink: RowSink = {
    traffic: (batch) => {
      batches.push(batch.length);
      rows.push(...batch);
      return Promise.resolve();
    },
    labels: (batch) => {
      labels.push(...batch);
      return Promise.resolve();
    },
    other: (outputId, role, batch) => {
      if (role !== 'truth_products') throw new Error(`${outputId} is ${role}`);
      truths[outputId]?.push(...batch);
      return Promise.resolve();
    },
    rejects: () => Promise.reject(new Error('a generator rejects nothing')),
    progress: (_stage, _rows, share) => shares.push(share ?? -1),
    signal: new AbortController().signal,
  };
  const { rowsRead } = await generatorSource(invocationOf(seed, pack)).produce(sink);
  const { fraud_transactions: frauds = [], fraud_processes: processes = [], rings = [] } = truths;
  return { rows, labels, frauds, processes, rings, rowsRead, batches, shares };
}

/** One digest over every row of every output, as canonical lines. */
export async function digestOf(seed: string, pack: Pack): Promise<string> {
  const { rows, labels, frauds, processes, rings } = await collect(seed, pack);
  const digest = new RunningDigest();
  const encoder = new TextEncoder();
  for (const output of [rows, labels, frauds, processes, rings]) {
    for (const row of output) digest.update(encoder.encode(`${canonicalJson(row)}\n`));
    digest.update(encoder.encode('\n'));
  }
  return digest.finish();
}
