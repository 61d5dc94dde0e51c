import { ROOT_CONTEXT } from '@opentelemetry/api';
import { systemActor } from '../../src/rails/actor.js';
import { asTopicName } from '../../src/rails/eb-ref.js';
import { asEnvelope } from '../../src/rails/envelope.js';
import type { Envelope } from '../../src/rails/envelope.schema.js';
import { isProbityError, ProbityError } from '../../src/rails/errors/probity-error.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import {
  DataEnginePort,
  type Invocation,
  type Preview,
  type SealStatus,
  worldPinsOf,
} from '../../src/modules/data-engine/data-engine.port.js';
import { CONTROL_TOPIC, ReadyPublisher } from '../../src/modules/scenario-runner/ready.publisher.js';
import { RunObjects } from '../../src/modules/scenario-runner/run-objects.js';
import { DEFAULT_PACE, type RunPace } from '../../src/modules/scenario-runner/run-pace.js';
import { RunSteps } from '../../src/modules/scenario-runner/run-steps.js';
import { isTerminal } from '../../src/modules/scenario-runner/scenario-runner.core.js';
import { ScenarioRunnerJob } from '../../src/modules/scenario-runner/scenario-runner.job.js';
import { RunMetrics } from '../../src/modules/scenario-runner/scenario-runner.metrics.js';
import type { RunRequest, RunStatus } from '../../src/modules/scenario-runner/scenario-runner.port.js';
import { ScenarioRunnerService } from '../../src/modules/scenario-runner/scenario-runner.service.js';
import { ScenarioRunnerStore } from '../../src/modules/scenario-runner/scenario-runner.store.js';
import { About } from '../../src/substrate/about.js';
import type { Bus, BusRecord } from '../../src/substrate/bus/bus.port.js';
import type { Clock } from '../../src/substrate/clock/clock.port.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import type { Database } from '../../src/substrate/database/database.port.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import type { CallContext } from '../../src/substrate/rpc/rpc.port.js';
import { eventually } from '../support/eventually.js';
import { recordedTelemetry, type RecordedTelemetry } from '../support/telemetry.js';
import { BASELINE, labelRows, putWorld, trafficRows, type WorldOptions } from '../support/world-builder.js';

/** What a runner stands on in a test: real stores, shared by all runners of one test. */
export interface Ground {
  readonly database: Database;
  readonly objects: Objects;
  readonly bus: Bus;
}

/** An engine that does what a test tells it to, and counts how often it was asked. */
export class ScriptedEngine extends DataEnginePort {
  asked = 0;

  constructor(private readonly script: (invocation: Invocation, asked: number) => Promise<SealStatus>) {
    super();
  }

  async seal({ invocation }: { readonly invocation: Invocation }): Promise<SealStatus> {
    this.asked += 1;
    return await this.script(invocation, this.asked);
  }

  preview(): Promise<Preview> {
    return Promise.reject(new ProbityError('INTERNAL', 'no test asks for a preview'));
  }
}

export function running(invocation: Invocation, stage = 'reading', rows_done = 1): SealStatus {
  return { state: 'RUNNING', pins: worldPinsOf(invocation), stage, rows_done };
}

export function gaveUp(invocation: Invocation, retryable: boolean): SealStatus {
  const error = { code: 'ENGINE_SOURCE_UNREADABLE', detail: 'row 7 is cut', retryable };
  return { ...running(invocation), state: 'FAILED', error };
}

/** Makes the world at the `at`-th question and says RUNNING before. */
export function makes(objects: Objects, world: Partial<WorldOptions> = {}, at = 2): ScriptedEngine {
  return new ScriptedEngine(async (invocation, asked) => {
    if (asked < at) return running(invocation, 'sealing', asked);
    const rows = world.rows ?? trafficRows(25);
    const { sealRef, seal } = await putWorld(objects, { rows, labels: labelRows(rows), ...world, invocation });
    return { ...running(invocation, 'sealed', rows.length), state: seal.status, seal: sealRef };
  });
}

/** An engine that must not be asked. */
export const noEngine = (): ScriptedEngine =>
  new ScriptedEngine(() => Promise.reject(new ProbityError('INTERNAL', 'the engine must not be asked here')));

export const GATES = {
  required_gates: ['engine.output'],
  attempts_max: 3,
  engine_timeout_ms: 60_000,
  evidence_deadline_ms: 30_000,
};

export interface RunnerOptions {
  readonly engine: DataEnginePort;
  readonly clock?: Clock;
  readonly gates?: Partial<typeof GATES>;
  readonly revision?: number;
  readonly pace?: Partial<RunPace>;
}

