import { Module } from '@nestjs/common';
import { DataEngineService } from './data-engine.service.js';

@Module({ providers: [DataEngineService], exports: [DataEngineService] })
export class DataEngineModule {}
