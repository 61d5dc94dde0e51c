import { Module } from '@nestjs/common';
import { LedgerConsumer } from './ledger.consumer.js';
import { LedgerService } from './ledger.service.js';
import { LedgerStore } from './ledger.store.js';

@Module({ controllers: [LedgerConsumer], providers: [LedgerService, LedgerStore], exports: [LedgerService] })
export class LedgerModule {}
