import { asBasis, type Basis, topicsOf } from '../../rails/basis.js';
import { canonicalJson } from '../../rails/canonical-json.js';
import type { DecisionPolicies } from '../../rails/decision/artifacts.js';
import type { DecisionEngine } from '../../rails/decision/engine.js';
import type { DecisionTrigger, FeaturesUse, GraphUse, PostureUse } from '../../rails/decision/inputs.js';
import { asTopicName } from '../../rails/eb-ref.js';
import { payloadHash } from '../../rails/envelope.js';
import type { Decision } from '../../rails/events/decision.schema.js';
import type { Posture } from '../../rails/events/posture.schema.js';
import { type BusEvent, isOtherType, readEvent } from '../../rails/events/read-event.js';
import { FeatureState } from '../../rails/features/feature-state.js';
import { amountsOf, hasItsNumbers } from '../../rails/features/kept.js';
import { planOf } from '../../rails/features/plan.js';
import { snapshotOf } from '../../rails/features/snapshot.js';
import { graphContextOf } from '../../rails/graph/context.js';
import { GraphState } from '../../rails/graph/graph-state.js';
import { differingPins, isNoWorld, type RunPins } from '../../rails/pins.js';
import type { Bus, BusRecord, PartitionMarks } from '../../substrate/bus/bus.port.js';
import { type LogCursor, LogTap } from '../../substrate/bus/log-tap.js';
import { ReplayedState } from '../../substrate/projection/replayed-state.js';
import type { ExternalModels } from './external-models.js';

const TRAFFIC = asTopicName('fp.bus.traffic.v1');
const CONTROL = asTopicName('fp.bus.control.v1');

export interface Reexecuted {
  readonly decisionId: string;
  readonly eventId: string;
  readonly recorded: Decision;
  /** The record as it stands on the bus. */
  readonly bytes: Uint8Array;
  /** null: it could not be made again; `why` says what is not at hand. */
  readonly again: Decision | null;
  readonly why?: string;
}

export interface ReexecutionOptions {
  readonly bus: Bus;
  /** The policies that decisions are made again under; rules and decision policy are the engine's own. */
  readonly policies: DecisionPolicies;
  /** With the rules, policy and bundles that a decision cites, or others; or why they are not at hand. */
  readonly engineFor: (decision: Decision) => Promise<DecisionEngine | string>;
  readonly models: ExternalModels;
  readonly runId: string;
  /** Make this one again, and only this one. */
  readonly only?: string;
  /** With other artifacts than those that the decisions cite: what would have come out, not whether the same does. */
  readonly counterfactual?: boolean;
}

interface Open {
  readonly record: BusRecord;
  readonly event: BusEvent;
  readonly decision: Decision;
  /** How far the features had got; decisions are made again in this order, so that events are applied once. */
  readonly basis: Basis | null;
  /** How far the graph had got. */
  readonly version: Basis | null;
  readonly order: number;
}

type Wanted = (record: BusRecord) => boolean;
type OfTypes = (types: readonly string[]) => Wanted;

interface Taps {
  readonly traffic: readonly LogTap[];
  readonly control: readonly LogTap[];
}

interface States {
  readonly features: ReplayedState<FeatureState>;
  readonly graph: ReplayedState<GraphState>;
}

/**
 * Makes the decisions of a run again from the bus alone: their events within the bases that they name, the definitions, rules, bundles and policy that
 * they cite, and the posture of the control topic. What comes out is compared by whoever asked.
 *
 * Decisions are taken in the order of their bases, and every event is applied once, when a basis first reaches it. Where bases are not ordered (a feature
 * plane that restarted goes another way through the partitions) the state has seen more than the basis says, and is cut to it.
 */
export class Reexecution {
  readonly #taps: LogTap[] = [];
  readonly #postures = new Map<string, string>();
  readonly #ready = new Set<DecisionEngine>();

  constructor(private readonly options: ReexecutionOptions) {}

