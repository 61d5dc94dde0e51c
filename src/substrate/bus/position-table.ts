import type { Queryable } from '../database/database.port.js';
import type { Part } from '../database/one-statement.js';
import type { Offset, Position, TopicPartition } from './bus.port.js';

/** The position behind a batch. */
export type BatchEnd = TopicPartition & { readonly nextOffset: Offset };

const MOVE = `insert into positions (topic, partition, next_offset) values ($1, $2, $3)
  on conflict (topic, partition) do update set next_offset = excluded.next_offset`;

/** How far a unit has got, from the table `positions` of its own schema; partitions without a row are left out. */
export async function readPositions(
  database: Queryable,
  partitions: readonly TopicPartition[],
): Promise<readonly Position[]> {
  const { rows } = await database.query<{ topic: Position['topic']; partition: number; next_offset: Offset }>(
    {
      text: `select topic, partition, next_offset from positions
             where (topic, partition) in (select * from unnest($1::text[], $2::integer[]))`,
      readOnly: true,
    },
    [partitions.map(({ topic }) => topic), partitions.map(({ partition }) => partition)],
  );
  return rows.map(({ topic, partition, next_offset }) => ({ topic, partition, offset: next_offset }));
}

/** Moves the position in the statement that writes what the batch came to (law R5). */
export function movedPart({ topic, partition, nextOffset }: BatchEnd): Part {
  return { as: 'moved', text: MOVE, values: [topic, partition, nextOffset] };
}

/** The same as a statement of a transaction. */
export async function movePosition(
  transaction: Queryable,
  { topic, partition, nextOffset }: { readonly topic: string; readonly partition: number; readonly nextOffset: number },
): Promise<void> {
  await transaction.query({ name: 'position_moved', text: MOVE }, [topic, partition, nextOffset]);
}
