import { ProbityError } from '../../rails/errors/probity-error.js';
import type { ErrorCode } from '../../rails/errors/registry.js';
import type { RunPins } from '../../rails/pins.js';
import type { Offset, Position } from '../bus/bus.port.js';
import type { Database, Transaction } from '../database/database.port.js';
import type { SegmentKind } from './segments.js';

export interface StoredSegment {
  readonly kind: SegmentKind;
  readonly rows: number;
  readonly newestMicros: number;
  readonly bytes: Buffer;
}

export interface RunCheckpoint {
  readonly pins: RunPins;
  readonly pinsDigest: string;
  readonly segments: readonly StoredSegment[];
  /** What lies before it is in no window any more. */
  readonly horizonMicros: number;
}

export interface InvalidRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly reason: string;
  readonly detail: string;
  readonly pinsDigest: string | null;
}

export interface Checkpoint {
  readonly fence: number;
  readonly positions: readonly Position[];
  readonly runs: readonly RunCheckpoint[];
  readonly invalid: readonly InvalidRecord[];
}

export interface StoredRun {
  readonly run: number;
  readonly pins: RunPins;
  readonly pinsDigest: string;
  readonly invalid: number;
}

/** Segments of a run and kind are put together once there are so many, so that a start reads few rows. */
const SEGMENTS_MAX = 24;
/** What is as large as this already is left as it is: rows of Postgres end at a gigabyte, and memory long before. */
const MERGED_BYTES_MAX = 16 * 1024 * 1024;

/** What a projector's failures are called. */
export interface ProjectionErrors {
  /** Another process has taken over. */
  readonly superseded: ErrorCode;
  /** What was stored cannot be read. */
  readonly damaged: ErrorCode;
}

/** The tables of a projector's schema: what a start needs to go on where the last checkpoint stood. */
export class CheckpointStore {
  constructor(
    private readonly database: Database,
    readonly errors: ProjectionErrors,
  ) {}

  /**
   * Takes over: from now on nobody with a lower fence writes. Where the segments keep other members than these definitions read, they are
   * let go with the vector, and the state is rebuilt from the bus.
   */
  async takeOver(keptDigest: string): Promise<{ readonly fence: number; readonly rebuilt: boolean }> {
    return await this.database.transaction(async (transaction) => {
      const { rows } = await transaction.query<{ fence: number; kept_digest: string | null }>(
        'update owner set fence = fence + 1 returning fence, kept_digest',
      );
      const [owner] = rows;
      if (owner === undefined) throw new ProbityError(this.errors.damaged, 'the row of the owner is missing');
      const rebuilt = owner.kept_digest !== null && owner.kept_digest !== keptDigest;
      if (rebuilt) {
        for (const table of ['segments', 'runs', 'positions', 'invalid'])
          await transaction.query(`delete from ${table}`);
      }
      await transaction.query('update owner set kept_digest = $1', [keptDigest]);
      return { fence: owner.fence, rebuilt };
    });
  }

  async positions(): Promise<readonly Position[]> {
    const { rows } = await this.database.query<{ topic: string; partition: number; next_offset: Offset }>({
      text: 'select topic, partition, next_offset from positions',
      readOnly: true,
    });
    return rows.map(({ topic, partition, next_offset }) => ({
      topic: topic as Position['topic'],
      partition,
      offset: next_offset,
    }));
  }

  async runs(): Promise<readonly StoredRun[]> {
    const { rows } = await this.database.query<{ run: number; pins: RunPins; pins_digest: string; invalid: number }>({
      text: `select run, pins, pins_digest,
               (select count(*)::integer from invalid where invalid.pins_digest = runs.pins_digest) as invalid
             from runs order by run`,
      readOnly: true,
    });
    return rows.map(({ run, pins, pins_digest, invalid }) => ({ run, pins, pinsDigest: pins_digest, invalid }));
  }

