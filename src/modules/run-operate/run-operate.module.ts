import { Module } from '@nestjs/common';
import { RunOperateController } from './run-operate.controller.js';
import { RunOperateService } from './run-operate.service.js';
import { RunOperateStore } from './run-operate.store.js';

@Module({
  controllers: [RunOperateController],
  providers: [RunOperateService, RunOperateStore],
})
export class RunOperateModule {}
