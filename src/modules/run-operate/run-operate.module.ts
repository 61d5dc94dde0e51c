import { Module } from '@nestjs/common';
import { GovernanceFacts } from './governance-facts.js';
import { RunOperateController } from './run-operate.controller.js';
import { RunOperateService } from './run-operate.service.js';
import { RunOperateStore } from './run-operate.store.js';

@Module({
  controllers: [RunOperateController],
  providers: [GovernanceFacts, RunOperateService, RunOperateStore],
})
export class RunOperateModule {}
