import { Injectable } from '@nestjs/common';
import { ProbityError } from '../../rails/errors/probity-error.js';
import { type Digest } from '../../rails/digest.js';
import { type UtcMicros } from '../../rails/time.js';
import type { Offset, Position, TopicPartition } from '../../substrate/bus/bus.port.js';
import { Database } from '../../substrate/database/database.port.js';

/** What became of the records of a source. Their sum is the number of records that were read. */
export interface SourceCounts {
  readonly admitted: number;
  readonly duplicate: number;
  readonly quarantined: number;
  readonly unreadable: number;
}

/** A record that could not be made into a transaction. */
export interface UnreadableRecord {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly producer: string;
  readonly code: string;
  readonly at: string;
  readonly detail: string;
  readonly raw_digest: Digest;
  readonly raw_bytes: number;
  readonly found_at_utc: UtcMicros;
}

/** One batch of a partition that has been dealt with. */
export interface DoneBatch extends TopicPartition {
  readonly group: string;
  /** Of the batch's first record: what stands must not lie beyond it. */
  readonly firstOffset: Offset;
  readonly nextOffset: Offset;
  readonly counts: SourceCounts;
  readonly unreadable: readonly Omit<UnreadableRecord, 'topic' | 'partition'>[];
}

export interface StoredPosition extends TopicPartition {
  readonly group: string;
  readonly nextOffset: Offset;
  readonly counts: SourceCounts;
}

interface PositionRow extends SourceCounts {
  readonly consumer_group: string;
  readonly topic: TopicPartition['topic'];
  readonly partition: number;
  readonly next_offset: Offset;
}

type UnreadableRow = Omit<UnreadableRecord, 'offset' | 'at'> & {
  readonly seq: number;
  readonly record_offset: number;
  readonly place: string;
};

/** Positions of the sources with their counts, and the records that were passed over. */
@Injectable()
export class ProducerEdgesStore {
  constructor(private readonly database: Database) {}

  async positions(group: string, partitions: readonly TopicPartition[]): Promise<readonly Position[]> {
    const { rows } = await this.database.query<PositionRow>(
      {
        text: `select topic, partition, next_offset from positions
               where consumer_group = $1 and (topic, partition) in (select * from unnest($2::text[], $3::integer[]))`,
        readOnly: true,
      },
      [group, partitions.map(({ topic }) => topic), partitions.map(({ partition }) => partition)],
    );
    return rows.map(({ topic, partition, next_offset }) => ({ topic, partition, offset: next_offset }));
  }

  /** Where a source begins that has no position yet; one that has keeps it. */
  async begin(group: string, positions: readonly Position[]): Promise<void> {
    await this.database.query(
      `insert into positions (consumer_group, topic, partition, next_offset)
       select $1, * from unnest($2::text[], $3::integer[], $4::bigint[]) on conflict do nothing`,
      [
        group,
        positions.map(({ topic }) => topic),
        positions.map(({ partition }) => partition),
        positions.map(({ offset }) => offset),
      ],
    );
  }

  /**
   * Position, counts and what was passed over, in one transaction.
   * @throws EDGE_POSITION_MOVED where somebody else has dealt with the batch already; nothing is written then
   */
  async done(batch: DoneBatch): Promise<void> {
    const { group, topic, partition, firstOffset, nextOffset, counts, unreadable } = batch;
    await this.database.transaction(async (transaction) => {
      const { count } = await transaction.query(
        `insert into positions as p
           (consumer_group, topic, partition, next_offset, admitted, duplicate, quarantined, unreadable)
         values ($1, $2, $3, $4, $5, $6, $7, $8)
         on conflict (consumer_group, topic, partition) do update set
           next_offset = excluded.next_offset,
           admitted = p.admitted + excluded.admitted,
           duplicate = p.duplicate + excluded.duplicate,
           quarantined = p.quarantined + excluded.quarantined,
           unreadable = p.unreadable + excluded.unreadable
         where p.next_offset <= $9`,
        [
          group,
          topic,
          partition,
          nextOffset,
          counts.admitted,
          counts.duplicate,
          counts.quarantined,
          counts.unreadable,
          firstOffset,
        ],
      );
      if (count === 0) {
        throw new ProbityError(
          'EDGE_POSITION_MOVED',
          `${topic}/${partition} of ${group} lies past ${firstOffset} already`,
        );
      }
      if (unreadable.length === 0) return;
      await transaction.query(
        `insert into unreadable_records (consumer_group, topic, partition, record_offset, producer, code, place, detail,
           raw_digest, raw_bytes, found_at_utc)
         select $1, $2, $3, * from unnest($4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
           $10::integer[], $11::text[])`,
        [
          group,
          topic,
          partition,
          unreadable.map(({ offset }) => offset),
          unreadable.map(({ producer }) => producer),
          unreadable.map(({ code }) => code),
          unreadable.map(({ at }) => at),
          unreadable.map(({ detail }) => detail),
          unreadable.map(({ raw_digest }) => raw_digest),
          unreadable.map(({ raw_bytes }) => raw_bytes),
          unreadable.map(({ found_at_utc }) => found_at_utc),
        ],
      );
    });
  }

  async allPositions(): Promise<readonly StoredPosition[]> {
    const { rows } = await this.database.query<PositionRow>({
      text: `select consumer_group, topic, partition, next_offset, admitted, duplicate, quarantined, unreadable
             from positions order by consumer_group, topic, partition`,
      readOnly: true,
    });
    return rows.map(({ consumer_group, topic, partition, next_offset, ...counts }) => ({
      group: consumer_group,
      topic,
      partition,
      nextOffset: next_offset,
      counts,
    }));
  }

  /** Youngest first, those before `beforeSeq`; each with its own number, for the next page. */
  async unreadable(
    group: string,
    limit: number,
    beforeSeq?: number,
  ): Promise<readonly (UnreadableRecord & { readonly seq: number })[]> {
    const { rows } = await this.database.query<UnreadableRow>(
      {
        text: `select seq, topic, partition, record_offset, producer, code, place, detail, raw_digest, raw_bytes, found_at_utc
               from unreadable_records where consumer_group = $1 and ($2::bigint is null or seq < $2)
               order by seq desc limit $3`,
        readOnly: true,
      },
      [group, beforeSeq ?? null, limit],
    );
    return rows.map(({ record_offset, place, ...row }) => ({ ...row, offset: record_offset, at: place }));
  }
}
