import { randomUUID } from 'node:crypto';
import { FeatureEngine } from '../../src/modules/feature-plane/feature-plane.engine.js';
import { FEATURES_POLICY, type FeaturePlanePort } from '../../src/modules/feature-plane/feature-plane.port.js';
import { FeaturePlaneService } from '../../src/modules/feature-plane/feature-plane.service.js';
import { FeaturePlaneStore } from '../../src/modules/feature-plane/feature-plane.store.js';
import type { EntityGraphPort } from '../../src/modules/entity-graph/entity-graph.port.js';
import { BackfillPlans } from '../../src/modules/run-operate/jobs/backfill-plans.js';
import { JobKinds } from '../../src/modules/run-operate/jobs/job-kind.js';
import { JobRunner, readReceipt } from '../../src/modules/run-operate/jobs/job.runner.js';
import type { JobIntent, JobReceipt, JobStatus } from '../../src/modules/run-operate/jobs/job.schema.js';
import { JobStore } from '../../src/modules/run-operate/jobs/job.store.js';
import { JOBS_POLICY } from '../../src/modules/run-operate/jobs/jobs.policy.js';
import { JobsService } from '../../src/modules/run-operate/jobs/jobs.service.js';
import { BackfillJob } from '../../src/modules/run-operate/jobs/kinds/backfill.job.js';
import { GovernanceFacts } from '../../src/modules/run-operate/governance-facts.js';
import { Leases } from '../../src/modules/run-operate/leases.js';
import { OperationFacts } from '../../src/modules/run-operate/operation-facts.js';
import type { Offset } from '../../src/rails/eb-ref.js';
import type { GovernanceFact } from '../../src/rails/events/governance-fact.schema.js';
import type { FeatureDefinitions } from '../../src/rails/features/definition.schema.js';
import type { RunPins } from '../../src/rails/pins.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import { About } from '../../src/substrate/about.js';
import type { Bus, RecordBatch, TopicName } from '../../src/substrate/bus/bus.port.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { recordedTelemetry } from '../support/telemetry.js';
import { openArchive } from './archive.kit.js';
import { openGraph } from './entity-graph.kit.js';
import { CONTROL, envelopeOf, labelOf, openPlane, runPins, shippedDefinitions, TRAFFIC } from './feature-plane.kit.js';
import { ANALYST } from './label-store.kit.js';

export const PINS = [runPins('backfill-one'), runPins('backfill-two')] as const;
const DAY_S = 86_400;
/** With the groups that count what became known. */
export const FEATURES: FeatureDefinitions = shippedDefinitions(
  'handbook_transaction',
  'handbook_customer',
  'handbook_terminal',
);

export interface BackfillPlace {
  readonly bus: Bus;
  readonly objects: Objects;
  readonly database: (schema: 'ofp' | 'ieg' | 'gov') => Database;
}

/** Writes to the log as the gate would, and keeps the two projectors up with it. */
export class Shop {
  #writers = 0;
  readonly triggers: { readonly pins: RunPins; readonly envelope: object; partition: number; offset: Offset }[] = [];

  constructor(private readonly bus: Bus) {}

  async append(topic: TopicName, partition: number, values: readonly (object | string)[]): Promise<Offset> {
    const producer = await this.bus.openProducer({ name: `shop-${randomUUID()}-${(this.#writers += 1)}` });
    const records = values.map((value) => ({
      key: 'k',
      value: Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)),
      headers: {},
    }));
    const [appended] = await producer.append([{ topic, partition, records }]);
    await producer.close();
    if (appended === undefined) throw new Error('nothing was appended');
    return appended.firstOffset;
  }

  /** Payments from..to of both runs on both partitions, a day after the other, each third of them known as fraud a week later. */
  async pay(from: number, to: number): Promise<void> {
    for (const [at, pins] of PINS.entries()) {
      const envelopes = Array.from({ length: to - from }, (_, n) => this.#payment(pins, from + n));
      for (const partition of [0, 1]) {
        const own = envelopes.filter((_, n) => (n + at) % 2 === partition);
        if (own.length === 0) continue;
        const first = await this.append(TRAFFIC, partition, own);
        own.forEach((envelope, n) => this.triggers.push({ pins, envelope, partition, offset: (first + n) as Offset }));
      }
      const labels = Array.from({ length: to - from }, (_, n) => from + n)
        .filter((n) => n % 3 === 0)
        .map((n) => labelOf(pins, `${pins.scenario_id.at(-1)}-${n}`, (n + 1) * DAY_S));
      if (labels.length > 0) await this.append(CONTROL, at, labels);
    }
  }

  #payment(pins: RunPins, n: number): object {
    return envelopeOf(pins, {
      id: `${pins.scenario_id.at(-1)}-${n}`,
      second: n * DAY_S,
      customer: `customer-${n % 3}`,
      terminal: `terminal-${n % 2}`,
      amount: 100 + n,
    });
  }
}

