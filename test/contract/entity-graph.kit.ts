import { EntityGraphController } from '../../src/modules/entity-graph/entity-graph.controller.js';
import { GraphEngine } from '../../src/modules/entity-graph/entity-graph.engine.js';
import { GRAPH_POLICY } from '../../src/modules/entity-graph/entity-graph.port.js';
import { GraphRebuilds } from '../../src/modules/entity-graph/entity-graph.rebuilds.js';
import { EntityGraphService } from '../../src/modules/entity-graph/entity-graph.service.js';
import { EntityGraphStore } from '../../src/modules/entity-graph/entity-graph.store.js';
import type { ReplaySources } from '../../src/modules/run-operate/replay.port.js';
import { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { NOWHERE } from '../support/no-rebuilds.js';
import { recordedTelemetry } from '../support/telemetry.js';
import { GRAPH } from './decision-fabric.kit.js';

/** A process that runs the unit; batches are delivered as a test says. */
export async function openGraph(database: Database, { bus, objects }: ReplaySources = NOWHERE) {
  const telemetry = recordedTelemetry();
  const policies = new StaticPolicies(new Map([[GRAPH_POLICY.policy_id, GRAPH]]));
  const clock = new ManualClock();
  const store = new EntityGraphStore(database);
  const engine = new GraphEngine(store, clock, telemetry.telemetry, policies);
  await engine.onModuleInit();
  const rebuilds = new GraphRebuilds(engine, store, bus, objects, clock, telemetry.telemetry);
  const service = new EntityGraphService(engine, rebuilds);
  return { engine, service, rebuilds, clock, telemetry, controller: new EntityGraphController(service, engine) };
}
