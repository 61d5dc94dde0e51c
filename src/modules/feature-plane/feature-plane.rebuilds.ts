import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { FeatureState } from '../../rails/features/feature-state.js';
import { Bus } from '../../substrate/bus/bus.port.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import { Rebuilder } from '../../substrate/projection/rebuilder.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { replayLog } from '../run-operate/replay.port.js';
import { FeatureEngine } from './feature-plane.engine.js';
import { FeaturePlaneStore } from './feature-plane.store.js';

/** Other generations of this unit's state, made of the log. */
@Injectable()
export class FeatureRebuilds extends Rebuilder<FeatureState> implements OnModuleDestroy {
  constructor(
    engine: FeatureEngine,
    store: FeaturePlaneStore,
    bus: Bus,
    objects: Objects,
    clock: Clock,
    { logger }: Telemetry,
  ) {
    super(engine, store.generations, replayLog({ bus, objects }), clock, logger);
  }
}