export interface Runner {
  readonly service: ScenarioRunnerService;
  readonly store: ScenarioRunnerStore;
  readonly job: ScenarioRunnerJob;
  readonly telemetry: RecordedTelemetry;
  /** As a process that stops in order. */
  stop(): Promise<void>;
}

/** Quick looks, so that no test waits for a pace that is meant for hours. */
const TEST_PACE: RunPace = { ...DEFAULT_PACE, pollFirstMs: 5, pollMaxMs: 40, evidenceMs: 20, idleMs: 25, backOffMs: 5 };

/** A runner as its module wires it, on the ground of the test. */
export function openRunner(ground: Ground, options: RunnerOptions): Runner {
  const { engine, clock = new SystemClock(), revision = 1 } = options;
  const pace = { ...TEST_PACE, ...options.pace };
  const recorded = recordedTelemetry('scenario-runner', { clock });
  const { telemetry } = recorded;
  const policies = new StaticPolicies(
    new Map([['sr.gates', sealPolicy('sr.gates', revision, { ...GATES, ...options.gates })]]),
  );
  const store = new ScenarioRunnerStore(ground.database, clock);
  const objects = new RunObjects(ground.objects);
  const metrics = new RunMetrics(telemetry);
  const publisher = new ReadyPublisher(ground.bus, store, telemetry);
  const steps = new RunSteps(store, objects, engine, policies, publisher, metrics, telemetry, clock, pace);
  const about = new About('0.0.0', 'test', process.pid);
  const job = new ScenarioRunnerJob(store, steps, metrics, telemetry, clock, pace, about);
  const service = new ScenarioRunnerService(store, objects, job, telemetry, clock);
  job.onApplicationBootstrap();
  return { service, store, job, telemetry: recorded, stop: () => job.onModuleDestroy() };
}

export const CALL: CallContext = {
  caller: { actor: systemActor('test'), keyId: 'none', roles: [] },
  deadlineAtMs: Infinity,
  signal: new AbortController().signal,
  trace: ROOT_CONTEXT,
};

export function requestOf(run_equivalence_key: string, more: Partial<RunRequest> = {}): RunRequest {
  return { run_equivalence_key, world: BASELINE, strategy: 'AUTO', ...more };
}

export async function ask(runner: Runner, request: RunRequest): Promise<RunStatus> {
  return await runner.service.request(request as never, CALL);
}

export async function statusOf(runner: Runner, runId: string): Promise<RunStatus> {
  return await runner.service.run({ run_id: runId as RunStatus['run_id'] }, CALL);
}

/** The status once the run has ended and nothing is left to be done. */
export async function ended(runner: Runner, runId: string, limitMs = 10_000): Promise<RunStatus> {
  await eventually(
    () => runner.store.find(runId),
    (row) => row?.settled === true,
    limitMs,
  );
  const status = await statusOf(runner, runId);
  if (!isTerminal(status.state)) throw new Error(`settled in ${status.state}`);
  return status;
}

export async function eventNames(runner: Runner, runId: string): Promise<readonly string[]> {
  return (await runner.store.events(runId)).map(({ event }) => event);
}

/** Every READY signal of a run that stands on the bus, with its bytes. */
export async function signalsOf(
  bus: Bus,
  runId: string,
): Promise<readonly { readonly envelope: Envelope; readonly text: string }[]> {
  const topic = asTopicName(CONTROL_TOPIC);
  const marks = await bus.marks(topic);
  const reader = await bus.openReader(marks.map(({ partition, lowWater }) => ({ topic, partition, offset: lowWater })));
  const ends = new Map(marks.map(({ partition, highWater }) => [partition, highWater]));
  const at = new Map<number, number>(marks.map(({ partition, lowWater }) => [partition, lowWater]));
  const records: BusRecord[] = [];
  try {
    while ([...ends].some(([partition, end]) => (at.get(partition) ?? 0) < end)) {
      for (const batch of await reader.poll({ recordsMax: 1_000, waitMs: 1_000 })) {
        at.set(batch.partition, batch.nextOffset);
        records.push(...batch.records);
      }
    }
  } finally {
    await reader.close();
  }
  return records
    .filter(({ key }) => key === runId)
    .map(({ value }) => Buffer.from(value).toString('utf8'))
    .map((text) => ({ text, envelope: asEnvelope(JSON.parse(text)) }));
}

/** On a server that others use as well the topic may stand with other settings: any will do here. */
export async function ensureControlTopic(bus: Bus): Promise<void> {
  const spec = { topic: asTopicName(CONTROL_TOPIC), partitions: 3, recordBytesMax: 1024 * 1024, retentionMs: null };
  await bus.ensureTopics([spec]).catch((error: unknown) => {
    if (!isProbityError(error, 'BUS_TOPIC_MISMATCH')) throw error;
  });
}
