import type { Static } from '@sinclair/typebox';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import {
  DecisionFabricConsumer,
  DecisionPositions,
} from '../../src/modules/decision-fabric/decision-fabric.consumer.js';
import { BundleSource } from '../../src/modules/decision-fabric/bundle-source.js';
import { EngineInForce } from '../../src/modules/decision-fabric/decision-fabric.engine.js';
import { DecisionSignals } from '../../src/modules/decision-fabric/decision-fabric.signals.js';
import { ExternalModels } from '../../src/modules/decision-fabric/external-models.js';
import type { ModelRuntime } from '../../src/substrate/models/model-runtime.js';
import type { DecisionFabricStore } from '../../src/modules/decision-fabric/decision-fabric.store.js';
import { Submission } from '../../src/modules/decision-fabric/submission.js';
import { DegradeLadderPort } from '../../src/modules/degrade-ladder/degrade-ladder.port.js';
import {
  EntityGraphPort,
  type ContextResult,
  type ContextsRequest,
} from '../../src/modules/entity-graph/entity-graph.port.js';
import { FeaturePlanePort, type SnapshotsResponse } from '../../src/modules/feature-plane/feature-plane.port.js';
import { IngestionGatePort, type SubmitResult } from '../../src/modules/ingestion-gate/ingestion-gate.port.js';
import { advance, basisRecord, emptyBasis } from '../../src/rails/basis.js';
import type { JsonValue } from '../../src/rails/canonical-json.js';
import { type CapabilityMask, unrestricted } from '../../src/rails/capability-mask.js';
import { type ResolvedBundles, supposed } from '../../src/rails/decision/artifacts.js';
import type { Bundles } from '../../src/rails/decision/policy.schema.js';
import type { RegistryPolicy } from '../../src/modules/model-registry/model-registry.policy.js';
import { ACTIVATION } from '../support/decision-engine.js';
import { digestText } from '../../src/rails/digest.js';
import type { Offset } from '../../src/rails/eb-ref.js';
import { ProbityError } from '../../src/rails/errors/probity-error.js';
import type { Decision } from '../../src/rails/events/decision.schema.js';
import type { FeatureDefinitions } from '../../src/rails/features/definition.schema.js';
import { FeatureState } from '../../src/rails/features/feature-state.js';
import { planOf } from '../../src/rails/features/plan.js';
import { snapshotOf } from '../../src/rails/features/snapshot.js';
import { graphContextOf } from '../../src/rails/graph/context.js';
import type { GraphValues } from '../../src/rails/graph/context.schema.js';
import { GraphState } from '../../src/rails/graph/graph-state.js';
import { eventAt } from '../../src/substrate/projection/event-place.js';
import { sealPolicy, type SealedPolicy } from '../../src/rails/policy-rev.js';
import { fromEpochMs, toEpochMicros } from '../../src/rails/time.js';
import type { Bus, BusReader } from '../../src/substrate/bus/bus.port.js';
import type { ManualClock } from '../../src/substrate/clock/manual.clock.js';
import { StaticPolicies } from '../../src/substrate/policy/policy.port.js';
import { noRebuild } from '../support/no-rebuilds.js';
import { recordedTelemetry, type RecordedTelemetry } from '../support/telemetry.js';
import { recordOf, runPins, TRAFFIC } from './feature-plane.kit.js';

/** The units around the decision fabric as a test wants them: each answers what it is told to, and remembers what it was asked. */

export const shipped = (policy: string): SealedPolicy => {
  const file = join(process.cwd(), 'profiles', 'local', 'policy', `${policy}.yaml`);
  return sealPolicy(policy, 1, (parse(readFileSync(file, 'utf8')) as { body: JsonValue }).body);
};
export const DEFINITIONS = shipped('ofp.features');
export const GRAPH = shipped('ieg.graph');
export const GROUPS = (DEFINITIONS.body as unknown as FeatureDefinitions).groups.map(({ name }) => name);
export const pins = runPins('fabric');

/** A gate that admits each id once and keeps what it admitted, as a bus that can be read. */
export class FakeGate extends IngestionGatePort {
  readonly admitted = new Map<string, { text: string; offset: number }>();
  readonly calls: string[][] = [];
  /** Refuses these types, or fails before or after it has admitted. */
  refuse: string | null = null;
  fail: 'before' | 'after' | null = null;
  receiptCalls = 0;
  /** Other content under an id that stands already. */
  conflicts = 0;

