import { asBasis, type Basis, topicsOf } from '../../rails/basis.js';
import { canonicalJson } from '../../rails/canonical-json.js';
import type { DecisionPolicies } from '../../rails/decision/artifacts.js';
import type { DecisionEngine } from '../../rails/decision/engine.js';
import type { DecisionPlan, DecisionTrigger, FeaturesUse, GraphUse, PostureUse } from '../../rails/decision/inputs.js';
import { asTopicName } from '../../rails/eb-ref.js';
import { payloadHash } from '../../rails/envelope.js';
import type { Decision } from '../../rails/events/decision.schema.js';
import type { Posture } from '../../rails/events/posture.schema.js';
import { type BusEvent, isOtherType, readEvent } from '../../rails/events/read-event.js';
import { FeatureState } from '../../rails/features/feature-state.js';
import { amountsOf, hasItsNumbers } from '../../rails/features/kept.js';
import { planOf } from '../../rails/features/plan.js';
import { GraphState } from '../../rails/graph/graph-state.js';
import { differingPins, isNoWorld, type RunPins } from '../../rails/pins.js';
import type { Bus, BusRecord, PartitionMarks } from '../../substrate/bus/bus.port.js';
import { type LogCursor, LogTap } from '../../substrate/bus/log-tap.js';
import { ReplayedState } from '../../substrate/projection/replayed-state.js';
import type { ExternalModels } from './external-models.js';
import { featuresOf, graphOf, type Ground } from './reexecution.ground.js';

const TRAFFIC = asTopicName('fp.bus.traffic.v1');
const CONTROL = asTopicName('fp.bus.control.v1');

export interface Reexecuted {
  readonly decisionId: string;
  readonly eventId: string;
  readonly recorded: Decision;
  /** The record as it stands on the bus. */
  readonly bytes: Uint8Array;
  /** null: it could not be made again; `why` says what is not at hand, and `reason` in a word. */
  readonly again: Decision | null;
  readonly why?: string;
  readonly reason?: NotAtHand;
  /** What it was made again from; good until the next one is asked for. */
  readonly inputs?: DecisionInputs;
}

export type NotAtHand = 'OTHER_ARTIFACT' | 'BUNDLE_NOT_AT_HAND' | 'EVENT_NOT_AT_HAND' | 'POSTURE_NOT_AT_HAND';

export interface DecisionInputs {
  readonly engine: DecisionEngine;
  readonly trigger: DecisionTrigger;
  readonly posture: PostureUse;
  readonly plan: DecisionPlan;
  readonly features: FeaturesUse;
  readonly graph: GraphUse;
  /** Other groups, at the same basis. */
  readonly featuresOf: (groups: readonly string[]) => FeaturesUse;
}

export interface ReexecutionOptions {
  readonly bus: Bus;
  /** The policies that decisions are made again under, unless they cite others. */
  readonly policies: DecisionPolicies;
  /** What a decision cites that cites others: read again from where it is kept, or why it cannot be. Absent: such a decision is not made again. */
  readonly citedPolicies?: (decision: Decision) => Promise<DecisionPolicies | string>;
  /** Under these policies, with the bundles that a decision cites, or others; or why they are not at hand. */
  readonly engineFor: (decision: Decision, policies: DecisionPolicies) => Promise<DecisionEngine | string>;
  readonly models: ExternalModels;
  readonly runId: string;
  /** Make this one again, and only this one. */
  readonly only?: string;
  /** Make those again that it wants; all unless stated. */
  readonly wanted?: (decision: Decision) => boolean;
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
  readonly #grounds = new Map<DecisionPolicies, Ground>();
  readonly #triggers = new Map<string, readonly LogCursor[]>();
  readonly #features = new Map<string, ReplayedState<FeatureState>>();
  readonly #graphs = new Map<string, ReplayedState<GraphState>>();

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
    this.#groundUnder(policies, () => taps, ofTypes);
    // Another definition begins its log anew: those who share taps have to open them before the first is read from.
    const anew = (): Taps => ({ traffic: open(traffic), control: open(control) });
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
        if (this.options.wanted?.(next.decision) === false) continue;
        const cited = await this.#policiesOf(next.decision);
        if (typeof cited === 'string') yield notAtHand(next, 'OTHER_ARTIFACT', cited);
        else yield await this.#again(next, this.#groundUnder(cited, anew, ofTypes));
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

