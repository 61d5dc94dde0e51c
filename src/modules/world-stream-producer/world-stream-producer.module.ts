import { Module } from '@nestjs/common';
import { WorldStreamProducerService } from './world-stream-producer.service.js';

@Module({ providers: [WorldStreamProducerService], exports: [WorldStreamProducerService] })
export class WorldStreamProducerModule {}
