import { Controller } from '@nestjs/common';
import type { RecordBatch } from '../../substrate/bus/bus.port.js';
import { BusHandler } from '../../substrate/bus/bus.server.js';
import { CONTROL, FeatureEngine, TRAFFIC } from './feature-plane.engine.js';

/** Traffic and labels into the feature state. */
@Controller()
export class FeaturePlaneConsumer {
  constructor(private readonly engine: FeatureEngine) {}

  @BusHandler('ofp', TRAFFIC)
  async traffic(batch: RecordBatch): Promise<void> {
    await this.engine.take(batch);
  }

  @BusHandler('ofp', CONTROL)
  async control(batch: RecordBatch): Promise<void> {
    await this.engine.take(batch);
  }
}
