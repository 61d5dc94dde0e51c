import { Injectable } from '@nestjs/common';
import { Database, type Transaction } from '../../substrate/database/database.port.js';

/** How far the audit log was read for what it quarantines. */
@Injectable()
export class CaseQuarantinesStore {
  constructor(private readonly database: Database) {}

  async nextLeaf(): Promise<number> {
    const { rows } = await this.database.query<{ next_leaf: number }>({
      text: 'select next_leaf from audit_cursor',
      readOnly: true,
    });
    return rows[0]?.next_leaf ?? 0;
  }

  /** As part of the transaction that opens the cases. @returns false where another process was first */
  async move(transaction: Transaction, from: number, to: number): Promise<boolean> {
    const { count } = await transaction.query('update audit_cursor set next_leaf = $2 where next_leaf = $1', [
      from,
      to,
    ]);
    return count > 0;
  }
}
