import { Module } from '@nestjs/common';
import { STREAM_TIMINGS, StreamTimings } from './stream.timings.js';
import { WorldStreamProducerConsumer } from './world-stream-producer.consumer.js';
import { WorldStreamProducerController } from './world-stream-producer.controller.js';
import { WorldStreamProducerService } from './world-stream-producer.service.js';
import { WorldStreamProducerStore } from './world-stream-producer.store.js';

@Module({
  controllers: [WorldStreamProducerController, WorldStreamProducerConsumer],
  providers: [
    WorldStreamProducerService,
    WorldStreamProducerStore,
    { provide: StreamTimings, useValue: STREAM_TIMINGS },
  ],
  exports: [WorldStreamProducerService],
})
export class WorldStreamProducerModule {}
