import { Injectable } from '@nestjs/common';
import { type Digest } from '../../../rails/digest.js';
import { ProbityError } from '../../../rails/errors/probity-error.js';
import { type RunPins } from '../../../rails/pins.js';
import { Database, type Queryable, type Transaction } from '../../../substrate/database/database.port.js';
import { type Place } from '../receipts.core.js';
import { digestBytes, numberArray, textArray } from './arrays.js';
import { type LedgerWork, type NewAdmission, type NewDuplicate, type NewQuarantine, type Standing } from './ledger.js';

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

const INSERT_INTAKES = {
  name: 'ig_intakes',
  text: `
    insert into intakes (intake, principal, policy_id, policy_revision, policy_digest, partitioning_profile, topic,
      decided_at, supersedes, component_version, env)
    select r.intake, r.principal, r.policy_id, r.policy_revision, decode(r.policy_digest, 'hex'), r.partitioning_profile,
      r.topic, r.decided_at, decode(r.supersedes, 'hex'), r.component_version, r.env
    from json_to_recordset($1::json) as r (intake bigint, principal text, policy_id text, policy_revision bigint,
      policy_digest text, partitioning_profile text, topic text, decided_at timestamptz, supersedes text,
      component_version text, env text)`,
} as const;

const INSERT_ADMISSIONS = {
  name: 'ig_admissions',
  text: `
    insert into admissions (receipt_id, content_digest, payload_hash, record_offset, intake, ts_utc, run, kind, partition,
      event_id, partition_key)
    select substring($1::bytea from r.n::int * 96 - 95 for 32), substring($1 from r.n::int * 96 - 63 for 32),
      substring($1 from r.n::int * 96 - 31 for 32), r.record_offset, r.intake, r.ts_utc, r.run, r.kind, r.partition,
      r.event_id, r.partition_key
    from unnest($2::int8[], $3::int8[], $4::timestamptz[], $5::int[], $6::int[], $7::int[], $8::text[], $9::text[])
      with ordinality as r (record_offset, intake, ts_utc, run, kind, partition, event_id, partition_key, n)
    on conflict (receipt_id) do nothing`,
} as const;

const INSERT_DUPLICATES = {
  name: 'ig_duplicates',
  text: `
    insert into duplicates (receipt_id, admission_id, intake, run, position)
    select substring($1::bytea from r.n::int * 64 - 63 for 32), substring($1 from r.n::int * 64 - 31 for 32), r.intake,
      r.run, r.position
    from unnest($2::int8[], $3::int[], $4::int[]) with ordinality as r (intake, run, position, n)`,
} as const;

const INSERT_QUARANTINES = {
  name: 'ig_quarantines',
  text: `
    insert into quarantines (quarantine_id, intake, stage, reason, retryable, detail, raw_digest, evidence_locator,
      evidence_digest, evidence_bytes, line_start, line_end, producer, event_id, event_type, schema_version, ts_utc,
      payload_hash, pins, run_id)
    select decode(r.quarantine_id, 'hex'), r.intake, r.stage, r.reason, r.retryable, r.detail, decode(r.raw_digest, 'hex'),
      r.evidence_locator, decode(r.evidence_digest, 'hex'), r.evidence_bytes, r.line_start, r.line_end, r.producer,
      r.event_id, r.event_type, r.schema_version, r.ts_utc, decode(r.payload_hash, 'hex'), r.pins, r.run_id
    from json_to_recordset($1::json) as r (quarantine_id text, intake bigint, stage text, reason text, retryable boolean,
      detail text, raw_digest text, evidence_locator text, evidence_digest text, evidence_bytes bigint,
      line_start bigint, line_end bigint, producer text, event_id text, event_type text, schema_version text,
      ts_utc timestamptz, payload_hash text, pins json, run_id text)`,
} as const;

const INSERT_SUPERSESSIONS = {
  name: 'ig_supersessions',
  text: `
    insert into supersessions (quarantine_id, receipt_id, intake)
    select decode(r.quarantine_id, 'hex'), decode(r.receipt_id, 'hex'), r.intake
    from json_to_recordset($1::json) as r (quarantine_id text, receipt_id text, intake bigint)
    on conflict do nothing`,
} as const;

