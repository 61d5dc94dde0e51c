import { Module } from '@nestjs/common';
import { DegradeLadderController } from './degrade-ladder.controller.js';
import { DegradeLadderService } from './degrade-ladder.service.js';
import { DegradeLadderStore } from './degrade-ladder.store.js';

@Module({
  controllers: [DegradeLadderController],
  providers: [DegradeLadderService, DegradeLadderStore],
  exports: [DegradeLadderService],
})
export class DegradeLadderModule {}
