import { Injectable, type OnModuleDestroy } from '@nestjs/common';
import type { GraphState } from '../../rails/graph/graph-state.js';
import { Bus } from '../../substrate/bus/bus.port.js';
import { Clock } from '../../substrate/clock/clock.port.js';
import { Objects } from '../../substrate/objects/objects.port.js';
import { Rebuilder } from '../../substrate/projection/rebuilder.js';
import { Telemetry } from '../../substrate/telemetry/telemetry.port.js';
import { replayLog } from '../run-operate/replay.port.js';
import { GraphEngine } from './entity-graph.engine.js';
import { EntityGraphStore } from './entity-graph.store.js';

/** Other generations of this unit's state, made of the log. */
@Injectable()
export class GraphRebuilds extends Rebuilder<GraphState> implements OnModuleDestroy {
  constructor(
    engine: GraphEngine,
    store: EntityGraphStore,
    bus: Bus,
    objects: Objects,
    clock: Clock,
    { logger }: Telemetry,
  ) {
    super(engine, store.generations, replayLog({ bus, objects }), clock, logger);
  }
}