  /** @throws DF_MODEL_RUNTIME_MISSING, DF_MODEL_REFUSED */
  async *run(): AsyncGenerator<Reexecuted, void> {
    const { bus, runId, only, policies } = this.options;
    const mark = Buffer.from(`"run_id":"${runId}"`);
    const ofRun = ({ value }: BusRecord): boolean => bufferOf(value).includes(mark);
    const [traffic, control] = [await bus.marks(TRAFFIC), await bus.marks(CONTROL)];
    const open = (marks: readonly PartitionMarks[]): readonly LogTap[] => {
      const taps = marks.map((each) => new LogTap(bus, each));
      this.#taps.push(...taps);
      return taps;
    };
    const taps = { traffic: open(traffic), control: open(control) };
    const ofTypes =
      (types: readonly string[]) =>
      (record: BusRecord): boolean =>
        !isOtherType(record.value, (type) => types.includes(type)) && ofRun(record);
    const decisions = cursorsOf(taps.traffic, ofTypes(['decision']));
    const triggers = cursorsOf(taps.traffic, ofTypes(policies.decision.body.trigger_event_types));
    const states = {
      features: this.#features(taps, ofTypes),
      graph: this.#graph(taps, ofTypes),
    };
    try {
      // All of them before the first decision; so not by the taps of those who go side by side.
      await this.#readPostures(cursorsOf(open(control), ({ value }) => !isOtherType(value, isPosture)));
      const heads = new Map<LogCursor, Open>();
      for (const cursor of decisions) await this.#head(cursor, heads);
      while (heads.size > 0) {
        const [cursor, next] = [...heads].reduce((a, b) => (b[1].order < a[1].order ? b : a));
        cursor.skip();
        await this.#head(cursor, heads);
        if (only !== undefined && next.decision.decision_id !== only) continue;
        if (next.basis !== null) await states.features.upTo(next.basis);
        if (next.version !== null) await states.graph.upTo(next.version);
        yield await this.#again(next, triggers, states);
        if (only !== undefined) return;
      }
    } finally {
      await Promise.all(this.#taps.map((each) => each.close()));
    }
  }

  async #head(cursor: LogCursor, heads: Map<LogCursor, Open>): Promise<void> {
    heads.delete(cursor);
    for (;;) {
      const record = cursor.head ?? (await cursor.peek());
      if (record === undefined) return;
      const read = readEvent(record.value);
      if (read.ok && read.event.eventType === 'decision' && pinsOf(read.event)?.run_id === this.options.runId) {
        // Admission checked it against the published schema.
        const decision = read.event.payload as unknown as Decision;
        const { input_basis } = decision.features;
        const basis = input_basis === undefined ? null : asBasis(input_basis);
        const { graph_version } = decision.graph;
        const version = graph_version === undefined ? null : asBasis(graph_version);
        const order = basis === null ? (version === null ? -1 : sumOf(version)) : sumOf(basis);
        heads.set(cursor, { record, event: read.event, decision, basis, version, order });
        return;
      }
      cursor.skip();
    }
  }

