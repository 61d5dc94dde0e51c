import { Injectable } from '@nestjs/common';
import type { Offset, Position, PositionStore, TopicPartition } from '../../../../src/substrate/bus/bus.port.js';
import { Database } from '../../../../src/substrate/database/database.port.js';
import type { Change } from './ledger.core.js';

/** State and position of the ledger, always in one transaction (law R5). */
@Injectable()
export class LedgerStore implements PositionStore {
  constructor(private readonly database: Database) {}

  async apply(at: TopicPartition & { readonly nextOffset: Offset }, changes: readonly Change[]): Promise<void> {
    await this.database.transaction(async (transaction) => {
      await transaction.query(
        `insert into balances (account, minor_units, deposits)
         select * from unnest($1::text[], $2::bigint[], $3::bigint[])
         on conflict (account) do update
           set minor_units = balances.minor_units + excluded.minor_units, deposits = balances.deposits + excluded.deposits`,
        [changes.map((c) => c.account), changes.map((c) => c.minorUnits), changes.map((c) => c.deposits)],
      );
      await transaction.query(
        `insert into positions (topic, partition, next_offset) values ($1, $2, $3)
         on conflict (topic, partition) do update set next_offset = excluded.next_offset`,
        [at.topic, at.partition, at.nextOffset],
      );
    });
  }

  async positions(partitions: readonly TopicPartition[]): Promise<readonly Position[]> {
    const { rows } = await this.database.query<{ topic: string; partition: number; next_offset: Offset }>(
      `select topic, partition, next_offset from positions
       where (topic, partition) in (select * from unnest($1::text[], $2::integer[]))`,
      [partitions.map((p) => p.topic), partitions.map((p) => p.partition)],
    );
    return rows.map((row) => ({
      topic: row.topic as Position['topic'],
      partition: row.partition,
      offset: row.next_offset,
    }));
  }

  async balance(account: string): Promise<{ readonly minorUnits: number; readonly deposits: number }> {
    const { rows } = await this.database.query<{ minor_units: number; deposits: number }>(
      'select minor_units, deposits from balances where account = $1',
      [account],
    );
    return { minorUnits: rows[0]?.minor_units ?? 0, deposits: rows[0]?.deposits ?? 0 };
  }
}
