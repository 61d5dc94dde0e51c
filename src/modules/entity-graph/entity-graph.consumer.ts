import { Controller, Injectable } from '@nestjs/common';
import type {
  OutgoingRecord,
  Position,
  PositionStore,
  RecordBatch,
  TopicPartition,
} from '../../substrate/bus/bus.port.js';
import { BusHandler } from '../../substrate/bus/bus.server.js';
import { CONTROL, TRAFFIC } from '../../substrate/projection/projector.js';
import { GraphEngine } from './entity-graph.engine.js';

/** Where the memory stands, which is where it wants to go on; after a start that is where the checkpoint stands (law R5). */
@Injectable()
export class GraphPositions implements PositionStore {
  constructor(private readonly engine: GraphEngine) {}

  positions(partitions: readonly TopicPartition[]): Promise<readonly Position[]> {
    return Promise.resolve(this.engine.positions(partitions));
  }

  wakesOn(record: OutgoingRecord, topic: string): boolean {
    return this.engine.wakesOn(record, topic);
  }
}

/** Traffic and labels into the graph. */
@Controller()
export class EntityGraphConsumer {
  constructor(private readonly engine: GraphEngine) {}

  @BusHandler('ieg', TRAFFIC)
  async traffic(batch: RecordBatch): Promise<void> {
    await this.engine.take(batch);
  }

  @BusHandler('ieg', CONTROL)
  async control(batch: RecordBatch): Promise<void> {
    await this.engine.take(batch);
  }
}
