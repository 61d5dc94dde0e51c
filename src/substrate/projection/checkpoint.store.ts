import { ProbityError } from '../../rails/errors/probity-error.js';
import type { ErrorCode } from '../../rails/errors/registry.js';
import type { RunPins } from '../../rails/pins.js';
import type { Offset, Position } from '../bus/bus.port.js';
import type { Database, Transaction } from '../database/database.port.js';
import type { SegmentKind, StoredSegment } from './segments.js';

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

/** Who writes: the process of the highest fence, as long as it serves the generation that the database names. */
export interface Owner {
  readonly fence: number;
  /** The generation that is served. */
  readonly live: number;
}

export interface Checkpoint {
  readonly owner: Owner;
  /** What is written: the one that is served, or one beside it. */
  readonly generation: number;
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
  async takeOver(keptDigest: string): Promise<{ readonly owner: Owner; readonly rebuilt: boolean }> {
    return await this.database.transaction(async (transaction) => {
      const { rows } = await transaction.query<{ fence: number; generation: number; kept_digest: string | null }>(
        'update owner set fence = fence + 1 returning fence, generation, kept_digest',
      );
      const [owner] = rows;
      if (owner === undefined) throw new ProbityError(this.errors.damaged, 'the row of the owner is missing');
      const rebuilt = owner.kept_digest !== null && owner.kept_digest !== keptDigest;
      if (rebuilt) {
        for (const table of ['segments', 'runs', 'positions', 'invalid'])
          await transaction.query(`delete from ${table}`);
        await transaction.query(`update generations set state = 'DISCARDED' where generation <> $1`, [
          owner.generation,
        ]);
      }
      await transaction.query('update owner set kept_digest = $1', [keptDigest]);
      return { owner: { fence: owner.fence, live: owner.generation }, rebuilt };
    });
  }

  async positions(generation: number): Promise<readonly Position[]> {
    const { rows } = await this.database.query<{ topic: string; partition: number; next_offset: Offset }>(
      { text: 'select topic, partition, next_offset from positions where generation = $1', readOnly: true },
      [generation],
    );
    return rows.map(({ topic, partition, next_offset }) => ({
      topic: topic as Position['topic'],
      partition,
      offset: next_offset,
    }));
  }

  async runs(generation: number): Promise<readonly StoredRun[]> {
    const { rows } = await this.database.query<{ run: number; pins: RunPins; pins_digest: string; invalid: number }>(
      {
        text: `select run, pins, pins_digest,
                 (select count(*)::integer from invalid
                  where invalid.pins_digest = runs.pins_digest and invalid.generation = runs.generation) as invalid
               from runs where generation = $1 order by run`,
        readOnly: true,
      },
      [generation],
    );
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

  /**
   * State and vector in one transaction (law R5).
   * @param also belongs to the same step
   * @throws the code for `superseded` when another process has taken over
   */
  async save(
    { owner, generation, positions, runs, invalid }: Checkpoint,
    also?: (transaction: Transaction) => Promise<void>,
  ): Promise<void> {
    await this.owned(owner, async (transaction) => {
      for (const run of runs) await saveRun(transaction, generation, run);
      if (invalid.length > 0) await saveInvalid(transaction, generation, invalid);
      await transaction.query(
        `insert into positions (generation, topic, partition, next_offset)
         select $1, * from unnest($2::text[], $3::integer[], $4::bigint[])
         on conflict (generation, topic, partition) do update set next_offset = excluded.next_offset`,
        [
          generation,
          positions.map(({ topic }) => topic),
          positions.map(({ partition }) => partition),
          positions.map(({ offset }) => offset),
        ],
      );
      await also?.(transaction);
    });
  }

  /** One step of the owner. @throws the code for `superseded` */
  async owned<Result>({ fence, live }: Owner, work: (transaction: Transaction) => Promise<Result>): Promise<Result> {
    return await this.database.transaction(async (transaction) => {
      const { count } = await transaction.query('select 1 from owner where fence = $1 and generation = $2 for update', [
        fence,
        live,
      ]);
      if (count === 0) throw new ProbityError(this.errors.superseded, 'another process keeps this state now');
      return await work(transaction);
    });
  }
}

/** One round trip per run and step: a checkpoint has few runs, whatever the number of its events. */
async function saveRun(transaction: Transaction, generation: number, run: RunCheckpoint): Promise<void> {
  const { rows } = await transaction.query<{ run: number }>(
    `with known as (select run from runs where pins_digest = $2 and generation = $3),
          made as (insert into runs (pins, pins_digest, generation)
                   select $1, $2, $3 where not exists (select from known) returning run)
     select run from known union all select run from made`,
    [JSON.stringify(run.pins), run.pinsDigest, generation],
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

async function saveInvalid(
  transaction: Transaction,
  generation: number,
  invalid: readonly InvalidRecord[],
): Promise<void> {
  await transaction.query(
    `insert into invalid (generation, topic, partition, record_offset, reason, detail, pins_digest)
     select $1, * from unnest($2::text[], $3::integer[], $4::bigint[], $5::text[], $6::text[], $7::text[])
     on conflict do nothing`,
    [
      generation,
      invalid.map(({ topic }) => topic),
      invalid.map(({ partition }) => partition),
      invalid.map(({ offset }) => offset),
      invalid.map(({ reason }) => reason),
      invalid.map(({ detail }) => detail),
      invalid.map(({ pinsDigest }) => pinsDigest),
    ],
  );
}
