import { Module } from '@nestjs/common';
import { ScenarioRunnerService } from './scenario-runner.service.js';

@Module({ providers: [ScenarioRunnerService], exports: [ScenarioRunnerService] })
export class ScenarioRunnerModule {}
