import { Injectable } from '@nestjs/common';
import type { RunPins } from '../../rails/pins.js';
import type { UtcMicros } from '../../rails/time.js';
import type { Position, PositionStore, TopicPartition } from '../../substrate/bus/bus.port.js';
import { type BatchEnd, movePosition, readPositions } from '../../substrate/bus/position-table.js';
import { Database, type Queryable, type Transaction } from '../../substrate/database/database.port.js';

export type FeedState = 'WAITING' | 'PUBLISHING' | 'DONE' | 'NONE' | 'REFUSED';

export interface Feed {
  readonly run_id: string;
  readonly pins: RunPins;
  readonly state: FeedState;
  readonly detail: string | null;
  readonly output_id: string | null;
  readonly rows_total: number;
  readonly next_row: number;
  readonly published: number;
  readonly changed_at: UtcMicros;
}

export interface NewFeed {
  readonly pins: RunPins;
  readonly state: Extract<FeedState, 'WAITING' | 'NONE' | 'REFUSED'>;
  readonly detail: string | null;
  readonly output_id: string | null;
  readonly rows_total: number;
}

const COLUMNS = 'run_id, pins, state, detail, output_id, rows_total, next_row, published, changed_at';

/** The schema `label_store`: which runs have labels, and how far they were published. */
@Injectable()
export class LabelStoreStore implements PositionStore {
  constructor(readonly database: Database) {}

  async find(runId: string): Promise<Feed | null> {
    const { rows } = await this.database.query<Feed>(
      { text: `select ${COLUMNS} from feeds where run_id = $1`, readOnly: true },
      [runId],
    );
    return rows[0] ?? null;
  }

  /** What came of a batch of the control topic, and the position after it, in one transaction (law R5). */
  async take(at: BatchEnd, feeds: readonly NewFeed[], now: UtcMicros): Promise<void> {
    await this.database.transaction(async (transaction) => {
      if (feeds.length > 0) await insertFeeds(transaction, feeds, now);
      await movePosition(transaction, at);
    });
  }

  /** A feed that somebody ought to publish and nobody does; it is this process's until the lease runs out. */
  async acquire(holder: string, leaseMs: number): Promise<Feed | null> {
    const { rows } = await this.database.query<Feed>(
      `update feeds set state = 'PUBLISHING', holder = $1, lease_until = clock_timestamp() + make_interval(secs => $2 / 1000.0)
       where run_id = (
         select run_id from feeds
         where state in ('WAITING', 'PUBLISHING') and (holder is null or holder = $1 or lease_until < clock_timestamp())
         order by changed_at limit 1 for update skip locked)
       returning ${COLUMNS}`,
      [holder, leaseMs],
    );
    return rows[0] ?? null;
  }

  /** Progress, as part of the append where that is one. @returns false when the lease is another's now: nothing was written */
  async advance(
    queryable: Queryable,
    { run_id }: Pick<Feed, 'run_id'>,
    holder: string,
    to: { readonly nextRow: number; readonly published: number; readonly state: FeedState; readonly detail?: string },
    leaseMs: number,
    now: UtcMicros,
  ): Promise<boolean> {
    const { count } = await queryable.query(
      `update feeds set next_row = $3, published = $4, state = $5, detail = $6, changed_at = $7,
         holder = case when $5 = 'PUBLISHING' then holder end,
         lease_until = case when $5 = 'PUBLISHING' then clock_timestamp() + make_interval(secs => $8 / 1000.0) end
       where run_id = $1 and holder = $2`,
      [run_id, holder, to.nextRow, to.published, to.state, to.detail ?? null, now, leaseMs],
    );
    return count > 0;
  }

  async positions(partitions: readonly TopicPartition[]): Promise<readonly Position[]> {
    return await readPositions(this.database, partitions);
  }
}

async function insertFeeds(transaction: Transaction, feeds: readonly NewFeed[], now: UtcMicros): Promise<void> {
  await transaction.query(
    `insert into feeds (run_id, pins, state, detail, output_id, rows_total, changed_at)
     select *, $7::timestamptz from unnest($1::text[], $2::jsonb[], $3::text[], $4::text[], $5::text[], $6::bigint[])
     on conflict do nothing`,
    [
      feeds.map(({ pins }) => pins.run_id),
      feeds.map(({ pins }) => JSON.stringify(pins)),
      feeds.map(({ state }) => state),
      feeds.map(({ detail }) => detail),
      feeds.map(({ output_id }) => output_id),
      feeds.map(({ rows_total }) => rows_total),
      now,
    ],
  );
}
