import { type Digest } from '../../../rails/digest.js';
import { type Database, type Queryable } from '../../../substrate/database/database.port.js';
import { oneStatement, type Part } from '../../../substrate/database/one-statement.js';
import { digestBytes, numberArray, textArray } from './arrays.js';
import { type LedgerWork } from './ledger.js';
import { intakesParts } from './ledger.parts.js';

const RESERVE = `
    insert into reservations (receipt_id, content_digest, payload_hash, supersedes, slot, intake, ts_utc, run, kind,
      partition, event_id, partition_key, high_water, reserved_at)
    select substring($1::bytea from r.n::int * 96 - 95 for 32), substring($1 from r.n::int * 96 - 63 for 32),
      substring($1 from r.n::int * 96 - 31 for 32), decode(nullif(r.supersedes, ''), 'hex'), $2::int, r.intake, r.ts_utc,
      r.run, r.kind, r.partition, r.event_id, r.partition_key, r.high_water, $3::timestamptz
    from unnest($4::int8[], $5::timestamptz[], $6::int[], $7::int[], $8::int[], $9::text[], $10::text[], $11::int8[],
      $12::text[]) with ordinality
      as r (intake, ts_utc, run, kind, partition, event_id, partition_key, high_water, supersedes, n)
    on conflict (receipt_id) do nothing
    returning 1`;

const IDS = `any(array(select substring($1::bytea from n * 32 + 1 for 32) from generate_series(0, $2::int - 1) as n))`;

const RESERVED = {
  name: 'ig_reserved',
  text: `
    select encode(receipt_id, 'hex') as id, encode(content_digest, 'hex') as digest, slot
    from reservations where receipt_id = ${IDS}`,
  readOnly: true,
} as const;

const RELEASE = `delete from reservations where receipt_id = ${IDS} and slot = $3`;

const LEFT = {
  text: `
    select encode(receipt_id, 'hex') as id, intake, partition, high_water from reservations where slot = $1`,
  readOnly: true,
} as const;

/**
 * What follows touches the reservations that were looked at, and not later ones of the same identity: their intake is another.
 */
const FOUND = `
  unnest($1::text[], $2::int8[], $3::int8[]) as f (id, intake, record_offset)
  join reservations as r on r.receipt_id = decode(f.id, 'hex') and r.intake = f.intake and r.slot = $4`;

/** An admission with all that its reservation says, and the offset at which its record was found. */
const ADMIT_LEFT = `
  insert into admissions (receipt_id, content_digest, payload_hash, record_offset, intake, ts_utc, run, kind, partition,
    event_id, partition_key)
  select r.receipt_id, r.content_digest, r.payload_hash, f.record_offset, r.intake, r.ts_utc, r.run, r.kind, r.partition,
    r.event_id, r.partition_key
  from ${FOUND} where f.record_offset >= 0
  on conflict (receipt_id) do nothing`;

const SUPERSEDE_LEFT = `
  insert into supersessions (quarantine_id, receipt_id, intake)
  select r.supersedes, r.receipt_id, r.intake from ${FOUND} where f.record_offset >= 0 and r.supersedes is not null
  on conflict do nothing`;

const DROP_LEFT = `
  delete from reservations as d using ${FOUND} where d.receipt_id = r.receipt_id and d.intake = r.intake`;

export interface LeftReservation {
  readonly id: Digest;
  readonly intakeId: number;
  readonly partition: number;
  readonly highWater: number;
}

export interface Reserved {
  readonly id: Digest;
  readonly contentDigest: Digest;
  readonly slot: number;
}

export function releasePart(ids: readonly Digest[], slot: number): Part {
  return { as: 'released', text: RELEASE, values: [digestBytes(ids), ids.length, slot] };
}

/** Identities that are on their way onto the bus. Working state: these rows come and go. */
export class ReservationsStore {
  constructor(readonly database: Database) {}

  /** With the intakes of the batch. False when one of the identities is reserved already: then the transaction must not commit. */
  async reserve(
    transaction: Queryable,
    { intakes, admissions }: Pick<LedgerWork, 'intakes' | 'admissions'>,
    { slot, marks, at }: { readonly slot: number; readonly marks: ReadonlyMap<number, number>; readonly at: string },
  ): Promise<boolean> {
    const sorted = [...admissions].sort((a, b) => (a.candidate.admissionId < b.candidate.admissionId ? -1 : 1));
    const values = [
      digestBytes(
        sorted.flatMap(({ candidate }) => [candidate.admissionId, candidate.contentDigest, candidate.payloadHash]),
      ),
      slot,
      at,
      numberArray(sorted.map(({ intakeId }) => intakeId)),
      `{${sorted.map(({ candidate }) => candidate.envelope.ts_utc).join(',')}}`,
      numberArray(sorted.map(({ run }) => run)),
      numberArray(sorted.map(({ kind }) => kind)),
      numberArray(sorted.map(({ partition }) => partition)),
      textArray(sorted.map(({ candidate }) => candidate.envelope.event_id)),
      textArray(sorted.map(({ candidate }) => candidate.partitionKey)),
      numberArray(sorted.map(({ partition }) => marks.get(partition) ?? 0)),
      textArray(sorted.map(({ supersedes }) => supersedes ?? '')),
    ];
    const parts = [...intakesParts(intakes), { as: 'reserved', text: RESERVE, values }];
    const one = oneStatement('ig_reserve', parts, 'select count(*) as reserved from reserved');
    const { rows } = await transaction.query<{ reserved: number }>(one.statement, one.values);
    return rows[0]?.reserved === admissions.length;
  }

  async reserved(ids: readonly Digest[]): Promise<readonly Reserved[]> {
    const { rows } = await this.database.query<{ id: Digest; digest: Digest; slot: number }>(RESERVED, [
      digestBytes(ids),
      ids.length,
    ]);
    return rows.map(({ id, digest, slot }) => ({ id, contentDigest: digest, slot }));
  }

  async release(ids: readonly Digest[], slot: number): Promise<void> {
    const { text, values } = releasePart(ids, slot);
    await this.database.query({ name: 'ig_release', text }, values);
  }

  /** What the holder of a slot, or a former one, has not finished. */
  async left(slot: number): Promise<readonly LeftReservation[]> {
    const { rows } = await this.database.query<{ id: Digest; intake: number; partition: number; high_water: number }>(
      LEFT,
      [slot],
    );
    return rows.map(({ id, intake, partition, high_water }) => ({
      id,
      intakeId: intake,
      partition,
      highWater: high_water,
    }));
  }

  async slotsWithReservations(): Promise<readonly number[]> {
    const { rows } = await this.database.query<{ slot: number }>({
      text: 'select distinct slot from reservations order by slot',
      readOnly: true,
    });
    return rows.map(({ slot }) => slot);
  }

  /** Admits what was found on the bus and gives up the rest (no offset), as one commit. */
  async settle(slot: number, left: readonly LeftReservation[], offsets: readonly (number | null)[]): Promise<void> {
    const values = [
      textArray(left.map(({ id }) => id)),
      numberArray(left.map(({ intakeId }) => intakeId)),
      numberArray(offsets.map((offset) => offset ?? -1)),
      slot,
    ];
    await this.database.transaction(async (transaction) => {
      await transaction.query(ADMIT_LEFT, values);
      await transaction.query(SUPERSEDE_LEFT, values);
      await transaction.query(DROP_LEFT, values);
    });
  }
}
