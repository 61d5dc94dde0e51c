import { Injectable } from '@nestjs/common';
import { canonicalJson } from '../../../rails/canonical-json.js';
import type { Digest } from '../../../rails/digest.js';
import type { Offset, TopicName } from '../../../rails/eb-ref.js';
import type { Ref } from '../../../rails/ref.js';
import type { UtcMicros } from '../../../rails/time.js';
import type { TopicPartition } from '../../../substrate/bus/bus.port.js';
import { Database, type Queryable, type Transaction } from '../../../substrate/database/database.port.js';
import { chainOf, type Chunk, type Cut } from './chunk.core.js';
import type { Stretch } from './proof.core.js';

interface ChunkRow {
  readonly topic: TopicName;
  readonly partition: number;
  readonly first_offset: Offset;
  readonly next_offset: Offset;
  readonly records: number;
  readonly bytes: number;
  readonly content_digest: Digest;
  readonly chain: Digest;
  readonly ref: Ref;
  readonly archived_at: UtcMicros;
}

export interface ArchivedPartition extends TopicPartition {
  readonly chunks: number;
  readonly records: number;
  readonly stored_bytes: number;
  readonly first_offset: Offset;
  readonly next_offset: Offset;
  readonly last_archived_at_utc: UtcMicros | null;
  readonly gaps: readonly Stretch[];
}

const COLUMNS = 'topic, partition, first_offset, next_offset, records, bytes, content_digest, chain, ref, archived_at';

/** The index of the archive in the schema `gov`: its last row of a partition is the writer's position there (law R5). */
@Injectable()
export class ArchiveStore {
  constructor(private readonly database: Database) {}

  /** Where the archive of a partition goes on; null where nothing of it is archived yet. */
  async position(at: TopicPartition): Promise<Offset | null> {
    return await positionIn(this.database, at);
  }

  /** A cut that was decided from this offset on, written or not. */
  async cutFrom({ topic, partition }: TopicPartition, from: Offset): Promise<Cut | null> {
    const { rows } = await this.database.query<{ next_offset: Offset; cut_at: UtcMicros }>(
      {
        text: 'select next_offset, cut_at from archive_cuts where topic = $1 and partition = $2 and first_offset = $3',
        readOnly: true,
      },
      [topic, partition, from],
    );
    const [row] = rows;
    return row === undefined
      ? null
      : { topic, partition, firstOffset: from, nextOffset: row.next_offset, cutAt: row.cut_at };
  }

  /** Decides where a chunk ends, once. @returns the cut that stands: another's where that one was first */
  async decide(cut: Cut): Promise<Cut> {
    await this.database.query(
      `insert into archive_cuts (topic, partition, first_offset, next_offset, cut_at) values ($1, $2, $3, $4, $5)
       on conflict do nothing`,
      [cut.topic, cut.partition, cut.firstOffset, cut.nextOffset, cut.cutAt],
    );
    return (await this.cutFrom(cut, cut.firstOffset)) ?? cut;
  }

  /**
   * The row of a chunk whose object stands; the position is behind it with the same commit.
   * @returns null where somebody else has written it, or one that goes further
   */
  async index(
    cut: Cut,
    of: { readonly records: number; readonly bytes: number; readonly contentDigest: Digest; readonly ref: Ref },
  ): Promise<Chunk | null> {
    return await this.database.transaction(async (transaction) => {
      await locked(transaction, cut);
      const reached = await positionIn(transaction, cut);
      if (reached !== null && reached !== cut.firstOffset) return null;
      const { rows } = await transaction.query<{ chain: Digest }>(
        'select chain from archive_chunks where topic = $1 and partition = $2 order by first_offset desc limit 1',
        [cut.topic, cut.partition],
      );
      const row = {
        ...{ topic: cut.topic, partition: cut.partition, first_offset: cut.firstOffset, next_offset: cut.nextOffset },
        ...{ records: of.records, bytes: of.bytes, content_digest: of.contentDigest },
      };
      const chunk: Chunk = {
        ...row,
        chain: chainOf(rows[0]?.chain ?? null, row),
        ref: of.ref,
        archived_at_utc: cut.cutAt,
      };
      await transaction.query(
        `insert into archive_chunks (${COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10)`,
        [
          ...[chunk.topic, chunk.partition, chunk.first_offset, chunk.next_offset, chunk.records, chunk.bytes],
          ...[chunk.content_digest, chunk.chain, canonicalJson(chunk.ref), chunk.archived_at_utc],
        ],
      );
      return chunk;
    });
  }