/** Takes what the log has and the projector has not. */
export async function catchUp(
  bus: Bus,
  engine: Pick<FeatureEngine, 'nextOf'> & { readonly take: (batch: RecordBatch) => Promise<void> },
  recordsMax = 7,
): Promise<void> {
  for (const topic of [TRAFFIC, CONTROL])
    for (const mark of await bus.marks(topic)) {
      let next = engine.nextOf(mark) ?? mark.lowWater;
      if (next >= mark.highWater) continue;
      const reader = await bus.openReader([{ topic, partition: mark.partition, offset: next }]);
      while (next < mark.highWater)
        for (const batch of await reader.poll({ recordsMax, waitMs: 1_000 })) {
          await engine.take(batch);
          next = batch.nextOffset;
        }
      await reader.close();
    }
}

/** A plane that has no checkpoint and was never interrupted: what another one should say. */
export async function openReference(): Promise<{
  readonly engine: FeatureEngine;
  readonly service: FeaturePlaneService;
}> {
  const store = Object.assign(new FeaturePlaneStore({} as unknown as Database), {
    takeOver: () => Promise.resolve({ owner: { fence: 1, live: 1 }, rebuilt: false }),
    positions: () => Promise.resolve([]),
    runs: () => Promise.resolve([]),
    save: () => Promise.resolve(),
  });
  const policy = sealPolicy('ofp.features', 1, FEATURES as never);
  const policies = new StaticPolicies(new Map([[FEATURES_POLICY.policy_id, policy]]));
  const engine = new FeatureEngine(store, new SystemClock(), recordedTelemetry().telemetry, policies);
  await engine.onModuleInit();
  return { engine, service: new FeaturePlaneService(engine, undefined as never) };
}

export async function openFeatures({ database, bus, objects }: BackfillPlace) {
  return await openPlane(database('ofp'), FEATURES, { bus, objects });
}

export async function openGraphs({ database, bus, objects }: BackfillPlace) {
  return await openGraph(database('ieg'), { bus, objects });
}

/** A process that works on jobs, and the archive beside it. */
export function openOperations(
  { database, bus, objects }: BackfillPlace,
  ports: { readonly features: FeaturePlanePort; readonly graph: EntityGraphPort },
) {
  const clock = new SystemClock();
  const gov = database('gov');
  const { telemetry } = recordedTelemetry();
  const body = { schedules: [], approved: [] };
  const policies = new StaticPolicies(new Map([[JOBS_POLICY.policy_id, sealPolicy('ops.jobs', 1, body)]]));
  const about = new About('1.0.0', 'test', 1);
  const store = new JobStore(gov, new OperationFacts(new GovernanceFacts(), about), clock);
  const archive = openArchive({
    ...{ database: gov, bus, objects, clock, topics: [TRAFFIC, CONTROL] },
    policy: { chunk_records_max: 6 },
  });
  const plans = new BackfillPlans(bus, objects, archive.service);
  const kinds = new JobKinds([new BackfillJob(ports.features, ports.graph, plans, clock)]);
  const runner = new JobRunner(store, kinds, new Leases(gov, about), objects, policies, clock, telemetry, about);
  const service = new JobsService(store, kinds, runner, policies);
  const declare = (scope: object, opId: string) =>
    service.declare({ op_id: opId, kind: 'backfill', scope, purpose: 'a test' } as unknown as JobIntent, ANALYST);
  return {
    ...{ store, runner, service, plans, archive, declare },
    /** Declared, run to its end, with what it left. */
    done: async (
      scope: object,
      opId = `op-${randomUUID()}`,
    ): Promise<{
      readonly status: JobStatus;
      readonly receipt: JobReceipt;
      readonly facts: readonly GovernanceFact[];
    }> => {
      await declare(scope, opId);
      await runner.work(opId);
      const status = await service.status(opId);
      if (status.detail.receipt === undefined) throw new Error(`${opId} is ${status.state}`);
      const { rows } = await gov.query<{ fact: GovernanceFact }>(
        'select fact from facts where op_id = $1 order by number',
        [opId],
      );
      const receipt = await readReceipt(objects, status.detail.receipt);
      return { status, receipt, facts: rows.map(({ fact }) => fact) };
    },
  };
}
