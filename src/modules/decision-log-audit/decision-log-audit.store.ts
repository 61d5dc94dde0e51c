import { Injectable } from '@nestjs/common';
import type { Position, PositionStore, TopicPartition } from '../../substrate/bus/bus.port.js';
import { type BatchEnd, movedPart, movePosition, readPositions } from '../../substrate/bus/position-table.js';
import { decodeBundle, encodeBundle, TILE_WIDTH } from '../../rails/tlog/tiles.js';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { Database, type Queryable } from '../../substrate/database/database.port.js';
import { oneStatement, type Part } from '../../substrate/database/one-statement.js';
import type { Leaf, LeafKind } from './leaf.core.js';

export interface LogState {
  /** Leaves that have their place. */
  readonly nextLeaf: number;
  /** Leaves under the newest checkpoint. */
  readonly published: number;
  readonly edge: readonly Buffer[];
}

export interface LeafRow {
  readonly leaf: number;
  readonly kind: LeafKind;
  readonly run_id: string | null;
  readonly event_id: string | null;
  readonly decision_id: string | null;
  readonly entity_key: string | null;
  readonly ts_utc: string | null;
  readonly partition: number;
  readonly record_offset: number;
}

export interface LeafQuery {
  readonly limit: number;
  readonly before?: number;
  readonly run?: string;
  readonly decision?: string;
  readonly entity?: string;
  readonly kind?: string;
}

const PENDING_BYTES = 8_000_000;

/** Past a batch that has nothing that wants a place. */
const MOVE_ON = {
  name: 'dla_moved_on',
  text: `insert into positions as p (topic, partition, next_offset) values ($1, $2, $3)
         on conflict (topic, partition) do update set next_offset = greatest(p.next_offset, excluded.next_offset)`,
} as const;

/** The schema `audit_index`. */
@Injectable()
export class DecisionLogAuditStore implements PositionStore {
  constructor(private readonly database: Database) {}

  async positions(partitions: readonly TopicPartition[]): Promise<readonly Position[]> {
    return await readPositions(this.database, partitions);
  }

  async state(): Promise<LogState> {
    const { rows } = await this.database.query<{ next_leaf: number; published: number; edge: Buffer[] }>({
      text: 'select next_leaf, published, edge from log',
      readOnly: true,
    });
    const [row] = rows;
    if (row === undefined) throw new ProbityError('INTERNAL', 'the audit log has no state');
    return { nextLeaf: row.next_leaf, published: row.published, edge: row.edge };
  }

  /**
   * Gives the leaves of a batch their places, keeps their bytes, and moves the position: one transaction (law R5). From here on a leaf has one place for
   * ever, so whatever is written of it is the same at every attempt. What was given a place before is passed over; null when that is all.
   */
  async sequence(
    at: BatchEnd,
    leaves: readonly Leaf[],
  ): Promise<{ readonly first: number; readonly leaves: readonly Leaf[] } | null> {
    let rest = leaves;
    for (;;) {
      const [start] = rest;
      if (start === undefined) {
        await this.database.query(MOVE_ON, [at.topic, at.partition, at.nextOffset]);
        return null;
      }
      const { statement, values } = oneStatement(
        'dla_batch',
        [movedFromPart(at, start.offset), ...leavesParts(rest)],
        'select first_leaf from numbered',
      );
      const { rows } = await this.database.query<{ first_leaf: number }>(statement, values);
      if (rows[0] !== undefined) return { first: rows[0].first_leaf, leaves: rest };
      // Some of them have their places already; what is left begins behind them, unless somebody goes on meanwhile.
      const done = (await this.positions([at]))[0]?.offset ?? 0;
      rest = rest.filter(({ offset }) => offset >= done);
    }
  }

  /** Leaves from a place on, as far as they are still kept here and fit into one reading. */
  async pending(from: number): Promise<readonly Buffer[]> {
    const { rows } = await this.database.query<{ first_leaf: number; bytes: Buffer }>(
      {
        text: `select first_leaf, bytes from (
                 select first_leaf, bytes, sum(octet_length(bytes)) over (order by first_leaf) - octet_length(bytes) as before
                 from pending where first_leaf + leaves > $1
               ) as rows where before < $2 order by first_leaf`,
        readOnly: true,
      },
      [from, PENDING_BYTES],
    );
    const leaves = rows.flatMap(({ first_leaf, bytes }) => {
      const found = decodeBundle(bytes);
      if (found === null) throw new ProbityError('INTERNAL', `the leaves from ${first_leaf} on are damaged`);
      return found.slice(Math.max(0, from - first_leaf));
    });
    const start = rows[0]?.first_leaf;
    if (start !== undefined && start > from) throw new ProbityError('INTERNAL', `the leaves before ${start} are gone`);
    return leaves;
  }

  /** After the checkpoint stands: false when somebody else was first. Leaves in full bundles are kept by the objects alone from now on. */
  async published(before: number, size: number, edge: readonly Buffer[]): Promise<boolean> {
    return await this.database.transaction(async (transaction) => {
      const { count } = await transaction.query('update log set published = $2, edge = $3 where published = $1', [
        before,
        size,
        [...edge],
      ]);
      if (count === 0) return false;
      await transaction.query('delete from pending where first_leaf + leaves <= $1', [size - (size % TILE_WIDTH)]);
      return true;
    });
  }