  /** What the bus no longer had when its turn came. @returns false where somebody else noted it */
  async noteGap(
    at: TopicPartition,
    { first, next }: Stretch,
    now: UtcMicros,
    within: (transaction: Transaction) => Promise<void>,
  ): Promise<boolean> {
    return await this.database.transaction(async (transaction) => {
      await locked(transaction, at);
      if ((await positionIn(transaction, at)) !== first) return false;
      await transaction.query(
        'insert into archive_gaps (topic, partition, first_offset, next_offset, found_at) values ($1, $2, $3, $4, $5)',
        [at.topic, at.partition, first, next, now],
      );
      await within(transaction);
      return true;
    });
  }

  /** Chunks of a partition that a window needs, in order, at most so many. */
  async chunks(
    { topic, partition }: TopicPartition,
    { first, next }: Stretch,
    limit: number,
  ): Promise<readonly Chunk[]> {
    const { rows } = await this.database.query<ChunkRow>(
      {
        text: `select ${COLUMNS} from archive_chunks
               where topic = $1 and partition = $2 and next_offset > $3 and first_offset < $4
               order by first_offset limit $5`,
        readOnly: true,
      },
      [topic, partition, first, next, limit],
    );
    return rows.map(({ archived_at, ...row }) => ({ ...row, archived_at_utc: archived_at }));
  }

  /** The link before a chunk; null before the first. */
  async linkBefore({ topic, partition }: TopicPartition, first: Offset): Promise<Digest | null> {
    const { rows } = await this.database.query<{ chain: Digest }>(
      {
        text: `select chain from archive_chunks where topic = $1 and partition = $2 and first_offset < $3
               order by first_offset desc limit 1`,
        readOnly: true,
      },
      [topic, partition, first],
    );
    return rows[0]?.chain ?? null;
  }

  async partitions(): Promise<readonly ArchivedPartition[]> {
    const { rows } = await this.database.query<ArchivedPartition>({
      text: `select topic, partition, sum(chunks)::bigint as chunks, sum(records)::bigint as records,
               sum(stored)::bigint as stored_bytes, min(first_offset) as first_offset, max(next_offset) as next_offset,
               max(at) as last_archived_at_utc,
               coalesce(jsonb_agg(jsonb_build_object('first', first_offset, 'next', next_offset) order by first_offset)
                 filter (where is_gap), '[]') as gaps
             from (
               select topic, partition, count(*) as chunks, sum(records) as records, sum((ref->>'size')::bigint) as stored,
                 min(first_offset) as first_offset, max(next_offset) as next_offset, max(archived_at) as at, false as is_gap
               from archive_chunks group by topic, partition
               union all
               select topic, partition, 0, 0, 0, first_offset, next_offset, null, true from archive_gaps
             ) as parts group by topic, partition order by topic, partition`,
      readOnly: true,
    });
    return rows;
  }
}

async function locked(transaction: Transaction, { topic, partition }: TopicPartition): Promise<void> {
  await transaction.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`archive ${topic}/${partition}`]);
}

async function positionIn(queryable: Queryable, { topic, partition }: TopicPartition): Promise<Offset | null> {
  const { rows } = await queryable.query<{ next_offset: Offset | null }>(
    `select greatest(
       (select max(next_offset) from archive_chunks where topic = $1 and partition = $2),
       (select max(next_offset) from archive_gaps where topic = $1 and partition = $2)) as next_offset`,
    [topic, partition],
  );
  return rows[0]?.next_offset ?? null;
}
