import { Controller } from '@nestjs/common';
import { Payload } from '@nestjs/microservices';
import { BusHandler } from '../../../../src/substrate/bus/bus.server.js';
import type { RecordBatch } from '../../../../src/substrate/bus/bus.port.js';
import { changesOf, type Deposit } from './ledger.core.js';
import { LedgerStore } from './ledger.store.js';

@Controller()
export class LedgerConsumer {
  constructor(private readonly store: LedgerStore) {}

  @BusHandler('ledger', 'test.deposits.v1')
  async take(@Payload() batch: RecordBatch): Promise<void> {
    const deposits = batch.records.map((record) => JSON.parse(Buffer.from(record.value).toString('utf8')) as Deposit);
    await this.store.apply(batch, changesOf(deposits));
  }
}