  submit({ events }: { events: string[] }) {
    if (this.fail === 'before') return Promise.reject(new ProbityError('IG_LEDGER_UNHEALTHY', 'down'));
    this.calls.push(events.map((text) => (JSON.parse(text) as { event_type: string }).event_type));
    const results = events.map((text): SubmitResult => {
      const { event_id, event_type } = JSON.parse(text) as { event_id: string; event_type: string };
      const base = { receipt_id: digestText(event_id), event_id: event_id as never, retryable: false };
      if (event_type === this.refuse) return { ...base, decision: 'QUARANTINE', reason_codes: ['SCHEMA_FAIL'] };
      const before = this.admitted.get(event_id);
      if (before !== undefined && before.text !== text) {
        this.conflicts += 1;
        return { ...base, decision: 'QUARANTINE', reason_codes: ['PAYLOAD_HASH_MISMATCH'] };
      }
      const offset = before?.offset ?? 1_000 + this.admitted.size;
      this.admitted.set(event_id, { text, offset });
      const eb_ref = { topic: TRAFFIC, partition: 0, offset: offset as Offset };
      return { ...base, decision: before === undefined ? 'ADMIT' : 'DUPLICATE', reason_codes: [], eb_ref };
    });
    if (this.fail === 'after') return Promise.reject(new ProbityError('RPC_DEADLINE_EXCEEDED', 'the answer was lost'));
    return Promise.resolve({ results: results as never });
  }

  receipts({ event_ids }: { event_ids: string[] }) {
    this.receiptCalls += 1;
    const receipts = event_ids.map((id) => {
      const found = this.admitted.get(id);
      return found === undefined ? null : { eb_ref: { topic: TRAFFIC, partition: 0, offset: found.offset } };
    });
    return Promise.resolve({ receipts: receipts as never });
  }

  reconcile(): never {
    throw new Error('nobody reconciles here');
  }

  ofType(type: string): readonly string[] {
    return [...this.admitted.values()]
      .map(({ text }) => text)
      .filter((text) => text.includes(`"event_type":"${type}"`));
  }

  get decisions(): readonly Decision[] {
    return this.ofType('decision').map((text) => (JSON.parse(text) as { payload: Decision }).payload);
  }

  /** The bus behind it, as far as somebody reads back what was admitted. */
  asBus(): Bus {
    const openReader = ([position]: readonly { offset: number }[]): Promise<BusReader> => {
      const found = [...this.admitted.values()].find(({ offset }) => offset === position?.offset);
      const records = found === undefined ? [] : [recordOf(found.text, found.offset)];
      return Promise.resolve({
        poll: () =>
          Promise.resolve([{ topic: TRAFFIC, partition: 0, records, nextOffset: 0 as Offset, highWater: 0 as Offset }]),
        close: () => Promise.resolve(),
      });
    };
    return { openReader } as unknown as Bus;
  }
}

export class FakeFeatures extends FeaturePlanePort {
  calls: { groups: string[]; count: number }[] = [];
  answer: 'served' | 'stale' | 'down' | 'nonsense' | 'foreign' = 'served';
  live = noRebuild;
  rebuild = noRebuild;

  snapshots({ triggers, groups }: Parameters<FeaturePlanePort['snapshots']>[0]) {
    this.calls.push({ groups, count: triggers.length });
    if (this.answer === 'down') return Promise.reject(new ProbityError('RPC_UNAVAILABLE', 'down'));
    if (this.answer === 'nonsense') return Promise.resolve({ results: [] });
    const state = new FeatureState(planOf(DEFINITIONS.body as unknown as FeatureDefinitions));
    const results = triggers.map((trigger, at) => {
      if (this.answer === 'stale') return { status: 'STALE', detail: 'behind' };
      const { event_id, event_type, ts_utc, partition, offset, payload } = trigger;
      const eventId = (this.answer === 'foreign' ? `other-${at}` : event_id) as never;
      const event = { eventId, eventType: event_type, ts: toEpochMicros(ts_utc), partition, offset, payload };
      const basis = advance(emptyBasis([TRAFFIC]), [{ topic: TRAFFIC, partition, nextOffset: offset }]);
      const snapshot = snapshotOf({
        pins,
        trigger: event,
        definitions: DEFINITIONS.policy_rev,
        groups: state.snapshot(event, new Set(groups)),
        inputBasis: basisRecord(basis),
      });
      return { status: 'SERVED', snapshot };
    });
    return Promise.resolve({ results } as unknown as typeof SnapshotsResponse.static);
  }
}

export class FakeLadder extends DegradeLadderPort {
  mask: CapabilityMask = unrestricted(GROUPS);
  answer: 'fresh' | 'old' | 'none' | 'down' = 'fresh';

  constructor(private readonly clock: ManualClock) {
    super();
  }

  posture() {
    if (this.answer === 'down') return Promise.reject(new ProbityError('RPC_UNAVAILABLE', 'down'));
    if (this.answer === 'none') return Promise.resolve({ posture: null });
    const posture = {
      scope_key: 'GLOBAL',
      mode: 'NORMAL',
      mask: this.mask,
      health: 'HEALTHY',
      reason_codes: [],
      triggers: [],
      snapshot_id: digestText('r'),
      policy_rev: sealPolicy('dl.ladder', 1, {}).policy_rev,
      posture_seq: 7,
      decided_at_utc: fromEpochMs(this.clock.nowMs() - (this.answer === 'old' ? 60_000 : 0)),
    };
    return Promise.resolve({ posture } as never);
  }
}

