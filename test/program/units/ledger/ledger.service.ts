import { Injectable } from '@nestjs/common';
import type { CallContext } from '../../../../src/substrate/rpc/rpc.port.js';
import { Balance, type BalanceRequest, LedgerPort } from './ledger.port.js';
import { LedgerStore } from './ledger.store.js';

@Injectable()
export class LedgerService extends LedgerPort {
  constructor(private readonly store: LedgerStore) {
    super();
  }

  async balance(request: BalanceRequest, _context: CallContext): Promise<Balance> {
    const { minorUnits, deposits } = await this.store.balance(request.account);
    return { account: request.account, minor_units: minorUnits, deposits, answered_by_pid: process.pid };
  }
}