  #features({ traffic, control }: Taps, ofTypes: OfTypes): ReplayedState<FeatureState> {
    const plan = planOf(this.options.policies.features.body);
    const amounts = amountsOf(plan);
    return new ReplayedState({
      state: new FeatureState(plan),
      runId: this.options.runId,
      usable: (event) => hasItsNumbers(amounts, event),
      events: cursorsOf(traffic, ofTypes(plan.streams.map(({ eventType }) => eventType))),
      facts: cursorsOf(control, ofTypes(['label'])),
    });
  }

  #graph({ traffic, control }: Taps, ofTypes: OfTypes): ReplayedState<GraphState> {
    const { body } = this.options.policies.graph;
    return new ReplayedState({
      state: new GraphState(body),
      runId: this.options.runId,
      usable: () => true,
      events: cursorsOf(traffic, ofTypes([body.event_type])),
      facts: cursorsOf(control, ofTypes(['label'])),
    });
  }

  async #again(
    { decision, event, record, basis, version }: Open,
    triggers: readonly LogCursor[],
    states: States,
  ): Promise<Reexecuted> {
    const { source_event: source } = decision;
    const made = {
      decisionId: decision.decision_id,
      eventId: source.event_id,
      recorded: decision,
      bytes: record.value,
    };
    const missing = (why: string): Reexecuted => ({ ...made, again: null, why });
    const { policies, models, counterfactual } = this.options;
    const cited = counterfactual === true ? null : citedOtherwise(decision, policies);
    if (cited !== null) return missing(cited);
    const engine = await this.#engineFor(decision);
    if (typeof engine === 'string') return missing(engine);
    const trigger = await this.#triggerOf(decision, event, triggers);
    if (typeof trigger === 'string') return missing(trigger);
    const posture = this.#postureOf(decision);
    if (typeof posture === 'string') return missing(posture);
    const plan = engine.plan(posture);
    const features = this.#featuresOf(decision, trigger, plan.featureGroups, basis, states.features);
    const graph = this.#graphOf(decision, trigger, version, states.graph);
    const [again = null] = await models.decide(engine, plan, [{ trigger, features, graph }]);
    return { ...made, again };
  }

  /** Models that are scored outside are asked before the first decision that wants them. @throws DF_MODEL_RUNTIME_MISSING, DF_MODEL_REFUSED */
  async #engineFor(decision: Decision): Promise<DecisionEngine | string> {
    const engine = await this.options.engineFor(decision);
    if (typeof engine === 'string' || this.#ready.has(engine)) return engine;
    await this.options.models.ready(engine);
    this.#ready.add(engine);
    return engine;
  }

  /** The event itself, read again from the place that the decision names; its content is checked against the digest there. */
  async #triggerOf(
    { source_event: source, entity_key }: Decision,
    { pins }: BusEvent,
    triggers: readonly LogCursor[],
  ): Promise<DecisionTrigger | string> {
    const cursor = triggers.find(({ partition }) => partition === source.eb_ref.partition);
    let record = cursor?.head ?? (await cursor?.peek());
    while (record !== undefined && record.offset < source.eb_ref.offset) {
      cursor?.skip();
      record = cursor?.head ?? (await cursor?.peek());
    }
    if (record?.offset !== source.eb_ref.offset) return 'the source event is not at the place that the decision names';
    const read = readEvent(record.value);
    if (!read.ok || read.event.eventId !== source.event_id)
      return 'another event stands at the place of the source event';
    const { event } = read;
    if (isNoWorld(pins) || isNoWorld(event.pins) || differingPins(pins, event.pins).length > 0)
      return 'decision and source event differ in their pins';
    return {
      pins: event.pins,
      eventId: event.eventId,
      eventType: event.eventType,
      ts: event.ts,
      tsUtc: event.envelope.ts_utc,
      partition: source.eb_ref.partition,
      offset: record.offset,
      ebRef: source.eb_ref,
      payloadHash: payloadHash(event.envelope),
      entityKey: entity_key,
      payload: event.payload,
    };
  }

  #featuresOf(
    { features }: Decision,
    trigger: DecisionTrigger,
    groups: readonly string[],
    basis: Basis | null,
    replayed: ReplayedState<FeatureState>,
  ): FeaturesUse {
    if (features.status !== 'USED' || basis === null || features.input_basis === undefined) {
      const { status, reason } = features;
      return { status: status as Exclude<FeaturesUse['status'], 'USED'>, ...(reason === undefined ? {} : { reason }) };
    }
    const snapshot = snapshotOf({
      pins: trigger.pins,
      trigger,
      definitions: this.options.policies.features.policy_rev,
      groups: replayed.state.snapshot(trigger, new Set(groups), replayed.cutTo(basis)),
      inputBasis: features.input_basis,
    });
    return { status: 'USED', snapshot };
  }

  /** The values at the version that the decision names; whether the run was whole then is taken from the record. */
  #graphOf(
    { graph }: Decision,
    trigger: DecisionTrigger,
    version: Basis | null,
    replayed: ReplayedState<GraphState>,
  ): GraphUse {
    const { status, reason, graph_version, integrity } = graph;
    if (status !== 'USED' || version === null || graph_version === undefined || integrity === undefined)
      return {
        status: status as Exclude<GraphUse['status'], 'USED'>,
        ...(reason === undefined ? {} : { reason }),
      };
    const values = replayed.state.context(trigger, replayed.cutTo(version));
    if (values === null) return { status: 'UNAVAILABLE', reason: 'GRAPH_TOO_LATE' };
    const context = graphContextOf({
      pins: trigger.pins,
      eventId: trigger.eventId,
      values,
      integrity,
      policyRev: this.options.policies.graph.policy_rev,
      graphVersion: graph_version,
    });
    return { status: 'USED', context };
  }

  async #readPostures(cursors: readonly LogCursor[]): Promise<void> {
    for (const cursor of cursors) {
      for (let record = await cursor.take(); record !== undefined; record = await cursor.take()) {
        const read = readEvent(record.value);
        if (!read.ok || read.event.eventType !== 'dl.posture') continue;
        const posture = read.event.payload as unknown as Posture;
        this.#postures.set(`${posture.scope_key} ${posture.posture_seq}`, saidBy(posture));
      }
    }
  }

  /** The posture as the decision names it, if that is what was published under its number. */
  #postureOf({ posture }: Decision): PostureUse | string {
    if (posture.status === 'UNAVAILABLE') return { status: 'UNAVAILABLE' };
    const { status, scope_key = '', posture_seq = 0, policy_rev, decided_at_utc } = posture;
    if (decided_at_utc === undefined) return 'the posture of the decision has no time';
    const published = this.#postures.get(`${scope_key} ${posture_seq}`);
    if (published === undefined) return `posture ${posture_seq} of ${scope_key} was never published`;
    const named = {
      scope_key,
      mode: posture.mode,
      mask: posture.mask,
      posture_seq,
      policy_rev: policy_rev ?? null,
      decided_at_utc,
    } as Posture;
    if (status === 'USED' && saidBy(named) !== published) return `posture ${posture_seq} was published as another one`;
    return { status, posture: named };
  }
}

