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
  /** Rows that the policy does not want; null of feeds from before they were counted. */
  readonly passed_over: number | null;
  readonly changed_at: UtcMicros;
}

/** A run whose events can be labelled. */
export interface LabelledRun {
  readonly pins: RunPins;
  readonly trafficOutputs: readonly string[];
}

export interface NewFeed {
  readonly pins: RunPins;
  readonly traffic_outputs: readonly string[];
  readonly state: Extract<FeedState, 'WAITING' | 'NONE' | 'REFUSED'>;
  readonly detail: string | null;
  readonly output_id: string | null;
  readonly rows_total: number;
}

const COLUMNS = 'run_id, pins, state, detail, output_id, rows_total, next_row, published, passed_over, changed_at';

/** Of the schema `label_store`: which runs there are, which of them have sealed labels, and how far those have entered the ledger. */
@Injectable()
export class LabelStoreStore implements PositionStore {
  constructor(readonly database: Database) {}

  /** How far a run's labels are published: DONE once the control topic has them. */
  async find(runId: string): Promise<Feed | null> {
    const { rows } = await this.database.query<Feed>(
      {
        text: `select run_id, pins, case when state = 'DONE' and last_seq > (select seq from told) then 'PUBLISHING' else state end as state,
                 detail, output_id, rows_total, next_row, published, passed_over, changed_at
               from feeds where run_id = $1`,
        readOnly: true,
      },
      [runId],
    );
    return rows[0] ?? null;
  }

  /** How far they have entered the ledger. */
  async taken(runId: string): Promise<Feed | null> {
    const { rows } = await this.database.query<Feed>(
      { name: 'feeds_taken', text: `select ${COLUMNS} from feeds where run_id = $1`, readOnly: true },
      [runId],
    );
    return rows[0] ?? null;
  }

  async runs(runIds: readonly string[]): Promise<ReadonlyMap<string, LabelledRun>> {
    const { rows } = await this.database.query<{ run_id: string; pins: RunPins; traffic_outputs: readonly string[] }>(
      { text: 'select run_id, pins, traffic_outputs from feeds where run_id = any($1::text[])', readOnly: true },
      [runIds],
    );
    return new Map(
      rows.map(({ run_id, pins, traffic_outputs }) => [run_id, { pins, trafficOutputs: traffic_outputs }]),
    );
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
    to: {
      readonly nextRow: number;
      readonly published: number;
      readonly passedOver: number | null;
      readonly state: FeedState;
      readonly detail?: string;
      /** Number of the last label that entered by this step. */
      readonly lastSeq?: number;
    },
    leaseMs: number,
    now: UtcMicros,
  ): Promise<boolean> {
    const { count } = await queryable.query(
      `update feeds set next_row = $3, published = $4, state = $5, detail = $6, changed_at = $7,
         last_seq = coalesce($9, last_seq), passed_over = $10,
         holder = case when $5 = 'PUBLISHING' then holder end,
         lease_until = case when $5 = 'PUBLISHING' then clock_timestamp() + make_interval(secs => $8 / 1000.0) end
       where run_id = $1 and holder = $2`,
      [
        run_id,
        holder,
        to.nextRow,
        to.published,
        to.state,
        to.detail ?? null,
        now,
        leaseMs,
        to.lastSeq ?? null,
        to.passedOver,
      ],
    );
    return count > 0;
  }

  async positions(partitions: readonly TopicPartition[]): Promise<readonly Position[]> {
    return await readPositions(this.database, partitions);
  }
}

async function insertFeeds(transaction: Transaction, feeds: readonly NewFeed[], now: UtcMicros): Promise<void> {
  await transaction.query(
    `insert into feeds (run_id, pins, state, detail, output_id, rows_total, traffic_outputs, changed_at)
     select run_id, pins, state, detail, output_id, rows_total,
       array(select jsonb_array_elements_text(traffic_outputs)), $8::timestamptz
     from unnest($1::text[], $2::jsonb[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::jsonb[])
       as new (run_id, pins, state, detail, output_id, rows_total, traffic_outputs)
     on conflict do nothing`,
    [
      feeds.map(({ pins }) => pins.run_id),
      feeds.map(({ pins }) => JSON.stringify(pins)),
      feeds.map(({ state }) => state),
      feeds.map(({ detail }) => detail),
      feeds.map(({ output_id }) => output_id),
      feeds.map(({ rows_total }) => rows_total),
      feeds.map(({ traffic_outputs }) => JSON.stringify(traffic_outputs)),
      now,
    ],
  );
}
