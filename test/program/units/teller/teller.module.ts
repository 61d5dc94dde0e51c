import { Module } from '@nestjs/common';
import { TellerController } from './teller.controller.js';
import { TellerService } from './teller.service.js';
import { TellerStore } from './teller.store.js';

@Module({ controllers: [TellerController], providers: [TellerService, TellerStore] })
export class TellerModule {}