  /** Under what a decision is made again; or why that is not at hand. */
  async #policiesOf(decision: Decision): Promise<DecisionPolicies | string> {
    const { policies, citedPolicies, counterfactual } = this.options;
    const otherwise = counterfactual === true ? null : citedOtherwise(decision, policies);
    if (otherwise === null) return policies;
    return (await citedPolicies?.(decision)) ?? otherwise;
  }

  #groundUnder(policies: DecisionPolicies, open: () => Taps, ofTypes: OfTypes): Ground {
    const before = this.#grounds.get(policies);
    if (before !== undefined) return before;
    const types = policies.decision.body.trigger_event_types;
    const ground = {
      policies,
      triggers: once(this.#triggers, [...types].sort().join(' '), () => cursorsOf(open().traffic, ofTypes(types))),
      features: once(this.#features, policies.features.policy_rev.content_digest, () =>
        this.#featuresUnder(policies, open(), ofTypes),
      ),
      graph: once(this.#graphs, policies.graph.policy_rev.content_digest, () =>
        this.#graphUnder(policies, open(), ofTypes),
      ),
    };
    this.#grounds.set(policies, ground);
    return ground;
  }

  #featuresUnder(
    { features }: DecisionPolicies,
    { traffic, control }: Taps,
    ofTypes: OfTypes,
  ): ReplayedState<FeatureState> {
    const plan = planOf(features.body);
    const amounts = amountsOf(plan);
    return new ReplayedState({
      state: new FeatureState(plan),
      runId: this.options.runId,
      usable: (event) => hasItsNumbers(amounts, event),
      events: cursorsOf(traffic, ofTypes(plan.streams.map(({ eventType }) => eventType))),
      facts: cursorsOf(control, ofTypes(['label'])),
    });
  }

  #graphUnder(
    { graph: { body } }: DecisionPolicies,
    { traffic, control }: Taps,
    ofTypes: OfTypes,
  ): ReplayedState<GraphState> {
    return new ReplayedState({
      state: new GraphState(body),
      runId: this.options.runId,
      usable: () => true,
      events: cursorsOf(traffic, ofTypes([body.event_type])),
      facts: cursorsOf(control, ofTypes(['label'])),
    });
  }

  async #again(open: Open, ground: Ground): Promise<Reexecuted> {
    const { decision, event, basis, version } = open;
    const { policies, triggers } = ground;
    const { models } = this.options;
    if (basis !== null) await ground.features.upTo(basis);
    if (version !== null) await ground.graph.upTo(version);
    const missing = (reason: NotAtHand, why: string): Reexecuted => notAtHand(open, reason, why);
    const engine = await this.#engineFor(decision, policies);
    if (typeof engine === 'string') return missing('BUNDLE_NOT_AT_HAND', engine);
    const trigger = await this.#triggerOf(decision, event, triggers);
    if (typeof trigger === 'string') return missing('EVENT_NOT_AT_HAND', trigger);
    const posture = this.#postureOf(decision);
    if (typeof posture === 'string') return missing('POSTURE_NOT_AT_HAND', posture);
    const plan = engine.plan(posture);
    const ofGroups = (groups: readonly string[]): FeaturesUse => featuresOf(decision, trigger, groups, basis, ground);
    const features = ofGroups(plan.featureGroups);
    const graph = graphOf(decision, trigger, version, ground);
    const [again = null] = await models.decide(engine, plan, [{ trigger, features, graph }]);
    return {
      ...madeOf(open),
      again,
      inputs: { engine, trigger, posture, plan, features, graph, featuresOf: ofGroups },
    };
  }

  /** Models that are scored outside are asked before the first decision that wants them. @throws DF_MODEL_RUNTIME_MISSING, DF_MODEL_REFUSED */
  async #engineFor(decision: Decision, policies: DecisionPolicies): Promise<DecisionEngine | string> {
    const engine = await this.options.engineFor(decision, policies);
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

type Made = Pick<Reexecuted, 'decisionId' | 'eventId' | 'recorded' | 'bytes'>;

function madeOf({ decision, record }: Open): Made {
  return {
    decisionId: decision.decision_id,
    eventId: decision.source_event.event_id,
    recorded: decision,
    bytes: record.value,
  };
}

function notAtHand(open: Open, reason: NotAtHand, why: string): Reexecuted {
  return { ...madeOf(open), again: null, reason, why };
}

function saidBy({ mode, mask, policy_rev }: Pick<Posture, 'mode' | 'mask' | 'policy_rev'>): string {
  return canonicalJson({ mask, mode, policy_rev });
}

/** Which cited revision is not the one at hand; null when all are. */
function citedOtherwise(decision: Decision, policies: DecisionPolicies): string | null {
  const pairs = [
    ['policy', decision.policy_rev, policies.decision.policy_rev],
    ['rules', decision.rules.policy_rev, policies.rules.policy_rev],
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

/** The value under the key, made when it is first asked for. */
function once<Value>(made: Map<string, Value>, key: string, make: () => Value): Value {
  const before = made.get(key);
  if (before !== undefined) return before;
  const value = make();
  made.set(key, value);
  return value;
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
