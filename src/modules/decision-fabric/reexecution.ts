import { asBasis, type Basis, nextOffset, topicsOf } from '../../rails/basis.js';
import { canonicalJson } from '../../rails/canonical-json.js';
import { type DecisionEngine } from '../../rails/decision/engine.js';
import type { DecisionTrigger, FeaturesUse, PostureUse } from '../../rails/decision/inputs.js';
import { asTopicName } from '../../rails/eb-ref.js';
import { payloadHash } from '../../rails/envelope.js';
import type { Decision } from '../../rails/events/decision.schema.js';
import { type Label, LabelSchema } from '../../rails/events/label.schema.js';
import type { Posture } from '../../rails/events/posture.schema.js';
import { type BusEvent, readEvent } from '../../rails/events/read-event.js';
import { type Cut, FeatureState } from '../../rails/features/feature-state.js';
import { amountsOf, hasItsNumbers } from '../../rails/features/kept.js';
import { planOf } from '../../rails/features/plan.js';
import { snapshotOf } from '../../rails/features/snapshot.js';
import { isNoWorld, type RunPins } from '../../rails/pins.js';
import { toEpochMicros } from '../../rails/time.js';
import { validatorOf } from '../../rails/validator.js';
import type { Bus, BusRecord } from '../../substrate/bus/bus.port.js';
import { LogCursor } from '../../substrate/bus/log-cursor.js';

const TRAFFIC = asTopicName('fp.bus.traffic.v1');
const CONTROL = asTopicName('fp.bus.control.v1');
const labels = validatorOf(LabelSchema, 'the label');

export interface Reexecuted {
  readonly decisionId: string;
  readonly eventId: string;
  readonly recorded: Decision;
  /** null: it could not be made again; `why` says what is not at hand. */
  readonly again: Decision | null;
  readonly why?: string;
}

export interface ReexecutionOptions {
  readonly bus: Bus;
  readonly engine: DecisionEngine;
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
  readonly order: number;
}

/**
 * Makes the decisions of a run again from the bus alone: their events within the bases that they name, the definitions, rules, bundle and policy that
 * they cite, and the posture of the control topic. What comes out is compared by whoever asked.
 *
 * Decisions are taken in the order of their bases, and every event is applied once, when a basis first reaches it. Where bases are not ordered (a feature
 * plane that restarted goes another way through the partitions) the state has seen more than the basis says, and is cut to it.
 */
export class Reexecution {
  readonly #state: FeatureState;
  readonly #amounts: ReadonlyMap<string, readonly string[]>;
  readonly #cursors: LogCursor[] = [];
  readonly #applied = new Map<string, number>();
  readonly #postures = new Map<string, string>();

  constructor(private readonly options: ReexecutionOptions) {
    const plan = planOf(options.engine.artifacts.features.body);
    this.#amounts = amountsOf(plan);
    this.#state = new FeatureState(plan);
  }

  async *run(): AsyncGenerator<Reexecuted, void> {
    const { bus, runId, only } = this.options;
    const mark = Buffer.from(`"run_id":"${runId}"`);
    const ofRun = ({ value }: BusRecord): boolean => bufferOf(value).includes(mark);
    const [traffic, control] = [await bus.marks(TRAFFIC), await bus.marks(CONTROL)];
    const open = (marks: typeof traffic, wanted: (record: BusRecord) => boolean): LogCursor[] => {
      const cursors = marks.map((each) => new LogCursor(bus, each, wanted));
      this.#cursors.push(...cursors);
      return cursors;
    };
    const isDecision = (record: BusRecord): boolean => typed(record, 'decision') && ofRun(record);
    const decisions = open(traffic, isDecision);
    const triggers = open(traffic, (record) => !typed(record, 'decision') && ofRun(record));
    const events = open(traffic, (record) => !typed(record, 'decision') && ofRun(record));
    const facts = open(control, ofRun);
    try {
      await this.#readPostures(open(control, (record) => typed(record, 'dl.posture')));
      const heads = new Map<LogCursor, Open>();
      for (const cursor of decisions) await this.#head(cursor, heads);
      while (heads.size > 0) {
        const [cursor, next] = [...heads].reduce((a, b) => (b[1].order < a[1].order ? b : a));
        await cursor.take();
        await this.#head(cursor, heads);
        if (only !== undefined && next.decision.decision_id !== only) continue;
        if (next.basis !== null) await this.#applyUpTo(next.basis, events, facts);
        yield await this.#again(next, triggers);
        if (only !== undefined) return;
      }
    } finally {
      await Promise.all(this.#cursors.map((each) => each.close()));
    }
  }

  async #head(cursor: LogCursor, heads: Map<LogCursor, Open>): Promise<void> {
    heads.delete(cursor);
    for (;;) {
      const record = await cursor.peek();
      if (record === undefined) return;
      const read = readEvent(record.value);
      if (read.ok && read.event.eventType === 'decision' && pinsOf(read.event)?.run_id === this.options.runId) {
        // Admission checked it against the published schema.
        const decision = read.event.payload as unknown as Decision;
        const { input_basis } = decision.features;
        const basis = input_basis === undefined ? null : asBasis(input_basis);
        heads.set(cursor, { record, event: read.event, decision, basis, order: basis === null ? -1 : sumOf(basis) });
        return;
      }
      await cursor.take();
    }
  }