  /** Begins from what the objects hold, all in one transaction; the work is told how leaves are added, in their order. */
  async rebuild(
    work: (
      add: (first: number, leaves: readonly Leaf[]) => Promise<void>,
    ) => Promise<LogState & { readonly topic: string }>,
  ): Promise<void> {
    await this.database.transaction(
      async (transaction) => {
        const next = new Map<number, number>();
        for (const table of ['leaves', 'pending', 'positions']) await transaction.query(`delete from ${table}`);
        const state = await work(async (first, leaves) => {
          await insertRows(transaction, first, leaves);
          for (const { partition, offset } of leaves)
            next.set(partition, Math.max(next.get(partition) ?? 0, offset + 1));
          const whole = first + leaves.length;
          if (whole % TILE_WIDTH !== 0) await insertPending(transaction, first, leaves);
        });
        for (const [partition, offset] of next)
          await movePosition(transaction, { topic: state.topic, partition, nextOffset: offset });
        await transaction.query('update log set next_leaf = $1, published = $1, edge = $2', [
          state.published,
          [...state.edge],
        ]);
      },
      { statementTimeoutMs: 600_000 },
    );
  }

  async leaves(query: LeafQuery): Promise<readonly LeafRow[]> {
    const { rows } = await this.database.query<LeafRow>(
      {
        text: `select leaf, kind, run_id, event_id, decision_id, entity_key, ts_utc, partition, record_offset from leaves
               where ($2::bigint is null or leaf < $2) and ($3::text is null or run_id = $3)
                 and ($4::text is null or decision_id = $4) and ($5::text is null or entity_key = $5)
                 and ($6::text is null or kind = $6)
               order by leaf desc limit $1`,
        readOnly: true,
      },
      [
        query.limit,
        query.before ?? null,
        query.run ?? null,
        query.decision ?? null,
        query.entity ?? null,
        query.kind ?? null,
      ],
    );
    return rows;
  }

  /** Leaves of quarantined records from one on and before another, rising. */
  async quarantined(from: number, before: number, limit: number): Promise<readonly number[]> {
    const { rows } = await this.database.query<{ leaf: number }>(
      {
        text: `select leaf from leaves where kind = 'quarantine' and leaf >= $1 and leaf < $2 order by leaf limit $3`,
        readOnly: true,
      },
      [from, before, limit],
    );
    return rows.map(({ leaf }) => leaf);
  }

  /** Leaves by kind, of one run or of all. */
  async counts(runId: string | null = null): Promise<Readonly<Record<string, number>>> {
    const { rows } = await this.database.query<{ kind: string; count: number }>(
      {
        text: `select kind, count(*) as count from leaves where $1::text is null or run_id = $1 group by kind order by kind`,
        readOnly: true,
      },
      [runId],
    );
    return Object.fromEntries(rows.map(({ kind, count }) => [kind, count]));
  }
}

async function insertPending(transaction: Queryable, first: number, leaves: readonly Leaf[]): Promise<void> {
  await transaction.query(
    { name: 'dla_pending', text: 'insert into pending (first_leaf, leaves, bytes) values ($1, $2, $3)' },
    [first, leaves.length, encodeBundle(leaves.map(({ bytes }) => bytes))],
  );
}

async function insertRows(transaction: Queryable, first: number, leaves: readonly Leaf[]): Promise<void> {
  await transaction.query({ name: 'dla_leaves', text: insertLeaves('$1::bigint', 1) }, [first, ...columnsOf(leaves)]);
}

/** The position behind a batch, moved only from before its first record: whoever came second finds it moved. */
function movedFromPart(at: BatchEnd, firstOffset: number): Part {
  const { as, text, values } = movedPart(at);
  return { as, text: `${text} where positions.next_offset <= $4 returning true`, values: [...values, firstOffset] };
}

/** The next numbers for these leaves, if the position moved; their bytes, and what they are found by. */
function leavesParts(leaves: readonly Leaf[]): readonly Part[] {
  const bytes = encodeBundle(leaves.map((leaf) => leaf.bytes));
  return [
    {
      as: 'numbered',
      text: 'update log set next_leaf = next_leaf + $1 from moved returning next_leaf - $1 as first_leaf',
      values: [leaves.length],
    },
    {
      as: 'kept',
      text: 'insert into pending (first_leaf, leaves, bytes) select first_leaf, $1::integer, $2::bytea from numbered',
      values: [leaves.length, bytes],
    },
    { as: 'found_by', text: insertLeaves('(select first_leaf from numbered)', 0), values: columnsOf(leaves) },
  ];
}

/** Where the first one is not known, nothing is inserted. */
function insertLeaves(first: string, before: number): string {
  const types = ['text', 'text', 'text', 'text', 'text', 'timestamptz', 'integer', 'bigint'];
  return `insert into leaves (leaf, kind, run_id, event_id, decision_id, entity_key, ts_utc, partition, record_offset)
          select ${first} + number - 1, kind, run_id, event_id, decision_id, entity_key, ts_utc, partition, record_offset
          from unnest(${types.map((type, at) => `$${at + 1 + before}::${type}[]`).join(', ')}) with ordinality
            as rows (kind, run_id, event_id, decision_id, entity_key, ts_utc, partition, record_offset, number)
          where ${first} is not null`;
}

function columnsOf(leaves: readonly Leaf[]): readonly unknown[] {
  return [
    leaves.map(({ kind }) => kind),
    leaves.map(({ runId }) => runId),
    leaves.map(({ eventId }) => eventId),
    leaves.map(({ decisionId }) => decisionId),
    leaves.map(({ entityKey }) => entityKey),
    leaves.map(({ tsUtc }) => tsUtc),
    leaves.map(({ partition }) => partition),
    leaves.map(({ offset }) => offset),
  ];
}
