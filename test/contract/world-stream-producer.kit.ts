import { hash } from 'node:crypto';
import { rmSync } from 'node:fs';
import type { Static } from '@sinclair/typebox';
import { canonicalJson, digestCanonical, type JsonValue } from '../../src/rails/canonical-json.js';
import type { Digest } from '../../src/rails/digest.js';
import type { EventId, EventType, SchemaVersion } from '../../src/rails/envelope.schema.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import { asGateReceipt, type GateReceipt } from '../../src/rails/gate.js';
import { asPins, type RunPins } from '../../src/rails/pins.js';
import { sealPolicy } from '../../src/rails/policy-rev.js';
import type { ObjectKey, Ref } from '../../src/rails/ref.js';
import { fromEpochMicros, toEpochMicros, type UtcMicros } from '../../src/rails/time.js';
import {
  OUTPUT_GATE,
  type OutputIndex,
  type OutputRole,
  outputScope,
  type SealedOutput,
  type TrafficRow,
  worldKey,
  type WorldPins,
} from '../../src/modules/data-engine/data-engine.port.js';
import {
  IngestionGatePort,
  type SubmitResult,
  type SubmitResultSchema,
  TRAFFIC_TOPIC,
} from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import {
  readyKey,
  readyMessageId,
  requestKey,
  type RunFactsView,
  runIdOf,
  runKey,
  type RunReady,
} from '../../src/modules/scenario-runner/scenario-runner.port.js';
import { STREAM_TIMINGS, type StreamTimings } from '../../src/modules/world-stream-producer/stream.timings.js';
import { STREAM_POLICY } from '../../src/modules/world-stream-producer/world-stream-producer.policy.js';
import type { StreamStatus } from '../../src/modules/world-stream-producer/world-stream-producer.port.js';
import { WorldStreamProducerService } from '../../src/modules/world-stream-producer/world-stream-producer.service.js';
import { WorldStreamProducerStore } from '../../src/modules/world-stream-producer/world-stream-producer.store.js';
import { About } from '../../src/substrate/about.js';
import type { Clock } from '../../src/substrate/clock/clock.port.js';
import { SystemClock } from '../../src/substrate/clock/system.clock.js';
import { FilesObjects } from '../../src/substrate/objects/files.objects.js';
import type { Objects } from '../../src/substrate/objects/objects.port.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { outgoing } from '../../src/substrate/rpc/outgoing.js';
import type { CallContext } from '../../src/substrate/rpc/rpc.port.js';
import { scratchDataFolder } from '../support/data-folder.js';
import type { TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { recordedTelemetry, type RecordedTelemetry } from '../support/telemetry.js';

/** Runs over sealed worlds with any outputs, and a gate whose answers a test writes: what the producer's own suites stand on. */

export interface KitOutput {
  readonly output_id: string;
  readonly role?: OutputRole;
  readonly rows: readonly TrafficRow[];
  /** Whether the view declares it as traffic; business traffic is unless said otherwise. */
  readonly declared?: boolean;
  readonly status?: 'PASS' | 'FAIL';
}

export interface KitRun {
  readonly key: string;
  readonly outputs: readonly KitOutput[];
  readonly partRows?: number;
  readonly state?: 'REQUESTED' | 'READY';
  readonly tamper?: {
    /** Other bytes under a key than every ref names; null: none. */
    readonly stored?: (key: string, bytes: Buffer) => Buffer | null;
    readonly receipt?: (receipt: GateReceipt, outputId: string) => GateReceipt;
    readonly index?: (index: OutputIndex) => OutputIndex;
    readonly view?: (view: RunFactsView) => RunFactsView;
    readonly ready?: (ready: RunReady) => RunReady;
  };
}

export interface MadeRun {
  readonly pins: RunPins;
  readonly run_id: RunPins['run_id'];
  readonly ready: RunReady;
  /** Locators of the parts, by output. */
  readonly parts: ReadonlyMap<string, readonly string[]>;
  /** Writes ready.json of a run that was left REQUESTED. */
  readonly becomeReady: () => Promise<void>;
}

const TYPE = { event_type: 'transaction' as EventType, schema_version: 'v1' as SchemaVersion } as const;

export async function putRun(objects: Objects, run: KitRun): Promise<MadeRun> {
  const { key, outputs, partRows = 1_000, tamper = {} } = run;
  const world = {
    manifest_fingerprint: digestCanonical({ key, rows: outputs.map(({ rows }) => rows.length) }),
    parameter_hash: digestCanonical({ key }),
    seed: '18446744073709551615',
    scenario_id: 'baseline',
  };
  const pins = asPins({ ...world, run_id: runIdOf(key) }) as RunPins;
  const worldPins = world as unknown as WorldPins;
  const put = async (at: ObjectKey, bytes: Buffer, mediaType = 'application/json'): Promise<Ref> => {
    const spoiled = tamper.stored === undefined ? bytes : tamper.stored(at, bytes);
    if (spoiled !== null) await objects.putIfAbsent(at, spoiled, { mediaType });
    const hex = digestOf(bytes);
    return { locator: at, digest: { algo: 'sha256', hex }, size: bytes.byteLength, media_type: mediaType };
  };
  const putJson = (at: ObjectKey, value: object): Promise<Ref> =>
    put(at, Buffer.from(canonicalJson(JSON.parse(JSON.stringify(value)) as JsonValue)));

  const sealed: SealedOutput[] = [];
  const receipts: GateReceipt[] = [];
  const parts = new Map<string, string[]>();
  for (const { output_id, role = 'business_traffic', rows, status = 'PASS' } of outputs) {
    const held: OutputIndex['parts'][number][] = [];
    for (let first = 0; first < rows.length; first += partRows) {
      const some = rows.slice(first, first + partRows);
      const [one, last] = [some[0], some.at(-1)];
      if (one === undefined || last === undefined) continue;
      const bytes = Buffer.from(some.map((row) => `${canonicalJson(row)}\n`).join(''));
      const at = worldKey(worldPins, `${output_id}/part-${String(held.length).padStart(6, '0')}.ndjson`);
      const ref = await put(at, bytes, 'application/x-ndjson');
      held.push({ ref, rows: some.length, first_row: first, first_ts_utc: one.ts_utc, last_ts_utc: last.ts_utc });
    }
    parts.set(
      output_id,
      held.map(({ ref }) => ref.locator),
    );
    const typed = role === 'business_traffic' ? TYPE : {};
    const honest: OutputIndex = { output_id, role, ...typed, pins: worldPins, rows: rows.length, parts: held };
    const index = await putJson(worldKey(worldPins, `${output_id}/index.json`), tamper.index?.(honest) ?? honest);
    const trueReceipt = asGateReceipt({
      gate_id: OUTPUT_GATE,
      status,
      scope: outputScope(worldPins, output_id),
      artifact_digest: index.digest.hex,
      evidence: [],
      reason_codes: [],
    });
    const receipt = tamper.receipt?.(trueReceipt, output_id) ?? trueReceipt;
    receipts.push(receipt);
    const receiptRef = await putJson(worldKey(worldPins, `${output_id}/receipt.json`), receipt);
    sealed.push({ output_id, role, ...typed, rows: rows.length, index, receipt: receiptRef });
  }

  await putJson(requestKey(pins.run_id), { run_equivalence_key: key });
  const plan = await putJson(runKey(pins.run_id, 'plan.json'), { run_id: pins.run_id });
  const isDeclared = ({ role = 'business_traffic', declared = role === 'business_traffic' }: KitOutput) => declared;
  const honestView: RunFactsView = {
    pins,
    kind: 'generate',
    outputs: sealed,
    gate_receipts: receipts,
    traffic: outputs.filter(isDeclared).map(({ output_id }) => ({ ...TYPE, output_id })),
    plan,
    policy_rev: sealPolicy('sr.gates', 1, {}).policy_rev,
  };
  const view = await putJson(runKey(pins.run_id, 'facts_view.json'), tamper.view?.(honestView) ?? honestView);
  const honestReady: RunReady = {
    pins,
    facts_view: view,
    message_id: readyMessageId(pins.run_id, view.digest.hex) as Digest,
  };
  const ready = tamper.ready?.(honestReady) ?? honestReady;
  const becomeReady = async (): Promise<void> => {
    await putJson(readyKey(pins.run_id), ready);
  };
  if (run.state !== 'REQUESTED') await becomeReady();
  return { pins, run_id: pins.run_id, ready, parts, becomeReady };
}

function digestOf(bytes: Buffer): Digest {
  return hash('sha256', bytes, 'hex') as Digest;
}

const START = '2018-04-01T00:00:31.000000Z' as UtcMicros;

/** Rows `stepMs` apart; the payloads have what a cutter of texts could stumble over. */
export function rowsOf(
  count: number,
  { prefix = 't', stepMs = 1_000, from = START }: { prefix?: string; stepMs?: number; from?: UtcMicros } = {},
): readonly TrafficRow[] {
  return Array.from({ length: count }, (_, row) => ({
    key: `${prefix}-${row}`,
    ts_utc: fromEpochMicros(toEpochMicros(from) + row * stepMs * 1_000),
    payload: { amount_minor: row, card_id: `c"\\-${row % 7}`, note: '{"}[é', source: { output_id: prefix, row } },
  }));
}

interface SentEvent {
  readonly event_id: string;
  readonly ts_utc: UtcMicros;
  readonly payload: TrafficRow['payload'];
}

export type ScriptedAnswer =
  'ADMIT' | { readonly quarantine: SubmitResult['reason_codes'][number]; readonly retryable: boolean };

/** What the gate does with the nth call, before or after the events were counted; anything that it returns stands for its own answer. */
export interface Script {
  readonly before?: (call: number, events: readonly SentEvent[]) => Promise<void> | void;
  readonly judge?: (event: SentEvent, call: number) => ScriptedAnswer;
  readonly after?: (call: number) => Promise<void> | void;
}

type Result = Static<typeof SubmitResultSchema>;

/** A gate in memory that admits each id once, like the real one, and remembers what it saw. */
export class ScriptedGate extends IngestionGatePort {
  /** Admitted ids in the order of their admission, with the text that was admitted. */
  readonly admitted = new Map<string, string>();
  readonly offered: string[] = [];
  readonly submittedAt: { readonly monotonicMs: number; readonly lastTs: UtcMicros }[] = [];
  readonly counts = { ADMIT: 0, DUPLICATE: 0, QUARANTINE: 0 };
  calls = 0;
  inFlight = 0;
  inFlightMax = 0;
  script: Script = {};

  constructor(private readonly clock: Clock = new SystemClock()) {
    super();
  }

  async submit(
    { events }: { readonly events: readonly string[] },
    { signal }: CallContext,
  ): Promise<{ results: Result[] }> {
    const call = (this.calls += 1);
    const sent = events.map((text) => JSON.parse(text) as SentEvent);
    for (const { ts_utc } of sent.slice(-1))
      this.submittedAt.push({ monotonicMs: this.clock.monotonicMs(), lastTs: ts_utc });
    this.inFlight += 1;
    this.inFlightMax = Math.max(this.inFlightMax, this.inFlight);
    try {
      this.offered.push(...sent.map(({ event_id }) => event_id));
      await Promise.race([this.script.before?.(call, sent), aborted(signal)]);
      demandCaller(signal);
      const results = sent.map((event, index) => this.#answer(event, events[index] ?? '', call));
      await Promise.race([this.script.after?.(call), aborted(signal)]);
      demandCaller(signal);
      return { results };
    } finally {
      this.inFlight -= 1;
    }
  }

  #answer(event: SentEvent, text: string, call: number): Result {
    const event_id = event.event_id as EventId;
    const base = { receipt_id: digestCanonical({ event_id, call }), event_id, reason_codes: [], retryable: false };
    const asked = this.script.judge?.(event, call) ?? 'ADMIT';
    if (asked !== 'ADMIT') {
      this.counts.QUARANTINE += 1;
      return { ...base, decision: 'QUARANTINE', reason_codes: [asked.quarantine], retryable: asked.retryable };
    }
    const isNew = !this.admitted.has(event_id);
    if (isNew) this.admitted.set(event_id, text);
    this.counts[isNew ? 'ADMIT' : 'DUPLICATE'] += 1;
    return { ...base, decision: isNew ? 'ADMIT' : 'DUPLICATE', eb_ref: someRef(this.admitted.size) };
  }

  receipts(): never {
    throw new Error('the producer asks for no receipts');
  }

  reconcile(): never {
    throw new Error('the producer reconciles nothing');
  }
}

function someRef(offset: number): NonNullable<SubmitResult['eb_ref']> {
  return { topic: TRAFFIC_TOPIC, partition: 0, offset } as unknown as NonNullable<SubmitResult['eb_ref']>;
}

function demandCaller(signal: AbortSignal): void {
  if (signal.aborted) throw new ProbityError('RPC_CANCELLED', 'the caller gave up');
}

function aborted(signal: AbortSignal): Promise<void> {
  return signal.aborted
    ? Promise.resolve()
    : new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** Waits as short as a test can bear, with a lease that outlives them. */
export const TEST_TIMINGS = {
  ...STREAM_TIMINGS,
  leaseMs: 5_000,
  pickUpMs: 20,
  checkpointMs: 2,
  callMs: 5_000,
  backOff: { firstMs: 1, maxMs: 4 },
} satisfies StreamTimings;

export interface ProducerOptions {
  readonly database: Pick<TestDatabase, 'forSchema'>;
  readonly objects: Objects;
  readonly gate: IngestionGatePort;
  readonly clock?: Clock;
  readonly timings?: Partial<StreamTimings>;
  readonly policy?: Partial<StreamPolicyBody>;
}

export interface StreamPolicyBody {
  readonly producer: string;
  readonly batch_events_max: number;
  readonly batches_in_flight_max: number;
  readonly quarantine_share_max: number;
  readonly quarantine_rows_min: number;
  readonly start_on_ready: boolean;
}

const POLICY: StreamPolicyBody = {
  producer: 'wsp',
  batch_events_max: 50,
  batches_in_flight_max: 2,
  quarantine_share_max: 0.5,
  quarantine_rows_min: 1_000,
  start_on_ready: false,
};

/** The producer as one process runs it, on a database, a store and a gate that others may share. */
export class Producer {
  readonly store: WorldStreamProducerStore;
  readonly service: WorldStreamProducerService;
  readonly telemetry: RecordedTelemetry;
  readonly policies: StaticPolicies;
  readonly clock: Clock;

  constructor({ database, objects, gate, clock = new SystemClock(), timings, policy }: ProducerOptions) {
    this.clock = clock;
    this.telemetry = recordedTelemetry('wsp');
    this.store = new WorldStreamProducerStore(database.forSchema('wsp'));
    this.policies = new StaticPolicies(
      new Map([[STREAM_POLICY.policy_id, sealPolicy(STREAM_POLICY.policy_id, 1, { ...POLICY, ...policy })]]),
    );
    this.service = new WorldStreamProducerService(
      this.store,
      objects,
      gate,
      this.policies,
      clock,
      this.telemetry.telemetry,
      new About('1.2.3', 'test', process.pid),
      { ...TEST_TIMINGS, ...timings },
    );
  }

  start(run: MadeRun, more: { pace?: StreamStatus['pace']; again?: boolean } = {}): Promise<StreamStatus> {
    return this.service.start({ run_id: run.run_id, ...more }, this.context());
  }

  pause(run: MadeRun): Promise<StreamStatus> {
    return this.service.pause({ run_id: run.run_id }, this.context());
  }

  status(run: MadeRun): Promise<StreamStatus> {
    return this.service.status({ run_id: run.run_id }, this.context());
  }

  /** Waits for a state; fails at once at a state from which that one is never reached. */
  async until(run: MadeRun, ...states: readonly StreamStatus['state'][]): Promise<StreamStatus> {
    const status = await eventually(
      () => this.status(run),
      ({ state }) => states.includes(state) || state === 'FAILED' || state === 'COMPLETED',
      15_000,
    );
    if (!states.includes(status.state)) throw new Error(`the stream is ${JSON.stringify(status)}`);
    return status;
  }

  stop(): Promise<void> {
    return this.service.onModuleDestroy();
  }

  context(): CallContext {
    return outgoing(this.clock, 5_000);
  }
}

export async function scratchObjects(): Promise<{ readonly objects: Objects; readonly close: () => Promise<void> }> {
  const folder = scratchDataFolder('wsp');
  const objects = await FilesObjects.open(folder, new SystemClock());
  return {
    objects,
    close: async () => {
      await objects.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
