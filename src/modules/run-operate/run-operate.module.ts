import { Module } from '@nestjs/common';
import { GovernanceFacts } from './governance-facts.js';
import { PolicyLanesController } from './policy-lanes.controller.js';
import { PolicyLanes } from './policy-lanes.service.js';
import { PolicyLanesStore } from './policy-lanes.store.js';
import { RunOperateController } from './run-operate.controller.js';
import { RunOperateService } from './run-operate.service.js';
import { RunOperateStore } from './run-operate.store.js';

@Module({
  controllers: [RunOperateController, PolicyLanesController],
  providers: [GovernanceFacts, PolicyLanes, PolicyLanesStore, RunOperateService, RunOperateStore],
})
export class RunOperateModule {}