const RUN_COLUMNS = ['run_id', 'manifest_fingerprint', 'parameter_hash', 'seed', 'scenario_id'] as const;
/** Refused by the table: an admission without a place is a defect, never a row. */
const NOWHERE: Place = { partition: -1, offset: -1 };

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

  /** False when an identity is taken: then nothing of this transaction may stay. */
  async insertAdmissions(
    transaction: Queryable,
    admissions: readonly NewAdmission[],
    places: readonly Place[],
  ): Promise<boolean> {
    if (admissions.length === 0) return true;
    // By id: two gates that admit overlapping batches then wait for each other's rows in one order and never in a circle.
    const sorted = [...admissions].sort((a, b) => (a.candidate.admissionId < b.candidate.admissionId ? -1 : 1));
    const placeOf = new Map(admissions.map((admission, index) => [admission, places[index] ?? NOWHERE]));
    const columns = {
      digests: [] as Digest[],
      offsets: [] as number[],
      intakes: [] as number[],
      times: [] as string[],
      runs: [] as number[],
      kinds: [] as number[],
      partitions: [] as number[],
      eventIds: [] as string[],
      keys: [] as string[],
    };
    for (const admission of sorted) {
      const { candidate, intakeId, run, kind } = admission;
      const { partition, offset } = placeOf.get(admission) ?? NOWHERE;
      columns.digests.push(candidate.admissionId, candidate.contentDigest, candidate.payloadHash);
      columns.offsets.push(offset);
      columns.intakes.push(intakeId);
      columns.times.push(candidate.envelope.ts_utc);
      columns.runs.push(run);
      columns.kinds.push(kind);
      columns.partitions.push(partition);
      columns.eventIds.push(candidate.envelope.event_id);
      columns.keys.push(candidate.partitionKey);
    }
    const { count } = await transaction.query(INSERT_ADMISSIONS, [
      digestBytes(columns.digests),
      numberArray(columns.offsets),
      numberArray(columns.intakes),
      `{${columns.times.join(',')}}`,
      numberArray(columns.runs),
      numberArray(columns.kinds),
      numberArray(columns.partitions),
      textArray(columns.eventIds),
      textArray(columns.keys),
    ]);
    return count === admissions.length;
  }

  /** Everything of a batch but its admissions. */
  async insertRest(transaction: Transaction, work: Omit<LedgerWork, 'admissions'>): Promise<void> {
    await this.insertIntakes(transaction, work.intakes);
    await this.#insertDuplicates(transaction, work.duplicates);
    await this.#insertQuarantines(transaction, work.quarantines);
  }

  async insertIntakes(transaction: Queryable, intakes: LedgerWork['intakes']): Promise<void> {
    if (intakes.length === 0) return;
    const rows = intakes.map((intake) => ({
      intake: intake.intakeId,
      principal: intake.principal,
      policy_id: intake.policyRev.policy_id,
      policy_revision: intake.policyRev.revision,
      policy_digest: intake.policyRev.content_digest,
      partitioning_profile: intake.partitioningProfile,
      topic: intake.topic,
      decided_at: intake.decidedAt,
      supersedes: intake.supersedes,
      component_version: intake.componentVersion,
      env: intake.env,
    }));
    await transaction.query(INSERT_INTAKES, [JSON.stringify(rows)]);
  }

  async insertSupersessions(
    transaction: Queryable,
    rows: readonly { readonly quarantineId: Digest; readonly receiptId: Digest; readonly intakeId: number }[],
  ): Promise<void> {
    if (rows.length === 0) return;
    const values = rows.map(({ quarantineId, receiptId, intakeId }) => ({
      quarantine_id: quarantineId,
      receipt_id: receiptId,
      intake: intakeId,
    }));
    await transaction.query(INSERT_SUPERSESSIONS, [JSON.stringify(values)]);
  }

  async #insertDuplicates(transaction: Transaction, duplicates: readonly NewDuplicate[]): Promise<void> {
    if (duplicates.length === 0) return;
    await transaction.query(INSERT_DUPLICATES, [
      digestBytes(duplicates.flatMap(({ receiptId, admissionId }) => [receiptId, admissionId])),
      numberArray(duplicates.map(({ intakeId }) => intakeId)),
      numberArray(duplicates.map(({ run }) => run)),
      numberArray(duplicates.map(({ position }) => position)),
    ]);
  }

  async #insertQuarantines(transaction: Transaction, quarantines: readonly NewQuarantine[]): Promise<void> {
    if (quarantines.length === 0) return;
    const rows = quarantines.map((entry) => ({
      quarantine_id: entry.quarantineId,
      intake: entry.intakeId,
      stage: entry.stage,
      reason: entry.reason,
      retryable: entry.retryable,
      detail: entry.detail,
      raw_digest: entry.rawDigest,
      evidence_locator: entry.evidence.locator,
      evidence_digest: entry.evidence.digest.hex,
      evidence_bytes: entry.evidence.size,
      line_start: entry.lineStart,
      line_end: entry.lineEnd,
      producer: entry.producer,
      event_id: entry.eventId,
      event_type: entry.eventType,
      schema_version: entry.schemaVersion,
      ts_utc: entry.tsUtc,
      payload_hash: entry.payloadHash,
      pins: entry.pins,
      run_id: entry.pins?.run_id,
    }));
    await transaction.query(INSERT_QUARANTINES, [JSON.stringify(rows)]);
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
