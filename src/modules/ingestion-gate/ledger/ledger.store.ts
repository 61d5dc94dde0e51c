import { Injectable } from '@nestjs/common';
import { type Digest } from '../../../rails/digest.js';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import { type RunPins } from '../../../rails/pins.js';
import { Database, type Queryable } from '../../../substrate/database/database.port.js';
import { type Place } from '../receipts.core.js';
import { digestBytes } from './arrays.js';
import { type Standing } from './ledger.js';

const STANDING = {
  name: 'ig_standing',
  // The array is made on the server: one plan for any number of ids, and each id is looked up in the index.
  text: `
    select encode(a.receipt_id, 'hex') as id, encode(a.content_digest, 'hex') as digest, a.partition,
      a.record_offset as "offset", i.topic
    from admissions as a join intakes as i on i.intake = a.intake
    where a.receipt_id = any(array(
      select substring($1::bytea from n * 32 + 1 for 32) from generate_series(0, $2::int - 1) as n))`,
  readOnly: true,
} as const;

const RUN_COLUMNS = ['run_id', 'manifest_fingerprint', 'parameter_hash', 'seed', 'scenario_id'] as const;
const INTAKES_PER_BLOCK = 1_000;

/** The ledger's tables as the writer of batches sees them. */
@Injectable()
export class LedgerStore {
  readonly #runs = new Map<string, number>();
  readonly #kinds = new Map<string, number>();
  #intakes = { next: 0, end: 0 };

  constructor(readonly database: Database) {}

  async standing(ids: readonly Digest[], on: Queryable = this.database): Promise<ReadonlyMap<Digest, Standing>> {
    if (ids.length === 0) return new Map();
    const { rows } = await on.query<Place & { id: Digest; digest: Digest; topic: string }>(STANDING, [
      digestBytes(ids),
      ids.length,
    ]);
    return new Map(
      rows.map(({ id, digest, topic, partition, offset }) => [
        id,
        { contentDigest: digest, topic, place: { partition, offset } },
      ]),
    );
  }

  /** Numbers that no other gate gives, without asking for each. A process that ends leaves the rest of its block unused. */
  async intakeIds(count: number): Promise<readonly number[]> {
    const ids: number[] = [];
    while (ids.length < count) {
      if (this.#intakes.next === this.#intakes.end) {
        const { rows } = await this.database.query<{ block: number }>("select nextval('intake_blocks') as block");
        const start = (rows[0]?.block ?? 0) * INTAKES_PER_BLOCK;
        this.#intakes = { next: start, end: start + INTAKES_PER_BLOCK };
      }
      ids.push(this.#intakes.next);
      this.#intakes.next += 1;
    }
    return ids;
  }

  /** The number of these pins; made when they come for the first time, and kept. */
  async runNumber(pins: RunPins): Promise<number> {
    const key = JSON.stringify(RUN_COLUMNS.map((name) => pins[name]));
    return await this.#number(this.#runs, key, {
      table: 'runs',
      number: 'run',
      columns: RUN_COLUMNS,
      values: RUN_COLUMNS.map((name) => pins[name]),
    });
  }

  async kindNumber(eventType: string, schemaVersion: string, producer: string): Promise<number> {
    const values = [eventType, schemaVersion, producer];
    return await this.#number(this.#kinds, JSON.stringify(values), {
      table: 'kinds',
      number: 'kind',
      columns: ['event_type', 'schema_version', 'producer'],
      values,
    });
  }

  async #number(
    known: Map<string, number>,
    key: string,
    { table, number, columns, values }: NumberedTable,
  ): Promise<number> {
    const found = known.get(key);
    if (found !== undefined) return found;
    const where = columns.map((name, index) => `${name} = $${index + 1}`).join(' and ');
    const select = `select ${number} as number from ${table} where ${where}`;
    // Outside of any batch, so that what is remembered here is never rolled back there.
    await this.database.query(
      `insert into ${table} (${columns.join(', ')}) values (${columns.map((_, index) => `$${index + 1}`).join(', ')})
       on conflict do nothing`,
      values,
    );
    const { rows } = await this.database.query<{ number: number }>({ text: select, readOnly: true }, values);
    const made = rows[0]?.number;
    if (made === undefined) throw new ProbityError('INTERNAL', `the ledger has no number for a row of ${table}`);
    if (known.size >= NUMBERS_KEPT) known.clear();
    known.set(key, made);
    return made;
  }
}

/** Numbers are small and can be asked for again; runs and kinds seldom reach a thousand. */
const NUMBERS_KEPT = 10_000;

interface NumberedTable {
  readonly table: 'runs' | 'kinds';
  readonly number: 'run' | 'kind';
  readonly columns: readonly string[];
  readonly values: readonly string[];
}
