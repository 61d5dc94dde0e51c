import { Controller } from '@nestjs/common';
import { BusHandler } from '../../../../src/substrate/bus/bus.server.js';
import type { RecordBatch } from '../../../../src/substrate/bus/bus.port.js';
import { Telemetry } from '../../../../src/substrate/telemetry/telemetry.port.js';
import { changesOf, type Deposit } from './ledger.core.js';
import { LedgerStore } from './ledger.store.js';

@Controller()
export class LedgerConsumer {
  constructor(
    private readonly store: LedgerStore,
    private readonly telemetry: Telemetry,
  ) {}

  @BusHandler('ledger', 'test.deposits.v1')
  async take(batch: RecordBatch): Promise<void> {
    const parent = this.telemetry.extract(batch.records[0]?.headers ?? {});
    await this.telemetry.span('ledger.apply', { parent }, () => this.#apply(batch));
  }

  async #apply(batch: RecordBatch): Promise<void> {
    const deposits = batch.records.map((record) => JSON.parse(Buffer.from(record.value).toString('utf8')) as Deposit);
    await this.store.apply(batch, changesOf(deposits));
  }
}