/** A graph of which nothing was applied, or as a test wants it. */
export class FakeGraph extends EntityGraphPort {
  calls: number[] = [];
  answer: 'serves' | 'lags' | 'too late' | 'down' | 'other event' | 'nothing' = 'serves';
  values: Partial<GraphValues> = {};
  live = noRebuild;
  rebuild = noRebuild;

  /** The decision fabric asks for contexts alone. */
  neighbours(): Promise<never> {
    return Promise.reject(new ProbityError('INTERNAL', 'nobody decides by neighbours'));
  }

  contexts({ pins: asked, triggers }: Static<typeof ContextsRequest>) {
    this.calls.push(triggers.length);
    if (this.answer === 'down') return Promise.reject(new ProbityError('RPC_UNAVAILABLE', 'down'));
    if (this.answer === 'nothing') return Promise.resolve({ results: [] });
    const results = triggers.map((trigger): ContextResult => {
      if (this.answer === 'lags') return { status: 'LAGGING', detail: 'behind' };
      const values = new GraphState(GRAPH.body as never).context(eventAt(trigger));
      if (this.answer === 'too late' || values === null) return { status: 'UNAVAILABLE', detail: 'late' };
      const eventId = (this.answer === 'other event' ? digestText('other') : trigger.event_id) as never;
      const context = graphContextOf({
        pins: asked,
        eventId,
        values: { ...values, ...this.values },
        integrity: 'CLEAN',
        policyRev: GRAPH.policy_rev,
        graphVersion: basisRecord(emptyBasis([TRAFFIC])),
      });
      return { status: 'SERVED', context };
    });
    return Promise.resolve({ results } as never);
  }
}

export interface Neighbours {
  readonly gate: FakeGate;
  readonly ladder: DegradeLadderPort;
  readonly features: FeaturePlanePort;
  /** One of which nothing was applied, unless a test brings another. */
  readonly graph?: EntityGraphPort;
  readonly store: DecisionFabricStore;
  readonly clock: ManualClock;
}

export interface FabricLife {
  readonly consumer: DecisionFabricConsumer;
  readonly positions: DecisionPositions;
  readonly telemetry: RecordedTelemetry;
}

export interface FabricPolicies {
  readonly rules?: SealedPolicy;
  /** Active; those that are shipped unless stated. */
  readonly bundles?: Bundles;
  readonly decision?: SealedPolicy;
}

/** What a fresh installation begins with. */
export function shippedBundles(): Bundles {
  const { shipped: all } = shipped('mpr.registry').body as unknown as RegistryPolicy;
  const primary = all.find(({ slot }) => slot === 'primary');
  return {
    ...(primary === undefined ? {} : { active: { digest: primary.digest, bundle: primary.bundle } }),
    shadow: [],
  };
}

/** A registry that says what it is told to. */
export class FakeBundles extends BundleSource {
  constructor(public answer: ResolvedBundles) {
    super();
  }

  inForce(): Promise<ResolvedBundles> {
    return Promise.resolve(this.answer);
  }

  cited(): Promise<ResolvedBundles> {
    return Promise.resolve(this.answer);
  }
}

/** The shipped policies, but for those that are given; rules are compiled once for as long as it is kept. */
export function engineOf({ rules, bundles, decision }: FabricPolicies = {}): EngineInForce {
  return new EngineInForce(
    new StaticPolicies(
      new Map([
        ['df.decision', decision ?? shipped('df.decision')],
        ['df.rules', rules ?? shipped('df.rules')],
        ['ofp.features', DEFINITIONS],
        ['ieg.graph', GRAPH],
      ]),
    ),
    new FakeBundles(supposed(bundles ?? shippedBundles(), ACTIVATION)),
  );
}

/** Bundles of the platform's own formats need none. */
const NO_RUNTIME: ModelRuntime = {
  open: () => Promise.reject(new ProbityError('DF_MODEL_RUNTIME_MISSING', 'there is none in this test')),
};

/** A life of the fabric: what it noted in memory is gone with it. */
export function fabricLife(
  { gate, ladder, features, graph = new FakeGraph(), store, clock }: Neighbours,
  engine = engineOf(),
): FabricLife {
  const telemetry = recordedTelemetry();
  const positions = new DecisionPositions(store, engine);
  const consumer = new DecisionFabricConsumer(
    engine,
    new ExternalModels(NO_RUNTIME),
    new Submission(gate, gate.asBus(), clock),
    store,
    positions,
    new DecisionSignals(telemetry.telemetry, clock),
    clock,
    telemetry.telemetry,
    ladder,
    features,
    graph,
  );
  return { consumer, positions, telemetry };
}
