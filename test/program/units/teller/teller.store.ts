import { Injectable } from '@nestjs/common';
import type { PartitionAppend } from '../../../../src/substrate/bus/bus.port.js';
import { Bus } from '../../../../src/substrate/bus/bus.port.js';
import { Database } from '../../../../src/substrate/database/database.port.js';
import type { Deposit } from '../ledger/ledger.core.js';

@Injectable()
export class TellerStore {
  constructor(
    private readonly database: Database,
    private readonly bus: Bus,
  ) {}

  /** The ids that are new; what is known already stays as it is. Where bus and database are one, so is the commit. */
  async take(
    deposits: readonly Deposit[],
    recordsOf: (fresh: ReadonlySet<string>) => readonly PartitionAppend[],
  ): Promise<ReadonlySet<string>> {
    return await this.database.transaction(async (transaction) => {
      const { rows } = await transaction.query<{ deposit_id: string }>(
        `insert into deposits (deposit_id, account, minor_units)
         select * from unnest($1::text[], $2::text[], $3::bigint[])
         on conflict do nothing returning deposit_id`,
        [deposits.map((d) => d.deposit_id), deposits.map((d) => d.account), deposits.map((d) => d.minor_units)],
      );
      const fresh = new Set(rows.map((row) => row.deposit_id));
      const batch = recordsOf(fresh);
      if (batch.length > 0) await this.bus.transactional?.appendWithin(transaction, batch);
      return fresh;
    });
  }
}
