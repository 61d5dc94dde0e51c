import { Controller } from '@nestjs/common';
import type { RecordBatch } from '../../substrate/bus/bus.port.js';
import { BusHandler } from '../../substrate/bus/bus.server.js';
import { CONTROL, TRAFFIC } from '../../substrate/projection/projection.js';
import { GraphEngine } from './entity-graph.engine.js';

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