  async #applyUpTo(basis: Basis, events: readonly LogCursor[], facts: readonly LogCursor[]): Promise<void> {
    for (const [topic, cursors] of [
      [TRAFFIC, events],
      [CONTROL, facts],
    ] as const) {
      for (const cursor of cursors) {
        const end = nextOffset(basis, topic, cursor.partition);
        for (
          let record = await cursor.peek();
          record !== undefined && record.offset < end;
          record = await cursor.peek()
        ) {
          await cursor.take();
          const read = readEvent(record.value);
          if (!read.ok) continue;
          if (topic === TRAFFIC) this.#applyEvent(read.event, cursor.partition, record);
          else this.#applyFact(read.event, cursor.partition, record);
        }
        const name = `${topic} ${cursor.partition}`;
        this.#applied.set(name, Math.max(end, this.#applied.get(name) ?? 0));
      }
    }
  }

  #applyEvent(event: BusEvent, partition: number, { offset }: BusRecord): void {
    const { eventId, eventType, ts, payload } = event;
    if (pinsOf(event)?.run_id !== this.options.runId) return;
    const seen = { eventId, eventType, ts, partition, offset, payload };
    if (hasItsNumbers(this.#amounts, seen)) this.#state.apply([seen]);
  }

  #applyFact(event: BusEvent, partition: number, { offset }: BusRecord): void {
    if (event.eventType !== 'label' || pinsOf(event)?.run_id !== this.options.runId) return;
    const checked = labels.check(event.payload);
    if (!checked.ok || checked.value.label_value === 'FRAUD_SUSPECTED') return;
    const label: Label = checked.value;
    this.#state.applyLabels([
      {
        labelId: label.label_id,
        target: label.target_event_id,
        observed: toEpochMicros(label.observed_at_utc),
        isFraud: label.label_value === 'FRAUD_CONFIRMED',
        partition,
        offset,
      },
    ]);
  }

  async #again({ decision, event, basis }: Open, triggers: readonly LogCursor[]): Promise<Reexecuted> {
    const { source_event: source } = decision;
    const made = { decisionId: decision.decision_id, eventId: source.event_id, recorded: decision };
    const missing = (why: string): Reexecuted => ({ ...made, again: null, why });
    const { engine, counterfactual } = this.options;
    const cited = counterfactual === true ? null : citedOtherwise(decision, engine);
    if (cited !== null) return missing(cited);
    const trigger = await this.#triggerOf(decision, event, triggers);
    if (typeof trigger === 'string') return missing(trigger);
    const posture = this.#postureOf(decision);
    if (typeof posture === 'string') return missing(posture);
    const plan = engine.plan(posture);
    const features = this.#featuresOf(decision, trigger, plan.featureGroups, basis);
    const graph = { status: decision.graph.status } as Parameters<DecisionEngine['decide']>[3];
    return { ...made, again: engine.decide(trigger, plan, features, graph) };
  }

  /** The event itself, read again from the place that the decision names; its content is checked against the digest there. */
  async #triggerOf(
    { source_event: source, entity_key }: Decision,
    { pins }: BusEvent,
    triggers: readonly LogCursor[],
  ): Promise<DecisionTrigger | string> {
    const cursor = triggers.find(({ partition }) => partition === source.eb_ref.partition);
    let record = await cursor?.peek();
    while (record !== undefined && record.offset < source.eb_ref.offset) {
      await cursor?.take();
      record = await cursor?.peek();
    }
    if (record?.offset !== source.eb_ref.offset) return 'the source event is not at the place that the decision names';
    const read = readEvent(record.value);
    if (!read.ok || read.event.eventId !== source.event_id)
      return 'another event stands at the place of the source event';
    const { event } = read;
    if (isNoWorld(pins) || isNoWorld(event.pins) || canonicalJson(pins) !== canonicalJson(event.pins))
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
  ): FeaturesUse {
    if (features.status !== 'USED' || basis === null || features.input_basis === undefined) {
      const { status, reason } = features;
      return { status: status as Exclude<FeaturesUse['status'], 'USED'>, ...(reason === undefined ? {} : { reason }) };
    }
    const snapshot = snapshotOf({
      pins: trigger.pins,
      trigger,
      definitions: this.options.engine.artifacts.features.policy_rev,
      groups: this.#state.snapshot(trigger, new Set(groups), this.#cutTo(basis)),
      inputBasis: features.input_basis,
    });
    return { status: 'USED', snapshot };
  }

  /** undefined where the state has seen exactly what the basis says, which is nearly always. */
  #cutTo(basis: Basis): Cut | undefined {
    const beyond = [...this.#applied].some(([name, applied]) => {
      const [topic = '', partition = ''] = name.split(' ');
      return applied > nextOffset(basis, topic, Number(partition));
    });
    if (!beyond) return undefined;
    return {
      event: (partition, offset) => offset < nextOffset(basis, TRAFFIC, partition),
      label: ({ partition, offset }) => offset < nextOffset(basis, CONTROL, partition),
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

function saidBy({ mode, mask, policy_rev }: Pick<Posture, 'mode' | 'mask' | 'policy_rev'>): string {
  return canonicalJson({ mode, mask, policy_rev });
}

/** Which cited revision is not the one at hand; null when all are. */
function citedOtherwise(decision: Decision, { artifacts }: DecisionEngine): string | null {
  const pairs = [
    ['policy', decision.policy_rev, artifacts.decision.policy_rev],
    ['rules', decision.rules.policy_rev, artifacts.rules.policy_rev],
    ['features', decision.features.definitions, artifacts.features.policy_rev],
    [
      'bundles',
      decision.bundle.status === 'ACTIVE' ? decision.bundle.policy_rev : undefined,
      artifacts.bundles.policy_rev,
    ],
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

/** By the text alone, before anything is parsed: records are canonical, so a type is always written like this. */
function typed({ value }: BusRecord, type: string): boolean {
  return bufferOf(value).includes(`"event_type":"${type}"`);
}