  /** The segments of a run, one after the other: all at once could be more than memory holds twice. */
  async *segments(run: number): AsyncGenerator<StoredSegment, void> {
    let after = 0;
    for (;;) {
      const { rows } = await this.database.query<{
        segment: number;
        kind: SegmentKind;
        rows: number;
        newest_micros: number;
        bytes: Buffer;
      }>(
        {
          text: `select segment, kind, rows, newest_micros, bytes from segments
                 where run = $1 and segment > $2 order by segment limit 1`,
          readOnly: true,
        },
        [run, after],
      );
      const [row] = rows;
      if (row === undefined) return;
      after = row.segment;
      yield { kind: row.kind, rows: row.rows, newestMicros: row.newest_micros, bytes: row.bytes };
    }
  }

  /** State and vector in one transaction (law R5). @throws the code for `superseded` when another process has taken over */
  async save({ fence, positions, runs, invalid }: Checkpoint): Promise<void> {
    await this.database.transaction(async (transaction) => {
      const { count } = await transaction.query('select 1 from owner where fence = $1 for update', [fence]);
      if (count === 0) throw new ProbityError(this.errors.superseded, 'another process keeps this state now');
      for (const run of runs) await saveRun(transaction, run);
      if (invalid.length > 0) await saveInvalid(transaction, invalid);
      await transaction.query(
        `insert into positions (topic, partition, next_offset)
         select * from unnest($1::text[], $2::integer[], $3::bigint[])
         on conflict (topic, partition) do update set next_offset = excluded.next_offset`,
        [
          positions.map(({ topic }) => topic),
          positions.map(({ partition }) => partition),
          positions.map(({ offset }) => offset),
        ],
      );
    });
  }
}

/** One round trip per run and step: a checkpoint has few runs, whatever the number of its events. */
async function saveRun(transaction: Transaction, run: RunCheckpoint): Promise<void> {
  const { rows } = await transaction.query<{ run: number }>(
    `with known as (select run from runs where pins_digest = $2),
          made as (insert into runs (pins, pins_digest) select $1, $2 where not exists (select from known) returning run)
     select run from known union all select run from made`,
    [JSON.stringify(run.pins), run.pinsDigest],
  );
  const number = rows[0]?.run;
  if (number === undefined) throw new ProbityError('INTERNAL', 'a run has no number');
  await transaction.query('delete from segments where run = $1 and newest_micros < $2', [
    number,
    Math.floor(run.horizonMicros),
  ]);
  for (const { kind, rows: count, newestMicros, bytes } of run.segments) {
    await transaction.query(
      'insert into segments (run, kind, rows, newest_micros, bytes) values ($1, $2, $3, $4, $5)',
      [number, kind, count, newestMicros, bytes],
    );
    await merge(transaction, number, kind);
  }
}

/** Compressed members put together are the compressed whole, so nothing is unpacked. */
async function merge(transaction: Transaction, run: number, kind: SegmentKind): Promise<void> {
  await transaction.query(
    `with small as (
       select segment, rows, newest_micros, bytes from segments
       where run = $1 and kind = $2 and length(bytes) < $3
     ), enough as (select 1 from small having count(*) > $4),
     gone as (
       delete from segments where segment in (select segment from small) and exists (select from enough)
     )
     insert into segments (run, kind, rows, newest_micros, bytes)
     select $1, $2, sum(rows), max(newest_micros), string_agg(bytes, ''::bytea order by segment)
     from small where exists (select from enough) having count(*) > 0`,
    [run, kind, MERGED_BYTES_MAX, SEGMENTS_MAX],
  );
}

async function saveInvalid(transaction: Transaction, invalid: readonly InvalidRecord[]): Promise<void> {
  await transaction.query(
    `insert into invalid (topic, partition, record_offset, reason, detail, pins_digest)
     select * from unnest($1::text[], $2::integer[], $3::bigint[], $4::text[], $5::text[], $6::text[])
     on conflict do nothing`,
    [
      invalid.map(({ topic }) => topic),
      invalid.map(({ partition }) => partition),
      invalid.map(({ offset }) => offset),
      invalid.map(({ reason }) => reason),
      invalid.map(({ detail }) => detail),
      invalid.map(({ pinsDigest }) => pinsDigest),
    ],
  );
}