function saidBy({ mode, mask, policy_rev }: Pick<Posture, 'mode' | 'mask' | 'policy_rev'>): string {
  return canonicalJson({ mask, mode, policy_rev });
}

/** Which cited revision of what a run is replayed into is not the one at hand; null when all are. Rules and policy come with the engine. */
function citedOtherwise(decision: Decision, policies: DecisionPolicies): string | null {
  const pairs = [
    ['features', decision.features.definitions, policies.features.policy_rev],
    ['graph', decision.graph.policy_rev, policies.graph.policy_rev],
  ] as const;
  for (const [what, cited, atHand] of pairs) {
    if (cited === undefined || cited.content_digest === atHand.content_digest) continue;
    return `${what}: the decision cites ${cited.policy_id} revision ${cited.revision} (${cited.content_digest.slice(0, 12)}…), at hand is revision ${atHand.revision} (${atHand.content_digest.slice(0, 12)}…)`;
  }
  return null;
}

function pinsOf({ pins }: BusEvent): RunPins | null {
  return isNoWorld(pins) ? null : pins;
}

function sumOf(basis: Basis): number {
  let sum = 0;
  for (const topic of topicsOf(basis)) for (const offset of Object.values(basis.topics[topic] ?? {})) sum += offset;
  return sum;
}

function bufferOf(value: Uint8Array): Buffer {
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

function cursorsOf(taps: readonly LogTap[], wanted: Wanted): readonly LogCursor[] {
  return taps.map((tap) => tap.cursor(wanted));
}

function isPosture(type: string): boolean {
  return type === 'dl.posture';
}
